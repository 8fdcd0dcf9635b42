"""The answers of a board as typed values."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from typing import Any, TypeVar

from jeton.sts.results import GOOD, NAMES
from jeton.sts.results import TokenResult as _Numbers
from jeton_host.errors import BoardError

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class TokenResult(IntEnum):
    """The result of a token, with the names of IEC 62055-41 and the numbers of the board.

    `ACCEPT` and `KCT1` to `KCT4` are good; all others refuse the token.
    """

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
        """Return the name in the standard, such as UsedError."""
        return NAMES[self]

    @property
    def good(self) -> bool:
        """Return whether the token was accepted, also as a section of a key change."""
        return self in GOOD


# A model of the flash of an ESP32, in ms: each operation and each byte costs time. It is between
# what was measured on an emulated chip for reads of up to 128 bytes (0.08 to 0.175 ms) and
# programs of 128 bytes (0.4 to 0.7 ms). Of longer ones only the transfer is added: reads at
# 10 MB/s (two lines at 40 MHz), programs at the 0.3 ms and 2 us a byte that give 0.55 ms for 128.
_READ_MS, _READ_BYTE_MS = 0.115, 0.0001
_PROGRAM_MS, _PROGRAM_BYTE_MS = 0.3, 0.002
_ERASE_MS = 45.0  # of 4 KB, typical


@dataclass(frozen=True)
class FlashCounts:
    """What a virtual board has done with its flash since its start, or between two moments.

    Two counts can be subtracted.

    Attributes:
        reads: Read operations.
        bytes_read: The bytes of these.
        programs: Program operations: writes of erased bytes.
        bytes_programmed: The bytes of these.
        erases: Erased blocks of 4 KB.
    """

    reads: int
    bytes_read: int
    programs: int
    bytes_programmed: int
    erases: int

    def __sub__(self, before: "FlashCounts") -> "FlashCounts":
        pairs = zip(_numbers(self), _numbers(before), strict=True)
        return FlashCounts(*(now - then for now, then in pairs))

    @property
    def chip_ms(self) -> float:
        """Return the time that the flash of an ESP32 would take, in ms, by the model above.

        docs/measured/performance.md describes the model.
        """
        return (
            self.reads * _READ_MS
            + self.bytes_read * _READ_BYTE_MS
            + self.programs * _PROGRAM_MS
            + self.bytes_programmed * _PROGRAM_BYTE_MS
            + self.erases * _ERASE_MS
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and the chip's time for --json."""
        named = dict(zip((one.name for one in fields(self)), _numbers(self), strict=True))
        return {**named, "chip_ms": round(self.chip_ms, 1)}


def _numbers(counts: FlashCounts) -> tuple[int, ...]:
    return tuple(getattr(counts, one.name) for one in fields(counts))


def moment(seconds: int) -> datetime:
    """Return the UTC time of a board time (seconds since 2000-01-01)."""
    return EPOCH + timedelta(seconds=seconds)


def seconds_of(when: datetime) -> int:
    """Return a time as board time (seconds since 2000-01-01); a time without a zone is UTC."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - EPOCH) // timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the record of a meter, for `explain`. It contains the meter's key: keep it safe.

    Attributes:
        at: The meter's time, in seconds since 2000.
        fields: The fields of the record, packed by the table of the firmware.
        tids: The identifiers of the tokens that the meter has accepted.
        sections: The pending sections of a key change: number -> fields.
        deadline: The time at which they are dropped, None if they are kept.
    """

    at: int
    fields: bytes = field(repr=False)
    tids: bytes = field(repr=False)
    sections: Mapping[int, Mapping[str, int]] = field(repr=False)
    deadline: int | None = None


def snapshot_of(answer: Mapping[str, Any]) -> Snapshot:
    """Return the snapshot in what `firmware/remote/record.py` prints."""
    return Snapshot(
        answer["at"],
        bytes.fromhex(answer["fields"]),
        bytes.fromhex(answer["tids"]),
        {int(number): fields for number, fields in answer["sections"].items()},
        answer["deadline"],
    )


