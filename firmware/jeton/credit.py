"""The credit register: energy bought, lent, used, repaid and cleared, and when supply must end.

Energy is counted in whole Wh; the remainder is kept in watt-seconds, so nothing is lost. At every
moment: initial + tokens + advances + emergency - charged - recovered - cleared = credit.
"""

from . import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .profile import Profile
    from .state import State

WS_PER_WH = 3600
DAY_S = 86400

# Bits of `warned`: the levels that the credit is below.
LOW = 1
ALARM = 2
MUTED = 4

# A level below every value that a register can hold.
NEVER = -0x3FFFFFFF
_LARGEST_EVENT = 0x7FFFFFFF


def _event(state: "State", now, kind, energy_wh):
    energy_wh = max(-_LARGEST_EVENT, min(energy_wh, _LARGEST_EVENT))
    events.record(state, now, kind, 0, 0, energy_wh)


def standard_s(zone):
    """Return the seconds by which the standard time of a zone is later than UTC."""
    return 900 * ((zone[0] ^ 128) - 128)


def local(state: "State", now):
    """Return the meter's local time at `now`, seconds since 2000-01-01 00:00 of that time."""
    zone = state.zone
    now += standard_s(zone)
    if zone[1]:
        from . import summer

        now += summer.rule(zone, now)[0]
    return now


# Adding credit


def shares(state: "State", profile: "Profile", amount_wh):
    """Return (repaid, recovered): the parts of a credit token of `amount_wh` that repay debts.

    Emergency credit is repaid first, in full. Then the profile's share of the token repays
    advances, limited by that debt and by the rest of the token.
    """
    repaid = min(amount_wh, state.emergency_debt_wh)
    share_wh = amount_wh * profile.credit_advance_share // 100
    return repaid, min(share_wh, amount_wh - repaid, state.advance_debt_wh)


def overflows(state: "State", profile: "Profile", amount_wh):
    """Return whether `amount_wh` more would exceed the profile's largest register value."""
    return state.credit_wh + amount_wh > profile.credit_max_wh


def add(state: "State", amount_wh, repaid, recovered, now):
    """Add bought energy minus its `shares`."""
    state.tokens_wh += amount_wh
    state.recovered_wh += repaid + recovered
    state.credit_wh += amount_wh - repaid - recovered
    if repaid:
        state.emergency_debt_wh -= repaid
        _event(state, now, events.EMERGENCY, -repaid)
    if recovered:
        state.advance_debt_wh -= recovered
        _event(state, now, events.ADVANCE, -recovered)


def grant(state: "State", profile: "Profile", amount_wh, now):
    """Add an advance of the utility; raise ValueError if the meter cannot take one."""
    if not profile.credit_advance_share:
        raise ValueError("this meter takes no advances: its profile recovers none")
    if overflows(state, profile, amount_wh):
        raise ValueError("the credit would be more than the meter can hold")
    state.advances_wh += amount_wh
    state.advance_debt_wh += amount_wh
    state.credit_wh += amount_wh
    _event(state, now, events.ADVANCE, amount_wh)


def refusal(state: "State", profile: "Profile"):
    """Return why emergency credit cannot be taken: none, used, not_needed, debt; "" if it can."""
    if not profile.credit_emergency_wh:
        return "none"
    if state.emergency_debt_wh:
        return "used"
    if state.credit_wh > profile.credit_emergency_offer_wh:
        return "not_needed"
    # The debt would use up all of it: the supply would stay off.
    return "debt" if state.credit_wh + profile.credit_emergency_wh <= 0 else ""


def offered(state: "State", profile: "Profile"):
    """Return whether emergency credit can be taken now."""
    return not refusal(state, profile)


def take_emergency(state: "State", profile: "Profile", now):
    """Take emergency credit; the next credit tokens repay it."""
    amount_wh = profile.credit_emergency_wh
    state.emergency_wh += amount_wh
    state.emergency_debt_wh += amount_wh
    state.credit_wh += amount_wh
    _event(state, now, events.EMERGENCY, amount_wh)


def take_by_itself(state: "State", profile: "Profile", now):
    """Take emergency credit at zero credit if the profile takes it automatically."""
    if (
        profile.credit_emergency_by == "auto"
        and state.credit_wh <= 0
        and not refusal(state, profile)
    ):
        take_emergency(state, profile, now)


