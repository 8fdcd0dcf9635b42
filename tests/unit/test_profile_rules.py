"""Tests of profiles: shipped ones are valid, each setting is used, errors are one line each."""

import ast
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jeton.profile import Profile
from jeton.sts.results import NAMES
from jeton_host.errors import ProfileError
from jeton_host.firmware import profiles
from jeton_host.firmware.arabic import visual

FIRMWARE = Path(__file__).parents[2] / "firmware" / "jeton"
SHIPPED = profiles.shipped()
LANGUAGES = [(name, code) for name in SHIPPED for code in profiles.load(name)["languages"]]
Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_profile_is_valid(name: str) -> None:
    path = profiles.path_of(name)
    assert list(profiles.problems(profiles.read(path), path)) == []


def test_the_required_profiles_and_languages_ship() -> None:
    assert {
        *("generic", "ceet", "onee", "eneo", "somelec"),
        *("conlog", "landis_gyr", "itron", "hexing", "clou"),
    } <= set(SHIPPED)
    languages = {code for _, code in LANGUAGES}
    assert {"en", "fr", "ar", "pt"} <= languages
    # A language file contains every message, used or not.
    for path in profiles.languages_dir().glob("*.json"):
        data = profiles.read(path)
        assert data["language"] == path.stem
        assert data["source"].startswith("assumed: ")
        assert set(data["messages"]) == set(profiles.MESSAGES)


def attributes() -> set[str]:
    """Return the names of all attributes that the firmware reads."""
    found = set()
    for path in FIRMWARE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
    return found


def strings() -> set[str]:
    """Return all string literals of the firmware."""
    found = set()
    for path in FIRMWARE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


@pytest.mark.parametrize("setting", profiles.SETTINGS)
def test_the_firmware_reads_every_setting(setting: str) -> None:
    # As an attribute of the profile or, in a set-up, from the data of the profile.
    read = setting.replace(".", "_") in attributes() or set(setting.split(".")) <= strings()
    assert read, f"no code reads {setting}"


def test_the_firmware_reads_no_unknown_setting() -> None:
    known = {setting.replace(".", "_") for setting in profiles.SETTINGS}
    sections = {setting.partition(".")[0] for setting in profiles.SETTINGS}
    for path in FIRMWARE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and ast.unparse(node.value).split(".")[-1] in ("profile", "_profile")
                and any(node.attr.startswith(section + "_") for section in sections)
            ):
                assert node.attr in known, (path.name, node.attr)


def test_the_firmware_uses_every_message_and_no_other() -> None:
    literals = strings()
    # Some names are composed: "emergency_" and a reason, "test%d" and a number.
    starts = tuple(
        text.removesuffix("%d") for text in literals if text.endswith(("emergency_", "t%d"))
    )
    for message in profiles.MESSAGES:
        assert message in literals or message.startswith(starts), f"no code uses {message}"
    for path in FIRMWARE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).split(".")[-1] == "say"
                and isinstance(node.args[0], ast.Constant)
            ):
                assert node.args[0].value in profiles.MESSAGES, (path.name, node.args[0].value)


def test_the_firmware_handles_every_choice_and_every_code() -> None:
    literals = strings()
    for what in profiles.SHOWS:
        assert what in literals, f"no code shows {what}"
    for setting, rule in profiles.SETTINGS.items():
        # One of the values may be the default case, which no code compares.
        assert sum(choice not in literals for choice in rule.choices) <= 1, setting


@pytest.mark.parametrize(("name", "code"), LANGUAGES)
def test_a_board_has_the_settings_and_messages_of_the_profile(name: str, code: str) -> None:
    files = profiles.board_files([name])

    def port(wanted: str, language: str | None = None) -> Any:
        text = files[f"{wanted}.{language or 'json'}"]
        return text if language else json.loads(text)

    data = profiles.load(name)
    profile = Profile(port, name, code, True)
    assert (profile.name, profile.language) == (name, code)
    data["credit"]["friendly"] = profiles.week_of(data["credit"]["friendly"])
    for setting in profiles.SETTINGS:
        section, _, key = setting.partition(".")
        assert getattr(profile, setting.replace(".", "_")) == data[section][key]
    for message, words in profiles.words(data, code).items():
        assert profile.say(message) == (visual(words) if profile.rtl else words)
        assert len(profile.say(message, 1)) <= 16
    assert b"sources" not in files[f"{name}.json"]
    assert b"messages" not in files[f"{name}.json"]
    with pytest.raises(ValueError, match="no message nothing"):
        profile.say("nothing")


