"""The one table of conformance: kind of token, key state, store state → result by the standard.

What is expected stands here and nowhere else: nothing of it is asked of the firmware. A kind says
what its token comes to by itself on an electricity meter with a keypad; key state, store state
and what the meter has been through judge before that, in the standard's order (IEC 62055-41 8.2):
CRC, maker's code, DDTK, KEN, Used, Old, then execution. Where the standard leaves it to the maker,
the profile's settings decide, and the clause says so.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from jeton.sts import digits
from jeton.sts import tokens as layouts
from jeton_host.client.answers import TokenResult, seconds_of
from jeton_host.vending import tid, tokens
from jeton_host.vending.keychange import key_change_set
from jeton_host.vending.keys import DCTK, DDTK, DITK, DUTK, KeyParameters, derive
from jeton_host.vending.pan import meter_pan

DRN = "00000000000"  # of the published test PAN 600727000000000009
MFR_CODE = 34  # the maker's own code of the meter that is tested

# The published test vending keys, and the key of the standard's worked example in place of one
# that a maker made: a DITK is not derived.
_VENDING = {
    2: bytes.fromhex("abababababababab"),
    4: bytes.fromhex("abababababababab949494949494949401234567"),
}
_GIVEN = bytes.fromhex("0abc12def3456789")

_LAYOUT = "6.2"
_TESTS = "6.2.3"
_DIGITS = "6.4.2-6.4.4"
_KEY_TYPES = "6.5.2.4"
_AUTHENTICATION = "7.3.2-7.3.4"
_TIDS = "7.3.5"
_KEY_CHANGE = "7.3.7-7.3.10"
_VALIDATION = "8.2"
_RESULT = "8.3"
_MAKERS = "left to the maker"

_A = TokenResult.ACCEPT
_FUNCTION = TokenResult.FUNCTION
_RANGE = TokenResult.RANGE
_FORMAT = TokenResult.FORMAT
_CRC = TokenResult.CRC
_MFR = TokenResult.MFR_CODE
_SECTION = (TokenResult.KCT1, TokenResult.KCT2, TokenResult.KCT3, TokenResult.KCT4)

# When tokens are sold and meters made, by base date.
SOLD = {
    "93": datetime(2020, 3, 2, 12, tzinfo=UTC),
    "14": datetime(2026, 3, 2, 12, tzinfo=UTC),
    "35": datetime(2040, 3, 2, 12, tzinfo=UTC),
}
_AGE = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Settings:
    """What of a profile decides where the standard leaves it open."""

    profile: str
    lockout_after: int | None
    lockout_s: int
    ordered: bool
    window_s: int | None
    kept: bool
    max_wh: int
    tampered_takes: str

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> "Settings":
        """Return those of a profile as jeton_host.firmware.profiles loads it."""
        lockout, change = profile["lockout"], profile["key_change"]
        return cls(
            profile=profile["name"],
            lockout_after=lockout["after"],
            lockout_s=lockout["steps_s"][0] if lockout["steps_s"] else 0,
            ordered=change["ordered"],
            window_s=change["window_s"],
            kept=change["keep_at_power_up"],
            max_wh=profile["credit"]["max_wh"],
            tampered_takes=profile["supply"]["tamper_takes"],
        )


# Keys


@dataclass(frozen=True, slots=True)
class Key:
    """A decoder key by what it is made of."""

    ea: int = 7
    dkga: int = 4
    kt: int = DUTK
    sgc: str = "201457"
    ti: int = 1
    krn: int = 1
    ken: int = 255
    bdt: str = "14"
    tables: str = "certified"
    drn: str = DRN

    @property
    def octets(self) -> bytes:
        """Return the key itself: of published test vending keys, or of a published example."""
        return _octets(self)

    @property
    def tid(self) -> int:
        """Return the TID of a token that is sold under it."""
        return tid.token_tid(SOLD[self.bdt], self.bdt)

    @property
    def made_tid(self) -> int:
        """Return the TID of the meter's date of manufacture."""
        return tid.token_tid(SOLD[self.bdt] - _AGE, self.bdt)

    def expires(self, number: int) -> bool:
        """Return whether a TID comes after its KEN."""
        return number >> 16 > self.ken

    def config(self, settings: Settings, kct: int | None = None) -> dict[str, Any]:
        """Return the set-up of a fresh meter under this key."""
        return {
            "drn": DRN,
            "ea": self.ea,
            "tables": self.tables,
            "decoder_key": self.octets.hex(),
            "kt": self.kt,
            "sgc": self.sgc,
            "ti": self.ti,
            "krn": self.krn,
            "ken": self.ken,
            "bdt": self.bdt,
            "kct": kct or (4 if self.ea == 11 else 3),
            "mfr_code": MFR_CODE,
            "profile": settings.profile,
            "tid0": self.made_tid,
            "credit_wh": 0,
            "clock": seconds_of(SOLD[self.bdt]),
        }


