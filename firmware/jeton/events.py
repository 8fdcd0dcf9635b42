"""The rings inside the meter's record: the event log, fault reports, the history of credit tokens.

A token's event keeps what became of it, never its digits. Reading them is `reports`' matter.
"""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import State

SLOTS = 100
REPORT_SLOTS = 32
TOKENS = 50
# More slots than are read: what an action wrote before it failed has overwritten nothing that
# counts, and only the number of entries goes back.
SPARE = 12
LOG_SLOTS = SLOTS + SPARE
QUEUE_SLOTS = REPORT_SLOTS + SPARE
ENTRY = "<IBBHi"
OCTETS = struct.calcsize(ENTRY)
LOG_OCTETS = LOG_SLOTS * OCTETS
REPORT_OCTETS = QUEUE_SLOTS * OCTETS
_BOUGHT = "<II"
_BOUGHT_OCTETS = struct.calcsize(_BOUGHT)
HISTORY_OCTETS = (TOKENS + 1) * _BOUGHT_OCTETS

# Kind numbers are stored: append only. The names stand in `reports`.
PROVISIONED = 1
POWER_UP = 2
TOKEN = 3
KEY_CHANGED = 4
KEY_CHANGE_FORGOTTEN = 5
SWITCH_OPENED = 6
SWITCH_CLOSED = 7
TAMPER = 8
CLOCK_SET = 9
POWER_DOWN = 10
LOW_CREDIT = 11
ALARM = 12
EMERGENCY = 13
ADVANCE = 14
TRIP = 15
RECONNECTED = 16
LOCKED_OUT = 17
LIMIT = 18
UNBALANCE = 19
LOST = 20

# What the utility's technical service is told of, until it has acknowledged it.
_FAULTS = (TAMPER, TRIP, LOCKED_OUT, UNBALANCE)

# The detail of an entry that was no readable token: wrong key, typing error, not 20 digits.
NO_TOKEN = 0xFFFF


def put(ring, slot, entry):
    """Write an entry into one of the slots of a ring."""
    ring[slot * OCTETS : (slot + 1) * OCTETS] = entry


def record(state: "State", now, kind, code=0, detail=0, value=0):
    """Write one event into the ring of `state`; a fault also waits for the utility.

    `code` (8 bits): the TokenResult of a token, the reason of a switching, the new KRN, how many
    trips or wrong tokens. `detail` (16 bits): class << 4 | subclass of a token. `value` (signed 32
    bits): Wh, W or seconds.
    """
    entry = struct.pack(ENTRY, now, kind, code, detail, value)
    put(state.events, state.event_seq % LOG_SLOTS, entry)
    state.event_seq += 1
    # A tamper input that is cleared (value 0) is no fault.
    if kind in _FAULTS and (value or kind != TAMPER):
        queue(state, now, kind, value, code, detail)


def queue(state: "State", now, kind, value=0, code=0, detail=0):
    """Let a fault wait for the utility; it is in the record and so survives a power cut.

    A full queue keeps what it has: what came first is reported first. How many found no room is
    reported itself, as `lost`, as soon as there is room.
    """
    if state.report_seq - state.report_done >= REPORT_SLOTS:
        state.report_lost = min(state.report_lost + 1, 0xFFFF)
        return
    entry = struct.pack(ENTRY, now, kind, code, detail, value)
    put(state.reports, state.report_seq % QUEUE_SLOTS, entry)
    state.report_seq += 1


def last(state: "State"):
    """Return (time, kind) of the latest event, zeros if there is none."""
    if not state.event_seq:
        return 0, 0
    return struct.unpack_from("<IB", state.events, (state.event_seq - 1) % LOG_SLOTS * OCTETS)


def bought(state: "State", now, amount_wh):
    """Keep when a credit token was accepted, and its Wh."""
    at = state.bought % (TOKENS + 1) * _BOUGHT_OCTETS
    struct.pack_into(_BOUGHT, state.history, at, now, min(amount_wh, 0xFFFFFFFF))
    state.bought += 1


def bought_before(state: "State", n):
    """Return (time, Wh) of the `n`th credit token back (1: the last), or None."""
    if n > min(state.bought, TOKENS):
        return None
    at = (state.bought - n) % (TOKENS + 1) * _BOUGHT_OCTETS
    return struct.unpack_from(_BOUGHT, state.history, at)
