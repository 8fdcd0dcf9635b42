"""The profiles: their settings, their files, and their form on a board."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from jeton.sts.results import NAMES, SECTION
from jeton_host import zones
from jeton_host.errors import JetonError, ProfileError
from jeton_host.firmware.arabic import visual
from jeton_host.paths import data_home, firmware_dir, profiles_dir

SMALLEST_COLS = 16  # the columns of the smallest display
RIGHT_TO_LEFT = ("ar",)  # languages that only graphic displays can show
DAY_S = 86400
MOST = {"steps": 16, "hours": 32, "days": 32}  # items in a setting of this kind
CODE = re.compile(r"[0-9]{1,19}(-[0-9]{1,19})?")  # a short code, or a range of them
LANGUAGE = re.compile(r"[a-z]{2}")
_ENERGY_WH = 9_999_999_990  # the most that displays can show
_WEEK_S = 7 * DAY_S

# What a short code can show or do.
SHOWS = (
    "credit",
    "total",
    "index",
    "load",
    "day",
    "month",
    "limit",
    "tamper",
    "advance",
    "emergency",
    "mute",
    "last_result",
    "last_date",
    "last_token",
    "last_amount",
    "last_tid",
    "history_token",
    "power_fails",
    "date",
    "version",
    "drn",
    "krn_kt",
    "ti",
    "sgc",
    "ken",
    "ea",
)

# The messages of a meter: the results, by their names in the standard, and the others. {} is
# replaced by a value; _LONGEST contains the longest one.
_MESSAGES = """
key_changed enter_code ordinals digits wait keys_locked token code no_code
credit load index supply on off no_credit low_credit muted
over_power trip_locked unbalanced tampered disturbed reconnect friendly not_provisioned
emergency emergency_offer emergency_used emergency_not_needed emergency_none emergency_debt advance
repaid last_result last_token last_amount last_tid history power_fails date day month
test1 test2 test3 test4 test5 test6 test7 test8 test9 test10
test11 test13 test14 test15 test16 test17 test18 yes no ok
"""
MESSAGES = (*NAMES[1:], *_MESSAGES.split())
_CACHED = 64  # profiles whose content was checked, in this process
_LONGEST = {"enter_code": "4", "digits": "199", "wait": "86400", "history": "50"}
_LONGEST |= dict.fromkeys(NAMES[1:], "99")  # number of wrong tokens in a row
# The {} of these messages is one of the `ordinals`: the next code of a key change.
ASKING = ("enter_code", *(NAMES[number] for number in SECTION))
ORDINALS = re.compile(r"[!-z|}]+( [!-z|}]+){3}")
# Columns for labels that share a line with a value: kWh below 100, W below 100,000, 20/20, the
# number of a result.
_ROOM = {"credit": 6, "index": 6, "load": 8, "supply": 8, "token": 10, "last_result": 13}
_ROOM |= {"on": 7, "off": 7}


@dataclass(frozen=True)
class Setting:
    """One setting of a profile: its type, its range, and its meaning."""

    kind: str  # bool, int, choice, char, codes, steps, hours, days or dst
    about: str
    low: int = 0
    high: int = 0
    null: bool = False
    choices: tuple[str, ...] = ()

    def wrong(self, value: Any) -> str | None:
        """Return what is wrong with `value`, None if it is valid."""
        if value is None:
            return None if self.null else f"must be {self.wanted}, not null"
        check = getattr(self, f"_{self.kind}", None)
        if check is not None:
            found: str | None = check(value)
            return found
        if self.kind == "bool":
            right = type(value) is bool
        elif self.kind == "choice":
            right = value in self.choices if isinstance(value, str) else False
        elif self.kind == "char":
            right = isinstance(value, str) and len(value) == 1 and _plain(value)
            right = right and not value.isdigit()
        else:
            right = type(value) is int and self.low <= value <= self.high
        return None if right else f"must be {self.wanted}, not {json.dumps(value)[:40]}"

    @property
    def wanted(self) -> str:
        """Return a description of the valid values."""
        if self.kind == "bool":
            words = "true or false"
        elif self.kind == "choice":
            words = " or ".join(json.dumps(choice) for choice in self.choices)
        elif self.kind == "char":
            words = "one character that is not a digit"
        elif self.kind == "int":
            words = f"a whole number from {self.low} to {self.high}"
        else:
            words = _WANTED[self.kind]
        return words + (" or null" if self.null else "")

    def _codes(self, value: Any) -> str | None:
        if not isinstance(value, dict):
            return f"must be {self.wanted}"
        taken: dict[str, str] = {}
        for code, what in value.items():
            if what not in SHOWS:
                return f"code {code} shows {json.dumps(what)}; known are {', '.join(SHOWS)}"
            first, _, last = code.partition("-")
            last = last or first
            if not CODE.fullmatch(code) or not (len(first) == len(last) and first <= last):
                return f"{code!r} is not a code: give 1 to 19 digits, or a range such as 301-350"
            if int(last) - int(first) >= 100:
                return f"the range {code} is longer than 100 codes"
            for number in range(int(first), int(last) + 1):
                digits = str(number).zfill(len(first))
                if digits in taken:
                    return f"code {digits} is there twice"
                taken[digits] = what
        return None

    def _steps(self, value: Any) -> str | None:
        good = isinstance(value, list) and len(value) <= MOST["steps"]
        good = good and all(type(step) is int and 1 <= step <= DAY_S for step in value)
        return None if good else f"must be {self.wanted}"

    def _hours(self, value: Any) -> str | None:
        if not isinstance(value, list) or len(value) > MOST["hours"]:
            return f"must be {self.wanted}"
        end = 0
        for span in value:
            good = isinstance(span, list) and len(span) == 3 and all(type(n) is int for n in span)
            if not good or not (0 <= span[0] <= 6 and 0 <= span[1] < span[2] <= DAY_S):
                return (
                    f"{json.dumps(span)[:40]} is not a span: give weekday 0 to 6, from and to in s"
                )
            if span[0] * DAY_S + span[1] < end:
                return f"{json.dumps(span)} begins before the span above it ends"
            end = span[0] * DAY_S + span[2]
        return None

    def _days(self, value: Any) -> str | None:
        if not isinstance(value, list) or len(value) > MOST["days"]:
            return f"must be {self.wanted}"
        for day in value:
            try:
                if not re.fullmatch(r"[0-9]{2}-[0-9]{2}", day, re.ASCII):
                    raise ValueError(day)
                date.fromisoformat(f"2000-{day}")  # a leap year
            except (ValueError, TypeError):
                return f'{json.dumps(day)[:40]} is not a day: give month and day, such as "12-25"'
        return None

    def _dst(self, value: Any) -> str | None:
        try:
            zones.rule_of(value)
        except JetonError:
            return f"must be {self.wanted}, not {json.dumps(value)[:40]}"
        return None


_WANTED = {
    "dst": 'the rule of a POSIX time zone, such as "M3.5.0/2,M10.5.0/3"',
    "codes": "an object: code -> what it shows",
    "steps": f"a list of at most {MOST['steps']} numbers of seconds, 1 to {DAY_S}",
    "hours": f"a list of at most {MOST['hours']} spans "
    "[weekday 0 = Monday, from second, to second]",
    "days": f'a list of at most {MOST["days"]} days "MM-DD"',
}


def _plain(text: str) -> bool:
    """Return whether any character display can show the text."""
    return all(" " <= letter <= "}" for letter in text)


def _flag(about: str) -> Setting:
    return Setting("bool", about)


def _number(low: int, high: int, about: str, null: bool = False) -> Setting:
    return Setting("int", about, low, high, null)


def _choice(choices: str, about: str) -> Setting:
    return Setting("choice", about, choices=tuple(choices.split("|")))


SETTINGS = {
    "entry.auto_enter": _flag("digit 20 enters by itself"),
    "entry.separator": Setting("char", "separator after every four digits"),
    "entry.counter": _flag("the display counts the digits"),
    "entry.idle_timeout_s": _number(1, 3600, "time without a key until an entry is dropped, s"),
    "entry.clear_s": _number(
        1, 10, "a second backspace within this time clears all, s", null=True
    ),
    "entry.several": _choice(
        "split|refuse", "40 or 60 digits in one entry: split into tokens, or refused"
    ),
    "entry.lock_while_result": _flag(
        "keys have no effect while a result is shown; always so with auto_enter"
    ),
    "codes.start": _choice("|#|i", "the key before a short code"),
    "codes.digits": _number(1, 19, "the number of digits that ends a code", null=True),
    "codes.show": Setting("codes", "short codes and what they show"),
    "lockout.after": _number(1, 100, "wrong tokens before the keypad locks", null=True),
    "lockout.within_s": _number(
        1, DAY_S, "time within which wrong tokens count, s; null: consecutive ones", null=True
    ),
    "lockout.steps_s": Setting("steps", "duration of each lock in turn, s"),
    "lockout.cleared_by_power_cycle": _flag("a power cut ends the lock"),
    "screens.result_s": _number(1, 600, "how long a result is shown, s"),
    "screens.amount_s": _number(
        1, 600, "then how long the amount is shown, s; null: below the result", null=True
    ),
    "screens.page_s": _number(1, 600, "how long each of several pages is shown, s"),
    "screens.flash": _flag("results flash at 1 Hz"),
    "key_change.ordered": _flag("the codes of a key change must be entered in order"),
    "key_change.window_s": _number(
        1, _WEEK_S, "time until an unfinished key change is dropped, s", null=True
    ),
    "key_change.tokens": _number(2, 3, "key change tokens that a meter with EA07 supports"),
    "key_change.keep_at_power_up": _flag("an unfinished key change survives a power cut"),
    "credit.max_wh": _number(1, _ENERGY_WH, "largest value of the register, Wh"),
    "credit.min_wh": _number(-_ENERGY_WH, 0, "smallest value of the register, Wh"),
    "credit.low_wh": _number(0, _ENERGY_WH, "low credit is shown at or below this, Wh", null=True),
    "credit.alarm_wh": _number(0, _ENERGY_WH, "the buzzer sounds at or below this, Wh", null=True),
    "credit.mute_any_key": _flag("any key mutes the buzzer"),
    "credit.emergency_wh": _number(0, _ENERGY_WH, "emergency credit, Wh; 0: there is none"),
    "credit.emergency_offer_wh": _number(
        0, _ENERGY_WH, "emergency credit is offered at or below this, Wh"
    ),
    "credit.emergency_by": _choice(
        "code|enter|auto", "what takes it: a short code, also Enter, or zero credit automatically"
    ),
    "credit.advance_share": _number(
        0, 100, "per cent of each purchase that repays an advance; 0: no advances"
    ),
    "credit.never_cut": _flag("the supply is never disconnected for debt"),
    "credit.friendly": Setting("hours", "hours without disconnection: [weekday, from, to] in s"),
    "credit.holidays": Setting("days", "days without disconnection"),
    "supply.limit_delay_s": _number(0, 3600, "time above the limit until the switch trips, s"),
    "supply.reconnect_s": _number(
        1, DAY_S, "time until the switch closes again, s; null: by key only", null=True
    ),
    "supply.trips": _number(1, 100, "trips before the switch stays open", null=True),
    "supply.lock_s": _number(1, DAY_S, "how long the switch then stays open, s"),
    "supply.reconnect": _choice(
        "auto|manual", "reconnection after new credit: automatic or by key"
    ),
    "supply.unbalance": _flag("unbalanced phases trip the switch"),
    "supply.tamper": _choice("open|log|open_at_zero", "effect of tampering on the supply"),
    "supply.tamper_takes": _choice("all|clearing", "tokens accepted while tampered"),
    "supply.pulses_per_kwh": _number(1, 100_000, "pulses of the LED a kWh"),
    "time.zone_min": _number(
        -720, 840, "time zone of the meter, minutes east of UTC, in quarters of an hour"
    ),
    "time.dst": Setting(
        "dst", "daylight saving time, the two dates of a POSIX time zone", null=True
    ),
}

NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,15}")
SOURCE = re.compile(r"(?:[MUB]|assumed): \S.*")
_FOR_PEOPLE = ("$schema", "title", "messages", "sources")
_TOP = ("$schema", "name", "title", "languages", "messages", "sources")


# Their files


def languages_dir() -> Path:
    """Return the folder with the messages that profiles share, one file per language."""
    return firmware_dir() / "languages"


def schema_path() -> Path:
    """Return the path of the JSON Schema of profiles, which `profile_schema` writes."""
    return profiles_dir() / "profile.schema.json"


def user_dir() -> Path:
    """Return the folder of the user's own profiles; it may not exist."""
    return data_home() / "profiles"