@lru_cache
def _octets(key: Key) -> bytes:
    if key.kt == DITK:
        return _GIVEN if key.ea == 7 else _GIVEN[::-1] + _GIVEN
    parameters = KeyParameters(
        dkga=key.dkga,
        ea=key.ea,
        pan=meter_pan(key.drn),
        kt=key.kt,
        sgc=key.sgc,
        ti=key.ti,
        krn=key.krn,
        bdt=key.bdt,
    )
    return derive(_VENDING[key.dkga], parameters)


@dataclass(frozen=True, slots=True)
class KeyState:
    """What key the meter has, and what its tokens are sold under.

    `before` is the key that the meter was made with where a key change, keyed in on the board, has
    brought this one; `sold` another key than the meter's.
    """

    name: str
    key: Key = field(default_factory=Key)
    sold: Key | None = None
    before: Key | None = None

    @property
    def vended(self) -> Key:
        """Return the key that tokens are sold under."""
        return self.sold or self.key


_EA07 = KeyState("unique key (DUTK), EA07")
_EA11 = KeyState("unique key (DUTK), EA11", Key(ea=11))
_KEN = Key().tid >> 16

_OTHER_KRN = "token of another KRN"
_PLAIN = ("credit, electricity", "maximum power limit")
# In these only the key is another one: what is under no key, or refused for what it is, is not.
_LIKE_ANY = (
    "unique key, base date 1993",
    "unique key, base date 2035",
    "unique key, KRN 9, TI 99",
    "sample tables of the standard",
    "unique key, EA11, base date 2035",
    "expired key (KEN), EA11",
    "rolled over, 2014 to 2035, EA11",
)

KEY_STATES = (
    _EA07,
    _EA11,
    KeyState("unique key of DKGA02, base date 1993", Key(dkga=2, bdt="93")),
    KeyState("unique key, base date 1993", Key(bdt="93")),
    KeyState("unique key, base date 2035", Key(bdt="35")),
    KeyState("unique key, EA11, base date 2035", Key(ea=11, bdt="35")),
    KeyState("unique key, KRN 9, TI 99", Key(krn=9, ti=99)),
    KeyState("sample tables of the standard", Key(tables="sample")),
    KeyState("initialization key (DITK)", Key(kt=DITK)),
    KeyState("initialization key (DITK), EA11", Key(ea=11, kt=DITK)),
    KeyState("default key (DDTK)", Key(kt=DDTK)),
    KeyState("default key (DDTK), EA11", Key(ea=11, kt=DDTK)),
    KeyState("default key (DDTK), expired", Key(kt=DDTK, ken=_KEN - 1)),
    KeyState("last month of its KEN", Key(ken=_KEN)),
    KeyState("expired key (KEN)", Key(ken=_KEN - 1)),
    KeyState("key expired years ago (KEN)", Key(ken=1)),
    KeyState("expired key (KEN), EA11", Key(ea=11, ken=_KEN - 1)),
    KeyState(_OTHER_KRN, sold=Key(krn=2)),
    KeyState("token of another KRN, EA11", Key(ea=11), sold=Key(ea=11, krn=2)),
    KeyState("token of another supply group", sold=Key(sgc="123456")),
    KeyState("token of another tariff index", sold=Key(ti=2)),
    KeyState("token of another meter", sold=Key(drn="11111111115")),
    KeyState("token of another base date", Key(bdt="35"), sold=Key(bdt="14")),
    KeyState("token under the default key", sold=Key(kt=DDTK)),
    KeyState("rolled over, 1993 to 2014", Key(krn=2), before=Key(bdt="93")),
    KeyState("rolled over, 2014 to 2035, EA11", Key(11, krn=2, bdt="35"), before=Key(11)),
)


