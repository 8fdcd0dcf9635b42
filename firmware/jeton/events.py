"""The event log: a ring of fixed entries inside the meter's record, each with its time.

A token's event keeps what became of it, never its digits.
"""

import struct

from .sts.results import NAMES

SLOTS = 100
_ENTRY = "<IBBHi"
_OCTETS = struct.calcsize(_ENTRY)
RING_OCTETS = SLOTS * _OCTETS

# Kind numbers are stored: append only.
PROVISIONED = 1
POWER_UP = 2
TOKEN = 3
KEY_CHANGED = 4
KEY_CHANGE_FORGOTTEN = 5
SWITCH_OPENED = 6
SWITCH_CLOSED = 7
TAMPER = 8
CLOCK_SET = 9

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
)


def record(state, now, kind, code=0, detail=0, value=0):
    """Write one event into the ring of `state`.

    `code` (8 bits): the TokenResult of a token, the reason of a switching, the new KRN. `detail`
    (16 bits): class << 4 | subclass of a token. `value` (signed 32 bits): Wh, W or seconds.
    """
    slot = state.event_seq % SLOTS
    entry = struct.pack(_ENTRY, now, kind, code, detail, value)
    ring = state.events
    state.events = ring[: slot * _OCTETS] + entry + ring[(slot + 1) * _OCTETS :]
    state.event_seq += 1


def last_kind(state):
    """Return the kind of the latest event, 0 if there is none."""
    if not state.event_seq:
        return 0
    return state.events[(state.event_seq - 1) % SLOTS * _OCTETS + 4]


def since(state, after, reasons):
    """Return the kept events with a number above `after`, oldest first, as dictionaries.

    Numbers start at 1 and never repeat. `reasons` names the switching reasons by number.
    """
    found = []
    for seq in range(max(after, state.event_seq - SLOTS, 0), state.event_seq):
        slot = seq % SLOTS
        time, kind, code, detail, value = struct.unpack(
            _ENTRY, state.events[slot * _OCTETS : (slot + 1) * _OCTETS]
        )
        event = {"seq": seq + 1, "time": time, "kind": KINDS[kind]}
        if kind == TOKEN:
            event["result"] = code
            event["name"] = NAMES[code]
            if detail != NO_TOKEN:
                event["class"] = detail >> 4
                event["subclass"] = detail & 15
            event["amount_wh"] = value
        elif kind == KEY_CHANGED:
            event["krn"] = code
            event["rollover"] = bool(value)
        elif kind in (SWITCH_OPENED, SWITCH_CLOSED):
            event["reason"] = reasons[code]
        elif kind == TAMPER:
            event["on"] = bool(value)
        elif kind == CLOCK_SET:
            event["moved_s"] = value
        found.append(event)
    return found


# The detail of an entry that was no readable token: wrong key, typing error, not 20 digits.
NO_TOKEN = 0xFFFF