def shipped() -> list[str]:
    """Return the names of the profiles that ship with Jeton."""
    files = profiles_dir().glob("*.json")  # also contains the schema
    return sorted(path.stem for path in files if NAME.fullmatch(path.stem))


def own() -> list[str]:
    """Return the names of the user's own profiles."""
    return sorted(path.stem for path in user_dir().glob("*.json"))


def names() -> list[str]:
    """Return the names of all profiles."""
    return sorted({*shipped(), *own()})


def path_of(name: str) -> Path:
    """Return the path of a profile's file; ProfileError if there is none."""
    # Only names of existing files match, so a name with a slash finds nothing.
    if name in shipped():
        return profiles_dir() / f"{name}.json"
    if name in own():
        return user_dir() / f"{name}.json"
    raise ProfileError(f"there is no profile {name!r}; there are: {', '.join(names())}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return found


def read(path: Path) -> Any:
    """Return the content of a profile's file, unchecked; ProfileError if it is not JSON."""
    return _parsed(path, _bytes_of(path))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror or error}") from None


def _parsed(path: Path, content: bytes) -> Any:
    try:
        return _with_time(json.loads(content, object_pairs_hook=_once))
    except RecursionError:
        raise ProfileError(f"{path} is not JSON of a profile: it is nested too deep") from None
    except ValueError as error:
        raise ProfileError(f"{path} is not JSON: {error}") from None