# Tokens


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of token, and what it comes to by itself; `wide`: tried in every state.

    `changes` are what of the meter's status it sets; `credit_wh` is what it adds. `raw` makes the
    digits of what no field describes; `spoilt` takes its checksum away.
    """

    name: str
    cls: int
    sub: int
    own: TokenResult = _A
    fields: Mapping[str, int] = field(default_factory=dict)
    clause: str = _LAYOUT
    changes: Mapping[str, Any] = field(default_factory=dict)
    credit_wh: int = 0
    wide: bool = False
    spoilt: bool = False
    raw: Callable[[], str] | None = None

    @property
    def has_tid(self) -> bool:
        """Return whether it carries a token identifier."""
        return self.raw is None and "tid" in dict(layouts.layout(self.cls, self.sub)[1])

    def token(self, key: Key, number: int, rnd: int = 5) -> str:
        """Return its digits under a key, with this TID."""
        if self.raw is not None:
            return self.raw()
        names = [name for name, _ in layouts.layout(self.cls, self.sub, key.ea)[1]]
        common = {"rnd": rnd, "tid": number, "pad": 0, "se": 0, "mfr_code": 0, "value": 0}
        values = {name: common.get(name, 0) for name in names} | dict(self.fields)
        if self.cls == 3 or self.spoilt:
            block = layouts.pack(self.cls, self.sub, values, key.ea)
            if self.spoilt:
                block = block[:-1] + bytes([block[-1] ^ 1])
            return digits.join(self.cls, block)
        octets = None if self.cls == 1 else key.octets
        return tokens.encode(self.cls, self.sub, values, key=octets, ea=key.ea, tables=key.tables)


def _amount(units: int) -> dict[str, int]:
    return {"amount": layouts.amount_code(units)}


def _test(number: int, sub: int = 0) -> dict[str, int]:
    width = 36 if sub == 0 else 28
    return {"control": (1 << width) - 1 if number == 0 else 1 << (number - 1)}


def _tests() -> Iterator[Kind]:
    for number, name in enumerate(tokens.TESTS):
        # An electricity meter has no water factor.
        own = _FUNCTION if number == 12 else _A
        kind = Kind(f"test {number}, {name}", 1, 0, own, _test(number), _TESTS)
        yield replace(kind, wide=number in (0, 3))
        if number in (0, 1, 12, 18):
            yield replace(kind, name=f"{kind.name}, 4-digit maker", sub=1, fields=_test(number, 1))


_RESERVED = "reserved"
_ENERGY = 0b1000100  # of the tests 3 and 7

KINDS = (
    Kind("credit, electricity", 0, 0, fields=_amount(5), credit_wh=500, wide=True),
    Kind("credit, electricity, the least", 0, 0, fields=_amount(1), credit_wh=100),
    Kind("credit, electricity, the most", 0, 0, fields={"amount": 0xFFFF}, credit_wh=1820162400),
    Kind("credit, water", 0, 1, _FUNCTION, _amount(5), wide=True),
    Kind("credit, gas", 0, 2, _FUNCTION, _amount(5)),
    Kind("credit, time", 0, 3, _FUNCTION, _amount(5)),
    Kind("credit, electricity in currency", 0, 4, _FUNCTION, _amount(5), wide=True),
    Kind("credit, water in currency", 0, 5, _FUNCTION, _amount(5)),
    Kind("credit, gas in currency", 0, 6, _FUNCTION, _amount(5)),
    Kind("credit, time in currency", 0, 7, _FUNCTION, _amount(5)),
    Kind("deduction, electricity in currency", 0, 4, _FUNCTION, _amount(5) | {"se": 8}),
    *(Kind(f"class 0, subclass {n}, reserved", 0, n, _FUNCTION) for n in range(8, 16)),
    *_tests(),
    Kind("tests 3 and 7 at once", 1, 0, fields={"control": _ENERGY}, clause=_TESTS),
    Kind("test 19, of which there is none", 1, 0, _FUNCTION, _test(19), _TESTS),
    Kind("tests 3 and 19 at once", 1, 0, _FUNCTION, {"control": 1 << 18 | 4}, _TESTS),
    Kind("no test at all", 1, 0, _RANGE, {"control": 0}, f"{_TESTS}, {_MAKERS}"),
    Kind("test 3 of the meter's maker", 1, 0, _A, _test(3) | {"mfr_code": MFR_CODE}, _TESTS),
    Kind("test 3 of another maker", 1, 0, _MFR, _test(3) | {"mfr_code": 99}, _TESTS, wide=True),
    Kind("test 3 of another maker, 4 digits", 1, 1, _MFR, _test(3) | {"mfr_code": 9999}, _TESTS),
    Kind("test 3, a digit mistyped", 1, 0, _CRC, _test(3), _AUTHENTICATION, spoilt=True),
    Kind("extended token set, read", 1, 2, _FUNCTION),
    *(Kind(f"class 1, subclass {n}, reserved", 1, n, _FUNCTION) for n in (3, 4, 5)),
    *(Kind(f"class 1, subclass {n}, proprietary", 1, n, _FUNCTION) for n in range(6, 16)),
    Kind(
        "maximum power limit", 2, 0, fields={"mpl": layouts.amount_code(20000)}, wide=True,
        changes={"max_power_limit_w": layouts.amount_value(layouts.amount_code(20000))},
    ),
    Kind("clear credit, electricity", 2, 1, fields={"register": 0}, wide=True,
         changes={"credit_wh": 0}),
    Kind("clear credit, all registers", 2, 1, fields={"register": 0xFFFF},
         changes={"credit_wh": 0}),
    *(
        Kind(f"clear credit, register {n}", 2, 1, _FUNCTION, {"register": n})
        for n in range(1, 8)
    ),
    Kind("clear credit, register 8", 2, 1, _RANGE, {"register": 8}),
    Kind("clear credit, register 65534", 2, 1, _RANGE, {"register": 65534}),
    Kind("tariff rate", 2, 2, fields={"rate": 4321}, changes={"tariff_rate": 4321}, wide=True),
    Kind("clear tamper condition", 2, 5, changes={"tamper": False}, wide=True),
    Kind("clear tamper condition, padding not 0", 2, 5, _FORMAT, {"pad": 1}),
    Kind("phase power unbalance limit", 2, 6, fields={"mppul": 300}, wide=True,
         changes={"phase_unbalance_limit_w": 300}),
    Kind("water meter factor", 2, 7, _FUNCTION, {"wmfactor": 1}, wide=True),
    Kind("extended token set, write", 2, 10, _FUNCTION, {"value": 0xFC01}),
    *(
        Kind(f"class 2, subclass {n}, proprietary", 2, n, _FUNCTION, wide=n == 11)
        for n in range(11, 16)
    ),
    Kind("class 3, reserved", 3, 0, _FUNCTION, {"value": 1}, wide=True),
    Kind("class 3, a wrong checksum", 3, 5, _CRC, {"value": 7}, _AUTHENTICATION, spoilt=True),
    Kind("19 digits", 0, 0, _FORMAT, clause=_DIGITS, raw=lambda: "7063050347002872611"),
    Kind("a letter among the digits", 0, 0, _FORMAT, clause=_DIGITS,
         raw=lambda: "7063050347002872611O"),
    Kind("20 digits of more than 66 bits", 0, 0, _FORMAT, clause=f"{_DIGITS}, {_MAKERS}",
         raw=lambda: str(1 << 66), wide=True),
)  # fmt: skip

# Parent key type → permitted children; a DCTK is for magnetic cards (IEC 62055-41 6.5.2.4).
_CHILDREN = {DITK: (DITK, DDTK, DUTK), DDTK: (DDTK, DUTK), DUTK: (DUTK, DDTK)}


@dataclass(frozen=True, slots=True)
class ChangeKind:
    """A key change set, or a part of one: `sections` in the order they are keyed in.

    `to` is what the new key has otherwise; `spoil` fields of sections, by their number. `kct` is
    how many tokens the meter supports where that is not the most its EA allows.
    """

    name: str
    sections: tuple[int, ...] = ()  # empty: the whole set, first to last
    to: Mapping[str, Any] = field(default_factory=dict)
    ro: bool = False
    three: bool = False
    kct: int | None = None
    spoil: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    own: TokenResult | None = None  # of the last, where that is not what the set makes it
    eas: tuple[int, ...] = (7, 11)
    clause: str = _KEY_CHANGE
    wide: bool = False


CHANGES = (
    ChangeKind("key change, whole set", wide=True),
    ChangeKind("key change, first section alone", (1,), wide=True),
    ChangeKind("key change, second section alone", (2,)),
    ChangeKind("key change, first section twice, then the rest", (1, 1, 2), eas=(7,)),
    ChangeKind("key change, second section first", (2, 1), eas=(7,)),
    ChangeKind("key change, last section first", (4, 3, 2, 1), eas=(11,)),
    ChangeKind("key change, three of four sections", (1, 2, 3), eas=(11,)),
    ChangeKind("key change, three tokens", three=True, eas=(7,)),
    ChangeKind("key change, three tokens, the third first", (3, 1, 2), three=True, eas=(7,)),
    ChangeKind("key change, two tokens, a meter of two", kct=2, eas=(7,)),
    ChangeKind("key change, third section, a meter of two", (3,), three=True, kct=2, eas=(7,),
               own=_FUNCTION),
    ChangeKind("key change, fourth section under EA07", (4,), eas=(7,), own=_FUNCTION),
    ChangeKind("key change, base date changes (RO 1)", to={"bdt": "35"}, ro=True),
    ChangeKind("key change to a default key", to={"kt": DDTK}, clause=_KEY_TYPES, wide=True),
    ChangeKind("key change to a unique key", to={"kt": DUTK}, clause=_KEY_TYPES),
    ChangeKind("key change to an initialization key", to={"kt": DITK}, clause=_KEY_TYPES,
               wide=True),
    ChangeKind("key change to a common key (magnetic cards)", to={"kt": DCTK},
               clause=_KEY_TYPES, wide=True),
    ChangeKind("key change, KRN 0", (1,), spoil={1: {"krn": 0}}, own=_RANGE),
    ChangeKind("key change, KRN 10", (1,), spoil={1: {"krn": 10}}, own=_RANGE),
    ChangeKind("key change, TI 100", (2,), spoil={2: {"ti": 100}}, own=_RANGE),
    ChangeKind("key change, SGC 1000000", (3,), three=True, spoil={3: {"sgc": 1000000}},
               own=_RANGE, eas=(7,)),
    ChangeKind("key change, third section, padding not 0", (3,), three=True,
               spoil={3: {"pad": 1}}, own=_FORMAT, eas=(7,)),
)  # fmt: skip


def _set_of(kind: ChangeKind, old: Key, new: Key) -> dict[int, str]:
    """Return section number → token."""
    made = key_change_set(
        old.octets, new.octets, ea=old.ea, kt=new.kt, sgc=new.sgc, ti=new.ti, krn=new.krn,
        ken=new.ken, ro=kind.ro, three=kind.three, tables=old.tables,
    )  # fmt: skip
    found = {section.number: section.token for section in made}
    if 4 in kind.sections and old.ea == 7:
        found[4] = _encoded(2, 9, {"sgcho": 1, "nkmo1": 1}, old)
    for number, other in kind.spoil.items():
        decoded = tokens.decode(found[number], key=old.octets, ea=old.ea, tables=old.tables)
        assert decoded.sub is not None
        found[number] = _encoded(2, decoded.sub, dict(decoded.fields) | dict(other), old)
    return found


def _encoded(cls: int, sub: int, fields: Mapping[str, int], key: Key) -> str:
    return tokens.encode(cls, sub, fields, key=key.octets, ea=key.ea, tables=key.tables)


def _changed(old: Key, kind: ChangeKind) -> Key:
    """Return the key that a set brings: another KRN, TI and KEN, so that each can be seen."""
    to: dict[str, Any] = {"krn": old.krn % 9 + 1, "ti": (old.ti + 6) % 100, "ken": 253, "kt": DUTK}
    to |= {"sgc": "123457"} if old.ea == 11 or kind.three else {}
    return replace(old, **to | dict(kind.to))


# Stores


@dataclass(frozen=True, slots=True)
class StoreState:
    """What the meter has been through before the token comes."""

    name: str
    clause: str = _TIDS
    verdict: TokenResult = _A  # of a token identifier

    @property
    def judges(self) -> bool:
        """Return whether it is the token's identifier that decides."""
        return self.verdict != _A