def clear(state: "State"):
    """Set the register to zero, as ClearCredit does; debts and the unbilled remainder stay."""
    state.cleared_wh += state.credit_wh
    state.credit_wh = 0


# Using credit


def charge(state: "State", energy_wh, lowest_wh):
    """Count consumed energy; the register stops at `lowest_wh`, the rest is not charged."""
    state.total_wh += energy_wh
    covered = max(min(energy_wh, state.credit_wh - lowest_wh), 0)
    state.credit_wh -= covered
    state.charged_wh += covered


def level(state: "State", profile: "Profile"):
    """Return the next level that falling credit reaches: low, alarm, 0, or NEVER."""
    found = NEVER
    for candidate in (profile.credit_low_wh, profile.credit_alarm_wh, 0):
        if candidate is not None and found < candidate < state.credit_wh:
            found = candidate
    return found


def draw(state: "State", profile: "Profile", at, end, stop):
    """Count the consumption of the load from `at` to `end`, or until credit reaches `stop`.

    Return the time reached. If supply ends at zero, it ends within the last second, so that
    exactly the credit is used, whatever the load. Automatic emergency credit is taken at that
    moment.
    """
    load_w = state.load_w
    used_ws = state.rest_ws + load_w * (end - at)
    used_wh = used_ws // WS_PER_WH
    if stop > NEVER and state.credit_wh - used_wh <= stop:
        need_ws = (state.credit_wh - stop) * WS_PER_WH - state.rest_ws
        end = at + (need_ws + load_w - 1) // load_w
        used_ws = state.rest_ws + load_w * (end - at)
        if stop >= 0 and used_ws >= state.credit_wh * WS_PER_WH:
            by_itself = profile.credit_emergency_by == "auto"
            if by_itself and refusal(state, profile) in ("", "not_needed"):
                take_emergency(state, profile, end)
            elif not protected(state, profile, end):
                used_ws = state.credit_wh * WS_PER_WH
        used_wh = used_ws // WS_PER_WH
    state.rest_ws = used_ws - used_wh * WS_PER_WH
    charge(state, used_wh, profile.credit_min_wh)
    return end


# Warnings and protection


def watch(state: "State", profile: "Profile", now):
    """Log low credit and the alarm, once each time the credit falls below their levels."""
    for bit, level_wh, kind in (
        (LOW, profile.credit_low_wh, events.LOW_CREDIT),
        (ALARM, profile.credit_alarm_wh, events.ALARM),
    ):
        if level_wh is None or state.credit_wh > level_wh:
            state.warned &= ~bit
        elif not state.warned & bit:
            state.warned |= bit
            _event(state, now, kind, state.credit_wh)
    if not state.warned & ALARM:
        state.warned &= ~MUTED


def alarm_sounds(state: "State"):
    """Return whether the buzzer sounds: credit is below the alarm level and it is not muted."""
    return state.warned & (ALARM | MUTED) == ALARM


def mute(state: "State"):
    """Silence the alarm."""
    state.warned |= MUTED


def protected(state: "State", profile: "Profile", now):
    """Return whether supply continues without credit: friendly hours, holidays, or always.

    With policy `open_at_zero`, a tampered meter gets no protection.
    """
    if state.tamper and profile.supply_tamper == "open_at_zero":
        return False
    if profile.credit_never_cut:
        return True
    now = local(state, now)
    if profile.credit_holidays:
        from . import calendar

        if "%02d-%02d" % calendar.date(now // DAY_S)[1:] in profile.credit_holidays:
            return True
    hours, second = profile.credit_friendly, (now + 5 * DAY_S) % (7 * DAY_S)
    for i in range(0, len(hours), 2):
        if hours[i] <= second < hours[i + 1]:
            return True
    return False


def next_turn(state: "State", profile: "Profile", now):
    """Return the next time of the local day at which the result of `protected` may change."""
    second = (local(state, now) + 5 * DAY_S) % (7 * DAY_S)
    found = DAY_S - second % DAY_S
    for turn in profile.credit_friendly:
        if 0 < turn - second < found:
            found = turn - second
    return now + found
