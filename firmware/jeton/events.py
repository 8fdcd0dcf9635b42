"""The rings in the meter's record: event log, fault reports, history of credit tokens.

The event of a token holds its result, never its digits. `reports` reads the rings.
"""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import State

SLOTS = 100
REPORT_SLOTS = 32
TOKENS = 50
# There are more slots than are read: a failed action then has overwritten only unused slots, and
# rollback only restores the count.
SPARE = 12
LOG_SLOTS = SLOTS + SPARE
QUEUE_SLOTS = REPORT_SLOTS + SPARE
ENTRY = "<IBBHi"
BYTES = struct.calcsize(ENTRY)
LOG_BYTES = LOG_SLOTS * BYTES
REPORT_BYTES = QUEUE_SLOTS * BYTES
_BOUGHT = "<II"
_BOUGHT_BYTES = struct.calcsize(_BOUGHT)
HISTORY_BYTES = (TOKENS + 1) * _BOUGHT_BYTES

# Kind numbers are stored: append only. Their names are in `reports`.
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

# Events that are reported to the utility until it has acknowledged them.
_FAULTS = (TAMPER, TRIP, LOCKED_OUT, UNBALANCE)

# The detail of an unreadable token: wrong key, typing error, not 20 digits.
NO_TOKEN = 0xFFFF


def put(ring, slot, entry):
    """Write an entry into one slot of a ring."""
    ring[slot * BYTES : (slot + 1) * BYTES] = entry


def record(state: "State", now, kind, code=0, detail=0, value=0):
    """Write one event into the ring of `state`; also queue a fault for the utility.

    `code` (8 bits): the TokenResult of a token, the reason of a switching, the new KRN, the number
    of trips or wrong tokens. `detail` (16 bits): class << 4 | subclass of a token. `value` (signed
    32 bits): Wh, W or seconds.
    """
    entry = struct.pack(ENTRY, now, kind, code, detail, value)
    put(state.events, state.event_seq % LOG_SLOTS, entry)
    state.event_seq += 1
    # A cleared tamper input (value 0) is not a fault.
    if kind in _FAULTS and (value or kind != TAMPER):
        queue(state, now, kind, value, code, detail)


def queue(state: "State", now, kind, value=0, code=0, detail=0):
    """Queue a fault for the utility; the queue is in the record and so survives a power cut.

    A full queue keeps the oldest faults. The number of faults that did not fit is reported as
    `lost` as soon as there is room.
    """
    if state.report_seq - state.report_done >= REPORT_SLOTS:
        state.report_lost = min(state.report_lost + 1, 0xFFFF)
        return
    entry = struct.pack(ENTRY, now, kind, code, detail, value)
    put(state.reports, state.report_seq % QUEUE_SLOTS, entry)
    state.report_seq += 1


def last(state: "State"):
    """Return (time, kind) of the latest event; zeros if there is none."""
    if not state.event_seq:
        return 0, 0
    return struct.unpack_from("<IB", state.events, (state.event_seq - 1) % LOG_SLOTS * BYTES)


def bought(state: "State", now, amount_wh):
    """Store the time and the Wh of an accepted credit token."""
    at = state.bought % (TOKENS + 1) * _BOUGHT_BYTES
    struct.pack_into(_BOUGHT, state.history, at, now, min(amount_wh, 0xFFFFFFFF))
    state.bought += 1


def bought_before(state: "State", n):
    """Return (time, Wh) of the `n`th latest credit token (1: the last), or None."""
    if n > min(state.bought, TOKENS):
        return None
    at = (state.bought - n) % (TOKENS + 1) * _BOUGHT_BYTES
    return struct.unpack_from(_BOUGHT, state.history, at)
