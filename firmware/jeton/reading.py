"""Reads a record. Loaded to start a meter; a board whose heap is small lets it go after that."""

import struct
from binascii import crc32

from . import state as states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import ports


def latest(storage: "ports.Storage", record):
    """Return the State of a store, None where it holds no record; its head goes into `record`.

    The later of record and copy counts; one that is damaged fails only if both are (ValueError,
    or the store's OSError).
    """
    found = head = failed = None
    tick = storage.load(2)
    for which in (0, 1):
        octets = None  # a small heap has no room for both
        try:
            octets = storage.load(which)
            if octets is not None:
                state = unpack(octets, tick, head)
                if state:
                    found, head = state, octets[: states.TICK_START]
        except (ValueError, OSError) as error:
            failed = failed or error
    if head:
        record[: states.TICK_START] = head
    elif failed:
        raise failed
    return found


def unpack(octets, tick=None, head=None):
    """Return the State in `octets`; raise ValueError with one line if it is no intact record.

    A tick counts only where it was made for this very record, and is whole. None where the record
    is not later than another that begins with `head`.
    """
    if len(octets) < states.TICK_START or octets[:4] != states.MAGIC:
        raise ValueError("the store holds no meter record")
    _, version, crc, epoch = struct.unpack_from(states.HEAD, octets)
    if head and epoch <= struct.unpack_from(states.HEAD, head)[3]:
        return None
    if version > states.VERSION or not version:
        raise ValueError(
            "the meter record is of version %d and this firmware reads version %d: load newer "
            "firmware, or set the meter up anew" % (version, states.VERSION)
        )
    if version < states.VERSION:
        from . import migration

        return migration.unpack(octets)
    at = states.SIZE
    if len(octets) < at + sum([size for _, size in states.RINGS]) or crc != crc32(
        memoryview(octets)[states.TICK_START - 4 :]
    ):
        raise ValueError(states.DAMAGED)
    state = states.State(struct.unpack_from(states.FORMAT, octets, states.TICK_START))
    for name, size in states.RINGS:
        setattr(state, name, bytearray(octets[at : at + size]))
        at += size
    state.load_steps = bytes(octets[at:])
    if tick is not None and len(tick) == states.TICK_OCTETS:
        tick_crc, tick_epoch, _ = struct.unpack_from(states.TICK_HEAD, tick)
        if tick_epoch == epoch and tick_crc == crc32(memoryview(tick)[4:], crc):
            values = struct.unpack_from(states.TICK_FORMAT, tick, 12)
            for name, value in zip(states.FIELDS, values):
                setattr(state, name, value)
    return state