def test_a_character_display_uses_the_next_language() -> None:
    files = profiles.board_files(["somelec"])

    def port(name: str, language: str | None = None) -> Any:
        text = files[f"{name}.{language or 'json'}"]
        return text if language else json.loads(text)

    characters, dots = Profile(port, "somelec"), Profile(port, "somelec", draws=True)
    assert (characters.language, characters.rtl, characters.languages) == ("fr", False, ["fr"])
    assert (dots.language, dots.rtl, dots.languages) == ("ar", True, ["ar", "fr"])
    assert Profile(port, "somelec", "fr", True).say("yes") == "OUI"
    with pytest.raises(ValueError, match="its display have no 'ar', only: fr"):
        Profile(port, "somelec", "ar")


def test_results_in_a_makers_words_are_the_same_in_every_language() -> None:
    published = {
        "itron": {"Accept": "AccEPt", "CRCError": "rEJEct", "trip_locked": "Loc Out"},
        "conlog": {"CRCError": "AAAAAAA", "UsedError": "ddddddd"},
        "clou": {
            **{"CRCError": "Reject-{}", "1stKCT": "PLS_{}", "2ndKCT": "PLS_{}"},
            **{"ordinals": "1St 2nd 3rd 4th", "over_power": "OVER PO", "unbalanced": "CUR-UNB"},
            **{"tampered": "OPEN", "disturbed": "DISTU"},
        },
        "hexing": {"Accept": "Success", "CRCError": "FAILED"},
        "ceet": {"Accept": "ACCEPT"},
    }
    for name, results in published.items():
        data = profiles.load(name)
        for code in data["languages"]:
            assert results.items() <= profiles.words(data, code).items()


def wrong(change: Change) -> list[str]:
    data = copy.deepcopy(profiles.load("generic"))
    change(data)
    return list(profiles.problems(data))