@dataclass(frozen=True, slots=True)
class Display:
    """The text on the display of a meter.

    Attributes:
        rows: The number of lines of the display.
        cols: The number of characters in a line.
        lines: The text, one string per line.
        flash: Whether the text flashes, as a result does on some meters.
    """

    rows: int
    cols: int
    lines: tuple[str, ...]
    flash: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the values in the form in which the board sent them."""
        return {
            "rows": self.rows,
            "cols": self.cols,
            "lines": list(self.lines),
            "flash": self.flash,
        }


@dataclass(frozen=True, slots=True)
class EnterResult:
    """The result of one token.

    Attributes:
        result: The result as a value of the enumeration.
        name: The name of the result in the standard, such as UsedError.
        token: The name of the kind of token, such as TransferCredit; None if the token could not
            be decrypted. The same is true of `token_class`, `subclass` and `tid`.
        token_class: The class of the token, 0 to 3.
        subclass: The subclass of the token, 0 to 15.
        tid: The token identifier, in minutes since the base date; None also for a kind of token
            without one.
        amount_wh: The energy of the token in Wh; None if the token has no amount.
        missing: The numbers of the sections of a key change that have not been entered yet.
        display: The lines that the display shows afterwards.
        message: The result as the meter's profile words it; empty if the board did not send it.
        repaid_wh: The part of `amount_wh` that repaid emergency credit.
        recovered_wh: The part of `amount_wh` that repaid advances of the utility.
        earlier: If several tokens were entered at once, the results of those before this one; this
            one is the last.
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
        """Return whether the token was accepted."""
        return self.result.good

    def as_dict(self) -> dict[str, Any]:
        """Return the values in the form in which the board sent them."""
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
    """The display after some keys, and the result of the last token that they completed.

    Attributes:
        display: The lines that the display shows afterwards.
        result: The result of the last completed token, None if the keys completed none. Its
            `earlier` contains the results of the tokens before it.
    """

    display: tuple[str, ...]
    result: EnterResult | None

    def as_dict(self) -> dict[str, Any]:
        """Return the values in the form in which the board sent them."""
        return {
            "display": list(self.display),
            "result": self.result.as_dict() if self.result else None,
            "earlier": [before.as_dict() for before in self.result.earlier] if self.result else [],
        }


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the event log, or one fault report.

    Attributes:
        seq: The number of the entry; it grows by 1 with each entry.
        time: The meter's time of the event, in UTC.
        kind: The kind of event, such as "token" or "switch_opened".
        details: The values that belong to this kind of event, by name.
    """

    seq: int
    time: datetime
    kind: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the values and details in one dict, with the time in ISO 8601."""
        head = {"seq": self.seq, "time": self.time.isoformat(), "kind": self.kind}
        return head | dict(self.details)


