"""Key change sets: the two, three or four tokens that give a meter a new decoder key."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jeton.management import SECTIONS
from jeton.sts.keys import KeyChange
from jeton.sts.results import TokenResult
from jeton_host.errors import VendingError
from jeton_host.vending import ciphers
from jeton_host.vending.keys import (
    DCTK,
    DDTK,
    DITK,
    DUTK,
    KEY_TYPES,
    check_ken,
    check_krn,
    check_kt,
    check_sgc,
    check_ti,
)
from jeton_host.vending.tokens import decode, encode

# Parent → permitted children (IEC 62055-41 6.5.2.4); a DCTK is refused before this check.
CHILDREN = {
    DITK: (DITK, DDTK, DUTK, DCTK),
    DDTK: (DDTK, DUTK, DCTK),
    DUTK: (DUTK, DDTK),
    DCTK: (DCTK, DDTK),
}


@dataclass(frozen=True, slots=True)
class Section:
    """One token of a key change set; `number` is 1 to 4."""

    number: int
    sub: int
    token: str


def check_change(parent: int, child: int) -> None:
    """Raise VendingError for a change of key type that a keypad meter must not accept."""
    check_kt(parent)
    check_kt(child)
    if child == DCTK:
        raise VendingError(
            "key type 3 (DCTK) is for magnetic-card meters only: a keypad meter refuses it"
        )
    if child not in CHILDREN[parent]:
        allowed = ", ".join(f"{kt} {KEY_TYPES[kt]}" for kt in CHILDREN[parent] if kt != DCTK)
        raise VendingError(
            f"a {KEY_TYPES[parent]} may not be changed to a {KEY_TYPES[child]}: "
            f"permitted: {allowed}"
        )


def key_change_set(
    old_key: bytes,
    new_key: bytes,
    *,
    ea: int,
    kt: int,
    sgc: str,
    ti: int,
    krn: int,
    ken: int = 255,
    ro: bool = False,
    three: bool = False,
    tables: str = "certified",
) -> list[Section]:
    """Return the key change set from `old_key` to `new_key`, first section first.

    EA07: two tokens, or three with `three` (the third one contains the SGC); EA11: four. `ro`: the
    base date changes, and the meter clears its store of token identifiers.
    """
    ciphers.check_key(old_key, ea)
    ciphers.check_key(new_key, ea)
    check_kt(kt)
    group = int(check_sgc(sgc))
    check_ti(ti)
    check_krn(krn)
    check_ken(ken)
    if ea == 11 and three:
        raise VendingError("under EA11 a key change always has four tokens: leave out three")
    words = [int.from_bytes(new_key[i : i + 4], "big") for i in range(0, len(new_key), 4)]
    first = {"kenho": ken >> 4, "krn": krn, "ro": int(ro), "kct3": int(three), "kt": kt}
    sections = [
        (1, 3, first | {"nkho": words[0]}),
        (2, 4, {"kenlo": ken & 15, "ti": ti, "nklo": words[-1]}),
    ]
    if ea == 11:
        sections.append((3, 8, {"sgclo": group & 0xFFF, "nkmo2": words[1]}))
        sections.append((4, 9, {"sgcho": group >> 12, "nkmo1": words[2]}))
    elif three:
        sections.append((3, 8, {"sgc": group}))
    return [
        Section(number, sub, encode(2, sub, fields, key=old_key, ea=ea, tables=tables))
        for number, sub, fields in sections
    ]


def key_after(
    codes: Sequence[str], key: bytes, *, ea: int, kct: int, kt: int, tables: str = "certified"
) -> dict[str, Any] | None:
    """Return the new key that codes give a meter with `key`, as `KeyChange.combine` does.

    None if the codes are not a complete set under this key, which a meter accepts.
    """
    change = KeyChange(ea, kct)
    for code in codes:
        decoded = decode(code, key=key, ea=ea, tables=tables)
        number = SECTIONS.get(decoded.sub or 0) if decoded.cls == 2 else None
        if not decoded.authentic or number is None or not change.accepts(number):
            return None
        if change.add(number, dict(decoded.fields), 0) == TokenResult.ACCEPT:
            new = change.combine(kt)
            return new if isinstance(new, dict) else None
    return None
