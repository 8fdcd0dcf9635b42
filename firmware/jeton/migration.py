"""Converts records of older firmware; imported only when such a record is found.

Version 1 had no ledger, history or holds; key, identifiers, registers and events are kept. Version
2 was in no release. Version 3 differs only by the time zone: `reading` adds it.
"""

import struct
from binascii import crc32

from . import events, history, supply
from . import state as states

_HEAD = "<4sHI"
_HEAD_BYTES = 10
_V1 = "<B13s16sBBBB16sBBBBIBBH150sqQHIIIHBBBBII1200s"
_V1_FIELDS = (
    "provisioned drn profile rows cols ea sample_tables decoder_key kt krn ti ken sgc bdt kct "
    "mfr_code tids credit_wh total_wh rest_ws load_w max_power_limit_w phase_unbalance_limit_w "
    "tariff_rate tamper switch_closed switch_reason result clock event_seq events"
)


def unpack(data):
    """Return the State in a record of an older version; raise ValueError with one line."""
    _, version, crc = struct.unpack_from(_HEAD, data)
    if version != 1:
        raise ValueError(
            "the meter record is of version %d, which was in no release: set the meter up again"
            % version
        )
    body = memoryview(data)[_HEAD_BYTES:]
    if len(body) != struct.calcsize(_V1) or crc32(body) != crc:
        raise ValueError(states.DAMAGED)
    state = states.State()
    for name, value in zip(_V1_FIELDS.split(), struct.unpack(_V1, body)):
        if name != "events":
            setattr(state, name, value)
            continue
        slots = len(value) // events.BYTES
        for seq in range(max(state.event_seq - slots, 0), state.event_seq):
            at = seq % slots * events.BYTES
            events.put(state.events, seq % events.LOG_SLOTS, value[at : at + events.BYTES])
    # Earlier purchases are not known: the ledger begins with the current credit.
    state.initial_wh = state.credit_wh
    history.begin(state, state.clock)
    if not state.switch_closed:
        state.hold = supply.HOLD_NO_CREDIT
    return state
