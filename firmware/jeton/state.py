"""The one persistent record: all that must survive a power cut, packed by one table.

"Token used" and "credit added", or key, identifiers and registers, are in one record and so in one
commit. What mere time changes is also saved apart, as a tick of 46 octets, which wears a flash 20
times less. Where and how both are written is the storage port's matter.
"""

import struct
from binascii import crc32

from .events import REPORT_OCTETS, RING_OCTETS
from .sts.tids import OCTETS as TID_OCTETS

MYPY = False
MAGIC = b"JTON"
VERSION = 3
DAMAGED = "the meter record is damaged: its checksum is wrong"

# Name, struct code. Flat, because a tuple for each field would cost a small heap 3 KB. A text
# field ends at its first NUL. A new meter has 0 or no octets, save what State.__init__ sets.
# fmt: off
_table = (
    # What a tick carries.
    "credit_wh", "q",
    "charged_wh", "Q",
    "total_wh", "Q",
    "rest_ws", "H",
    "load_w", "I",
    "clock", "I",
    # From here on a change is an event, and the whole record is written.
    "provisioned", "B",
    "drn", "13s",
    "profile", "16s",
    "language", "2s",  # empty: the first of the profile's that the display can draw
    "rows", "B",
    "cols", "B",
    "graphic", "B",  # a display of dots, which can draw every script
    "ea", "B",
    "sample_tables", "B",
    "decoder_key", "16s",
    "kt", "B",
    "krn", "B",
    "ti", "B",
    "ken", "B",
    "sgc", "I",
    "bdt", "B",
    "kct", "B",
    "mfr_code", "H",
    "tids", "%ds" % TID_OCTETS,
    # The ledger (credit.py): with charged_wh they make up credit_wh at every moment.
    "initial_wh", "q",
    "tokens_wh", "Q",
    "advances_wh", "Q",
    "emergency_wh", "Q",
    "recovered_wh", "Q",
    "cleared_wh", "q",
    "emergency_debt_wh", "Q",
    "advance_debt_wh", "Q",
    "warned", "B",  # credit.LOW | credit.ALARM
    "muted", "B",
    # Energy, and the load that draws it.
    "unbalance_w", "I",
    "load_from", "q",  # before 2000 if the clock was set back
    "load_repeat_s", "I",
    "day", "H",  # days since 2000-01-01 of the day that is being counted
    "day_from_wh", "Q",
    "month_from_wh", "Q",
    "days", "186s",  # history.py
    "months", "78s",
    # Supply.
    "max_power_limit_w", "I",
    "phase_unbalance_limit_w", "I",
    "tariff_rate", "H",
    "tamper", "B",
    "switch_closed", "B",
    "switch_reason", "B",
    "hold", "B",  # supply.HOLD_*
    "trips", "B",
    "reconnect_at", "I",
    "reconnected", "I",
    # Tokens and who keys them.
    "result", "B",
    "sections", "32s",  # of a key change half done, as they were keyed, where a profile keeps them
    "sections_from", "I",
    "last_token", "20s",
    "last_at", "I",
    "last_tid", "I",
    "last_wh", "I",
    "lock_count", "B",
    "lock_until", "I",
    "lock_first", "I",
    # What happened.
    "power_fails", "H",
    "event_seq", "I",
    "events", "%ds" % RING_OCTETS,
    "report_seq", "I",
    "report_done", "I",
    "report_lost", "H",
    "reports", "%ds" % REPORT_OCTETS,
)
# fmt: on
# After the fields: the steps of a load, as many as there are (load.py).
FIELDS = [_table[i] for i in range(0, len(_table), 2)]
_FORMAT = "<" + "".join([_table[i] for i in range(1, len(_table), 2)])
_TICK_FORMAT = "<" + "".join([_table[i] for i in range(1, 12, 2)])
del _table
# Written in place: a copy for each event would be garbage of 1 KB.
_RINGS = ("events", "reports")
# Magic, version, CRC-32 of all that follows it, epoch: one more each time the record is written.
_HEAD = "<4sHII"
_HEAD_OCTETS = struct.calcsize(_HEAD)
SIZE = _HEAD_OCTETS + struct.calcsize(_FORMAT)
# A tick: CRC-32 of what follows it, begun with that of its record; epoch of its record; sequence.
_TICK_HEAD = "<III"
_TICK_HEAD_OCTETS = struct.calcsize(_TICK_HEAD)
# Where in a record stands what a tick carries.
TICK_START = _HEAD_OCTETS
TICK_END = TICK_START + struct.calcsize(_TICK_FORMAT)
TICK_OCTETS = _TICK_HEAD_OCTETS + TICK_END - TICK_START


