"""Derive decoder keys from vending keys (DKGA02, DKGA04); read the user's file of vending keys.

A key is never part of a message, a repr or a log. Jeton contains only published test keys
(`test_keys.json`). Other keys are in a file of the user, named with --keys or in $JETON_KEYS:

    {"keys": [{"dkga": 4, "vk": "40 hex digits", "sgc": "123456", "krn": 1, "kt": 2}]}

Without `sgc`, `krn` or `kt`, a key is valid for all of them. If several keys match, the one with
the most of these parameters is used; the test keys are used last.
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
from jeton_host.vending.ciphers import KEY_BYTES, check_ea
from jeton_host.vending.pan import split_pan
from jeton_host.vending.tid import check_bdt

DITK, DDTK, DUTK, DCTK = 0, 1, 2, 3
KEY_TYPES = {DITK: "DITK", DDTK: "DDTK", DUTK: "DUTK", DCTK: "DCTK"}
PAIRS = ((2, 7), (4, 7), (4, 11))
"""The pairs (DKGA, EA) that are in use."""
VK_BYTES = {2: 8, 4: 20}
KEYS_VARIABLE = "JETON_KEYS"

_TEST_KEYS = Path(__file__).with_name("test_keys.json")
_SGC = re.compile(r"[0-9]{6}")
_TI = re.compile(r"[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class KeyParameters:
    """All parameters of a decoder key except the vending key."""

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
    """One vending key and what it is valid for; None means any."""

    dkga: int
    value: bytes = field(repr=False)
    sgc: str | None = None
    krn: int | None = None
    kt: int | None = None
    name: str = ""
    test: bool = False

    def serves(self, dkga: int, kt: int, sgc: str, krn: int) -> bool:
        """Return whether this key is valid for decoder keys with these parameters."""
        return (
            self.dkga == dkga
            and self.sgc in (None, sgc)
            and self.krn in (None, krn)
            and self.kt in (None, kt)
        )


class VendingKeys:
    """The available vending keys: first the user's, then the published test keys."""

    def __init__(self, keys: list[VendingKey]):
        self._keys = sorted(keys, key=_rank)

    def __repr__(self) -> str:
        return f"VendingKeys({len(self._keys)} keys)"

    def __iter__(self) -> Iterator[VendingKey]:
        return iter(self._keys)

    def find(self, dkga: int, kt: int, sgc: str, krn: int) -> VendingKey:
        """Return the key that matches best, or raise VendingError."""
        for key in self._keys:
            if key.serves(dkga, kt, sgc, krn):
                return key
        raise VendingError(
            f"no vending key for DKGA{dkga:02d}, SGC {sgc}, KRN {krn}, KT {kt}: "
            f"add it to a keys file and name the file with --keys or ${KEYS_VARIABLE}"
        )

    def derive(self, parameters: KeyParameters) -> bytes:
        """Return the decoder key of these parameters, from the vending key that matches best."""
        p = parameters
        check_derivable(p.kt)
        return derive(self.find(p.dkga, p.kt, p.sgc, p.krn).value, p)

    @property
    def supply_groups(self) -> set[str]:
        """Return the supply group codes of the keys that have one."""
        return {key.sgc for key in self._keys if key.sgc is not None}


@typed
def load_keys(path: str | Path | None = None, *, test_keys: bool = True) -> VendingKeys:
    """Return the keys of the file `path` (default: $JETON_KEYS), then the test keys."""
    keys: list[VendingKey] = []
    named = path if path is not None else os.environ.get(KEYS_VARIABLE) or None
    if named is not None:
        keys += _read_keys(Path(named).expanduser(), test=False)
    if test_keys:
        keys += _read_keys(_TEST_KEYS, test=True)
    return VendingKeys(keys)


def derive(vk: bytes, parameters: KeyParameters) -> bytes:
    """Return the decoder key: 8 bytes for EA07, 16 for EA11 (IEC 62055-41 6.5.3).

    The lowest bit of each byte of a DES vending key is set to odd parity first, as the standard
    requires: DES itself ignores these bits, DKGA02 does not.
    """
    p = parameters
    check_derivable(p.kt)
    check_vk(vk, p.dkga)
    return _dkga02(vk, p) if p.dkga == 2 else _dkga04(vk, p)