FRESH = StoreState("fresh store")
USED = StoreState("the same token before", verdict=TokenResult.USED)
TAKEN = StoreState("another token of its minute before", verdict=TokenResult.USED)
RESTARTED = StoreState("another token of its minute, then a restart", verdict=TokenResult.USED)
MADE = StoreState("sold in the minute the meter was made", verdict=TokenResult.USED)
OLD = StoreState("sold before the meter was made", verdict=TokenResult.OLD)
FULL = StoreState("50 later tokens in the store", verdict=TokenResult.OLD)
BETWEEN = StoreState("50 tokens in the store, this between them")
HALF = StoreState("half a key change pending", _KEY_CHANGE)
LOCKED = StoreState("locked out by wrong tokens", _MAKERS)
UNLOCKED = StoreState("after the lock-out", _MAKERS)
TAMPERED = StoreState("tampered with", _MAKERS)
BRIMFUL = StoreState("credit as high as it goes", _RESULT)
FITTING = StoreState("credit that leaves just room for it", _RESULT)

STORES = (
    FRESH, USED, TAKEN, RESTARTED, MADE, OLD, FULL, BETWEEN, HALF, LOCKED, UNLOCKED, TAMPERED,
    BRIMFUL, FITTING,
)  # fmt: skip


# Cases


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to the meter: a token, or what happens to it; `expected` is a token's."""

    token: str = ""
    expected: TokenResult | None = None
    do: str = ""  # "tamper", "restart", or "advance" by `seconds`
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class ConformanceCase:
    """One row: set the meter up by `config`, do what is `before`, then key `steps` in.

    After the last of them of the watched part of the meter's status exactly `changes` are
    different from before; where they are None that is not looked at. `read` is what the board is
    to say of the last token.
    """

    part: str
    kind: str
    key: str
    store: str
    clause: str
    config: Mapping[str, Any]
    steps: tuple[Step, ...]
    before: tuple[Step, ...] = ()
    changes: Mapping[str, Any] | None = field(default_factory=dict)
    read: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""


