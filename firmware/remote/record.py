"""Prints a copy of the meter's record. It contains the decoder key: the host never shows it."""

import json
import struct
from binascii import hexlify

from jeton import state as states


def snapshot(core):
    """Return the fields of the record, the identifiers and the pending sections; change nothing.

    Bytes are hexadecimal digits. `sections`: section number → fields. `since`: when the window of
    the key change began.
    """
    state = core.state
    values = [getattr(state, name) for name in states.FIELDS]
    return {
        "version": states.VERSION,
        "fields": hexlify(struct.pack(states.FORMAT, *values)).decode(),
        "tids": hexlify(core.tids.data).decode(),
        "sections": core.key_change.sections,
        "since": core.key_change._since,
        "at": core._at,
        "fault": core.fault or core.store_error,
    }


def show():
    """Print the snapshot of the meter of this board."""
    from jeton_main import core  # type: ignore[import-not-found]

    print(json.dumps(snapshot(core)))
