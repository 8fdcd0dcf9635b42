"""The pages of short codes and class 1 tests: registers. Imported when one is requested.

A page is a list of lines, the label first.
"""

from . import __version__, calendar, credit, events, supply
from .entry import find
from .pages import result_words
from .screens import kwh
from .sts.digits import DIGITS, grouped
from .values import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter
    from .profile import Profile
    from .state import State

# The class 1 test that shows the same register (IEC 62055-41 6.2.3).
_TESTS = {
    "krn_kt": 4,
    "ti": 5,
    "limit": 7,
    "tamper": 8,
    "version": 10,
    "ea": 14,
    "sgc": 16,
    "ken": 17,
    "drn": 18,
}


def limit(limit_w, profile: "Profile"):
    """Return a limit in W for a display; 0 is no limit."""
    return "%d W" % limit_w if limit_w else profile.say("no")


def test_page(number, meter: "Meter"):
    """Return the lines of class 1 test `number`, or None if this meter lacks the test.

    IEC 62055-41 6.2.3.
    """
    state = meter.state
    say = meter.profile.say
    if number == 2:
        return ["8" * 40] * 4
    if number == 6:
        value = say("ok")
    elif number == 1:
        value = say("on" if state.switch_closed else "off")
    elif number == 3:
        value = kwh(state.total_wh)
    elif number == 4:
        value = "%d / %d" % (state.krn, state.kt)
    elif number == 5:
        value = "%02d" % state.ti
    elif number == 7:
        value = limit(state.max_power_limit_w, meter.profile)
    elif number == 8:
        value = say("yes" if state.tamper else "no")
    elif number == 9:
        value = "%d W" % supply.power_w(state)
    elif number == 10:
        value = __version__
    elif number == 11:
        value = limit(state.phase_unbalance_limit_w, meter.profile)
    elif number == 13:
        value = "%d" % state.tariff_rate
    elif number == 14:
        value = "%02d" % state.ea
    elif number == 15:
        value = "%d" % state.kct
    elif number == 16:
        value = "%06d" % state.sgc
    elif number == 17:
        value = "%d" % state.ken
    elif number == 18:
        value = text(state.drn)
    else:
        return None
    return [say("test%d" % number), value]


def code(keyed, meter: "Meter", now):
    """Return the pages of a short code that was keyed in; some codes also have an effect."""
    found = find(meter.profile.codes_show, keyed)
    if not found:
        return [[meter.profile.say("no_code"), keyed]]
    return show(found[0], meter, now, found[1])


def show(what, meter: "Meter", now, n=1):
    """Return the pages of a profile's `codes.show` value; `n` counts tokens of the history."""
    if what in _TESTS:
        return [test_page(_TESTS[what], meter)]
    state = meter.state
    say = meter.profile.say
    label = what
    if what == "credit":
        value = kwh(state.credit_wh)
    elif what in ("total", "index"):
        label = "index"
        value = kwh(state.total_wh)
    elif what == "load":
        value = "%d W" % supply.power_w(state)
    elif what in ("day", "month"):
        from . import history

        value = kwh(history.today_wh(state) if what == "day" else history.month_wh(state))
    elif what == "advance":
        value = kwh(state.advance_debt_wh)
    elif what == "power_fails":
        value = "%d" % state.power_fails
    elif what == "date":
        value = _time(state, now)
    elif what == "last_tid":
        value = "%d" % state.last_tid if state.bought else "-"
    elif what == "last_amount":
        found = events.bought_before(state, 1)
        value = kwh(found[1], 1) if found else "-"
    elif what == "last_date":
        label = "date"
        found = events.bought_before(state, 1)
        value = _time(state, found[0]) if found else "-"
    elif what == "last_token":
        return _last_token(state, meter.profile)
    elif what == "last_result":
        words = "-"
        if state.result:
            change = meter.key_change
            missing = change.sections and change.missing()
            words = result_words(meter.profile, state.result, missing, state.lock_count)
        return [[meter.screen.row(say(what), "%d" % state.result), words]]
    elif what == "history_token":
        label = say("history", n)
        found = events.bought_before(state, n)
        if not found:
            return [[label, "-"]]
        return [[label, _time(state, found[0])], [label, kwh(found[1], 1)]]
    elif what == "emergency":
        taken, reason = meter.emergency(now)
        value = kwh(meter.profile.credit_emergency_wh) if taken else say("emergency_" + reason)
    elif what == "mute":
        meter.mute(now)
        return [[say("muted")]]
    else:
        raise ValueError("no short code shows %s" % what)
    return [[say(label), value]]


def _time(state: "State", now):
    """Return a local date and time of day in 16 characters."""
    now = credit.local(state, now)
    minutes = now % calendar.DAY_S // 60
    return "%04d-%02d-%02d %02d:%02d" % (
        calendar.date(now // calendar.DAY_S) + (minutes // 60, minutes % 60)
    )


def _last_token(state: "State", profile: "Profile"):
    label = profile.say("last_token")
    found = events.bought_before(state, 1)
    if not found:
        return [[label, "-"]]
    digits = text(state.last_token)
    half = 12 if len(digits) == DIGITS else len(digits)
    separator = profile.entry_separator
    return [
        [label, _time(state, found[0])],
        [grouped(digits[:half], separator), grouped(digits[half:], separator)],
    ]
