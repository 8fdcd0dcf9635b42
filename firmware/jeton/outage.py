"""The end of a power cut whose length is known; imported when that is the case.

No energy was used. What waits for a time, such as a lock-out, does not wait longer for the cut.
"""

from . import credit, events, history, timeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter


def end(meter: "Meter", now):
    """Advance to `now`; the caller settles, which acts on all that is due."""
    meter._at = now
    meter._trip_at = None
    if meter._load is not None:
        timeline.begin_load(meter)
    if credit.local(meter.state, now) // credit.DAY_S != meter.state.day:
        history.turn(meter.state, now)
    meter.lockout.process(now)


def passed(meter: "Meter", was, now):
    """Advance the clock of a running meter, which had no clock at its start, from `was` to `now`.

    Raise ValueError if `now` is earlier.
    """
    meter._check_fault()
    if now < was:
        raise ValueError("the meter's clock is later: no time has passed since")
    meter.process(was)

    def action():
        end(meter, now)
        events.record(meter.state, now, events.CLOCK_SET, 0, 0, min(now - was, 0x7FFFFFFF))

    meter.atomically(action)
    for part in (meter.entry, meter.screen):
        part.shift(now - was)