@dataclass(frozen=True, slots=True)
class Status:
    """Registers, key attributes and states of a meter; never a key.

    Times are UTC, energy is in Wh, power in W.

    Attributes:
        clock: The meter's time.
        provisioned: Whether the meter is set up.
        fault: What is wrong with the meter or its storage, None if nothing is.
        profile: The name of the meter's profile, None if it has none.
        drn: The decoder reference number (meter number).
        ea: The encryption algorithm: 7 or 11.
        kct: The number of tokens of a key change that the meter supports.
        krn: The key revision number.
        kt: The key type, 0 to 3.
        ti: The tariff index.
        sgc: The supply group code, 6 digits.
        ken: The key expiry number.
        bdt: The base date of TIDs: "93", "14" or "35"; None if a key change has set a base date
            that the meter does not know.
        credit_wh: The credit; negative where the profile allows it.
        total_wh: The energy used since the meter was set up.
        emergency_debt_wh: Emergency credit that is not repaid yet.
        advance_debt_wh: Advances of the utility that are not repaid yet.
        low_credit: Whether the credit is below the profile's warning level.
        alarm: Whether the buzzer sounds because of low credit.
        emergency: Whether emergency credit can be taken now.
        load_w: The power of the connected load.
        load_steps: The number of steps of a load profile, 0 for a constant load.
        power_w: The power through the meter: `load_w` while the switch is closed, else 0.
        switch: The load switch: "closed" or "open".
        switch_reason: Why the switch is in this position, such as "no_credit" or "over_power".
        trips: The number of times the switch has tripped in a row.
        reconnect_at: When the switch closes again by itself, None if it does not.
        lock_until: Until when the keypad accepts no token after too many wrong ones, None if it
            accepts them.
        max_power_limit_w: The power limit; 0 is no limit.
        phase_unbalance_limit_w: The limit for the difference between phases; 0 is no limit.
        tariff_rate: The tariff rate that a token has set.
        tamper: Whether the meter is in the tampered state.
        result: The number of the last result, see `TokenResult`.
        result_name: The name of the last result, such as UsedError.
        pending: The numbers of the sections of a key change that have been entered so far.
        tid_newest: The newest TID in the memory of used tokens.
        tid_oldest: The oldest TID in that memory; older tokens are refused.
        rate: Seconds that the meter's clock advances in one real second; 0 is a stopped clock.
        missing: The numbers of the sections that an incomplete key change still needs.
        timezone: The meter's time zone, such as "+01:00"; with " DST" if it has a rule for
            daylight saving time.
        utc_offset_s: The seconds between UTC and the meter's local time now.
    """

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
    missing: tuple[int, ...] = ()
    timezone: str = "+00:00"
    utc_offset_s: int = 0

    @property
    def local_time(self) -> datetime:
        """Return the meter's time in its own time zone."""
        return self.clock.astimezone(timezone(timedelta(seconds=self.utc_offset_s)))

    def as_dict(self) -> dict[str, Any]:
        """Return the values in a dict, with times in ISO 8601."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("clock", "reconnect_at", "lock_until"):
            values[name] = values[name].isoformat() if values[name] else None
        return values | {"pending": list(self.pending), "missing": list(self.missing)}


@dataclass(frozen=True, slots=True)
class Ledger:
    """The amounts that make up the credit, and the debts, all in Wh.

    Always: initial + tokens + advances + emergency - charged - recovered - cleared = credit, and
    the energy used = charged + uncharged.

    Attributes:
        initial_wh: The credit with which the meter was set up.
        tokens_wh: The sum of all credit tokens.
        advances_wh: The sum of all advances of the utility.
        emergency_wh: The sum of all emergency credit taken.
        charged_wh: The energy that was charged to the credit.
        recovered_wh: The part of the tokens that repaid emergency credit and advances.
        cleared_wh: The credit removed by ClearCredit tokens.
        credit_wh: The credit now.
        emergency_debt_wh: Emergency credit that is not repaid yet.
        advance_debt_wh: Advances that are not repaid yet.
        uncharged_wh: The energy that was used while the credit was at its lowest allowed value.
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
        """Return the values in the form in which the board sent them."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Emergency:
    """The answer to a request for emergency credit.

    Attributes:
        taken: Whether the emergency credit was added to the credit.
        reason: Why it was not: "none" (this meter has none), "used" (not repaid yet),
            "not_needed" (there is enough credit) or "debt" (a debt would use all of it); None if
            it was taken.
        ledger: The amounts that make up the credit afterwards.
    """

    taken: bool
    reason: str | None
    ledger: Ledger

    def as_dict(self) -> dict[str, Any]:
        """Return the values in the form in which the board sent them."""
        return {"taken": self.taken, "reason": self.reason, "ledger": self.ledger.as_dict()}


@dataclass(frozen=True, slots=True)
class History:
    """The energy used per day and per month, oldest first.

    The last day and the last month are not over yet.

    Attributes:
        days: Date such as "2025-05-08" -> Wh.
        months: Month such as "2025-05" -> Wh.
        timezone: The time zone whose midnight ends a day, as in `Status`.
    """

    days: Mapping[str, int]
    months: Mapping[str, int]
    timezone: str = "+00:00"

    def as_dict(self) -> dict[str, Any]:
        """Return two lists, `days` and `months`, of dicts with date or month, and the zone."""
        return {
            "timezone": self.timezone,
            "days": [{"date": date, "wh": wh} for date, wh in self.days.items()],
            "months": [{"month": month, "wh": wh} for month, wh in self.months.items()],
        }


@dataclass(frozen=True, slots=True)
class Led:
    """The state of the pulse LED and the supply LED.

    Attributes:
        pulses: The number of pulses since the meter was set up.
        pulses_per_kwh: The number of pulses for one kWh.
        supply: Whether the supply LED is lit: the switch is closed.
    """

    pulses: int
    pulses_per_kwh: int
    supply: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the values in the form in which the board sent them."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Info:
    """The board and its firmware.

    Attributes:
        firmware: The version of the firmware.
        board: The name of the board, such as "esp32_lcd2004".
        provisioned: Whether the meter is set up.
        profile: The name of the meter's profile; None before the meter is set up.
        drn: The decoder reference number (meter number).
        interpreter: The name and version of the interpreter.
        mem_free: The free heap in bytes.
        mem_used: The heap in use in bytes.
        faults: Part that does not work -> what is wrong with it.
    """

    firmware: str
    board: str
    provisioned: bool
    profile: str | None
    drn: str
    interpreter: str
    mem_free: int
    mem_used: int
    faults: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the values in the form in which the board sent them."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a board with parts has read from its pins and written to its display so far.

    Objects with the methods of `Wires` wait until these values show that the board has processed
    a key or has drawn the display.

    Attributes:
        keys_taken: The number of keys that the meter has processed, modulo 32.
        keys_down: The keys that are pressed now.
        step_ms: The board's own time in ms at which it processed its parts last.
        draws: Whether a part of the display is not drawn yet.
    """

    keys_taken: int
    keys_down: str
    step_ms: int
    draws: bool


_T = TypeVar("_T", Status, Info, Ledger, Led)


def from_answer(kind: type[_T], value: Any, **changed: Any) -> _T:
    """Return a board's answer as a dataclass; values that only newer firmware sends are ignored.

    `changed` are fields that are already converted. BoardError if a field without default is
    missing.
    """
    try:
        known = {
            item.name: value[item.name]
            for item in fields(kind)
            if item.name not in changed and (item.default is MISSING or item.name in value)
        }
        return kind(**known, **changed)
    except (KeyError, TypeError):
        raise BoardError(
            f"the board's firmware does not fit this version of Jeton: its "
            f"{kind.__name__.lower()} is {value!r}"
        ) from None


def enter_result(value: Mapping[str, Any]) -> EnterResult:
    """Return the result of a token from the answer of the board."""
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
    """Return log entries or fault reports from the answer of the board."""
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
    """Return the status from the answer of the board."""
    changed: dict[str, Any] = {}
    try:
        changed = {"clock": moment(value["clock"]), "pending": tuple(value["pending"])}
        changed["missing"] = tuple(value.get("missing", ()))  # older firmware does not send it
        for name in ("reconnect_at", "lock_until"):
            changed[name] = None if value[name] is None else moment(value[name])
    except (KeyError, TypeError):
        changed = {}
    return from_answer(Status, value, **changed)
