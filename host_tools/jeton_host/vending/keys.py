"""Decoder keys from vending keys: DKGA02 and DKGA04, and the user's file of vending keys.

A key is never part of a message, a repr or a log. Only published test keys ship
(`test_keys.json`); others come from a file of the user's, named with --keys or in $JETON_KEYS:

    {"keys": [{"dkga": 4, "vk": "40 hex digits", "sgc": "123456", "krn": 1, "kt": 2}]}

`sgc`, `krn` and `kt` may be left out, then the key serves any; of several that fit, the one that
says most is taken, and the test keys come last.
"""

import hmac
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from jeton_host.errors import VendingError
from jeton_host.typed import typed
from jeton_host.vending import shown
from jeton_host.vending.ciphers import KEY_OCTETS, check_ea
from jeton_host.vending.pan import split_pan
from jeton_host.vending.tid import check_bdt

DITK, DDTK, DUTK, DCTK = 0, 1, 2, 3
KEY_TYPES = {DITK: "DITK", DDTK: "DDTK", DUTK: "DUTK", DCTK: "DCTK"}
PAIRS = ((2, 7), (4, 7), (4, 11))
"""(DKGA, EA) in use."""
VK_OCTETS = {2: 8, 4: 20}
KEYS_VARIABLE = "JETON_KEYS"