WRONG: list[tuple[str, Change]] = [
    ("the setting entry.auto_enter is missing", lambda d: d["entry"].pop("auto_enter")),
    ("no setting entry.autoenter; did you", lambda d: d["entry"].update(autoenter=True)),
    ("there is no section entry", lambda d: d.pop("entry")),
    ("there is no section entry", lambda d: d.update(entry=5)),
    ("no section credits; did you mean credit?", lambda d: d.update(credits={})),
    ("screens.result_s must be a whole number", lambda d: d["screens"].update(result_s=True)),
    ("screens.page_s must be a whole number", lambda d: d["screens"].update(page_s=0)),
    ("screens.page_s must be a whole number", lambda d: d["screens"].update(page_s=2.5)),
    ("screens.page_s must be a whole number", lambda d: d["screens"].update(page_s=None)),
    ("entry.counter must be true or false", lambda d: d["entry"].update(counter=1)),
    ("entry.separator must be one character", lambda d: d["entry"].update(separator="--")),
    ("entry.separator must be one character", lambda d: d["entry"].update(separator="0")),
    ("entry.separator must be one character", lambda d: d["entry"].update(separator="é")),
    ('must be "split" or "refuse", not "both"', lambda d: d["entry"].update(several="both")),
    ('must be "split" or "refuse", not []', lambda d: d["entry"].update(several=[])),
    ("credit.min_wh must be a whole", lambda d: d["credit"].update(min_wh=1)),
    ("credit.advance_share must be a", lambda d: d["credit"].update(advance_share=101)),
    ("lockout.steps_s must be a list", lambda d: d["lockout"].update(steps_s=[0])),
    ("lockout.steps_s is empty", lambda d: d["lockout"].update(steps_s=[])),
    ("credit.alarm_wh is above", lambda d: d["credit"].update(alarm_wh=6000)),
    ("credit.alarm_wh is above", lambda d: d["credit"].update(low_wh=None)),
    ("credit.never_cut needs a", lambda d: d["credit"].update(never_cut=True)),
    ("is not a span", lambda d: d["credit"].update(friendly=[[7, 0, 5]])),
    ("is not a span", lambda d: d["credit"].update(friendly=[[0, 5, 5]])),
    ("is not a span", lambda d: d["credit"].update(friendly=["Mon"])),
    ("is not a day", lambda d: d["credit"].update(holidays=["13-01"])),
    ("is not a day", lambda d: d["credit"].update(holidays=[5])),
    ("codes.show code 07 shows", lambda d: d["codes"]["show"].update({"07": "weather"})),
    ("codes.show code 07 shows", lambda d: d["codes"]["show"].update({"07": []})),
    ("'x' is not a code", lambda d: d["codes"]["show"].update({"x": "credit"})),
    ("'9-3' is not a code", lambda d: d["codes"]["show"].update({"9-3": "credit"})),
    ("'0-333' is not a code", lambda d: d["codes"]["show"].update({"0-333": "credit"})),
    ("longer than 100", lambda d: d["codes"]["show"].update({"000-900": "credit"})),
    ("code 112 is there twice", lambda d: d["codes"]["show"].update({"112-115": "credit"})),
    ("code 07 can never be keyed", lambda d: d["codes"].update(digits=3)),
    ("name must be", lambda d: d.update(name="Generic")),
    ("name must be", lambda d: d.update(name="a" * 17)),
    ("name must be", lambda d: d.update(name="../x")),
    ("title must be", lambda d: d.update(title="")),
    ("languages must be", lambda d: d.update(languages=[])),
    ("languages must be", lambda d: d.update(languages="en")),
    ("languages are codes", lambda d: d.update(languages=["english"])),
    ("languages are codes", lambda d: d.update(languages=[5])),
    ("a language is twice in languages", lambda d: d.update(languages=["en", "en"])),
    ("languages need one that", lambda d: d.update(languages=["ar"])),
    ("there are no messages in sw", lambda d: d.update(languages=["en", "sw"])),
    ("messages must be", lambda d: d.update(messages=None)),
    ("messages.en must be", lambda d: d.update(messages={"en": 5})),
    ("messages are in ar", lambda d: d.update(messages={"ar": {}})),
    ("sources must be", lambda d: d.update(sources=[])),
    ("entry.counter has no source", lambda d: d["sources"].pop("entry.counter")),
    ("sources names entry.x", lambda d: d["sources"].update({"entry.x": "M: x"})),
    ("the source of entry.counter", lambda d: d["sources"].update({"entry.counter": "assumed"})),
    ("the source of entry.counter", lambda d: d["sources"].update({"entry.counter": "M"})),
    ("the source of entry.counter", lambda d: d["sources"].update({"entry.counter": "X: y"})),
    ("the source of entry.counter", lambda d: d["sources"].update({"entry.counter": None})),
]


@pytest.mark.parametrize(("expected", "change"), WRONG, ids=[f"{n}" for n in range(len(WRONG))])
def test_each_error_in_a_profile_is_one_line(expected: str, change: Change) -> None:
    found = wrong(change)
    assert any(expected in line for line in found), found
    assert not [line for line in found if "\n" in line]


@pytest.mark.parametrize(
    ("message", "words", "expected"),
    [
        ("Accept", "x" * 17, "too long for the smallest display: 17 of 16 columns"),
        ("token", "Enter token", "11 of 10 columns"),
        ("history", "Token number is {}", "too long"),
        ("ordinals", "1 2 3", "must be four words"),
        ("ordinals", "1st code 2 3 4", "must be four words"),
        ("Accept", "Accepté", "character displays cannot show"),
        ("Accept", "two\nlines", "character displays cannot show"),
        ("Accept", "", "not empty"),
        ("Accept", None, "not empty"),
        ("on", "on {}", "has a {} but gets no value"),
        ("wait", "Wait", "needs a {}"),
        ("Accept", "{x}", "has a {"),
        ("Acept", "x", "is not a message; did you mean Accept?"),
    ],
)
def test_messages_that_a_display_cannot_show_are_errors(
    message: str, words: str | None, expected: str
) -> None:
    def change(data: dict[str, Any]) -> None:
        data["messages"] = {"en": {message: words}}
        data["sources"][f"messages.en.{message}"] = "assumed: a test"

    (line,) = wrong(change)
    assert line.startswith(f"messages.en.{message} ")
    assert expected in line