def _judged(
    kind: Kind, state: KeyState, store: StoreState, settings: Settings
) -> tuple[TokenResult, str]:
    """Return what a token comes to, and the clause that says so."""
    key = state.key
    if kind.own == _FORMAT and kind.raw is not None:
        return _FORMAT, kind.clause
    if store is LOCKED and kind.cls != 1:
        return TokenResult.LOCK_OUT, _MAKERS
    if (kind.cls in (0, 2) and state.sold is not None) or kind.own == _CRC:
        return _CRC, _AUTHENTICATION
    if kind.own == _MFR:
        return _MFR, kind.clause
    barred = kind.cls == 0 or (kind.cls == 2 and kind.sub not in (1, 5))
    if store is TAMPERED and settings.tampered_takes != "all" and barred:
        return TokenResult.NOT_READY, _MAKERS
    if kind.cls == 0 and key.kt == DDTK:
        return TokenResult.DDTK, _VALIDATION
    if kind.has_tid:
        if key.expires(_tid_in(state, store)):
            return TokenResult.KEY_EXPIRED, _VALIDATION
        # What was refused is not cancelled: the same token again is refused for its own reason.
        if store.judges and not (store is USED and kind.own != _A):
            return store.verdict, _TIDS
    if store is BRIMFUL and kind.credit_wh:
        return TokenResult.OVERFLOW, _RESULT
    return kind.own, kind.clause if kind.own in (_A, _CRC, _MFR) else f"{kind.clause}, {_RESULT}"


def _wanted(kind: Kind, store: StoreState, settings: Settings) -> bool:
    """Return whether this cell says something."""
    if store in (LOCKED, UNLOCKED):
        return bool(settings.lockout_after) and (store is LOCKED or kind.name in _PLAIN)
    return store is not FITTING or bool(kind.credit_wh)


def _tid_in(state: KeyState, store: StoreState) -> int:
    """Return the TID of the token that is tried."""
    key = state.vended
    if store is MADE:
        return state.key.made_tid
    if store is OLD:
        return state.key.made_tid - 2
    return key.tid


