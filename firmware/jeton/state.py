"""The one persistent record: all that must survive a power cut, packed by one table.

"Token used" and "credit added", or key, identifiers and registers, are in one record and so in one
commit. What mere time changes is also saved apart, as a tick of 46 octets, which wears a flash 20
times less. Where and how both are written is the storage port's matter.
"""

import struct
from binascii import crc32

from . import events
from .sts.tids import OCTETS as TID_OCTETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .fields import Record
else:
    Record = object

DAMAGED = "the meter record is damaged: its checksum is wrong"
MAGIC = b"JTON"
VERSION = 3

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
    "last_tid", "I",
    "bought", "I",  # credit tokens accepted so far
    "lock_count", "B",
    "lock_until", "I",
    "lock_first", "I",
    # What happened.
    "power_fails", "H",
    "event_seq", "I",
    "report_seq", "I",
    "report_done", "I",
    "report_lost", "H",
    "lock", "53s",  # LOCK_OCTETS; zeros: not locked; else locked.py
)
# fmt: on
FIELDS = [_table[i] for i in range(0, len(_table), 2)]
FORMAT = "<" + "".join([_table[i] for i in range(1, len(_table), 2)])
TICK_FORMAT = "<" + "".join([_table[i] for i in range(1, 12, 2)])
del _table
# Magic, version, CRC-32 of all that follows it, epoch: one more each time the record is written.
HEAD = "<4sHII"
TICK_START = 14
SIZE = TICK_START + struct.calcsize(FORMAT)
LOCK_OCTETS = 53  # the last of them
# A tick: CRC-32 of what follows it, begun with that of its record; epoch of its record; sequence.
TICK_HEAD = "<III"
# From TICK_START to TICK_END stands in a record what a tick carries.
TICK_END = TICK_START + struct.calcsize(TICK_FORMAT)
TICK_OCTETS = 12 + TICK_END - TICK_START
# After the fields: the rings, and the steps of a load, as many as there are (load.py).
RINGS = (
    ("events", events.LOG_OCTETS),
    ("reports", events.REPORT_OCTETS),
    ("history", events.HISTORY_OCTETS),
)


class State(Record):
    """The record as attributes: those of FIELDS, the rings of `events`, and `load_steps`."""

    def __init__(self, values=None):
        """Take the values of FIELDS in their order; without them be as a new meter is."""
        fresh = values is None
        if fresh:
            values = struct.unpack(FORMAT, bytes(SIZE - TICK_START))
        for name, value in zip(FIELDS, values):
            setattr(self, name, value)
        if fresh:
            self.profile = b"generic"
            self.rows, self.cols = 2, 16
            self.ea, self.kct, self.krn, self.ken = 7, 2, 1, 255
            for name, octets in RINGS:
                setattr(self, name, bytearray(octets))
            self.load_steps = b""

    def copy(self):
        """Return a record with the same values, to go back to.

        It shares the rings: what is written to them after its counts has never happened.
        """
        other = State([getattr(self, name) for name in FIELDS])
        for name, _ in RINGS:
            setattr(other, name, getattr(self, name))
        other.load_steps = self.load_steps
        return other

    def parts(self, record):
        """Return the whole record as a list of octets, one part after the other.

        The fields are written into `record`, SIZE octets, whose head stays as it is (see `seal`).
        The rings and the steps of the load, which follow, are not copied: a heap in splinters has
        no room for that.
        """
        found = [getattr(self, name) for name in FIELDS]
        struct.pack_into(FORMAT, record, TICK_START, *found)
        return [record] + [getattr(self, name) for name, _ in RINGS] + [self.load_steps]


def seal(parts):
    """Make these parts a record of their own, later than the one in whose place they come."""
    record = parts[0]
    epoch = struct.unpack_from(HEAD, record)[3] + 1 & 0xFFFFFFFF
    struct.pack_into(HEAD, record, 0, MAGIC, VERSION, 0, epoch)
    crc = crc32(memoryview(record)[TICK_START - 4 :])
    for part in parts[1:]:
        crc = crc32(part, crc)
    struct.pack_into(HEAD, record, 0, MAGIC, VERSION, crc, epoch)


def tick_into(tick, record, fresh=False):
    """Write into `tick` what `record`, sealed but for what has changed since, is to be now.

    Tell whether that is something else than it was; `fresh` begins with what was just sealed.
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
