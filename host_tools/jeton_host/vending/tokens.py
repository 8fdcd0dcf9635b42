"""Encode a token from its fields to 20 digits, and decode it, with the layouts of the firmware.

This module does not check whether a point of sale may issue a token or a meter accepts it: any
value that fits its bits is encoded, so that tests can try the refusals of a meter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from jeton.sts import digits, tokens
from jeton_host import token_text
from jeton_host.errors import VendingError
from jeton_host.vending import ciphers, shown

AUTHENTIC = "Authentic"
CRC_ERROR = "CRCError"

UNITS_PER_CURRENCY = 100_000
CREDIT_UNITS = ("0.1 kWh", "0.1 m³ of water", "0.1 m³ of gas", "0.1 min")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A token decoded with one key; if it is not authentic, only its class is known."""

    authentication: str
    cls: int
    sub: int | None = None
    name: str | None = None
    fields: Mapping[str, int] = field(default_factory=dict)

    @property
    def authentic(self) -> bool:
        """Return whether the checksum is right."""
        return self.authentication == AUTHENTIC

    @property
    def tid(self) -> int | None:
        """Return the token identifier; None if this token has none."""
        return self.fields.get("tid")

    def as_dict(self) -> dict[str, Any]:
        """Return what `jeton decode` prints."""
        if not self.authentic:
            return {"authentication": self.authentication, "class": self.cls}
        return {
            "authentication": self.authentication,
            "class": self.cls,
            "subclass": self.sub,
            "name": self.name,
            "fields": dict(self.fields),
        }


def encode(
    cls: int,
    sub: int,
    fields: Mapping[str, int],
    *,
    key: bytes | None = None,
    ea: int = 7,
    tables: str = "certified",
) -> str:
    """Return the 20 digits of a token. Class 1 needs no key; the field `pad` is 0 by default."""
    if cls not in (0, 1, 2):
        raise VendingError(
            f"token class {shown.value(cls)} "
            + ("is reserved" if cls == 3 else "does not exist: use 0, 1 or 2")
        )
    if not 0 <= sub <= 15:
        raise VendingError(f"token subclass {shown.value(sub)} is out of range: 0 to 15")
    ciphers.check_ea(ea)
    block = tokens.pack(cls, sub, _checked(cls, sub, fields, ea), ea)
    if cls != 1:
        if key is None:
            raise VendingError(f"a token of class {cls} needs the meter's decoder key")
        block = ciphers.encrypt(ea, key, block, tables)
    return digits.join(cls, block)


def _checked(cls: int, sub: int, fields: Mapping[str, int], ea: int) -> dict[str, int]:
    """Return checked fields, with the default `pad`; no message shows a value: some are keys."""
    name, places = tokens.layout(cls, sub, ea)
    known = [part for part, _ in places]
    values = {"pad": 0, **fields} if "pad" in known else dict(fields)
    extra = [part for part in values if part not in known]
    if extra:
        # An unknown name could be a key at the wrong place: then show only how many there are.
        names = [part for part in extra if shown.is_name(part)]
        raise VendingError(
            f"{name} has no field {', '.join(names)}; its fields: {', '.join(known)}"
            if len(names) == len(extra)
            else f"{name} has {len(extra)} unknown fields; its fields: {', '.join(known)}"
        )
    for part, bits in places:
        if part not in values:
            raise VendingError(f"{name} needs the field {part}")
        if type(values[part]) is not int or not 0 <= values[part] < 1 << bits:
            raise VendingError(
                f"{name}: {part} must be a whole number from 0 to {(1 << bits) - 1}"
            )
    return values


def decode(
    token: str, *, key: bytes | None = None, ea: int = 7, tables: str = "certified"
) -> Decoded:
    """Return the fields of a token; VendingError if it is not a token or its key is missing."""
    cls, block = split(token)
    if cls == 3:
        raise VendingError("token class 3 is reserved: it has no fields to show")
    if cls != 1:
        if key is None:
            raise VendingError(
                f"a token of class {cls} cannot be read without the meter's decoder key"
            )
        block = ciphers.decrypt(ea, key, block, tables)
    sub, name, fields, crc_ok = tokens.unpack(cls, block, ciphers.check_ea(ea))
    if not crc_ok:
        return Decoded(CRC_ERROR, cls)
    return Decoded(AUTHENTIC, cls, sub, name, fields)


def split(token: str) -> tuple[int, bytes]:
    """Return (class, block as transmitted) of a token; raise VendingError if it is not one."""
    text = ""
    try:
        text = token_text.one(token)
        return digits.split(text)
    except ValueError as error:
        if len(text) in (40, 60) and digits.is_digits(text):
            raise VendingError(
                f"these {len(text)} digits are {len(text) // 20} tokens: "
                "a token has 20 digits, enter one at a time"
            ) from None
        damage = token_text.damage(token)
        why = f"; {damage.what}" if damage is not None and damage.certain else ""
        raise VendingError(f"{error}{why}") from None