_OTHER = Kind("credit, electricity", 0, 0, fields=_amount(1), credit_wh=100)
_NEXT = ChangeKind("key change, whole set")
_FIRST = ChangeKind("key change, first section", (1,))


def _prepared(
    state: KeyState, store: StoreState, settings: Settings, token: str, own: TokenResult
) -> tuple[dict[str, Any], tuple[Step, ...], int]:
    """Return set-up, what happens before the token, and the newest TID in the store then."""
    key = state.key
    config = (state.before or key).config(settings)
    steps: list[Step] = []
    newest = key.made_tid
    if state.before is not None:
        rolled = ChangeKind("", ro=True, three=key.ea == 7)
        made = _set_of(rolled, state.before, key)
        order = sorted(made)
        for number in order:
            last = number == order[-1]
            steps.append(Step(made[number], _A if last else _SECTION[number - 1]))
        newest = 0
    if store in (TAKEN, RESTARTED):
        # Under a DDTK no credit is taken: a tariff rate has a TID too.
        other = _OTHER if key.kt != DDTK else Kind("", 2, 2, fields={"rate": 1})
        steps.append(Step(other.token(key, key.tid, rnd=9), _A))
        newest = key.tid
        if store is RESTARTED:
            steps.append(Step(do="restart"))
    elif store is USED:
        steps.append(Step(token, own))
        newest = key.tid if own == _A else newest
    elif store is FULL or store is BETWEEN:
        first = key.tid + (1 if store is FULL else -30)
        numbers = [number for number in range(first, first + 51) if number != key.tid][:50]
        config["tids"] = b"".join(n.to_bytes(3, "big") for n in numbers).hex()
        del config["tid0"]
        newest = numbers[-1]
    elif store is HALF:
        steps.append(Step(_set_of(_FIRST, key, _changed(key, _FIRST))[1], TokenResult.KCT1))
    elif store in (LOCKED, UNLOCKED):
        assert settings.lockout_after is not None
        foreign = replace(key, krn=key.krn % 9 + 1, kt=DUTK)
        for n in range(settings.lockout_after):
            steps.append(Step(_OTHER.token(foreign, key.tid + n), _CRC))
        if store is UNLOCKED:
            steps.append(Step(do="advance", seconds=settings.lockout_s))
    elif store is TAMPERED:
        steps.append(Step(do="tamper"))
    elif store is BRIMFUL:
        config["credit_wh"] = settings.max_wh
    elif store is FITTING:
        config["credit_wh"] = settings.max_wh - 500
    return config, tuple(steps), newest


def _case(kind: Kind, state: KeyState, store: StoreState, settings: Settings) -> ConformanceCase:
    """Return the row of one cell of the matrix."""
    number = _tid_in(state, store)
    token = kind.token(state.vended, number)
    if store is FITTING:
        kind = replace(kind, fields=_amount(5), credit_wh=500)
        token = kind.token(state.vended, number)
    expected, clause = _judged(kind, state, store, settings)
    once, _ = _judged(kind, state, FRESH, settings)
    config, before, newest = _prepared(state, store, settings, token, once)
    changes: dict[str, Any] = {}
    read: dict[str, Any] = {}
    if expected == _A:
        changes = dict(kind.changes)
        if kind.credit_wh:
            credit_wh = config["credit_wh"] + kind.credit_wh
            changes = {"credit_wh": credit_wh}
            read = {"amount_wh": kind.credit_wh}
        if kind.has_tid:
            changes["tid_newest"] = max(newest, number)
    if expected not in (_CRC, _FORMAT, TokenResult.LOCK_OUT):
        read |= {"token_class": kind.cls, "subclass": kind.sub}
        read |= {"tid": number if kind.has_tid else None}
    steps = (Step(token, expected),)
    return ConformanceCase(
        "matrix", kind.name, state.name, store.name, clause, config, steps, before, changes, read
    )


class _Sections:
    """What comes of the sections of a set on a meter, one after another."""

    def __init__(self, ea: int, kct: int, three: bool, ordered: bool) -> None:
        self._needed = {1, 2, 3, 4} if ea == 11 else {1, 2, 3} if three and kct >= 3 else {1, 2}
        self._ordered = ordered
        self.there: set[int] = set()

    def add(self, number: int) -> TokenResult:
        """Return what a section comes to."""
        if self._ordered and any(n < number for n in self._needed - self.there):
            return TokenResult.NOT_READY
        self.there.add(number)
        return _SECTION[number - 1] if self._needed - self.there else _A


