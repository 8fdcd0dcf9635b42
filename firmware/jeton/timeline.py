"""Time and energy: what happens by itself as time passes, and when the next of it comes.

Functions over a meter. `_at` is up to when time has passed, `_next` when the next event comes by
time, `_level` the credit at which one comes; `_load` are the steps of a load that changes, and
`_trip_at` is when a load above its limit opens the switch.
"""

from . import commit, credit, events, supply
from .values import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter

# Consumption is saved each 0.01 kWh and at most every 10 s: flash wears (20 years at 23 kW).
SAVE_WH = 10
SAVE_S = 10


def process(meter: "Meter", now):
    """Let time pass up to `now` and return when something happens next by itself, or None.

    A clock that went back takes no time away.
    """
    if meter._before or now > meter._at:
        commit.begin(meter)
    seq = meter.state.event_seq
    _run(meter, now)
    meter.entry.process(now)
    ended = meter.lockout.process(now)
    if meter._unsaved or ended or meter.state.event_seq != seq or _save_due(meter, now):
        save_or_note(meter)
    meter._before = None
    return _deadline(meter, now)


def count(meter: "Meter", energy_wh, now):
    """Count energy that a sensor saw, in Wh, whatever the switch says.

    It is saved as what time uses is, not each time: flash wears.
    """
    process(meter, now)
    state = meter.state
    seq = state.event_seq
    credit.charge(state, energy_wh, meter.profile.credit_min_wh)
    settle(meter)
    if state.event_seq != seq or _save_due(meter, now):
        save_or_note(meter)


def settle(meter: "Meter"):
    """Let switch and warnings follow what has changed."""
    at = meter._at
    credit.watch(meter.state, meter.profile, at)
    supply.follow_credit(meter.state, meter.profile, at)
    plan(meter)
    if meter._next <= at:
        _due(meter, at)


def save_or_note(meter: "Meter", anew=False):
    """Save what time alone has changed; a failure is noted and tried again, time goes on.

    The switch is open meanwhile, save where a profile never opens it: a power cut would give
    back what was used.
    """
    state = meter.state
    try:
        commit.save(meter, anew)
        if state.hold & supply.HOLD_STORE:
            supply.release(state, supply.HOLD_STORE, supply.CREDIT, meter._at)
            plan(meter)
            commit.save(meter)
    except OSError as error:
        meter.store_error = describe(error)
        if not meter.profile.credit_never_cut:
            supply.hold(state, supply.HOLD_STORE, supply.STORE, meter._at)
            plan(meter)


def _run(meter: "Meter", now):
    """Go from event to event up to `now`: a step of the load, a level of credit, midnight."""
    state = meter.state
    profile = meter.profile
    at = meter._at
    seq = state.event_seq
    while at < now:
        if state.event_seq - seq >= events.SPARE // 2:
            # The rings have no room to go back further.
            meter._before = None
            commit.begin(meter)
            seq = state.event_seq
        end = max(at, min(meter._next, now))
        if state.switch_closed and state.load_w:
            end = credit.draw(state, profile, at, end, meter._level)
        meter._at = at = end
        if state.credit_wh <= meter._level:
            credit.watch(state, profile, at)
            supply.follow_credit(state, profile, at)
            plan(meter)
        if at >= meter._next:
            _due(meter, at)
    meter._at = now


def _due(meter: "Meter", at):
    """Do what is due at `at`, then find what comes next."""
    state = meter.state
    load = meter._load
    if load is not None and load.next is not None and at >= load.next:
        state.load_w = load.step()
    if meter._trip_at is not None and at >= meter._trip_at:
        meter._trip_at = None
        supply.trip(state, meter.profile, at)
    if state.reconnect_at and at >= state.reconnect_at:
        supply.due(state, meter.profile, at)
    deadline = meter.key_change.deadline()
    if meter.key_change.process(at):
        events.record(state, deadline, events.KEY_CHANGE_FORGOTTEN)
        state.sections = bytes(32)
    if at >= (state.day + 1) * credit.DAY_S:
        from . import history

        history.turn(state, at)
    if state.credit_wh <= 0:
        supply.follow_credit(state, meter.profile, at)
    plan(meter)


def plan(meter: "Meter"):
    """Find when the next event comes by time, and at which credit."""
    state = meter.state
    profile = meter.profile
    found = (state.day + 1) * credit.DAY_S
    load = meter._load
    if load is not None and load.next is not None:
        found = min(found, load.next)
    if not supply.exceeds(state, profile):
        meter._trip_at = None
    else:
        if meter._trip_at is None:
            meter._trip_at = meter._at + profile.supply_limit_delay_s
        found = min(found, meter._trip_at)
    if state.reconnect_at:
        found = min(found, state.reconnect_at)
    forgotten = meter.key_change.deadline()
    if forgotten is not None:
        found = min(found, forgotten + 1)  # the last second of the window still counts
    if state.credit_wh <= 0 and state.switch_closed:
        found = min(found, credit.next_turn(profile, meter._at))
    meter._next = found
    meter._level = credit.level(state, profile)


def _save_due(meter: "Meter", now):
    used_wh = meter.state.total_wh - meter._saved_total_wh
    return used_wh >= SAVE_WH and now - meter._saved_at >= SAVE_S


def _deadline(meter: "Meter", now):
    found = [meter.entry.deadline(), meter.screen.deadline(now)]
    found.append(meter.lockout.deadline())
    found.append(meter._next)
    state = meter.state
    if state.switch_closed and state.load_w and meter._level > credit.NEVER:
        left_ws = (state.credit_wh - meter._level) * credit.WS_PER_WH - state.rest_ws
        found.append(now + (left_ws + state.load_w - 1) // state.load_w)
    return min([deadline for deadline in found if deadline is not None])


def find_load(meter: "Meter"):
    """Find the place in the steps of a load, where the record has such a load."""
    meter._load = None
    if meter.state.load_steps:
        from . import load

        meter._load = load.Load(meter.state, meter._at)


def begin_load(meter: "Meter"):
    """Find the place in the steps of a load, and draw what it says there."""
    find_load(meter)
    watts = meter._load.watts() if meter._load else None
    if watts is not None:
        meter.state.load_w = watts


def jump(meter: "Meter", was, now):
    """Move all that is by the clock, which was set from `was` to `now`; the caller commits."""
    moved = now - was
    state = meter.state
    meter._at = now
    meter._saved_at += moved
    meter.key_change.shift(moved)
    meter.lockout.shift(moved)
    for name in ("reconnect_at", "reconnected", "sections_from"):
        at = getattr(state, name)
        if at:  # 0: none
            setattr(state, name, max(1, min(at + moved, 0xFFFFFFFF)))
    if meter._trip_at is not None:
        meter._trip_at += moved
    if meter._load is not None:
        if state.load_repeat_s and was >= state.load_from:
            # Over and over is by the clock: a household's evening is in the evening.
            turns = (now - state.load_from) // state.load_repeat_s
            state.load_from += turns * state.load_repeat_s
        else:
            state.load_from += moved
        begin_load(meter)
    clipped = max(-0x80000000, min(moved, 0x7FFFFFFF))
    events.record(state, now, events.CLOCK_SET, 0, 0, clipped)
    if now // credit.DAY_S != state.day:
        from . import history

        history.turn(state, now)
