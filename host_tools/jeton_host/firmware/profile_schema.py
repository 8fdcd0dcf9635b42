"""The JSON Schema of profiles, with which editors complete and check them; it knows no board.

It is generated from the tables that `profiles.problems` uses. It does not check combinations of
values. `problems` does not use a schema library: each start of a virtual board checks all
profiles, and importing `jsonschema` alone would take eight times as long.
`python -m jeton_host.firmware.profile_schema` writes the schema file.
"""

import json
from collections.abc import Mapping
from typing import Any

from jeton.sts.results import NAMES
from jeton_host import zones
from jeton_host.firmware import profiles
from jeton_host.firmware.profiles import DAY_S, MOST, Setting

# Draft 7: the newest that editors support completely.
_DRAFT = "http://json-schema.org/draft-07/schema#"
_NOT_EMPTY = r"\S"
_PLAIN = "[ -z|}]"  # characters that character displays can show, except {
# A month and a day, 29 February included.
_DAY = (
    "^(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|[12][0-9]))$"
)


def text() -> str:
    """Return the content of the schema file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the schema as data."""
    sections: dict[str, dict[str, Any]] = {}
    for name, setting in profiles.SETTINGS.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = _of(setting)
    return _object(
        {
            "name": _text(profiles.NAME.pattern, "the name of the file, without .json"),
            "title": {
                "type": "string",
                "pattern": _NOT_EMPTY,
                "description": "the maker or utility of the meter",
            },
            "languages": _languages(),
            **{section: _object(keys) for section, keys in sections.items()},
            "messages": _messages(),
            "sources": _sources(),
        },
        optional={"$schema": {"type": "string", "minLength": 1}},
        about={"$schema": _DRAFT, "title": "A profile of Jeton: a maker's or utility's meter"},
        definitions={
            "source": _text(profiles.SOURCE.pattern, "M, U, B or assumed, then where or why")
        },
    )


def _object(
    properties: Mapping[str, Any],
    *,
    optional: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    return {
        **(about or {}),
        "type": "object",
        "required": list(properties),
        "properties": {**(optional or {}), **properties},
        "additionalProperties": False,
        **more,
    }


def _whole(pattern: str) -> str:
    """Return a pattern that matches a whole text; in a schema it may match any part of it."""
    return f"^(?:{pattern})$"


def _text(pattern: str, about: str) -> dict[str, Any]:
    return {"type": "string", "pattern": _whole(pattern), "description": about}


def _number(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high}


def _of(setting: Setting) -> dict[str, Any]:
    """Return the schema of one setting's value."""
    what: dict[str, Any]
    if setting.kind == "bool":
        what = {"type": "boolean"}
    elif setting.kind == "int":
        what = _number(setting.low, setting.high)
    elif setting.kind == "choice":
        what = {"type": "string", "enum": list(setting.choices)}
    elif setting.kind == "char":
        what = {"type": "string", "minLength": 1, "maxLength": 1, "pattern": "^[ -/:-}]$"}
    elif setting.kind == "codes":
        what = {
            "type": "object",
            "propertyNames": {"pattern": _whole(profiles.CODE.pattern)},
            "additionalProperties": {"enum": list(profiles.SHOWS)},
        }
    elif setting.kind == "steps":
        what = {"type": "array", "items": _number(1, DAY_S)}
    elif setting.kind == "hours":
        span = [_number(0, 6), _number(0, DAY_S - 1), _number(1, DAY_S)]
        what = {
            "type": "array",
            "items": {"type": "array", "items": span, "minItems": 3, "maxItems": 3},
        }
    elif setting.kind == "dst":
        what = {"type": "string", "pattern": _whole(zones.RULE.pattern)}
    else:
        assert setting.kind == "days"
        what = {"type": "array", "items": {"type": "string", "pattern": _DAY}}
    if setting.kind in MOST:
        what["maxItems"] = MOST[setting.kind]
    if setting.null:
        what["type"] = [what["type"], "null"]
    return what | {"description": f"{setting.about}: {setting.wanted}"}


def _languages() -> dict[str, Any]:
    return {
        "type": "array",
        "items": _text(
            profiles.LANGUAGE.pattern, "a language code; the first language is the default"
        ),
        "minItems": 1,
        "uniqueItems": True,
        "contains": {"not": {"enum": list(profiles.RIGHT_TO_LEFT)}},
        "description": "the languages; at least one that any display can show",
    }


def _message(message: str) -> dict[str, Any]:
    """Return the schema of a message for character displays: its {} and its length."""
    longest = profiles.longest(message)
    room = profiles.room(message)
    if message == "ordinals":
        return {"type": "string", "maxLength": room, "pattern": _whole(profiles.ORDINALS.pattern)}
    hole = "" if longest is None else r"(?:\{\})?" if message in NAMES else r"\{\}"
    if longest is not None:
        # If the {} is optional, a text without it may use the full length.
        room = max(room - len(longest) + 2, room if message in NAMES else 0)
    return {
        "type": "string",
        "maxLength": room,
        "pattern": f"^(?=.*{_NOT_EMPTY}){_PLAIN}*{hole}{_PLAIN}*$",
    }


def _messages() -> dict[str, Any]:
    for_characters = {message: _message(message) for message in profiles.MESSAGES}
    for_graphics = {
        message: {"type": "string", "pattern": _NOT_EMPTY} for message in profiles.MESSAGES
    }
    for_graphics["ordinals"] = for_characters["ordinals"]
    right_to_left = "|".join(profiles.RIGHT_TO_LEFT)
    return {
        "type": "object",
        "description": "own messages by language, which replace those that all profiles share",
        "patternProperties": {
            f"^(?!(?:{right_to_left})$){profiles.LANGUAGE.pattern}$": {
                "type": "object",
                "properties": for_characters,
                "additionalProperties": False,
            },
            f"^(?:{right_to_left})$": {
                "type": "object",
                "properties": for_graphics,
                "additionalProperties": False,
            },
        },
        "additionalProperties": False,
    }


def _sources() -> dict[str, Any]:
    source = {"$ref": "#/definitions/source"}
    words = rf"messages\.{profiles.LANGUAGE.pattern}(?:\.(?:{'|'.join(profiles.MESSAGES)}))?"
    return _object(
        dict.fromkeys(profiles.SETTINGS, source),
        about={"description": "the source of each value and each own message"},
        patternProperties={_whole(words): source},
    )


if __name__ == "__main__":
    profiles.schema_path().write_text(text(), encoding="utf-8")
