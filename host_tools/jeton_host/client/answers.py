"""The board's answers as typed values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, TypeVar

from jeton.sts.results import GOOD, NAMES
from jeton.sts.results import TokenResult as _Numbers
from jeton_host.errors import BoardError

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class TokenResult(IntEnum):
    """What became of a token; the numbers are the board's."""

    ACCEPT = _Numbers.ACCEPT
    KCT1 = _Numbers.KCT1
    KCT2 = _Numbers.KCT2
    OVERFLOW = _Numbers.OVERFLOW
    KEY_TYPE = _Numbers.KEY_TYPE
    FORMAT = _Numbers.FORMAT
    RANGE = _Numbers.RANGE
    FUNCTION = _Numbers.FUNCTION
    OLD = _Numbers.OLD
    USED = _Numbers.USED
    KEY_EXPIRED = _Numbers.KEY_EXPIRED
    DDTK = _Numbers.DDTK
    CRC = _Numbers.CRC
    MFR_CODE = _Numbers.MFR_CODE
    LOCK_OUT = _Numbers.LOCK_OUT
    NOT_READY = _Numbers.NOT_READY
    KCT3 = _Numbers.KCT3
    KCT4 = _Numbers.KCT4

    @property
    def standard_name(self) -> str:
        """Return the standard's name, such as UsedError."""
        return NAMES[self]

    @property
    def good(self) -> bool:
        """Return whether the token did its work, a section of a key change included."""
        return self in GOOD


def moment(seconds: int) -> datetime:
    """Return the UTC time of the board's seconds since 2000-01-01."""
    return EPOCH + timedelta(seconds=seconds)


def seconds_of(when: datetime) -> int:
    """Return a time as the board counts it; without a zone it is UTC."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - EPOCH) // timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Display:
    """What the display shows: `rows` lines of `cols` characters."""

    rows: int
    cols: int
    lines: tuple[str, ...]
    flash: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {
            "rows": self.rows,
            "cols": self.cols,
            "lines": list(self.lines),
            "flash": self.flash,
        }


@dataclass(frozen=True, slots=True)
class EnterResult:
    """What became of one token.

    `token`, `token_class`, `subclass` and `tid` are None where the token could not be decrypted;
    `missing` lists the sections of a key change set that are still to come. Of `amount_wh`
    `repaid_wh` went to emergency credit and `recovered_wh` to advances of the utility. Of several
    tokens that were entered in one go this is the last, and `earlier` has those before it.
    """

    result: TokenResult
    name: str
    token: str | None
    token_class: int | None
    subclass: int | None
    tid: int | None
    amount_wh: int | None
    missing: tuple[int, ...]
    display: tuple[str, ...]
    message: str = ""
    repaid_wh: int = 0
    recovered_wh: int = 0
    earlier: tuple["EnterResult", ...] = ()

    @property
    def good(self) -> bool:
        """Return whether the token did its work."""
        return self.result.good

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {
            "result": int(self.result),
            "name": self.name,
            "token": self.token,
            "class": self.token_class,
            "subclass": self.subclass,
            "tid": self.tid,
            "amount_wh": self.amount_wh,
            "repaid_wh": self.repaid_wh,
            "recovered_wh": self.recovered_wh,
            "missing": list(self.missing),
            "message": self.message,
            "display": list(self.display),
        }


@dataclass(frozen=True, slots=True)
class PressResult:
    """The display after some keys, and what the last token they completed came to."""

    display: tuple[str, ...]
    result: EnterResult | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {
            "display": list(self.display),
            "result": self.result.as_dict() if self.result else None,
            "earlier": [before.as_dict() for before in self.result.earlier] if self.result else [],
        }


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log; `details` is what its kind adds."""

    seq: int
    time: datetime
    kind: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it with the time as ISO 8601."""
        head = {"seq": self.seq, "time": self.time.isoformat(), "kind": self.kind}
        return head | dict(self.details)


@dataclass(frozen=True, slots=True)
class Status:
    """Registers, key attributes and states of a meter; never a key."""

    clock: datetime
    provisioned: bool
    fault: str | None
    profile: str | None
    drn: str
    ea: int
    kct: int
    krn: int
    kt: int
    ti: int
    sgc: str
    ken: int
    bdt: str | None
    credit_wh: int
    total_wh: int
    emergency_debt_wh: int
    advance_debt_wh: int
    low_credit: bool
    alarm: bool
    emergency: bool
    load_w: int
    load_steps: int
    power_w: int
    switch: str
    switch_reason: str
    trips: int
    reconnect_at: datetime | None
    lock_until: datetime | None
    max_power_limit_w: int | None
    phase_unbalance_limit_w: int | None
    tariff_rate: int | None
    tamper: bool
    result: int
    result_name: str
    pending: tuple[int, ...]
    tid_newest: int
    tid_oldest: int
    rate: int

    def as_dict(self) -> dict[str, Any]:
        """Return it with times as ISO 8601."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("clock", "reconnect_at", "lock_until"):
            values[name] = values[name].isoformat() if values[name] else None
        return values | {"pending": list(self.pending)}


