"""One commit: a snapshot of what may change, the way back to it, and what is saved.

What was begun and has not been saved never happened. Ctrl-C may come between any two steps, and
memory may run out. Where the octets go is the storage port's matter (`ports`).
"""

from . import state as states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter

# What an action may change: rows of an owner, "" for the meter or the name of its part, then the
# names of the owner's attributes. This is the only list: add a new attribute here. The owners
# are attributes of the meter and stand in its row, which comes first. An action replaces the
# value of an attribute, it never changes it in place; the record alone is copied.
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
    ("tids", "octets"),
    ("lockout", "state"),
    ("key_change", "sections", "_since"),
    ("_load", "place", "next"),
)


def begin(meter: "Meter"):
    """Take a snapshot of the meter, which counts until `_before` is None again.

    Undo first what was begun before and has not ended.
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
            value = getattr(owner, row[i], None)  # a meter with a fault has not all parts
            before.append(copy if value is state else value)
    meter._before = before


def undo(meter: "Meter"):
    """Return to the snapshot. This only exchanges references: memory may have run out."""
    before = meter._before
    at = 0
    for row in KEPT:
        owner = getattr(meter, row[0]) if row[0] else meter
        for i in range(1, len(row)):
            if owner is not None:
                setattr(owner, row[i], before[at])  # type: ignore[index]
            at += 1
    meter._before = None


def save(meter: "Meter", anew=False):
    """Save what has changed: the record, or a tick if that says it all; `anew` the record.

    Raise OSError where the store fails.
    """
    state = meter.state
    state.tids = bytes(meter.tids.octets)
    state.clock = meter._at
    record, tick = meter._record, meter._tick
    parts = state.parts(record)
    failed, meter._unsaved = meter._unsaved, True
    if anew or not meter._storage.holds(parts, states.TICK_START, states.TICK_END):
        states.seal(parts)
        meter._storage.save(parts)
        states.tick_into(tick, record, True)
    elif states.tick_into(tick, record) or failed:
        meter._storage.save_tick(tick)
    meter._saved_at = meter._at
    meter._saved_total_wh = state.total_wh
    meter._unsaved = False
    meter.store_error = ""