def check_dkga(dkga: int, ea: int | None = None) -> int:
    """Return `dkga` if it is in use, and if it is in use with `ea` (when given)."""
    if dkga in (1, 3):
        raise VendingError(f"DKGA{dkga:02d} is withdrawn: use DKGA02 or DKGA04")
    if dkga not in VK_BYTES:
        raise VendingError(f"DKGA {shown.value(dkga)} does not exist: use 2 or 4")
    if ea is not None and (dkga, check_ea(ea)) not in PAIRS:
        raise VendingError(
            f"DKGA{dkga:02d} derives no keys for EA{ea:02d}: the pairs in use are 02 with 07, "
            "04 with 07 and 04 with 11"
        )
    return dkga


def check_kt(kt: int) -> int:
    """Return `kt` if it is a key type."""
    if kt not in KEY_TYPES:
        raise VendingError(
            f"key type {shown.value(kt)} does not exist: use 0 DITK, 1 DDTK, 2 DUTK or 3 DCTK"
        )
    return kt


def check_derivable(kt: int) -> None:
    """Raise VendingError for a DITK, which is not derived from a vending key."""
    if kt == DITK:
        raise VendingError(
            "a DITK (KT 0) is not derived from a vending key: the maker generates it"
        )


def check_sgc(sgc: str) -> str:
    """Return `sgc` if it is a supply group code."""
    if not _SGC.fullmatch(sgc):
        raise VendingError(
            f"the supply group code (sgc) must be 6 digits; this one has {len(sgc)} characters"
        )
    return sgc


def check_ti(ti: int) -> int:
    """Return `ti` if it is a tariff index."""
    if not 0 <= ti <= 99:
        raise VendingError(f"tariff index {shown.value(ti)} is out of range: 00 to 99")
    return ti


def parse_ti(text: str) -> int:
    """Return the tariff index of a text of one or two digits."""
    if not _TI.fullmatch(text):
        raise VendingError(f"tariff index {shown.value(text)} is not valid: use 00 to 99")
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
    """Return `vk` if its length is right for `dkga`; the message never shows the key."""
    if len(vk) != VK_BYTES[check_dkga(dkga)]:
        raise VendingError(
            f"a vending key for DKGA{dkga:02d} must have {VK_BYTES[dkga]} bytes "
            f"({2 * VK_BYTES[dkga]} hex digits); this one has {len(vk)}"
        )
    return vk


def parse_hex(text: str, what: str) -> bytes:
    """Return the bytes of hex digits, small or capital; the message never shows them."""
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text):
        raise VendingError(
            f"{what} is not hex: write each byte as two digits 0-9 a-f, without spaces"
        )
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
    length = KEY_BYTES[p.ea]
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
            (8 * length).to_bytes(4, "big"),
        )
    )
    return hmac.digest(vk, block, "sha256")[:length]


def _element(text: str) -> bytes:
    return bytes((len(text),)) + text.encode("ascii")


@lru_cache(maxsize=64)
def _odd_parity(vk: bytes) -> bytes:
    return bytes(byte ^ (byte.bit_count() & 1 ^ 1) for byte in vk)


def _rank(key: VendingKey) -> tuple[bool, int]:
    return key.test, -sum(part is not None for part in (key.sgc, key.krn, key.kt))


def _read_keys(path: Path, *, test: bool) -> list[VendingKey]:
    # `from None` everywhere: a chained exception can contain the text of the file.
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise VendingError(
            f"keys file {shown.path(str(path))} cannot be read: "
            + (error.strerror or "no reason given")
            + ("" if shown.is_path(str(path)) else "; give the name of a JSON file, not a key")
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
        # An unknown name could be a key at the wrong place: show only how many there are.
        raise VendingError(
            f"has {len(unknown)} unknown name(s); the known names are dkga, vk, sgc, krn, kt, name"
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
