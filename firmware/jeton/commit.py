"""One commit: snapshot of the state that may change, rollback, and saving.

A change that was begun but not saved is rolled back. Ctrl-C or a lack of memory may interrupt
between any two steps. The storage port (`ports`) writes the bytes.
"""

from . import state as states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter

# All state that an action may change: rows of an owner ("" for the meter, else the name of its
# part), then names of the owner's attributes. This is the only list: add each new attribute here.
# The owners are attributes of the meter; the meter's row comes first. An action must replace the
# value of an attribute, never modify it in place; only the record is copied.
KEPT = (
    (
        "",
        "state",
        "profile",
        "tids",
        "screen",
        "entry",
        "lockout",
        "key_change",
        "fault",
        "_decrypt",
        "_at",
        "_saved_at",
        "_saved_total_wh",
        "_load",
        "_trip_at",
        "_next",
        "_level",
    ),
    ("tids", "data"),
    ("lockout", "state"),
    ("key_change", "sections", "_since"),
    ("_load", "place", "next"),
)


def begin(meter: "Meter"):
    """Take a snapshot of the meter; it is valid until `_before` is None again.

    Roll back an earlier snapshot that was not ended first.
    """
    if meter._before:
        undo(meter)
        meter._unsaved = True
    state = meter.state
    copy = state.copy()
    before = []
    for row in KEPT:
        owner = getattr(meter, row[0]) if row[0] else meter
        for i in range(1, len(row)):
            value = getattr(owner, row[i], None)  # a meter with a fault lacks some parts
            before.append(copy if value is state else value)
    meter._before = before


def undo(meter: "Meter"):
    """Roll back to the snapshot. This only swaps references: there may be no free memory."""
    before = meter._before
    at = 0
    for row in KEPT:
        owner = getattr(meter, row[0]) if row[0] else meter
        for i in range(1, len(row)):
            if owner is not None:
                setattr(owner, row[i], before[at])  # type: ignore[index]
            at += 1
    meter._before = None


def save(meter: "Meter", full=False):
    """Save what has changed: only the tick if nothing else changed, else the record.

    `full` always writes the record. Raise OSError if the store fails.
    """
    state = meter.state
    state.tids = bytes(meter.tids.data)
    state.clock = meter._at
    record, tick = meter._record, meter._tick
    parts = state.parts(record)
    failed, meter._unsaved = meter._unsaved, True
    if full or not meter._storage.holds(parts, states.TICK_START, states.TICK_END):
        states.seal(parts)
        meter._storage.save(parts)
        states.tick_into(tick, record, True)
    elif states.tick_into(tick, record) or failed:
        meter._storage.save_tick(tick)
    meter._saved_at = meter._at
    meter._saved_total_wh = state.total_wh
    meter._unsaved = False
    meter.store_error = ""