class State:
    """The record as attributes, named as in FIELDS, and `load_steps`."""

    if MYPY:  # the type checker cannot see what the table makes

        def __getattr__(self, name): ...

        def __setattr__(self, name, value): ...

    def __init__(self, values=None):
        """Take the values of FIELDS in their order; without them be as a new meter is."""
        fresh = values is None
        if fresh:
            values = struct.unpack(_FORMAT, bytes(SIZE - _HEAD_OCTETS))
        for name, value in zip(FIELDS, values):
            setattr(self, name, bytearray(value) if name in _RINGS else value)
        if fresh:
            self.profile = b"generic"
            self.rows, self.cols = 2, 16
            self.ea, self.kct, self.krn, self.ken = 7, 2, 1, 255
        self.load_steps = b""

    def copy(self):
        """Return a record of its own with the same values."""
        other = State([getattr(self, name) for name in FIELDS])
        other.load_steps = self.load_steps
        return other

    def parts(self, record):
        """Return the whole record as a list of octets, one part after the other.

        The fields are written into `record`, SIZE octets, whose head stays as it is (see `seal`);
        after them come the steps of the load, which are not copied.
        """
        found = [getattr(self, name) for name in FIELDS]
        struct.pack_into(_FORMAT, record, _HEAD_OCTETS, *found)
        return [record, self.load_steps]

    def pack(self):
        """Return the whole record as octets of its own."""
        parts = self.parts(bytearray(SIZE))
        seal(parts)
        return b"".join(parts)


def seal(parts):
    """Make these parts a record of their own, later than the one in whose place they come."""
    record = parts[0]
    epoch = struct.unpack_from(_HEAD, record)[3] + 1 & 0xFFFFFFFF
    struct.pack_into(_HEAD, record, 0, MAGIC, VERSION, 0, epoch)
    crc = crc32(memoryview(record)[_HEAD_OCTETS - 4 :])
    for part in parts[1:]:
        crc = crc32(part, crc)
    struct.pack_into(_HEAD, record, 0, MAGIC, VERSION, crc, epoch)


def tick_into(tick, record, seq):
    """Write into `tick` what `record`, sealed but for what has changed since, is to be now."""
    _, _, crc, epoch = struct.unpack_from(_HEAD, record)
    struct.pack_into(_TICK_HEAD, tick, 0, 0, epoch, seq)
    tick[_TICK_HEAD_OCTETS:] = memoryview(record)[TICK_START:TICK_END]
    struct.pack_into("<I", tick, 0, crc32(memoryview(tick)[4:], crc))


def tick_differs(tick, record):
    """Tell whether `record` holds something else than `tick` says."""
    return memoryview(tick)[_TICK_HEAD_OCTETS:] != memoryview(record)[TICK_START:TICK_END]


def tick_seq(tick):
    """Return how many ticks there have been since their record was written."""
    return struct.unpack_from(_TICK_HEAD, tick)[2]


def unpack(octets, tick=None):
    """Return the State in `octets`; raise ValueError with one line if it is no intact record.

    A tick counts only where it was made for this very record, and is whole.
    """
    if len(octets) < _HEAD_OCTETS or octets[:4] != MAGIC:
        raise ValueError("the store holds no meter record")
    _, version, crc, epoch = struct.unpack_from(_HEAD, octets)
    if version > VERSION or not version:
        raise ValueError(
            "the meter record is of version %d and this firmware reads version %d: load newer "
            "firmware, or set the meter up anew" % (version, VERSION)
        )
    if version < VERSION:
        from . import migration

        return migration.unpack(octets)
    if len(octets) < SIZE or crc32(memoryview(octets)[_HEAD_OCTETS - 4 :]) != crc:
        raise ValueError(DAMAGED)
    state = State(struct.unpack_from(_FORMAT, octets, _HEAD_OCTETS))
    state.load_steps = bytes(octets[SIZE:])
    if tick is not None and len(tick) == TICK_OCTETS:
        tick_crc, tick_epoch, _ = struct.unpack_from(_TICK_HEAD, tick)
        if tick_epoch == epoch and tick_crc == crc32(memoryview(tick)[4:], crc):
            values = struct.unpack_from(_TICK_FORMAT, tick, _TICK_HEAD_OCTETS)
            for name, value in zip(FIELDS, values):
                setattr(state, name, value)
    return state


def text(octets):
    """Return a fixed-width text field as str, without the NULs that fill it."""
    return octets.rstrip(b"\0").decode()


def whole(what, value, low, high):
    """Return `value` if it is a whole number from `low` to `high`, else raise ValueError."""
    # bool is an int to isinstance; True watts is a mistake.
    if type(value) is not int or not low <= value <= high:
        raise ValueError(
            "%s must be a whole number from %d to %d, not %r" % (what, low, high, value)
        )
    return value
