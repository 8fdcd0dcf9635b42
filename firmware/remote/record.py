"""Prints a copy of the meter's record. It contains the decoder key: the host never shows it."""

import json
import struct
from binascii import hexlify

from jeton import state as states


def snapshot(core, now):
    """Return the fields of the record, the identifiers and the pending sections; change nothing.

    `now`: the time to which the meter was advanced. Bytes are hexadecimal digits. `sections`:
    section number → fields. `deadline`: when they are dropped, or None.
    """
    state = core.state
    values = [getattr(state, name) for name in states.FIELDS]
    return {
        "version": states.VERSION,
        "fields": hexlify(struct.pack(states.FORMAT, *values)).decode(),
        "tids": hexlify(core.tids.data).decode(),
        "sections": core.key_change.sections,
        "deadline": core.key_change.deadline(),
        "at": now,
        "fault": core.fault or core.store_error,
    }


def show():
    """Print the snapshot of the meter of this board."""
    from jeton_main import core, meter  # type: ignore[import-not-found]

    print(json.dumps(snapshot(core, meter.status()["clock"])))