@dataclass(frozen=True, slots=True)
class Ledger:
    """What makes up the credit, and what is owed.

    initial + tokens + advances + emergency - charged - recovered - cleared = credit, always. What
    flowed when the register was as low as it goes is `uncharged_wh`: energy = charged + uncharged.
    """

    initial_wh: int
    tokens_wh: int
    advances_wh: int
    emergency_wh: int
    charged_wh: int
    recovered_wh: int
    cleared_wh: int
    credit_wh: int
    emergency_debt_wh: int
    advance_debt_wh: int
    uncharged_wh: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Emergency:
    """Whether emergency credit was taken, else why not: none, used, not_needed or debt."""

    taken: bool
    reason: str | None
    ledger: Ledger

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {"taken": self.taken, "reason": self.reason, "ledger": self.ledger.as_dict()}


@dataclass(frozen=True, slots=True)
class History:
    """Wh by day ("2025-05-08") and month ("2025-05"), oldest first; the last is counted still."""

    days: Mapping[str, int]
    months: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return it as two lists."""
        return {
            "days": [{"date": date, "wh": wh} for date, wh in self.days.items()],
            "months": [{"month": month, "wh": wh} for month, wh in self.months.items()],
        }


@dataclass(frozen=True, slots=True)
class Led:
    """The pulses of the LED since the meter began, and whether the supply LED is lit."""

    pulses: int
    pulses_per_kwh: int
    supply: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Info:
    """What the board is."""

    firmware: str
    board: str
    provisioned: bool
    profile: str
    drn: str
    interpreter: str
    mem_free: int
    mem_used: int
    faults: dict[str, str] = field(default_factory=dict)  # part that is missing -> what is wrong

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a board with parts has seen at its pins and done there: what wires wait for."""

    keys_taken: int  # by the meter, modulo 32
    keys_down: str
    step_ms: int  # when it looked after its parts last, by the board's own milliseconds
    draws: bool  # not all of its display is drawn


_T = TypeVar("_T", Status, Info, Ledger, Led)


def from_answer(kind: type[_T], value: Any, **changed: Any) -> _T:
    """Return a dataclass of the board's answer; what newer firmware adds is left out."""
    try:
        known = {item.name: value[item.name] for item in fields(kind) if item.name not in changed}
        return kind(**known, **changed)
    except (KeyError, TypeError):
        raise BoardError(
            f"the board's firmware does not fit this version of Jeton: its "
            f"{kind.__name__.lower()} is {value!r}"
        ) from None


def enter_result(value: Mapping[str, Any]) -> EnterResult:
    """Return what became of a token, from the answer of the board."""
    return EnterResult(
        result=TokenResult(value["result"]),
        name=value["name"],
        token=value["token"],
        token_class=value["class"],
        subclass=value["subclass"],
        tid=value["tid"],
        amount_wh=value["amount_wh"],
        missing=tuple(value["missing"]),
        display=tuple(value["display"]),
        message=value.get("message", ""),
        repaid_wh=value.get("repaid_wh", 0),
        recovered_wh=value.get("recovered_wh", 0),
        earlier=tuple(
            enter_result(before | {"display": []}) for before in value.get("earlier", ())
        ),
    )


def event_list(values: list[dict[str, Any]]) -> list[Event]:
    """Return the entries of the log, from the answer of the board."""
    return [
        Event(
            value["seq"],
            moment(value["time"]),
            value["kind"],
            {k: v for k, v in value.items() if k not in ("seq", "time", "kind")},
        )
        for value in values
    ]


def status_from_answer(value: Any) -> Status:
    """Return registers and states, from the answer of the board."""
    changed: dict[str, Any] = {}
    try:
        changed = {"clock": moment(value["clock"]), "pending": tuple(value["pending"])}
        for name in ("reconnect_at", "lock_until"):
            changed[name] = None if value[name] is None else moment(value[name])
    except (KeyError, TypeError):
        changed = {}
    return from_answer(Status, value, **changed)
