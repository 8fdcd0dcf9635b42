"""Reads a record at start-up; then unloaded on a board, to free heap."""

import struct
from binascii import crc32

from . import state as states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import ports


def latest(storage: "ports.Storage", record):
    """Return the newest State of a store, None if it holds no record; copy its head into `record`.

    Use the later of record and copy. Raise ValueError, or the store's OSError, only if neither is
    intact.
    """
    found = head = failed = None
    tick = storage.load(2)
    for which in (0, 1):
        data = None  # free the first before the second is read
        try:
            data = storage.load(which)
            if data is not None:
                state = unpack(data, tick, head)
                if state:
                    found, head = state, data[: states.TICK_START]
        except (ValueError, OSError) as error:
            failed = failed or error
    if head:
        record[: states.TICK_START] = head
    elif failed:
        raise failed
    return found


def unpack(data, tick=None, head=None):
    """Return the State in `data`; raise ValueError with one line if it is not an intact record.

    A tick is used only if it belongs to this record and is intact. Return None if the record is
    not later than another one, whose first bytes are `head`.
    """
    if len(data) < states.TICK_START or data[:4] != states.MAGIC:
        raise ValueError("the store holds no meter record")
    _, version, crc, epoch = struct.unpack_from(states.HEAD, data)
    if head and epoch <= struct.unpack_from(states.HEAD, head)[3]:
        return None
    if version > states.VERSION or not version:
        raise ValueError(
            "the meter record is of version %d and this firmware reads version %d: load newer "
            "firmware, or set the meter up again" % (version, states.VERSION)
        )
    if version < 3:
        from . import migration

        return migration.unpack(data)
    at = states.SIZE
    intact = crc == crc32(memoryview(data)[states.TICK_START - 4 :])
    if version == 3:  # it has no time zone: UTC
        lock = at - states.LOCK_BYTES - states.ZONE_BYTES
        data = data[:lock] + bytes(states.ZONE_BYTES) + data[lock:]
    if not intact or len(data) < at + sum([size for _, size in states.RINGS]):
        raise ValueError(states.DAMAGED)
    state = states.State(struct.unpack_from(states.FORMAT, data, states.TICK_START))
    for name, size in states.RINGS:
        setattr(state, name, bytearray(data[at : at + size]))
        at += size
    state.load_steps = bytes(data[at:])
    if tick is not None and len(tick) == states.TICK_BYTES:
        tick_crc, tick_epoch, _ = struct.unpack_from(states.TICK_HEAD, tick)
        if tick_epoch == epoch and tick_crc == crc32(memoryview(tick)[4:], crc):
            values = struct.unpack_from(states.TICK_FORMAT, tick, 12)
            for name, value in zip(states.FIELDS, values):
                setattr(state, name, value)
    return state