def units_up(value: Decimal, per_one: int) -> int:
    """Return `value` in units of 1/`per_one`, rounded up to a whole number."""
    return math.ceil(Fraction(value) * per_one)


def money(units: int) -> str:
    """Return an amount in units of 0.00001 of a currency as a decimal number."""
    whole, part = divmod(abs(units), UNITS_PER_CURRENCY)
    text = f"{whole}.{part:05d}".rstrip("0").rstrip(".")
    return "-" + text if units < 0 else text


def describe(decoded: Decoded) -> str:
    """Return what an authentic token does, in a few words; never a part of a key."""
    cls, sub, fields = decoded.cls, decoded.sub or 0, decoded.fields
    if cls == 0 and sub <= 3:
        units = tokens.amount_value(fields["amount"])
        unit = CREDIT_UNITS[sub].removeprefix("0.1 ")
        return f"credit of {units // 10}.{units % 10} {unit}"
    if cls == 0 and sub <= 7:
        units = tokens.currency_value(fields["se"], fields["amount"])
        kind = ("electricity", "water", "gas", "time")[sub - 4]
        return f"{'deduction' if units < 0 else 'credit'} of {money(abs(units))} for {kind}"
    if cls == 1 and sub in (0, 1):
        return describe_tests(decoded)
    if cls == 2:
        return _describe_management(sub, fields, decoded.name)
    return f"{decoded.name} token of class {cls}, subclass {sub}"


TESTS = (
    "all tests",
    "load switch",
    "display and indicators",
    "total consumption",
    "KRN and KT",
    "tariff index",
    "token input device",
    "maximum power limit",
    "tamper status",
    "active power",
    "software version",
    "phase unbalance limit",
    "water factor",
    "tariff rate",
    "encryption algorithm",
    "number of key change tokens",
    "supply group code",
    "key expiry number",
    "meter number",
)


def tests_of(decoded: Decoded) -> list[int]:
    """Return the numbers of the tests that a class 1 token requests; [0] for all tests."""
    control = decoded.fields["control"]
    width = 36 if decoded.sub == 0 else 28
    if control == (1 << width) - 1:
        return [0]
    return [n + 1 for n in range(width) if control >> n & 1]


def describe_tests(decoded: Decoded) -> str:
    """Return in words which tests a test and display token requests."""
    numbers = tests_of(decoded)
    names = [f"{n} {TESTS[n]}" if n < len(TESTS) else f"{n} (no such test)" for n in numbers]
    what = "test or display " + (", ".join(names) if names else "of nothing")
    maker = decoded.fields["mfr_code"]
    return what + (f", for meters of maker {maker} only" if maker else ", for any meter")


REGISTERS = {
    "electricity": 0,
    "water": 1,
    "gas": 2,
    "time": 3,
    "electricity-currency": 4,
    "water-currency": 5,
    "gas-currency": 6,
    "time-currency": 7,
    "all": 0xFFFF,
}


def _limit(what: str, code: int) -> str:
    watts = tokens.amount_value(code)
    return f"{what} of {watts} W" if watts else f"end of the {what}"


def _describe_management(sub: int, fields: Mapping[str, int], name: str | None) -> str:
    if sub == 0:
        return _limit("maximum power limit", fields["mpl"])
    if sub == 1:
        number = fields["register"]
        known = next((word for word, n in REGISTERS.items() if n == number), None)
        return "clearing of " + (
            f"credit register {number}" + (f" ({known})" if known else ", which no meter has")
            if number != 0xFFFF
            else "all credit registers"
        )
    if sub == 2:
        return f"tariff rate {fields['rate']}"
    if sub == 3:
        return (
            f"key change, 1st section: KRN {fields['krn']}, key type {fields['kt']}"
            + (", base date changes" if fields["ro"] else "")
            + (", a 3rd section belongs to it" if fields["kct3"] else "")
        )
    if sub == 4:
        return f"key change, 2nd section: tariff index {fields['ti']:02d}"
    if sub == 5:
        return "clearing of the tamper condition"
    if sub == 6:
        return _limit("maximum phase power unbalance limit", fields["mppul"])
    if sub == 7:
        return f"water meter factor {fields['wmfactor']}"
    if sub == 8:
        sgc = fields.get("sgc")
        return "key change, 3rd section" + (f": SGC {sgc:06d}" if sgc is not None else "")
    if sub == 9:
        return "key change, 4th section"
    if sub == 10:
        value = fields["value"]
        return f"extended token set, write: index {value >> 10}, value {value & 0x3FF}"
    return f"{name} token of class 2, subclass {sub}"
