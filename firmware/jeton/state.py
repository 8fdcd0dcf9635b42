"""The one persistent record: all that must survive a power cut, packed by one table.

"Token used" and "credit added", or key, identifiers and registers, are in one record and so in one
commit. Where and how it is written is the storage port's matter.
"""

import struct
from binascii import crc32

from . import events
from .sts.tids import OCTETS as TID_OCTETS

MYPY = False
MAGIC = b"JTON"
VERSION = 2

# Name, struct code. Flat, because a tuple for each field would cost a small heap 3 KB. A text
# field ends at its first NUL. A new meter has 0 or no octets, save what State.__init__ sets.
# fmt: off
_table = (
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
    # The ledger (credit.py): the first seven make up credit_wh at every moment.
    "initial_wh", "q",
    "tokens_wh", "Q",
    "advances_wh", "Q",
    "emergency_wh", "Q",
    "charged_wh", "Q",
    "recovered_wh", "Q",
    "cleared_wh", "q",
    "credit_wh", "q",
    "emergency_debt_wh", "Q",
    "advance_debt_wh", "Q",
    "warned", "B",  # credit.LOW | credit.ALARM
    "muted", "B",
    # Energy, and the load that draws it.
    "total_wh", "Q",
    "rest_ws", "H",
    "load_w", "I",
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
    # Time and what happened in it.
    "clock", "I",
    "power_fails", "H",
    "event_seq", "I",
    "report_seq", "I",
    "report_done", "I",
    "report_lost", "H",
)
# fmt: on
FIELDS = [_table[i] for i in range(0, len(_table), 2)]
_FORMAT = "<" + "".join([_table[i] for i in range(1, len(_table), 2)])
del _table
_HEAD = "<4sHI"
_HEAD_OCTETS = struct.calcsize(_HEAD)
SIZE = _HEAD_OCTETS + struct.calcsize(_FORMAT)
# After the fields: the rings, and the steps of a load, as many as there are (load.py).
_RINGS = (
    ("events", events.LOG_OCTETS),
    ("reports", events.REPORT_OCTETS),
    ("history", events.HISTORY_OCTETS),
)


class State:
    """The record as attributes: those of FIELDS, the rings of `events`, and `load_steps`."""

    if MYPY:  # the type checker cannot see what the table makes

        def __getattr__(self, name): ...

        def __setattr__(self, name, value): ...

    def __init__(self, values=None):
        """Take the values of FIELDS in their order; without them be as a new meter is."""
        fresh = values is None
        if fresh:
            values = struct.unpack(_FORMAT, bytes(SIZE - _HEAD_OCTETS))
        for name, value in zip(FIELDS, values):
            setattr(self, name, value)
        if fresh:
            self.profile = b"generic"
            self.rows, self.cols = 2, 16
            self.ea, self.kct, self.krn, self.ken = 7, 2, 1, 255
            for name, octets in _RINGS:
                setattr(self, name, bytearray(octets))
            self.load_steps = b""

    def copy(self):
        """Return a record with the same values, to go back to.

        It shares the rings: what is written to them after its counts has never happened.
        """
        other = State([getattr(self, name) for name in FIELDS])
        for name, _ in _RINGS:
            setattr(other, name, getattr(self, name))
        other.load_steps = self.load_steps
        return other

    def parts(self, record):
        """Return the whole record as a list of octets, one part after the other.

        Head and fields are written into `record`, SIZE octets; the rest is not copied, because a
        heap in splinters has no room for it: magic, version and a CRC-32 of all that follows, the
        fields, the rings, the steps of the load.
        """
        found = [getattr(self, name) for name in FIELDS]
        struct.pack_into(_FORMAT, record, _HEAD_OCTETS, *found)
        found = [record] + [getattr(self, name) for name, _ in _RINGS] + [self.load_steps]
        crc = crc32(memoryview(record)[_HEAD_OCTETS:])
        for part in found[1:]:
            crc = crc32(part, crc)
        struct.pack_into(_HEAD, record, 0, MAGIC, VERSION, crc)
        return found

    def pack(self):
        """Return the whole record as octets of its own."""
        return b"".join(self.parts(bytearray(SIZE)))


def unpack(octets):
    """Return the State in `octets`; raise ValueError with one line if it is no intact record."""
    if len(octets) < _HEAD_OCTETS or octets[:4] != MAGIC:
        raise ValueError("the store holds no meter record")
    _, version, crc = struct.unpack_from(_HEAD, octets)
    if version != VERSION:
        raise ValueError(
            "the meter record is of version %d and this firmware reads version %d: set the meter "
            "up anew" % (version, VERSION)
        )
    at = SIZE
    if len(octets) < at + sum([size for _, size in _RINGS]) or crc != crc32(
        memoryview(octets)[_HEAD_OCTETS:]
    ):
        raise ValueError("the meter record is damaged: its checksum is wrong")
    state = State(struct.unpack_from(_FORMAT, octets, _HEAD_OCTETS))
    for name, size in _RINGS:
        setattr(state, name, bytearray(octets[at : at + size]))
        at += size
    state.load_steps = bytes(octets[at:])
    return state


def text(octets):
    """Return a fixed-width text field as str, without the NULs that fill it."""
    return octets.rstrip(b"\0").decode()


def whole(what, value, low, high):
    """Return `value` if it is a whole number from `low` to `high`, else raise ValueError."""
    # bool is an int to isinstance; True watts is a mistake.
    if type(value) is not int or not low <= value <= high:
        raise ValueError(
            "%s must be a whole number from %d to %d, not %s" % (what, low, high, shown(value))
        )
    return value


def shown(value):
    """Return a value for an error, of a list or dictionary only that: a key may be in it."""
    return type(value).__name__ if isinstance(value, (list, dict)) else repr(value)