def _with_time(data: Any) -> Any:
    """Add the section `time` to a profile of an older Jeton, which had none: UTC."""
    if isinstance(data, dict) and "time" not in data:
        data["time"] = {"zone_min": 0, "dst": None}
        if isinstance(data.get("sources"), dict):
            added = dict.fromkeys(("time.zone_min", "time.dst"), "assumed: UTC")
            data["sources"] = added | data["sources"]
    return data


def load(name: str) -> dict[str, Any]:
    """Return a checked profile; ProfileError with the first fault of an invalid one."""
    path = path_of(name)
    return _checked(name, path, _bytes_of(path))


def _checked(name: str, path: Path, content: bytes) -> dict[str, Any]:
    data = _parsed(path, content)
    problem = _first_problem(path, content)
    if problem is not None:
        raise ProfileError(f"profile {name}: {problem}")
    assert isinstance(data, dict)
    return data


@lru_cache(_CACHED)
def _first_problem(path: Path, content: bytes) -> str | None:
    return next(problems(_parsed(path, content), path), None)


@lru_cache
def _shared(language: str) -> dict[str, str]:
    path = languages_dir() / f"{language}.json"
    return dict(read(path)["messages"]) if path.is_file() else {}


def words(data: dict[str, Any], language: str) -> dict[str, str]:
    """Return a profile's messages in a language: the shared ones, replaced by its own."""
    return _shared(language) | data.get("messages", {}).get(language, {})


