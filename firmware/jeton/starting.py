"""The start of a meter: from the record in the store to a working meter; then unloaded."""

from . import events, screens, timeline
from . import state as states
from .sts import keys
from .sts.tids import TidStore
from .values import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter

_SET_FROM = 366 * 86400  # the end of 2000, in which a clock begins that was never set


def start(meter: "Meter", clock=None):
    """Load the record and return the time (see `Meter.start`)."""
    try:
        from . import reading

        meter.state = reading.latest(meter._storage, meter._record) or meter.state
        meter._at = meter._saved_at = meter.state.clock
        meter._setup()
    except MemoryError:
        raise  # a lack of memory is not a fault of the store
    except Exception as error:
        lock = meter.state.lock  # an unreadable profile must not unlock a meter
        meter.state = states.State()
        meter.state.lock = lock
        meter.fault = describe(error)
        _setup_bare(meter)
        return 0
    state = meter.state
    at = now = meter._at
    if clock is not None and max(at, _SET_FROM) <= clock <= 0xFFFFFFFF:
        now = clock
    if state.provisioned:
        state.power_fails = min(state.power_fails + 1, 0xFFFF)
        # A second power-up at the same meter time, or soon after it, adds no information, and
        # would push older events out of the log.
        seen, kind = events.last(state)
        if kind != events.POWER_UP or (seen != at if now == at else now - seen > 60):
            events.record(state, at, events.POWER_DOWN)
            events.record(state, now, events.POWER_UP)
        meter.lockout.power_up(at)
        if state.sections != bytes(len(state.sections)):
            from . import management

            management.recall_sections(meter)
            timeline.plan(meter)
        if now != at:
            from . import outage

            outage.end(meter, now)
            timeline.settle(meter)
        # Data half written at a power cut may read differently later: write the record again
        # before it is used.
        timeline.save_or_note(meter, True)
    meter._at = now
    return now


def _setup_bare(meter: "Meter"):
    """Set up a meter that can only report its fault."""
    state = meter.state
    meter.profile = None  # type: ignore[assignment]
    meter.tids = TidStore(state.tids)
    meter.screen = screens.Screen(state.rows, state.cols)
    meter.entry = meter.lockout = meter._load = meter._trip_at = None  # type: ignore[assignment]
    meter._next = meter._level = 0
    meter.key_change = keys.KeyChange(state.ea, state.kct)
    meter._decrypt = None
