"""The credit register: what was bought, lent, used, repaid and cleared, and when supply must end.

Energy is counted in whole Wh; fractions are kept in watt-seconds and never lost. The ledger holds
at every moment: initial + tokens + advances + emergency - charged - recovered - cleared = credit.
"""

from . import events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .profile import Profile
    from .state import State

WS_PER_WH = 3600
DAY_S = 86400

# Bits of `warned`: what the credit is below.
LOW = 1
ALARM = 2

# Below all that a register can hold.
NEVER = -0x3FFFFFFF
_LARGEST_EVENT = 0x7FFFFFFF


def _event(state: "State", now, kind, energy_wh):
    energy_wh = max(-_LARGEST_EVENT, min(energy_wh, _LARGEST_EVENT))
    events.record(state, now, kind, 0, 0, energy_wh)


# What comes in


def shares(state: "State", profile: "Profile", amount_wh):
    """Return (repaid, recovered): what a credit token of `amount_wh` gives back.

    Emergency credit is repaid first and wholly; then the profile's share of the token goes to the
    advances, as far as there is a debt and something left.
    """
    repaid = min(amount_wh, state.emergency_debt_wh)
    share_wh = amount_wh * profile.credit_advance_share // 100
    return repaid, min(share_wh, amount_wh - repaid, state.advance_debt_wh)


def overflows(state: "State", profile: "Profile", amount_wh):
    """Tell whether adding `amount_wh` would exceed what the profile's register can hold."""
    return state.credit_wh + amount_wh > profile.credit_max_wh


def add(state: "State", amount_wh, repaid, recovered, now):
    """Add bought energy less its `shares`."""
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
    """Add an advance of the utility; raise ValueError where the meter can take none."""
    if not profile.credit_advance_share:
        raise ValueError("this meter takes no advances: its profile recovers none")
    if overflows(state, profile, amount_wh):
        raise ValueError("the credit would be more than the meter can hold")
    state.advances_wh += amount_wh
    state.advance_debt_wh += amount_wh
    state.credit_wh += amount_wh
    _event(state, now, events.ADVANCE, amount_wh)


def refusal(state: "State", profile: "Profile"):
    """Return why no emergency credit can be taken now: none, used, not_needed; "" if it can."""
    if not profile.credit_emergency_wh:
        return "none"
    if state.emergency_debt_wh:
        return "used"
    if state.credit_wh > profile.credit_emergency_offer_wh:
        return "not_needed"
    # It would be used up by what is owed, and no supply would come of it.
    return "debt" if state.credit_wh + profile.credit_emergency_wh <= 0 else ""


def offered(state: "State", profile: "Profile"):
    """Tell whether emergency credit can be taken now."""
    return not refusal(state, profile)


def take_emergency(state: "State", profile: "Profile", now):
    """Take emergency credit; the next credit tokens repay it."""
    amount_wh = profile.credit_emergency_wh
    state.emergency_wh += amount_wh
    state.emergency_debt_wh += amount_wh
    state.credit_wh += amount_wh
    _event(state, now, events.EMERGENCY, amount_wh)


def take_by_itself(state: "State", profile: "Profile", now):
    """Take emergency credit at zero where a profile's meters do so unasked."""
    if (
        profile.credit_emergency_by == "auto"
        and state.credit_wh <= 0
        and not refusal(state, profile)
    ):
        take_emergency(state, profile, now)


def clear(state: "State"):
    """Set the register to zero, as ClearCredit does; debts and energy in flight stay."""
    state.cleared_wh += state.credit_wh
    state.credit_wh = 0


# What goes out


def charge(state: "State", energy_wh, lowest_wh):
    """Count energy that has flowed; the register ends at `lowest_wh`, what is owed is netted."""
    state.total_wh += energy_wh
    covered = max(min(energy_wh, state.credit_wh - lowest_wh), 0)
    state.credit_wh -= covered
    state.charged_wh += covered


def level(state: "State", profile: "Profile"):
    """Return the level that credit reaches next when it falls: low, alarm, 0, or NEVER."""
    found = NEVER
    for candidate in (profile.credit_low_wh, profile.credit_alarm_wh, 0):
        if candidate is not None and found < candidate < state.credit_wh:
            found = candidate
    return found


def draw(state: "State", profile: "Profile", at, end, stop):
    """Count what the load uses from `at` to `end`, or to where credit reaches `stop`.

    Return that time. Where supply ends at zero, that is in the middle of the last second: exactly
    the credit is used. Where emergency credit comes by itself, it comes there.
    """
    load_w = state.load_w
    used_ws = state.rest_ws + load_w * (end - at)
    used_wh = used_ws // WS_PER_WH
    if stop > NEVER and state.credit_wh - used_wh <= stop:
        need_ws = (state.credit_wh - stop) * WS_PER_WH - state.rest_ws
        end = at + (need_ws + load_w - 1) // load_w
        used_ws = state.rest_ws + load_w * (end - at)
        if stop == 0:
            by_itself = profile.credit_emergency_by == "auto"
            if by_itself and refusal(state, profile) in ("", "not_needed"):
                take_emergency(state, profile, end)
            elif not protected(state, profile, end):
                used_ws = state.credit_wh * WS_PER_WH
        used_wh = used_ws // WS_PER_WH
    state.rest_ws = used_ws - used_wh * WS_PER_WH
    charge(state, used_wh, profile.credit_min_wh)
    return end


# What follows from it


def watch(state: "State", profile: "Profile", now):
    """Note, once each way down, that credit is low and that the alarm sounds."""
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
        state.muted = 0


def alarm_sounds(state: "State"):
    """Tell whether the buzzer sounds: credit is below the alarm level and nobody muted it."""
    return bool(state.warned & ALARM) and not state.muted


def mute(state: "State"):
    """Silence the alarm."""
    state.muted = 1


def protected(state: "State", profile: "Profile", now):
    """Tell whether supply goes on without credit: friendly hours, holidays, or always.

    Who tampers loses that under the policy `open_at_zero`.
    """
    if state.tamper and profile.supply_tamper == "open_at_zero":
        return False
    if profile.credit_never_cut:
        return True
    if profile.credit_holidays:
        from . import calendar

        if "%02d-%02d" % calendar.date(now // DAY_S)[1:] in profile.credit_holidays:
            return True
    hours, second = profile.credit_friendly, (now + 5 * DAY_S) % (7 * DAY_S)
    for i in range(0, len(hours), 2):
        if hours[i] <= second < hours[i + 1]:
            return True
    return False


def next_turn(profile: "Profile", now):
    """Return when `protected` may be something else by the time of day."""
    second = (now + 5 * DAY_S) % (7 * DAY_S)
    found = DAY_S - now % DAY_S
    for turn in profile.credit_friendly:
        if 0 < turn - second < found:
            found = turn - second
    return now + found
