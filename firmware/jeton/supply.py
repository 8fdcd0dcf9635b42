"""The load switch: what keeps it open, when it trips, and what closes it again."""

from . import credit, events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .profile import Profile
    from .state import State

# Reason numbers are stored: append only.
REASONS = (
    "not_provisioned",
    "credit",
    "no_credit",
    "test",
    "clear_credit",
    "over_power",
    "locked",
    "tamper",
    "unbalance",
    "wait_key",
    "reconnected",
    "key",
    "store",
)
NOT_PROVISIONED, CREDIT, NO_CREDIT, TEST, CLEAR_CREDIT = range(5)
OVER_POWER, LOCKED, TAMPER, UNBALANCE, WAIT_KEY, RECONNECTED, KEY, STORE = range(5, 13)

# Conditions that keep the switch open; it closes when none is left. Bits are stored: append only.
HOLD_NO_CREDIT = 1
HOLD_POWER = 2  # tripped; ended by a delay or a key
HOLD_LOCKED = 4  # after the profile's number of trips
HOLD_TAMPER = 8
HOLD_UNBALANCE = 16
HOLD_KEY = 32  # the supply is available; a person must press a key
HOLD_STORE = 64  # consumption cannot be saved
_BY_BIT = (NO_CREDIT, OVER_POWER, LOCKED, TAMPER, UNBALANCE, WAIT_KEY, STORE)
_TRIPPED = HOLD_POWER | HOLD_LOCKED | HOLD_UNBALANCE
# Values of `tamper`, 0 if the meter is not tampered with; stored: append only.
COVER = 1
MAGNET = 2


def _switch(state: "State", closed, reason, now):
    if bool(state.switch_closed) != closed:
        state.switch_closed = int(closed)
        state.switch_reason = reason
        kind = events.SWITCH_CLOSED if closed else events.SWITCH_OPENED
        events.record(state, now, kind, reason)


def hold(state: "State", bit, reason, now):
    """Open the switch, or keep it open, for one more condition."""
    state.hold |= bit
    _switch(state, False, reason, now)


def release(state: "State", bits, reason, now):
    """End conditions that keep the switch open; close it if none is left."""
    if not state.hold & bits:
        return
    state.hold &= ~bits
    if not state.hold:
        _switch(state, True, reason, now)
        return
    for i in range(len(_BY_BIT)):
        if state.hold >> i & 1:
            state.switch_reason = _BY_BIT[i]
            return


def begin(state: "State", profile: "Profile", now):
    """Set the switch of a new meter."""
    state.hold = HOLD_NO_CREDIT
    state.switch_reason = NO_CREDIT
    if state.credit_wh > 0 or credit.protected(state, profile, now):
        release(state, HOLD_NO_CREDIT, CREDIT, now)


def follow_credit(state: "State", profile: "Profile", now, reason=NO_CREDIT):
    """Open the switch without credit and protection; close it when there is credit again."""
    credit.take_by_itself(state, profile, now)
    protected = state.credit_wh <= 0 and credit.protected(state, profile, now)
    if state.credit_wh > 0 or (protected and profile.credit_never_cut):
        if state.hold & HOLD_NO_CREDIT:
            if profile.supply_reconnect == "manual":
                state.hold |= HOLD_KEY
            release(state, HOLD_NO_CREDIT, CREDIT, now)
    elif not protected and not state.hold & HOLD_NO_CREDIT:
        hold(state, HOLD_NO_CREDIT, reason, now)


def test(state: "State", now):
    """Interrupt the supply for a moment, as class 1 test 1 does."""
    if state.switch_closed:
        _switch(state, False, TEST, now)
        _switch(state, True, TEST, now)


def power_w(state: "State"):
    """Return the active power through the meter: the load while the switch is closed, else 0."""
    return state.load_w if state.switch_closed else 0


def _unbalanced(state: "State", profile: "Profile"):
    limit_w = state.phase_unbalance_limit_w
    return profile.supply_unbalance and 0 < limit_w < state.unbalance_w


def exceeds(state: "State", profile: "Profile"):
    """Return whether the load is above a limit while the switch is closed."""
    if not state.switch_closed:
        return False
    return 0 < state.max_power_limit_w < state.load_w or _unbalanced(state, profile)


def trip(state: "State", profile: "Profile", now):
    """Open the switch: the load was above a limit for longer than the profile's delay.

    Trips are counted up to the lock. The count restarts if the supply has stayed on for longer
    than the time of a lock since the last reconnection.
    """
    if state.trips and now - state.reconnected > profile.supply_lock_s:
        state.trips = 0
    state.trips = min(state.trips + 1, 255)
    unbalanced = _unbalanced(state, profile)
    value = min(state.unbalance_w if unbalanced else state.load_w, 0x7FFFFFFF)
    kind = events.UNBALANCE if unbalanced else events.TRIP
    events.record(state, now, kind, state.trips, 0, value)
    if profile.supply_trips and state.trips >= profile.supply_trips:
        state.reconnect_at = now + max(profile.supply_lock_s, 1)
        hold(state, HOLD_LOCKED, LOCKED, now)
        return
    wait_s = profile.supply_reconnect_s
    state.reconnect_at = 0 if wait_s is None else now + max(wait_s, 1)
    if unbalanced:
        hold(state, HOLD_UNBALANCE, UNBALANCE, now)
    else:
        hold(state, HOLD_POWER, OVER_POWER, now)


def due(state: "State", profile: "Profile", now):
    """Act on `reconnect_at`: the delay after a trip, or the lock, is over."""
    state.reconnect_at = 0
    if state.hold & HOLD_LOCKED:
        state.trips = 0
        if profile.supply_reconnect_s is None:
            state.hold |= HOLD_POWER
            release(state, HOLD_LOCKED, RECONNECTED, now)
            return
    _reconnect(state, _TRIPPED, RECONNECTED, now)


def waits_for_key(state: "State", profile: "Profile"):
    """Return the conditions that a key would end, as bits; 0 if none."""
    bits = HOLD_KEY
    if profile.supply_reconnect_s is None:
        bits |= HOLD_POWER | HOLD_UNBALANCE
    return state.hold & bits


def by_key(state: "State", profile: "Profile", now):
    """Reconnect at the request of a person at the meter; return whether that had an effect."""
    bits = waits_for_key(state, profile)
    if bits:
        _reconnect(state, bits, KEY, now)
    return bool(bits)


def _reconnect(state: "State", bits, reason, now):
    state.reconnected = now
    release(state, bits, reason, now)
    if state.switch_closed:
        events.record(state, now, events.RECONNECTED)


def set_tamper(state: "State", profile: "Profile", kind, now):
    """Set (COVER or MAGNET) or clear (0) the tamper condition; apply the profile's policy.

    The first kind stays until it is cleared.
    """
    if bool(state.tamper) == bool(kind):
        return
    state.tamper = kind
    events.record(state, now, events.TAMPER, 0, 0, kind)
    if profile.supply_tamper == "open":
        if kind:
            hold(state, HOLD_TAMPER, TAMPER, now)
        else:
            release(state, HOLD_TAMPER, CREDIT, now)
    follow_credit(state, profile, now)