def source_of(data: dict[str, Any], language: str, message: str) -> str:
    """Return the source of a message."""
    path, sources = f"messages.{language}", data["sources"]
    if message in data["messages"].get(language, {}):
        return str(sources.get(f"{path}.{message}") or sources[path])
    return str(read(languages_dir() / f"{language}.json")["source"])


def new(name: str, source: str, title: str | None = None) -> Path:
    """Create a profile of the user's own as a copy of another; return the path of its file."""
    if not NAME.fullmatch(name):
        raise ProfileError(
            f"profile name {name!r} is not valid: use 1 to 16 small letters, digits, underscores"
        )
    if name in names():
        raise ProfileError(f"there is a profile {name} already: choose another name")
    data = {"$schema": schema_path().as_uri()} | load(source)
    data["$schema"] = schema_path().as_uri()
    data["name"] = name
    data["title"] = data["title"] + ", changed" if title is None else title
    path = user_dir() / f"{name}.json"
    for problem in problems(data, path):
        raise ProfileError(problem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ProfileError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


# Their content


def problems(data: Any, path: Path | None = None) -> Iterator[str]:
    """Yield all faults of a profile that was read from `path`, one line each."""
    if not isinstance(data, dict):
        yield "a profile is a JSON object with name, title, languages, settings and sources"
        return
    yield from _heading(data, path)
    sections: dict[str, set[str]] = {}
    for setting in SETTINGS:
        section, _, key = setting.partition(".")
        sections.setdefault(section, set()).add(key)
    for section, keys in sections.items():
        held = data.get(section)
        if not isinstance(held, dict):
            yield f"there is no section {section}, an object with {', '.join(sorted(keys))}"
            continue
        for key in [*keys, *held]:
            if key not in held:
                yield f"the setting {section}.{key} is missing"
            elif key not in keys:
                yield f"there is no setting {section}.{key}{_near(key, keys)}"
    for key in data:
        if key not in _TOP and key not in sections:
            yield f"there is no section {key}{_near(key, sections)}"
    wrong = False
    for setting, rule in SETTINGS.items():
        section, _, key = setting.partition(".")
        held = data.get(section)
        if isinstance(held, dict) and key in held:
            problem = rule.wrong(held[key])
            if problem:
                wrong = True
                yield f"{setting} {problem}"
        else:
            wrong = True
    if not wrong:
        yield from _together(data)
    yield from _messages(data)
    yield from _sources(data)


def _near(key: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, sorted(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _heading(data: dict[str, Any], path: Path | None) -> Iterator[str]:
    name = data.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield "name must be 1 to 16 small letters, digits and underscores"
    elif path is not None and path.stem != name:
        yield f"name is {name!r} in a file called {path.name}: they must agree"
    elif path is not None and name in shipped() and path.resolve().parent != _shipped_dir():
        yield f"a profile {name} ships with Jeton: choose another name"
    if "$schema" in data and not (isinstance(data["$schema"], str) and data["$schema"]):
        yield "$schema must be the path of the schema of profiles: jeton profile schema prints it"
    title = data.get("title")
    if not isinstance(title, str) or not title.strip() or not title.isprintable():
        yield "title must be a line of text"
    languages = data.get("languages")
    if not isinstance(languages, list) or not languages:
        yield "languages must be a list of at least one language"
    elif not all(isinstance(one, str) and LANGUAGE.fullmatch(one) for one in languages):
        yield 'languages are codes of two small letters, such as "fr"'
    elif len(set(languages)) != len(languages):
        yield "a language is twice in languages"
    elif not set(languages) - set(RIGHT_TO_LEFT):
        yield "languages need one that a character display can show: add for example fr"


def _shipped_dir() -> Path:
    return profiles_dir().resolve()


def _together(data: dict[str, Any]) -> Iterator[str]:
    """Yield faults of combinations of values that are each valid alone."""
    codes, lockout = data["codes"], data["lockout"]
    credit, supply = data["credit"], data["supply"]
    for code in codes["show"]:
        if codes["digits"] is not None and len(code.partition("-")[0]) != codes["digits"]:
            yield f"code {code} can never be keyed: codes.digits is {codes['digits']}"
    if lockout["after"] is not None and not lockout["steps_s"]:
        yield "lockout.steps_s is empty, but lockout.after needs a time"
    low, alarm = credit["low_wh"], credit["alarm_wh"]
    if alarm is not None and (low is None or alarm > low):
        yield "credit.alarm_wh is above credit.low_wh: the buzzer would sound before the display"
    if credit["emergency_by"] == "auto" and not credit["emergency_wh"]:
        yield "credit.emergency_by auto needs a credit.emergency_wh above zero: there is none"
    by_code = "emergency" in codes["show"].values()
    if credit["emergency_by"] == "code" and credit["emergency_wh"] and not by_code:
        yield "credit.emergency_by code needs a code that shows emergency: there is none"
    if data["time"]["zone_min"] % 15:
        yield "time.zone_min must be a multiple of 15"
    if supply["reconnect_s"] is not None and supply["limit_delay_s"] + supply["reconnect_s"] < 5:
        yield "supply.limit_delay_s and supply.reconnect_s must be 5 s or more together"
    if credit["never_cut"] and not credit["min_wh"]:
        yield "credit.never_cut needs a credit.min_wh below zero, where the debt is kept"
    if (credit["friendly"] or credit["holidays"]) and credit["min_wh"] == 0:
        yield "friendly hours and holidays need a credit.min_wh below zero, where the debt is kept"


def _messages(data: dict[str, Any]) -> Iterator[str]:
    languages, own_words = data.get("languages"), data.get("messages")
    if not isinstance(own_words, dict):
        yield "messages must be an object with one object per language; it may be empty"
        return
    if not isinstance(languages, list):
        return
    for language in own_words:
        if language not in languages:
            yield f"messages are in {language}, which is not among the languages"
        elif not isinstance(own_words[language], dict):
            yield f"messages.{language} must be an object of messages"
            return
    for language in languages:
        spoken = words(data, str(language))
        missing = [message for message in MESSAGES if message not in spoken]
        if len(missing) == len(MESSAGES):
            yield f"there are no messages in {language}: messages.{language} needs all of them"
        elif missing:
            yield f"messages.{language} lacks {', '.join(missing)}"
        ordinals = str(spoken.get("ordinals", "")).split()
        for message, text in spoken.items():
            value = longest(message) or ""
            if message in ASKING:
                value = max(value, *ordinals, key=len)
            problem = _message(str(language), message, text, value)
            if problem:
                yield f"messages.{language}.{message} {problem}"


def longest(message: str) -> str | None:
    """Return the longest value for a message's {}, None if the message has no {}."""
    return _LONGEST.get(message)


def room(message: str) -> int:
    """Return the number of columns for a message on the smallest display."""
    return _ROOM.get(message, SMALLEST_COLS)


def _message(language: str, message: str, text: Any, value: str) -> str | None:
    if message not in MESSAGES:
        return f"is not a message{_near(message, MESSAGES)}"
    if not isinstance(text, str) or not text.strip():
        return "must be a text that is not empty"
    holes = text.count("{}")
    if holes > (message in _LONGEST) or text.replace("{}", "").count("{"):
        return "has a {} but gets no value" if holes else "has a { that is not part of {}"
    if holes == 0 and message in _LONGEST and message not in NAMES:
        return "needs a {} for its value"
    if message == "ordinals" and not ORDINALS.fullmatch(text):
        return "must be four words with a space between them, for codes 1 to 4 of a key change"
    if language in RIGHT_TO_LEFT:
        if any(not letter.isprintable() for letter in text):
            return "has a character that is not printable"
    elif not _plain(text):
        letter = next(letter for letter in text if not _plain(letter))
        return f"has {letter!r}, which character displays cannot show: use plain letters"
    cells = len(cells_of(language, text.replace("{}", value)))
    if cells > room(message):
        return f"is too long for the smallest display: {cells} of {room(message)} columns: {text}"
    return None


def _sources(data: dict[str, Any]) -> Iterator[str]:
    sources = data.get("sources")
    if not isinstance(sources, dict):
        yield "sources must be an object: setting, and the source of its value"
        return
    wanted = set(SETTINGS)
    own_words = data.get("messages")
    for language, spoken in (own_words if isinstance(own_words, dict) else {}).items():
        whole = f"messages.{language}"
        if not isinstance(spoken, dict):
            continue
        each = {f"{whole}.{message}" for message in spoken}
        wanted |= each & set(sources) if whole in sources else each
        if whole in sources and spoken:
            wanted.add(whole)
    for path in sorted(wanted - set(sources)):
        yield f"{path} has no source: give M, U, B or assumed, a colon, and where or why"
    for path, source in sources.items():
        if path not in wanted:
            yield f"sources names {path}, which the profile does not contain"
        elif not isinstance(source, str) or not SOURCE.fullmatch(source):
            yield f'the source of {path} must read "M: …", "U: …", "B: …" or "assumed: why"'


# Their form on a board


def cells_of(language: str, text: str) -> str:
    """Return the cells of a message as a display shows them, from the left."""
    return visual(text) if language in RIGHT_TO_LEFT else text


def week_of(spans: list[list[int]]) -> list[int]:
    """Return the seconds of the week at which spans begin and end, adjacent spans joined."""
    turns: list[int] = []
    for weekday, first, last in sorted(spans):
        start, end = weekday * DAY_S + first, weekday * DAY_S + last
        if turns and start <= turns[-1]:
            turns[-1] = max(end, turns[-1])
        else:
            turns += [start, end]
    return turns


def settings_for_board(data: dict[str, Any]) -> bytes:
    """Return the settings as JSON for a board, without the texts for people."""
    kept = {key: value for key, value in data.items() if key not in _FOR_PEOPLE}
    # One string and one flat list need a fraction of the heap of nested objects.
    codes = "\n".join(f"{code} {what}" for code, what in data["codes"]["show"].items())
    kept["codes"] = {**data["codes"], "list": codes}
    del kept["codes"]["show"]
    kept["credit"] = data["credit"] | {"friendly": week_of(data["credit"]["friendly"])}
    dst = data["time"]["dst"]
    kept["time"] = data["time"] | {"dst": None if dst is None else zones.rule_of(dst)}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode()


def messages_for_board(data: dict[str, Any], language: str) -> bytes:
    """Return the messages of one language as lines of "name=text", between newlines."""
    spoken = words(data, language)
    lines = [f"{message}={cells_of(language, spoken[message])}" for message in MESSAGES]
    return ("\n" + "\n".join(lines) + "\n").encode()


def board_files(wanted: Iterable[str] | None = None) -> dict[str, bytes]:
    """Return name -> content of the files in a board's /profiles.

    The default is all valid profiles: an invalid one of the user must not stop meters with other
    profiles. An invalid profile that ships with Jeton is a ProfileError.
    """
    found: dict[str, bytes] = {}
    for name in names() if wanted is None else wanted:
        path = path_of(name)
        try:
            found |= _board_files(name, path, _bytes_of(path))
        except ProfileError:
            if name in shipped():
                raise
    return found


@lru_cache(_CACHED)
def _board_files(name: str, path: Path, content: bytes) -> dict[str, bytes]:
    data = _checked(name, path, content)
    found = {f"{name}.json": settings_for_board(data)}
    for language in data["languages"]:
        found[f"{name}.{language}"] = messages_for_board(data, language)
    return found


def port(name: str, language: str | None = None) -> Any:
    """Return a profile, or its messages in a language, for a meter inside this process.

    The values are those that the meter of a board reads from its files.
    """
    data = load(name)
    if language is None:
        return json.loads(settings_for_board(data))
    return messages_for_board(data, language)