def _change_case(
    kind: ChangeKind, state: KeyState, store: StoreState, settings: Settings
) -> ConformanceCase:
    """Return the row of a key change in one state."""
    key, sold = state.key, state.vended
    new = _changed(sold, kind)
    if kind.to.get("kt") == DCTK:
        made = _set_of(kind, sold, replace(new, kt=DUTK))
        first = tokens.decode(made[1], key=sold.octets, ea=sold.ea, tables=sold.tables)
        assert first.sub is not None
        made[1] = _encoded(2, first.sub, dict(first.fields) | {"kt": DCTK}, sold)
    else:
        made = _set_of(kind, sold, new)
    order = kind.sections or tuple(sorted(made))
    kct = kind.kct or (4 if key.ea == 11 else 3)
    known = _Sections(key.ea, kct, kind.three, settings.ordered)
    config, before, _ = _prepared(state, store, settings, made[order[0]], _SECTION[0])
    if kind.kct:
        config["kct"] = kind.kct
    if store is HALF:
        known.add(1)
    clause = kind.clause
    found: list[TokenResult] = []
    for number in order:
        if state.sold is not None:
            result, clause = _CRC, _AUTHENTICATION
        elif store is LOCKED:
            result, clause = TokenResult.LOCK_OUT, _MAKERS
        elif store is TAMPERED and settings.tampered_takes != "all":
            result, clause = TokenResult.NOT_READY, _MAKERS
        elif kind.own is not None:
            result = kind.own
        else:
            result = known.add(number)
            if result == TokenResult.NOT_READY:
                clause = f"{_KEY_CHANGE}, {_MAKERS}"
        if result == _A and new.kt not in _CHILDREN[key.kt]:
            result, clause = TokenResult.KEY_TYPE, _KEY_TYPES
        found.append(result)
        if state.sold is not None:
            break  # one wrong token says it, and several would lock the meter
    changes: dict[str, Any] = {}
    last = found[-1]
    if last == _A:
        changes = {"krn": new.krn, "ti": new.ti, "ken": new.ken, "kt": new.kt, "pending": ()}
        changes |= {"sgc": new.sgc} if key.ea == 11 or kind.three else {}
        if kind.kct == 2:
            changes["sgc"] = "000000"  # 7.3.7: a meter of two tokens cannot know the new one
        if kind.ro:
            changes |= {"tid_newest": 0}
    elif last == TokenResult.KEY_TYPE:
        changes = {"pending": ()}
    elif last not in (_CRC, TokenResult.LOCK_OUT) and known.there:
        changes = {"pending": tuple(sorted(known.there))}
    steps = [Step(made[number], result) for number, result in zip(order, found, strict=False)]
    if last == _A:
        # The new key is the one the vending side has: what is sold under it is taken.
        proof = Kind("", 2, 2, fields={"rate": 77})
        number = max(new.tid, sold.tid + 2) if new.bdt == sold.bdt else new.tid
        steps.append(Step(proof.token(new, number), _A))
        changes |= {"tariff_rate": 77, "tid_newest": number}
    return ConformanceCase(
        "matrix", kind.name, state.name, store.name, clause, config, tuple(steps), before, changes
    )


def matrix(settings: Settings) -> Iterator[ConformanceCase]:
    """Give all rows of the matrix: each kind under both algorithms, the wide ones everywhere."""
    for state in KEY_STATES:
        every = state in (_EA07, _EA11)
        for kind in KINDS:
            if state.name in _LIKE_ANY:
                tried = kind.wide and kind.own == _A and kind.cls != 1
            elif state is _EA11 and kind.own == _FUNCTION:
                tried = kind.wide
            elif kind.cls == 1 or kind.raw:  # under no key: once is enough, but for a few
                tried = state is _EA07 or (kind.wide and state.sold is None and not kind.raw)
            elif state.sold is not None and state.name != _OTHER_KRN:
                tried = kind.name in _PLAIN  # nothing but the checksum can be told of it
            else:
                tried = kind.wide or every
            if tried:
                yield _case(kind, state, FRESH, settings)
        for change in CHANGES:
            some = change.sections == (1,) if state.sold is not None else change.wide
            if state.key.ea in change.eas and ((some and change.wide) or every):
                yield _change_case(change, state, FRESH, settings)
    for state in (_EA07, _EA11):
        for store in STORES[1:]:
            # EA11 decrypts otherwise, and is the same from there on: what is specific is enough.
            for kind in KINDS:
                some = kind.wide and (state is _EA07 or kind.name == KINDS[0].name)
                if some and _wanted(kind, store, settings):
                    yield _case(kind, state, store, settings)
            if store in (HALF, LOCKED, UNLOCKED, TAMPERED, BRIMFUL) and _wanted(
                KINDS[0], store, settings
            ):
                for change in CHANGES[:2]:
                    yield _change_case(change, state, store, settings)
    yield from _order(settings)
    yield from _stories(settings)


def _order(settings: Settings) -> Iterator[ConformanceCase]:
    """Give the rows in which two things are wrong: which is told is the standard's order."""
    states = {state.name: state for state in KEY_STATES}
    for name in ("default key (DDTK)", "key expired years ago (KEN)", _OTHER_KRN):
        for store in (TAKEN, OLD, BRIMFUL, TAMPERED):
            for kind in KINDS:
                state = states[name]
                if kind.wide and kind.has_tid and not (state.key.ken == 1 and store is TAKEN):
                    yield _case(kind, state, store, settings)


