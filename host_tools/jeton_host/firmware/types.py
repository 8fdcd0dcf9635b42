"""Generates the types of the record's fields and of a profile's settings for type checkers.

`make types` writes them, from the firmware's table of the record and from the profiles' table of
settings, into firmware/jeton/fields.pyi, which is not installed on a board. `State` and `Profile`
get these attributes at run time, which a type checker cannot see.
"""

import re
import sys
from pathlib import Path

from jeton.state import FIELDS, FORMAT, RINGS
from jeton_host.firmware import profiles
from jeton_host.firmware.profiles import Setting
from jeton_host.paths import firmware_dir

_HEAD = '''\
"""Types of the fields of the record and of a profile, for type checkers; `make types` writes it.

It is not installed on a board. Change firmware/jeton/state.py or jeton_host.firmware.profiles.
"""

from typing import Literal

'''
_RECORD = '''\
class Record:
    """The fields of a `State`, in the order of its table."""

'''
_SETTINGS = '''\
class Settings:
    """The settings of a `Profile`, in the form of a board (profiles.settings_for_board)."""

'''
_KINDS = {"bool": "bool", "int": "int", "char": "str", "steps": "list[int]", "days": "list[str]"}
# Settings that have another form on a board than in the profile's file: attribute and type.
_ON_BOARD = {
    "codes.show": ("codes_list", "str"),
    "credit.friendly": ("credit_friendly", "list[int]"),
}


def path() -> Path:
    """Return the path of the generated file."""
    return firmware_dir() / "jeton" / "fields.pyi"


def source() -> str:
    """Return the content of the generated file."""
    found = [_HEAD, _RECORD]
    found += [f"    {name}: {kind}\n" for name, kind in record()]
    found += ["\n", _SETTINGS]
    found += [f"    {name}: {kind}\n" for name, kind in settings()]
    return "".join(found)


def record() -> list[tuple[str, str]]:
    """Return (field, type) of the record: packed fields, rings, load steps."""
    codes = re.findall(r"\d*([a-zA-Z])", FORMAT)
    fields = [
        (name, "bytes" if code == "s" else "int") for name, code in zip(FIELDS, codes, strict=True)
    ]
    fields += [(name, "bytearray") for name, _ in RINGS]
    return [*fields, ("load_steps", "bytes | bytearray")]


def settings() -> list[tuple[str, str]]:
    """Return (attribute, type) of the settings of a profile."""
    found = [("name", "str")]
    for setting, rule in profiles.SETTINGS.items():
        plain = setting.replace(".", "_")
        found.append(_ON_BOARD[setting] if setting in _ON_BOARD else (plain, _type_of(rule)))
    return found


def _type_of(rule: Setting) -> str:
    if rule.kind == "choice":
        kind = f"Literal[{', '.join(repr(one).replace(chr(39), chr(34)) for one in rule.choices)}]"
    else:
        kind = _KINDS[rule.kind]
    return kind + (" | None" if rule.null else "")


def main() -> int:
    """Write the file."""
    path().write_text(source(), encoding="utf-8")
    print(path().relative_to(firmware_dir().parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
