"""The tables of the meter's record and of its tick, byte by byte."""

import re
import struct
from collections.abc import Iterable, Sequence

from _site.tables import head, row
from jeton import events, state

# What each field of the record is. A new field needs a line here: a test checks that.
MEANINGS = {
    "credit_wh": "credit register, Wh",
    "charged_wh": "energy paid from the register, Wh",
    "total_wh": "total consumption, Wh",
    "rest_ws": "consumption below 1 Wh that is not yet counted, Ws",
    "load_w": "load, W",
    "clock": "time of the save, s since 2000-01-01 UTC",
    "provisioned": "1: the meter has a key",
    "drn": "meter number, 11 or 13 digits",
    "profile": "name of the profile",
    "language": "language of the display; empty: the first that the display can draw",
    "rows": "rows of the display",
    "cols": "columns of the display",
    "graphic": "1: a display of dots, which can draw every script",
    "ea": "encryption algorithm, 7 or 11",
    "sample_tables": "1: sample tables of EA07",
    "decoder_key": "decoder key; 8 bytes with EA07, then zeros",
    "kt": "key type",
    "krn": "key revision number",
    "ti": "tariff index",
    "ken": "key expiry number",
    "sgc": "supply group code",
    "bdt": "base date 93, 14 or 35; 0: unknown",
    "kct": "key change tokens that the meter supports",
    "mfr_code": "maker code",
    "tids": "the 50 token identifiers, 3 bytes each, big-endian, smallest first",
    "initial_wh": "ledger: credit of the new meter, Wh",
    "tokens_wh": "ledger: credit tokens, Wh",
    "advances_wh": "ledger: advances, Wh",
    "emergency_wh": "ledger: emergency credit, Wh",
    "recovered_wh": "ledger: repaid from tokens, Wh",
    "cleared_wh": "ledger: removed by ClearCredit, Wh",
    "emergency_debt_wh": "emergency credit still to repay, Wh",
    "advance_debt_wh": "advance still to repay, Wh",
    "warned": "bits: 1 low credit, 2 alarm, 4 the alarm is silenced; the second byte is unused",
    "unbalance_w": "phase unbalance of the load, W",
    "load_from": "start of the load steps, s; negative after the clock was set back before 2000",
    "load_repeat_s": "period of the load steps, s; 0: once",
    "day": "day that is counted now, days since 2000-01-01",
    "day_from_wh": "total consumption at the begin of the day, Wh",
    "month_from_wh": "total consumption at the begin of the month, Wh",
    "days": "31 closed days: day number (u16), Wh (u32)",
    "months": "13 closed months: 12 * year + month - 1 (u16), Wh (u32)",
    "max_power_limit_w": "power limit, W; 0: none",
    "phase_unbalance_limit_w": "limit of the phase unbalance, W; 0: none",
    "tariff_rate": "value of the last tariff token",
    "tamper": "1: cover opened, 2: magnetic field",
    "switch_closed": "1: the load switch is closed",
    "switch_reason": "number of the reason of its state",
    "hold": "what holds it open: bit 0 no credit, 1 over power, 2 locked after trips, 3 tamper, "
    "4 unbalance, 5 waits for a key, 6 the store fails",
    "trips": "trips that count towards the lock",
    "reconnect_at": "when it closes again, s; 0: not planned",
    "reconnected": "when it was last reconnected, s",
    "result": "number of the last result",
    "sections": "four sections of an incomplete key change, 8 bytes each, where the profile keeps "
    "them over a power cut",
    "sections_from": "when the first of them came, s",
    "last_token": "digits of the last credit token",
    "last_tid": "its token identifier",
    "bought": "number of accepted credit tokens",
    "lock_count": "wrong tokens that count",
    "lock_until": "end of the lock-out, s; 0: none",
    "lock_first": "time of the first of the wrong tokens, s",
    "power_fails": "number of starts",
    "event_seq": "number of the last event",
    "report_seq": "number of the last fault report",
    "report_done": "number of the last acknowledged fault report",
    "report_lost": "fault reports for which there was no room",
    "lock": "unlock code: salt (16 bytes), hash (32), wrong codes (u8), time until which no code "
    "is taken (u32); zeros: not locked",
    "former_keys": "the last three decoder keys before this one, newest first; a token of one of "
    "them is no wrong token",
    "zone": "time zone, quarters of an hour east of UTC (i8), then the rule for daylight saving "
    "time: month, week (5: the last), weekday (0: Monday) and quarter of an hour of the standard "
    "time, for its beginning and its end; zeros: none",
}
_CODE = re.compile(r"\d*[a-zA-Z]x?")  # one field in a format of `struct`
_TYPES = {"B": "u8", "H": "u16", "I": "u32", "Q": "u64", "q": "i64", "i": "i32"}


def _rows(packed: str, at: int, described: Iterable[tuple[str, str]]) -> str:
    """Return a row for each packed field from offset `at`; `described`: its name and meaning."""
    found = ""
    codes = _CODE.findall(packed)
    for (name, meaning), code in zip(described, codes, strict=True):
        size = struct.calcsize("<" + code)
        kind = "bytes" if code.endswith("s") else _TYPES[code.rstrip("x")]
        found += row(at, size, kind, name, meaning)
        at += size
    return found


def _fields(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"`{name}`", MEANINGS.get(name, "**not described**")) for name in names]


def record_table() -> str:
    """Return the head and the fields of a record, by offset."""
    found = head("offset", "bytes", "type", "field", "meaning")
    meanings = (
        f"the characters {state.MAGIC.decode()}",
        f"version of the format: {state.VERSION}",
        "CRC-32 of all bytes after this field",
        "epoch: one more each time the record is written",
    )
    found += _rows(state.HEAD, 0, [("", meaning) for meaning in meanings])
    return found + _rows(state.FORMAT, state.TICK_START, _fields(state.FIELDS))


def rings_table() -> str:
    """Return what follows the fields of a record."""
    entry = struct.calcsize(events.ENTRY)
    about = {
        "events": (entry, "the event log; the meter reads the last 100"),
        "reports": (entry, "fault reports that wait; at most 32"),
        "history": (8, "the last 50 credit tokens: time (u32), Wh (u32)"),
    }
    found = head("offset", "bytes", "ring", "entries", "meaning")
    at = state.SIZE
    for name, size in state.RINGS:
        each, meaning = about[name]
        found += row(at, size, f"`{name}`", f"{size // each} of {each} bytes", meaning)
        at += size
    return found + row(
        at, "0 to 2048", "`load_steps`", "up to 256 of 8 bytes",
        "steps of the load: seconds (u32), W (u32)",
    )  # fmt: skip


def tick_table() -> str:
    """Return the bytes of a tick."""
    found = head("offset", "bytes", "type", "field", "meaning")
    meanings = (
        "CRC-32 of all bytes after this field; the calculation begins with the CRC of the record",
        "epoch of the record that the tick belongs to",
        "sequence number, one more for each tick of that record",
    )
    start = struct.calcsize(state.TICK_HEAD)
    count = len(_CODE.findall(state.TICK_FORMAT))
    found += _rows(state.TICK_HEAD, 0, [("", meaning) for meaning in meanings])
    return found + _rows(state.TICK_FORMAT, start, _fields(state.FIELDS[:count]))
