"""The one persistent record: all that must survive a power cut, packed by one table.

"Token used" and "credit added", or key, identifiers and registers, are in one record and so in one
commit. Where and how it is written is the storage port's matter.
"""

import struct
from binascii import crc32

from .events import RING_OCTETS
from .sts.tids import OCTETS as TID_OCTETS

MYPY = False
MAGIC = b"JTON"
VERSION = 1

# Name, struct code, value of a meter fresh from the factory. A text field ends at its first NUL.
FIELDS = (
    ("provisioned", "B", 0),
    ("drn", "13s", b""),
    ("profile", "16s", b"generic"),
    ("rows", "B", 2),
    ("cols", "B", 16),
    ("ea", "B", 7),
    ("sample_tables", "B", 0),
    ("decoder_key", "16s", b""),
    ("kt", "B", 0),
    ("krn", "B", 1),
    ("ti", "B", 0),
    ("ken", "B", 255),
    ("sgc", "I", 0),
    ("bdt", "B", 0),
    ("kct", "B", 2),
    ("mfr_code", "H", 0),
    ("tids", "%ds" % TID_OCTETS, bytes(TID_OCTETS)),
    ("credit_wh", "q", 0),
    ("total_wh", "Q", 0),
    ("rest_ws", "H", 0),
    ("load_w", "I", 0),
    ("max_power_limit_w", "I", 0),
    ("phase_unbalance_limit_w", "I", 0),
    ("tariff_rate", "H", 0),
    ("tamper", "B", 0),
    ("switch_closed", "B", 0),
    ("switch_reason", "B", 0),
    ("result", "B", 0),
    ("clock", "I", 0),
    ("event_seq", "I", 0),
    ("events", "%ds" % RING_OCTETS, bytes(RING_OCTETS)),
)

_FORMAT = "<" + "".join([code for _, code, _ in FIELDS])
_HEAD = "<4sHI"
_HEAD_OCTETS = struct.calcsize(_HEAD)
SIZE = _HEAD_OCTETS + struct.calcsize(_FORMAT)


class State:
    """The record as attributes, named as in FIELDS."""

    if MYPY:  # the type checker cannot see what the table makes

        def __getattr__(self, name): ...

        def __setattr__(self, name, value): ...

    def __init__(self):
        for name, _, value in FIELDS:
            setattr(self, name, value)

    def copy(self):
        """Return a record of its own with the same values."""
        other = State()
        for name, _, _ in FIELDS:
            setattr(other, name, getattr(self, name))
        return other

    def pack(self):
        """Return the record as octets: magic, version and CRC-32, then the fields."""
        body = struct.pack(_FORMAT, *[getattr(self, name) for name, _, _ in FIELDS])
        return struct.pack(_HEAD, MAGIC, VERSION, crc32(body)) + body


def unpack(octets):
    """Return the State in `octets`; raise ValueError with one line if it is no intact record."""
    if len(octets) < _HEAD_OCTETS or octets[:4] != MAGIC:
        raise ValueError("the store holds no meter record")
    _, version, crc = struct.unpack(_HEAD, octets[:_HEAD_OCTETS])
    if version != VERSION:
        raise ValueError(
            "the record is of version %d, this firmware reads %d" % (version, VERSION)
        )
    body = octets[_HEAD_OCTETS:]
    if len(octets) != SIZE or crc32(body) != crc:
        raise ValueError("the meter record is damaged: its checksum is wrong")
    state = State()
    for (name, _, _), value in zip(FIELDS, struct.unpack(_FORMAT, body)):
        setattr(state, name, value)
    return state


def text(octets):
    """Return a fixed-width text field as str, without the NULs that fill it."""
    return octets.rstrip(b"\0").decode()