_TEST_KEYS = Path(__file__).with_name("test_keys.json")
_SGC = re.compile(r"[0-9]{6}")
_TI = re.compile(r"[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class KeyParameters:
    """All that a decoder key depends on, but for the vending key."""

    dkga: int
    ea: int
    pan: str
    kt: int
    sgc: str
    ti: int
    krn: int
    bdt: str

    def __post_init__(self) -> None:
        check_dkga(self.dkga, self.ea)
        split_pan(self.pan)
        check_kt(self.kt)
        check_sgc(self.sgc)
        check_ti(self.ti)
        check_krn(self.krn)
        check_bdt(self.bdt)


@dataclass(frozen=True, slots=True)
class VendingKey:
    """One vending key and what it is for; None stands for any."""

    dkga: int
    octets: bytes = field(repr=False)
    sgc: str | None = None
    krn: int | None = None
    kt: int | None = None
    name: str = ""
    test: bool = False

    def serves(self, dkga: int, kt: int, sgc: str, krn: int) -> bool:
        """Say whether this key makes decoder keys with these parameters."""
        return (
            self.dkga == dkga
            and self.sgc in (None, sgc)
            and self.krn in (None, krn)
            and self.kt in (None, kt)
        )


class VendingKeys:
    """The vending keys at hand: the user's, then the published test keys."""

    def __init__(self, keys: list[VendingKey]):
        self._keys = sorted(keys, key=_rank)

    def __repr__(self) -> str:
        return f"VendingKeys({len(self._keys)} keys)"

    def __iter__(self) -> Iterator[VendingKey]:
        return iter(self._keys)

    def find(self, dkga: int, kt: int, sgc: str, krn: int) -> VendingKey:
        """Return the key that fits best, or raise VendingError."""
        for key in self._keys:
            if key.serves(dkga, kt, sgc, krn):
                return key
        raise VendingError(
            f"no vending key for DKGA{dkga:02d}, SGC {sgc}, KRN {krn}, KT {kt}: "
            f"add it to a file and name that with --keys or ${KEYS_VARIABLE}"
        )

    def derive(self, parameters: KeyParameters) -> bytes:
        """Return the decoder key that these parameters and the fitting vending key make."""
        p = parameters
        check_derivable(p.kt)
        return derive(self.find(p.dkga, p.kt, p.sgc, p.krn).octets, p)

    @property
    def supply_groups(self) -> set[str]:
        """Return the supply group codes that the keys name."""
        return {key.sgc for key in self._keys if key.sgc is not None}


@typed
def load_keys(path: str | Path | None = None, *, test_keys: bool = True) -> VendingKeys:
    """Return the keys of `path` (else of the file $JETON_KEYS names), then the test keys."""
    keys: list[VendingKey] = []
    named = path if path is not None else os.environ.get(KEYS_VARIABLE) or None
    if named is not None:
        keys += _read_keys(Path(named).expanduser(), test=False)
    if test_keys:
        keys += _read_keys(_TEST_KEYS, test=True)
    return VendingKeys(keys)


def derive(vk: bytes, parameters: KeyParameters) -> bytes:
    """Return the decoder key: 8 octets for EA07, 16 for EA11 (IEC 62055-41 6.5.3).

    The eighth bit of each octet of a DES vending key is set to odd parity, as the standard has it:
    DES itself ignores these bits, DKGA02 does not.
    """
    p = parameters
    check_derivable(p.kt)
    check_vk(vk, p.dkga)
    return _dkga02(vk, p) if p.dkga == 2 else _dkga04(vk, p)


def check_dkga(dkga: int, ea: int | None = None) -> int:
    """Return `dkga` if it is in use, and in use with `ea` where one is given."""
    if dkga in (1, 3):
        raise VendingError(f"DKGA{dkga:02d} is withdrawn: use DKGA02 or DKGA04")
    if dkga not in VK_OCTETS:
        raise VendingError(f"DKGA {shown.value(dkga)} is none: use 2 or 4")
    if ea is not None and (dkga, check_ea(ea)) not in PAIRS:
        raise VendingError(
            f"DKGA{dkga:02d} makes no keys for EA{ea:02d}: the pairs in use are 02 with 07, "
            "04 with 07 and 04 with 11"
        )
    return dkga


def check_kt(kt: int) -> int:
    """Return `kt` if it is a key type."""
    if kt not in KEY_TYPES:
        raise VendingError(f"key type {shown.value(kt)} is none: 0 DITK, 1 DDTK, 2 DUTK, 3 DCTK")
    return kt


def check_derivable(kt: int) -> None:
    """Refuse the DITK, which no vending key makes."""
    if kt == DITK:
        raise VendingError(
            "a DITK (KT 0) is not derived from a vending key: the maker generates it"
        )


def check_sgc(sgc: str) -> str:
    """Return `sgc` if it is a supply group code."""
    if not _SGC.fullmatch(sgc):
        raise VendingError(
            f"the supply group code (sgc) must be 6 digits; this has {len(sgc)} characters"
        )
    return sgc


def check_ti(ti: int) -> int:
    """Return `ti` if it is a tariff index."""
    if not 0 <= ti <= 99:
        raise VendingError(f"tariff index {shown.value(ti)} is out of range: 00 to 99")
    return ti


def parse_ti(text: str) -> int:
    """Return the tariff index that one or two digits say."""
    if not _TI.fullmatch(text):
        raise VendingError(f"tariff index {shown.value(text)} is none: 00 to 99")
    return int(text)


def check_krn(krn: int) -> int:
    """Return `krn` if it is a key revision number."""
    if not 1 <= krn <= 9:
        raise VendingError(f"key revision number {shown.value(krn)} is out of range: 1 to 9")
    return krn


def check_ken(ken: int) -> int:
    """Return `ken` if it is a key expiry number."""
    if not 0 <= ken <= 255:
        raise VendingError(
            f"key expiry number {shown.value(ken)} is out of range: 0 to 255 (never expires)"
        )
    return ken


def check_vk(vk: bytes, dkga: int) -> bytes:
    """Return `vk` if it has the length that `dkga` needs; the message never shows it."""
    if len(vk) != VK_OCTETS[check_dkga(dkga)]:
        raise VendingError(
            f"a vending key for DKGA{dkga:02d} has {VK_OCTETS[dkga]} octets "
            f"({2 * VK_OCTETS[dkga]} hex digits), this has {len(vk)}"
        )
    return vk


def parse_hex(text: str, what: str) -> bytes:
    """Return the octets of hex digits in any case; the message never shows them."""
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text):
        raise VendingError(f"{what} is not hex: two digits 0-9 a-f an octet, without spaces")
    return bytes.fromhex(text)


