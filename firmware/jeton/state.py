"""The one persistent record: all that must survive a power cut, packed by one table.

"Token used" and "credit added", or key, identifiers and registers, are in one record and so in one
commit. The fields that change with time alone are also saved separately, as a tick of 46 bytes,
which causes 20 times less flash wear. The storage port decides where and how both are written.
"""

import struct
from binascii import crc32

from . import events
from .sts.tids import BYTES as TID_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .fields import Record
else:
    Record = object

DAMAGED = "the meter record is damaged: its checksum is wrong"
MAGIC = b"JTON"
VERSION = 4

# Name, struct code. Flat, because a tuple for each field would cost a small heap 3 KB. A text
# field ends at its first NUL. In a new meter all fields are 0 or empty, except those that
# State.__init__ sets.
# fmt: off
_table = (
    # The fields that a tick carries.
    "credit_wh", "q",
    "charged_wh", "Q",
    "total_wh", "Q",
    "rest_ws", "H",
    "load_w", "I",
    "clock", "I",
    # A change of any field from here on is an event, after which the whole record is written.
    "provisioned", "B",
    "drn", "13s",
    "profile", "16s",
    "language", "2s",  # empty: the profile's first that the display can draw
    "rows", "B",
    "cols", "B",
    "graphic", "B",  # a graphic display, which can draw every script
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
    "tids", "%ds" % TID_BYTES,
    # The ledger (credit.py): the sum of these and charged_wh is always credit_wh.
    "initial_wh", "q",
    "tokens_wh", "Q",
    "advances_wh", "Q",
    "emergency_wh", "Q",
    "recovered_wh", "Q",
    "cleared_wh", "q",
    "emergency_debt_wh", "Q",
    "advance_debt_wh", "Q",
    # credit.LOW | ALARM | MUTED. One field more than 73 would cost 1 KB: MicroPython doubles the
    # table of the attributes of an object. The byte after it was a field of its own.
    "warned", "Bx",
    # Energy and load.
    "unbalance_w", "I",
    "load_from", "q",  # before 2000 if the clock was set back
    "load_repeat_s", "I",
    "day", "H",  # the current day, counted from 2000-01-01
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
    # Tokens and lock-out.
    "result", "B",
    "sections", "32s",  # of an unfinished key change, if the profile keeps them
    "sections_from", "I",
    "last_token", "20s",
    "last_tid", "I",
    "bought", "I",  # credit tokens accepted so far
    "lock_count", "B",
    "lock_until", "I",
    "lock_first", "I",
    # Event log and fault reports.
    "power_fails", "H",
    "event_seq", "I",
    "report_seq", "I",
    "report_done", "I",
    "report_lost", "H",
    "lock", "53s",  # LOCK_BYTES; all zeros: not locked; else see locked.py
    # Version 3 ends here.
    "former_keys", "48s",  # FORMER_BYTES: the last three decoder keys before this one
    "zone", "9s",  # quarters of an hour east of UTC (signed), then a rule of summer.py or zeros
)
# fmt: on
FIELDS = [_table[i] for i in range(0, len(_table), 2)]
FORMAT = "<" + "".join([_table[i] for i in range(1, len(_table), 2)])
TICK_FORMAT = "<" + "".join([_table[i] for i in range(1, 12, 2)])
del _table
# Magic, version, CRC-32 of everything after the CRC, epoch: incremented each time the record is
# written.
HEAD = "<4sHII"
TICK_START = 14
SIZE = TICK_START + struct.calcsize(FORMAT)
LOCK_BYTES = 53
FORMER_BYTES = 48
ZONE_BYTES = 9
# Fields are appended: in a record of version 3, the fields after the lock are missing, so 0.
SIZE_3 = SIZE - FORMER_BYTES - ZONE_BYTES
# A tick: CRC-32 of what follows it, started from the CRC of its record; epoch of its record;
# sequence number.
TICK_HEAD = "<III"
# The fields of a tick are in a record from TICK_START to TICK_END.
TICK_END = TICK_START + struct.calcsize(TICK_FORMAT)
TICK_BYTES = 12 + TICK_END - TICK_START
# After the fields come the rings, then the steps of a load, of variable number (load.py).
RINGS = (
    ("events", events.LOG_BYTES),
    ("reports", events.REPORT_BYTES),
    ("history", events.HISTORY_BYTES),
)


class State(Record):
    """The record as attributes: FIELDS, the rings of `events`, and `load_steps`."""

    def __init__(self, values=None):
        """Set the values of FIELDS in their order; without values, those of a new meter."""
        fresh = values is None
        if fresh:
            values = struct.unpack(FORMAT, bytes(SIZE - TICK_START))
        for name, value in zip(FIELDS, values):
            setattr(self, name, value)
        if fresh:
            self.profile = b"generic"
            self.rows, self.cols = 2, 16
            self.ea, self.kct, self.krn, self.ken = 7, 2, 1, 255
            for name, size in RINGS:
                setattr(self, name, bytearray(size))
            self.load_steps = b""

    def copy(self):
        """Return a record with the same values, for rollback.

        The rings are shared: entries written after a ring's count are ignored.
        """
        other = State(self._values())
        for name, _ in RINGS:
            setattr(other, name, getattr(self, name))
        other.load_steps = self.load_steps
        return other

    def _values(self):
        """Return the values of FIELDS; the list never grows, which would need a larger block."""
        values = [None] * len(FIELDS)
        for i in range(len(FIELDS)):
            values[i] = getattr(self, FIELDS[i])
        return values

    def parts(self, record):
        """Return the whole record as a list of byte strings, in the order of writing.

        The fields are packed into `record`, SIZE bytes, whose head stays unchanged (see `seal`).
        The rings and the load steps, which follow, are not copied: a fragmented heap has no
        contiguous block for them.
        """
        struct.pack_into(FORMAT, record, TICK_START, *self._values())
        return [record] + [getattr(self, name) for name, _ in RINGS] + [self.load_steps]


def seal(parts):
    """Write header, epoch and CRC: the record becomes valid and newer than its predecessor."""
    record = parts[0]
    epoch = struct.unpack_from(HEAD, record)[3] + 1 & 0xFFFFFFFF
    struct.pack_into(HEAD, record, 0, MAGIC, VERSION, 0, epoch)
    crc = crc32(memoryview(record)[TICK_START - 4 :])
    for part in parts[1:]:
        crc = crc32(part, crc)
    struct.pack_into(HEAD, record, 0, MAGIC, VERSION, crc, epoch)


def tick_into(tick, record, fresh=False):
    """Write into `tick` the current tick of `record`; return whether the tick has changed.

    The head of `record` must be that of the last sealed record. `fresh` starts the ticks of a
    record that was just sealed.
    """
    values = memoryview(record)[TICK_START:TICK_END]
    if not fresh and memoryview(tick)[12:] == values:
        return False
    _, _, crc, epoch = struct.unpack_from(HEAD, record)
    seq = 0 if fresh else struct.unpack_from(TICK_HEAD, tick)[2] + 1
    tick[12:] = values
    struct.pack_into(TICK_HEAD, tick, 0, 0, epoch, seq)
    struct.pack_into("<I", tick, 0, crc32(memoryview(tick)[4:], crc))
    return True
