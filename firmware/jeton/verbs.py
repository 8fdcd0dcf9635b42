"""Verbs of the console that a start does not need: imported with the first call of one."""

from . import __version__
from .entry import check_keys
from .sts.results import NAMES
from .sts.tids import MAX_TID
from .values import shown, text, whole

_LONGEST_ADVANCE_S = 100 * 366 * 86400
_LATEST = 0xFFFFFFFF
# The interpreter needs some seconds for this many; ten years of a household have fewer.
_MOST_CHANGES = 150000


def info(console):
    """Return firmware, board, interpreter, profile and meter number."""
    meter = console._meter
    about = {"firmware": __version__, "provisioned": bool(meter.state.provisioned)}
    about["profile"] = meter.profile.name if meter.profile else None
    about["drn"] = text(meter.state.drn)
    about.update(console._about())
    return about


def press(console, keys, linger_s=0):
    """Press keys one after another: 0 to 9, * backspace, # Enter, i where the keypad has an i.

    Run an accelerated clock at 1x for the next `linger_s` real seconds, so that no timeout
    passes before the next key.
    """
    if not isinstance(keys, str):
        raise ValueError("keys are a string, not %s" % shown(keys))
    profile = console._meter.profile
    check_keys(keys, profile.codes_start if profile else "")
    if whole("linger_s", linger_s, 0, 60):
        console._clock.linger(linger_s)
    now = console._now()
    done = []
    for key in keys:
        outcome = console._meter.press(key, now)
        if outcome:
            done += outcome.earlier
            done.append(outcome)
            outcome.earlier = []
    result = None
    if done:
        last = done.pop()
        last.earlier = done
        result = console._outcome(last, now)
    return {"display": console._meter.display(now), "result": result}


def events(console, after=0, most=100):
    """Return the logged events with a number above `after`, the oldest `most` of them."""
    whole("most", most, 1, 100)
    return console._meter.events(whole("after", after, 0, _LATEST), most)


def provision(console, config):
    """Set this up as a new meter (`setup.configured` describes a configuration)."""
    clock = config.get("clock") if isinstance(config, dict) else None
    if clock is not None:
        whole("clock", clock, 0, _LATEST)
    now = console._now() if clock is None else clock
    if isinstance(config, dict) and "display" not in config:
        config["display"] = list(console._size)
    console._meter.provision(config, now)
    console._clock.set(now)
    return console.status()


def load(console, watts):
    """Connect a load behind the switch."""
    console._meter.set_load(watts, console._now())
    return console.status()


def load_profile(console, load):
    """Connect a load in steps [[seconds, W], …] that begins now.

    Or {"steps": …, "repeat_s": the period of a repeated load, "at": start in seconds since 2000,
    "more": true to append the steps to those already there}.
    """
    from . import load as loads

    loads.connect(console._meter, load, console._now())
    return console.status()


def phases(console, watts):
    """Connect loads to the three phases."""
    from . import load as loads

    loads.connect_phases(console._meter, watts, console._now())
    return console.status()


def advance_grant(console, energy_wh):
    """Grant an advance, which later credit tokens repay."""
    console._meter.grant(energy_wh, console._now())
    return console.ledger()


def emergency(console):
    """Take emergency credit."""
    taken, reason = console._meter.emergency(console._now())
    return {"taken": taken, "reason": reason or None, "ledger": console.ledger()}


def ledger(console):
    """Return the parts of the credit and the debts."""
    return console._meter.ledger(console._now())


def reconnect(console):
    """Press the key that closes the switch, if it waits for one."""
    return {"done": console._meter.reconnect(console._now()), "status": console.status()}


def mute(console):
    """Silence the alarm."""
    console._meter.mute(console._now())
    return console.status()


def language(console, language=None):
    """Return the display's language and the available ones; with an argument, set it first."""
    if language is not None:
        console._meter.set_language(language, console._now())
    profile = console._meter.profile
    return {"language": profile.language, "languages": profile.languages}


def history(console):
    """Return the consumption by day and month."""
    return console._meter.history(console._now())


def led(console):
    """Return the pulses so far, and whether the supply LED is lit."""
    return console._meter.led(console._now())


def reports(console):
    """Return the fault reports not acknowledged yet, oldest first."""
    return console._meter.reports(console._now())


def acknowledge(console, seq):
    """Remove the fault reports up to this number; return how many are left."""
    return console._meter.acknowledge(seq, console._now())


def consume(console, energy_wh):
    """Count energy in Wh that flowed, as pulses of a meter would."""
    console._meter.use_energy(energy_wh, console._now())
    return console.status()


def advance(console, seconds):
    """Advance the meter's time; `next_s` is the time until the next event, in seconds."""
    whole("seconds", seconds, 0, _LONGEST_ADVANCE_S)
    if console._now() + seconds > _LATEST:
        raise ValueError("the clock ends in 2136")
    if console._meter.load_changes(seconds) > _MOST_CHANGES:
        raise ValueError("the load changes too often for one advance: take shorter ones")
    console._clock.advance(seconds)
    now = console._now()
    console._meter.save(now)
    due = console._meter.process(now)
    value = console.status()
    value["next_s"] = due and due - now
    return value


def lock(console, code):
    """Lock the meter with an unlock code: the board restarts without a REPL."""
    from . import locked

    locked.lock(console._meter, code, console._line(), console._now())


def clock(console, seconds=None, passed=False):
    """Return the clock, seconds since 2000-01-01 UTC; with an argument, set it first.

    With `passed`, the time from its clock to `seconds` has passed without supply.
    """
    if seconds is not None:
        whole("clock", seconds, 0, _LATEST)
        if passed:
            from . import outage

            outage.passed(console._meter, console._now(), seconds)
        else:
            console._meter.clock_set(console._now(), seconds)
        console._clock.set(seconds)
    return console._now()


def rate(console, rate):
    """Run the clock at `rate` meter seconds per real second; 0 stops it."""
    now = console._now()
    console._clock.rate = whole("rate", rate, 0, 1000000)
    console._meter.process(now)
    return console.status()


def tamper(console, on):
    """Set the tamper input; the condition stays until a token clears it.

    `on` "magnet": a magnetic field, not an open cover.
    """
    from .supply import MAGNET

    console._meter.set_tamper(MAGNET if on == "magnet" else bool(on), console._now())
    return console.status()


def tid(console, tid):
    """Return the result that a token identifier would have: Accept, UsedError, OldError, …"""
    whole("tid", tid, 0, MAX_TID)
    return NAMES[console._meter.tids.check(tid, console._meter.state.ken)]