def _dkga02(vk: bytes, p: KeyParameters) -> bytes:
    from Crypto.Cipher import DES

    iin, drn = split_pan(p.pan)
    identity = iin[-(16 - len(drn)) :] + ("0" * len(drn) if p.kt == DCTK else drn)
    control = f"{p.kt:d}{p.sgc}{p.ti:02d}{p.krn:d}FFFFFF"
    x = int(identity, 16) ^ int(control, 16)
    key = _odd_parity(vk)
    crypt = DES.new(key, DES.MODE_ECB).encrypt(x.to_bytes(8, "big"))  # noqa: S304 (DKGA02 is DES)
    return (int.from_bytes(crypt, "big") ^ x ^ int.from_bytes(key, "big")).to_bytes(8, "big")


def _dkga04(vk: bytes, p: KeyParameters) -> bytes:
    octets = KEY_OCTETS[p.ea]
    block = b"".join(
        (
            b"\x04",
            _element("04"),
            _element(p.bdt),
            _element(f"{p.ea:02d}"),
            _element(f"{p.ti:02d}"),
            b"\x00\x04",
            _element(p.sgc),
            _element(f"{p.kt:d}"),
            _element(f"{p.krn:d}"),
            _element(p.pan),
            (8 * octets).to_bytes(4, "big"),
        )
    )
    return hmac.digest(vk, block, "sha256")[:octets]


def _element(text: str) -> bytes:
    return bytes((len(text),)) + text.encode("ascii")


@lru_cache(maxsize=64)
def _odd_parity(vk: bytes) -> bytes:
    return bytes(octet ^ (octet.bit_count() & 1 ^ 1) for octet in vk)


def _rank(key: VendingKey) -> tuple[bool, int]:
    return key.test, -sum(part is not None for part in (key.sgc, key.krn, key.kt))


def _read_keys(path: Path, *, test: bool) -> list[VendingKey]:
    # `from None` throughout: what is chained may hold the file's text.
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise VendingError(
            f"keys file {shown.path(str(path))} cannot be read: "
            + (error.strerror or "no reason given")
            + ("" if shown.is_path(str(path)) else "; give the name of a JSON file, not keys")
        ) from None
    except (ValueError, RecursionError):
        raise VendingError(f"keys file {path} is not JSON") from None
    entries = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise VendingError(f'keys file {path} must be an object with a list "keys"')
    keys = []
    for number, entry in enumerate(entries, 1):
        try:
            keys.append(_read_key(entry, test=test))
        except VendingError as error:
            raise VendingError(f"keys file {path}, key {number}: {error}") from None
    return keys


def _read_key(entry: Any, *, test: bool) -> VendingKey:
    if not isinstance(entry, dict):
        raise VendingError("must be an object")
    unknown = sorted(set(entry) - {"dkga", "vk", "sgc", "krn", "kt", "name"})
    if unknown:
        # An unknown name could be a key written in the wrong place: count, do not show.
        raise VendingError(
            f"has {len(unknown)} unknown name(s); known are dkga, vk, sgc, krn, kt, name"
        )
    for name, kind in (("dkga", int), ("vk", str)):
        if type(entry.get(name)) is not kind:
            raise VendingError(f"{name} is missing or not {'a number' if kind is int else 'text'}")
    for name, kind in (("sgc", str), ("krn", int), ("kt", int), ("name", str)):
        if name in entry and type(entry[name]) is not kind:
            raise VendingError(f"{name} must be {'a number' if kind is int else 'text'}")
    dkga = check_dkga(entry["dkga"])
    vk = check_vk(parse_hex(entry["vk"], "vk"), dkga)
    sgc, krn, kt = entry.get("sgc"), entry.get("krn"), entry.get("kt")
    if sgc is not None:
        check_sgc(sgc)
    if krn is not None:
        check_krn(krn)
    if kt is not None:
        check_kt(kt)
    return VendingKey(dkga, vk, sgc, krn, kt, entry.get("name", ""), test)