def test_any_invalid_json_is_refused_in_lines() -> None:
    for data in (None, 5, "x", [], {}, {"entry": None, "sources": 5}, {"messages": {"en": 1}}):
        assert list(profiles.problems(data))
    # Replace each value of a complete profile with values of wrong types.
    whole = profiles.load("clou")
    for section in whole:
        for junk in (None, [], {}, "", 5, [[]], {"": None}):
            data = copy.deepcopy(whole) | {section: junk}
            assert list(profiles.problems(data)) or data == whole
            if isinstance(whole[section], dict):
                for key in whole[section]:
                    data = copy.deepcopy(whole)
                    data[section][key] = junk
                    for line in profiles.problems(data):
                        assert "\n" not in line


def test_friendly_hours_become_seconds_of_the_week() -> None:
    day = 86400
    assert profiles.week_of([]) == []
    assert profiles.week_of([[1, 0, 5], [0, 10, day], [6, 5, 7], [6, 6, 9]]) == [
        *(10, day + 5),
        *(6 * day + 5, 6 * day + 9),
    ]


def test_each_result_has_a_message() -> None:
    assert set(NAMES[1:]) <= set(profiles.MESSAGES)


def test_users_can_have_their_own_profiles(jeton_home: Path) -> None:
    path = profiles.new("village", "eneo", "Village meters")
    assert path == jeton_home / "profiles" / "village.json"
    assert "village" in profiles.names()
    assert profiles.load("village")["title"] == "Village meters"
    assert "village.en" in profiles.board_files()
    with pytest.raises(ProfileError, match="there is a profile village already"):
        profiles.new("village", "eneo")
    with pytest.raises(ProfileError, match="there is a profile ceet already"):
        profiles.new("ceet", "eneo")
    with pytest.raises(ProfileError, match="no profile 'nothing'"):
        profiles.new("other", "nothing")
    with pytest.raises(ProfileError, match="is not valid"):
        profiles.new("../other", "eneo")
    # An invalid profile is reported when it is used; the other profiles still go onto boards.
    path.write_text(path.read_text().replace('"counter": true', '"counter": 7'))
    with pytest.raises(ProfileError, match=r"profile village: entry\.counter must be"):
        profiles.load("village")
    files = profiles.board_files()
    assert "village.json" not in files
    assert "generic.json" in files
    path.write_text("{")
    with pytest.raises(ProfileError, match="is not JSON"):
        profiles.load("village")
    path.write_text('{"name": "a", "name": "b"}')
    with pytest.raises(ProfileError, match="'name' is there twice"):
        profiles.load("village")
    path.write_text("[" * 100_000)
    with pytest.raises(ProfileError, match="is not JSON"):
        profiles.load("village")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileError, match="is not JSON"):
        profiles.load("village")
    # A user's file with the name of a shipped profile is an error.
    data = profiles.read(profiles.path_of("ceet"))
    mine = jeton_home / "profiles" / "ceet.json"
    mine.write_text(json.dumps(data))
    assert any("ships with Jeton" in line for line in profiles.problems(data, mine))


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("title", "Two\nlines", "title must be"),
        ("credit.holidays", ["02-30"], "is not a day"),
        ("credit.holidays", ["04-31"], "is not a day"),
        ("credit.holidays", [5], "is not a day"),
        ("credit.friendly", [[1, 0, 900], [0, 0, 900]], "begins before"),
        ("credit.friendly", [[1, 0, 900], [1, 899, 1000]], "begins before"),
        ("credit.emergency_by", "auto", "emergency_by auto needs"),
        ("credit.friendly", [[1, 0, 900]], "where the debt is kept"),
        ("credit.holidays", ["12-25"], "where the debt is kept"),
        ("supply.reconnect_s", 1, "must be 5 s or more together"),
    ],
)
def test_values_that_contradict_others_are_errors(setting: str, value: object, says: str) -> None:
    data = copy.deepcopy(profiles.load("generic"))
    section, _, key = setting.partition(".")
    data["credit"]["emergency_wh"] = 0
    data["supply"]["limit_delay_s"] = 0
    if key:
        data[section][key] = value
    else:
        data[section] = value
    assert any(says in problem for problem in profiles.problems(data))


def test_a_leap_day_and_adjacent_spans_are_valid() -> None:
    data = copy.deepcopy(profiles.load("generic"))
    data["credit"] |= {"holidays": ["02-29"], "min_wh": -1}
    data["credit"]["friendly"] = [[0, 0, 900], [0, 900, 86400], [1, 0, 5]]
    assert list(profiles.problems(data)) == []
