"""Time and energy: the events caused by the passing of time, and when the next one is due.

Functions over a meter. `_at` is the time up to which the meter has been advanced, `_next` the time
of the next event, `_level` the credit at which one occurs, `_load` the steps of a changing load,
and `_trip_at` the time at which a load above its limit opens the switch.
"""

from . import commit, credit, events, supply
from .values import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter
    from .state import State

# Consumption is saved each 0.01 kWh and at most every 10 s, to limit flash wear (20 years at 23
# kW).
SAVE_WH = 10
SAVE_S = 10
# Without consumption the clock is saved, so that power cuts do not set it back again and again:
# in each of these periods, more often while a wait runs, and at midnight.
CLOCK_SAVE_S = 600
WAIT_SAVE_S = 30


def process(meter: "Meter", now):
    """Advance the meter to time `now`; return when the next timed event is due, or None.

    A clock that was set back does not turn the meter back.
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
    """Count energy in Wh that a sensor measured, whatever the state of the switch.

    It is saved at the interval for consumption, not at each call, to limit flash wear.
    """
    process(meter, now)
    state = meter.state
    seq = state.event_seq
    credit.charge(state, energy_wh, meter.profile.credit_min_wh)
    settle(meter)
    if state.event_seq != seq or _save_due(meter, now):
        save_or_note(meter)


def settle(meter: "Meter"):
    """Update switch and warnings after a change."""
    at = meter._at
    credit.watch(meter.state, meter.profile, at)
    supply.follow_credit(meter.state, meter.profile, at)
    plan(meter)
    if meter._next <= at:
        _due(meter, at)


def save_or_note(meter: "Meter", full=False):
    """Save what time alone has changed; after a failure note it, retry later and continue.

    `full` writes the whole record. Until saving works again the switch is open, unless the profile
    never opens it: a power cut would give back the consumption that was not saved.
    """
    state = meter.state
    try:
        commit.save(meter, full)
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
    """Advance from event to event up to `now`: a load step, a credit level, midnight."""
    state = meter.state
    profile = meter.profile
    at = meter._at
    seq = state.event_seq
    while at < now:
        if state.event_seq - seq >= events.SPARE // 2:
            # The rings have no spare slots left for a longer rollback: start a new snapshot.
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
    """Do what is due at `at`, then plan the next event."""
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
    if credit.local(state, at) // credit.DAY_S != state.day:
        from . import history

        history.turn(state, at)
    if state.credit_wh <= 0:
        supply.follow_credit(state, meter.profile, at)
    plan(meter)


def plan(meter: "Meter"):
    """Calculate the time of the next event and the credit level of the next event."""
    state = meter.state
    profile = meter.profile
    found = _midnight(state, meter._at)
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
        found = min(found, credit.next_turn(state, profile, meter._at))
    meter._next = found
    meter._level = credit.level(state, profile)


def _midnight(state: "State", at):
    """Return when the local day ends; or when daylight saving time changes, if that is earlier."""
    found = at + credit.DAY_S - credit.local(state, at) % credit.DAY_S
    zone = state.zone
    if zone[1]:
        from . import summer

        offset_s = credit.standard_s(zone)
        found = min(found, summer.rule(zone, at + offset_s)[1] - offset_s)
    return found


def _save_due(meter: "Meter", now):
    state = meter.state
    if now - meter._saved_at < SAVE_S or not state.provisioned:
        return False
    return state.total_wh - meter._saved_total_wh >= SAVE_WH or now >= next_save(meter)


def next_save(meter: "Meter"):
    """Return when the clock is saved next, without consumption or an event before.

    It is saved more often while a lock-out, its window, a trip or a key change waits for its time.
    """
    at = meter._saved_at
    after_s = CLOCK_SAVE_S
    if meter.state.reconnect_at or meter.lockout.deadline() or meter.key_change.deadline():
        after_s = WAIT_SAVE_S
    return min(at + after_s, _midnight(meter.state, at))


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
    """Find the position in the load steps, if the record has any."""
    meter._load = None
    if meter.state.load_steps:
        from . import load

        meter._load = load.Load(meter.state, meter._at)


def begin_load(meter: "Meter"):
    """Find the position in the load steps and apply the load of that step."""
    find_load(meter)
    watts = meter._load.watts() if meter._load else None
    if watts is not None:
        meter.state.load_w = watts


def jump(meter: "Meter", was, now):
    """Move all stored times after the clock was set from `was` to `now`; the caller commits."""
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
            # A repeated load follows the clock: a household's evening stays in the evening.
            turns = (now - state.load_from) // state.load_repeat_s
            state.load_from += turns * state.load_repeat_s
        else:
            state.load_from += moved
        begin_load(meter)
    clipped = max(-0x80000000, min(moved, 0x7FFFFFFF))
    events.record(state, now, events.CLOCK_SET, 0, 0, clipped)
    if credit.local(state, now) // credit.DAY_S != state.day:
        from . import history

        history.turn(state, now, False)
