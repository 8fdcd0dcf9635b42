"""Tests that the JSON Schema of profiles agrees with `profiles.problems`, as far as possible."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from jeton_host.firmware import profile_schema, profiles
from jeton_host.firmware.profiles import DAY_S, SETTINGS

SCHEMA = json.loads(profiles.schema_path().read_text())
WHOLE = Draft7Validator(SCHEMA)
RULES = {
    name: Draft7Validator(
        SCHEMA["properties"][name.partition(".")[0]]["properties"][name.partition(".")[2]]
    )
    for name in SETTINGS
}
JUNK: list[Any] = [None, True, 0, 5, -1, 2.5, "", "x", "7", " ", "é", [], {}, [[]], {"": None}]
# Values that are wrong only in combination with others; a schema cannot express that.
NOT_IN_SCHEMA: dict[str, list[Any]] = {
    "codes": [
        {"9-3": "credit"},
        {"0-333": "credit"},
        {"000-900": "credit"},
        {"7-8": "credit", "8": "credit"},
    ],
    "hours": [[[0, 5, 5]], [[1, 0, 900], [0, 0, 900]]],
}
VALUES: dict[str, list[Any]] = {
    "codes": [
        {"07": "credit", "301-350": "index"},
        *({code: "credit"} for code in ("x", "", "1" * 19, "1" * 20, "1-2-3", "٣", " 7")),
        *({"7": what} for what in (*profiles.SHOWS, "weather", None, [])),
    ],
    "steps": [[1], [DAY_S], [0], [DAY_S + 1], [1] * 16, [1] * 17, ["1"], [True], [None]],
    "hours": [
        *([span] for span in ([0, 0, 1], [6, 0, DAY_S], [7, 0, 1], [-1, 0, 1], [0, -1, 1])),
        *([span] for span in ([0, 0, DAY_S + 1], [0, 1], [0, 1, 2, 3], "Mon", [0, 0, True])),
        [[0, n, n + 1] for n in range(32)],
        [[0, n, n + 1] for n in range(33)],
    ],
    "days": [
        *([f"{month:02}-{day:02}"] for month in range(14) for day in range(33)),
        *(
            [day]
            for day in ("1-1", "12-25 ", "\u0660\u0661-\u0660\u0661", "2000-01-01", "", None, 5)
        ),
        ["12-25"] * 32,
        ["12-25"] * 33,
    ],
    "char": [chr(code) for code in range(0x250)] + ["--", "٣"],
}


def test_the_schema_file_is_current() -> None:
    assert profiles.schema_path().read_text() == profile_schema.text(), "make schema"
    Draft7Validator.check_schema(SCHEMA)


def test_the_schema_is_not_listed_as_a_profile() -> None:
    assert "profile.schema" not in profiles.names()
    assert not [name for name in profiles.board_files() if "schema" in name]


@pytest.mark.parametrize("name", profiles.shipped())
def test_each_shipped_profile_is_valid_and_names_the_schema(name: str) -> None:
    data = profiles.load(name)
    assert not list(WHOLE.iter_errors(data))
    folder = profiles.path_of(name).parent
    assert (folder / data["$schema"]).resolve() == profiles.schema_path().resolve()
    assert b"schema" not in profiles.settings_for_board(data)


def test_a_users_profile_names_the_schema_by_its_path(jeton_home: Path) -> None:
    data = json.loads(profiles.new("village", "eneo").read_text())
    assert next(iter(data)) == "$schema"
    assert data["$schema"] == profiles.schema_path().as_uri()
    assert not list(WHOLE.iter_errors(data))
    # A profile without $schema, made with an older version, is valid.
    del data["$schema"]
    assert not list(WHOLE.iter_errors(data))
    assert not list(profiles.problems(data))
    for junk in (None, 5, "", []):
        (line,) = profiles.problems(data | {"$schema": junk})
        assert line.startswith("$schema must be the path of the schema of profiles")
        assert list(WHOLE.iter_errors(data | {"$schema": junk}))


@pytest.mark.parametrize("name", SETTINGS)
def test_schema_and_rules_refuse_the_same_values(name: str) -> None:
    rule = SETTINGS[name]
    values = [*JUNK, *VALUES.get(rule.kind, []), *rule.choices, *(f"{c}x" for c in rule.choices)]
    values += [rule.low - 1, rule.low, rule.high, rule.high + 1, str(rule.low), [rule.low]]
    for value in values:
        assert RULES[name].is_valid(value) == (rule.wrong(value) is None), value
    for value in NOT_IN_SCHEMA.get(rule.kind, []):
        assert RULES[name].is_valid(value)
        assert rule.wrong(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(SETTINGS)), JSON)
def test_the_rules_refuse_what_the_schema_refuses(name: str, value: Any) -> None:
    if not RULES[name].is_valid(value):
        assert SETTINGS[name].wrong(value)


def _accepted(data: Any) -> bool:
    """Return whether the schema accepts a profile; if not, the rules must refuse it too."""
    fits = WHOLE.is_valid(data)
    assert fits or list(profiles.problems(data))
    return fits


def test_schema_and_rules_agree_on_the_other_sections() -> None:
    whole = profiles.load("generic")  # it has no own messages, which would need sources
    for section in whole:
        for junk in JUNK:
            data = whole | {section: junk}
            assert _accepted(data) == (not list(profiles.problems(data))), (section, junk)
        if section != "$schema":
            assert not _accepted({key: value for key, value in whole.items() if key != section})
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda d: d["entry"].pop("auto_enter"),
        lambda d: d["entry"].update(autoenter=True),
        lambda d: d.update(credits={}),
        lambda d: d.update(name="Generic"),
        lambda d: d.update(name="a" * 17),
        lambda d: d.update(languages=["english"]),
        lambda d: d.update(languages=["en", "en"]),
        lambda d: d.update(languages=["ar"]),
        lambda d: d.update(messages={"english": {}}),
        lambda d: d["messages"]["en"].update(Acept="x"),
        lambda d: d["messages"].update(ar={"Accept": ""}),
        lambda d: d["sources"].pop("entry.counter"),
        lambda d: d["sources"].update({"entry.x": "M: x"}),
        lambda d: d["sources"].update({"messages.en.Acept": "M: x"}),
        *(
            lambda d, junk=junk: d["sources"].update({"entry.counter": junk})  # type: ignore[misc]
            for junk in ("assumed", "M", "X: y", "M:  ", None, 5)
        ),
    ]
    for change in changes:
        data = copy.deepcopy(profiles.load("clou"))
        change(data)
        assert not _accepted(data)


@pytest.mark.parametrize("message", profiles.MESSAGES)
def test_schema_and_rules_refuse_the_same_messages(message: str) -> None:
    data = profiles.load("generic")
    data["sources"][f"messages.en.{message}"] = "assumed: a test"
    room, longest = profiles.room(message), profiles.longest(message) or ""
    texts = ["x", "x {}", "{} {}", "{x}", "}", "{", "é", "two\nlines", "", "~", "|", "  ", None, 5]
    for length in (room - 1, room, room + 1, room - len(longest), room - len(longest) + 1):
        texts += ["x" * length, "x" * length + "{}"]
    for text in texts:
        data["messages"] = {"en": {message: text}}
        wrong = list(profiles.problems(data))
        if "x" * (room - len(longest) + 1) + "{}" == text and len(text) <= room:
            assert wrong  # a schema cannot count the value in place of an optional {}
        else:
            assert WHOLE.is_valid(data) == (not wrong), (text, wrong)
