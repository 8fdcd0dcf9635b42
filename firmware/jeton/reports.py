"""Reads the event log and the fault reports that the utility has not acknowledged yet.

Imported only when the log is read or a fault occurs, to save heap.
"""

import struct

from . import events
from .sts.results import NAMES
from .values import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import State

KINDS = (
    "none",
    "provisioned",
    "power_up",
    "token",
    "key_changed",
    "key_change_forgotten",
    "switch_opened",
    "switch_closed",
    "tamper",
    "clock_set",
    "power_down",
    "low_credit",
    "alarm",
    "emergency",
    "advance",
    "trip",
    "reconnected",
    "locked_out",
    "limit",
    "unbalance",
    "lost",
)
# The key of an event's value, by kind; `_described` handles the other kinds.
_VALUES = {
    events.CLOCK_SET: "moved_s",
    events.LOW_CREDIT: "credit_wh",
    events.ALARM: "credit_wh",
    events.EMERGENCY: "amount_wh",
    events.ADVANCE: "amount_wh",
    events.TRIP: "power_w",
    events.LIMIT: "limit_w",
    events.UNBALANCE: "power_w",
    events.LOCKED_OUT: "seconds",
    events.LOST: "count",
}


def _described(ring, slots, seq, reasons):
    """Return entry number `seq` (from 1) of a ring as a dictionary."""
    slot = (seq - 1) % slots * events.BYTES
    time, kind, code, detail, value = struct.unpack(events.ENTRY, ring[slot : slot + events.BYTES])
    event = {"seq": seq, "time": time, "kind": KINDS[kind]}
    if kind in _VALUES:
        event[_VALUES[kind]] = value
    if kind == events.TOKEN:
        event["result"] = code
        event["name"] = NAMES[code]
        if detail != events.NO_TOKEN:
            event["class"] = detail >> 4
            event["subclass"] = detail & 15
        event["amount_wh"] = value
    elif kind == events.KEY_CHANGED:
        event["krn"] = code
        event["rollover"] = bool(value)
    elif kind in (events.SWITCH_OPENED, events.SWITCH_CLOSED):
        event["reason"] = reasons[code]
    elif kind == events.TAMPER:
        event["on"] = bool(value)
    elif kind == events.TRIP:
        event["trips"] = code
    elif kind == events.LOCKED_OUT:
        event["wrong"] = code
    return event


def since(state: "State", after, reasons, most=events.SLOTS):
    """Return the oldest `most` of the events with a number above `after`, as dictionaries.

    Numbers start at 1 and never repeat. `reasons` names the switching reasons by number.
    """
    first = max(after, state.event_seq - events.SLOTS, 0) + 1
    return [
        _described(state.events, events.LOG_SLOTS, seq, reasons)
        for seq in range(first, min(first + most - 1, state.event_seq) + 1)
    ]


def pending(state: "State", reasons=()):
    """Return the faults not acknowledged yet, oldest first, as dictionaries.

    Reading removes nothing. Each fault has its own number, which is never used again, so that a
    reader that was disconnected before it acknowledged recognises faults already read.
    """
    return [
        _described(state.reports, events.QUEUE_SLOTS, seq, reasons)
        for seq in range(state.report_done + 1, state.report_seq + 1)
    ]


def acknowledge(state: "State", seq, now):
    """Remove the faults up to number `seq`; return how many are left.

    A number acknowledged before changes nothing: its answer may have been lost. Raise ValueError
    for a number that no fault has had.
    """
    if type(seq) is not int or seq < 0 or seq > state.report_seq:
        raise ValueError(
            "no fault report %s to acknowledge; the last is %d" % (shown(seq), state.report_seq)
        )
    state.report_done = max(state.report_done, seq)
    if state.report_lost and state.report_seq - state.report_done < events.REPORT_SLOTS:
        lost, state.report_lost = state.report_lost, 0
        events.queue(state, now, events.LOST, lost)
    return state.report_seq - state.report_done