def _stories(settings: Settings) -> Iterator[ConformanceCase]:
    """Give the rows in which what came before decides."""
    key = Key()
    credit, tariff = KINDS[0], Kind("", 2, 2, fields={"rate": 5})
    clear = next(kind for kind in KINDS if kind.name == "clear credit, electricity")
    config = key.config(settings)
    at = key.tid
    same = {"tid_newest": at}

    def row(
        kind: str, store: str, clause: str, *steps: Step, before: tuple[Step, ...] = (),
        changes: Mapping[str, Any] | None = None, config: Mapping[str, Any] = config,
        name: str = _EA07.name,
    ) -> ConformanceCase:  # fmt: skip
        return ConformanceCase("matrix", kind, name, store, clause, config, steps, before, changes)

    full = config | {"credit_wh": settings.max_wh}
    yield row(
        "credit refused for overflow, keyed again", "credit cleared in between", _TIDS,
        Step(credit.token(key, at), TokenResult.OVERFLOW), Step(clear.token(key, at + 1), _A),
        Step(credit.token(key, at), _A),
        changes={"credit_wh": 500, "tid_newest": at + 1}, config=full,
    )  # fmt: skip
    sold = [_OTHER.token(key, at + 2 * n) for n in range(51)]
    yield row(
        "the first and the second of 51 tokens, keyed again", "the first pushed out by 50 others",
        _TIDS, Step(sold[0], TokenResult.OLD), Step(sold[1], TokenResult.USED),
        before=tuple(Step(token, _A) for token in sold), changes={},
    )  # fmt: skip
    yield row(
        "a token years ahead of the clock", FRESH.name, _TIDS,
        Step(credit.token(key, at + 5_000_000), _A),
        changes={"credit_wh": 500, "tid_newest": at + 5_000_000},
    )  # fmt: skip
    yield row(
        "tokens in any order", FRESH.name, _TIDS,
        *(Step(_OTHER.token(key, at + n), _A) for n in (8, 2, 6, 4)),
        changes={"credit_wh": 400, "tid_newest": at + 8},
    )  # fmt: skip
    change = _set_of(_NEXT, key, new := _changed(key, _NEXT))
    both = (Step(change[1], TokenResult.KCT1), Step(change[2], _A))
    new_key = {"krn": new.krn, "ti": new.ti, "ken": new.ken}
    yield row(
        "key change with a credit token in between", FRESH.name, _KEY_CHANGE,
        both[0], Step(credit.token(key, at), _A), both[1],
        changes=new_key | same | {"credit_wh": 500},
    )  # fmt: skip
    yield row(
        "credit sold before a key change, keyed after it", "after a key change", _AUTHENTICATION,
        Step(credit.token(key, at), _CRC), before=both, changes={},
    )  # fmt: skip
    yield row(
        "first section of a key change that is done", "after a key change", _AUTHENTICATION,
        Step(change[1], _CRC), before=both, changes={},
    )  # fmt: skip
    yield row(
        "credit of a minute used under the old key (RO 0)", "after a key change", _TIDS,
        Step(credit.token(new, at), TokenResult.USED),
        before=(Step(tariff.token(key, at), _A), *both), changes={},
    )  # fmt: skip
    rolled = ChangeKind("", ro=True)
    anew = _set_of(rolled, key, new)
    yield row(
        "credit of a minute used under the old key (RO 1)", "after a rollover", _TIDS,
        Step(credit.token(new, at), _A),
        before=(
            Step(tariff.token(key, at), _A), Step(anew[1], TokenResult.KCT1), Step(anew[2], _A)
        ),
        changes={"credit_wh": 500, "tid_newest": at},
    )  # fmt: skip
    yield row(
        "credit under the new key", "after a key change and a restart", _KEY_CHANGE,
        Step(credit.token(new, at), _A), before=(*both, Step(do="restart")),
        changes=same | {"credit_wh": 500},
    )  # fmt: skip
    if settings.window_s is not None:
        late = TokenResult.NOT_READY if settings.ordered else TokenResult.KCT2
        yield row(
            "second section after the window", "half a key change pending", _MAKERS,
            Step(change[2], late),
            before=(both[0], Step(do="advance", seconds=settings.window_s + 1)),
            changes={} if settings.ordered else {"pending": (2,)},
        )  # fmt: skip
    lost = TokenResult.NOT_READY if settings.ordered else TokenResult.KCT2
    yield row(
        "second section after a restart", "half a key change pending", _MAKERS,
        Step(change[2], _A if settings.kept else lost),
        before=(both[0], Step(do="restart")),
        changes=new_key | {"pending": ()} if settings.kept
        else {} if settings.ordered else {"pending": (2,)},
    )  # fmt: skip
    expired = Key(ken=_KEN - 1)
    renewed = _changed(expired, _NEXT)
    leave = _set_of(_NEXT, expired, renewed)
    yield row(
        "key change of an expired key, then credit", FRESH.name, _KEY_CHANGE,
        Step(leave[1], TokenResult.KCT1), Step(leave[2], _A),
        Step(credit.token(renewed, at), _A),
        changes={"krn": renewed.krn, "ti": renewed.ti, "ken": renewed.ken, "credit_wh": 500}
        | same,
        config=expired.config(settings), name="expired key (KEN)",
    )  # fmt: skip
