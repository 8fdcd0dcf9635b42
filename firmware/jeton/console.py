"""The verbs a serial client calls, and what a person has in hand at the REPL as `meter`.

`rpc` takes and gives one line of JSON, so that every client, of any language, needs only that.
"""

import gc
import json

from . import __version__
from .entry import check_keys
from .meter import describe
from .state import shown, whole
from .sts.digits import clean
from .sts.results import NAMES
from .sts.tids import MAX_TID

_LONGEST_ADVANCE_S = 100 * 366 * 86400
_LATEST = 0xFFFFFFFF
# Seconds of work for the interpreter; ten years of a household have less.
_MOST_CHANGES = 150000


class Console:
    """A meter with its clock: each method is a verb, its value made of what JSON knows.

    `clock` has `now()`, `set(seconds)`, `advance(seconds)` and `rate`; `about` is a function that
    returns what only the board knows (its name, interpreter and free heap), `line` one that
    returns the serial line: its `salt()`, and `restart(answer)`, which does not return. `display`
    is the board's: a set-up need not name it.
    """

    def __init__(self, meter, clock, about, line=None, display=(2, 16)):
        self._meter = meter
        self._size = display
        self._clock = clock
        self._about = about
        self._line = line

    def rpc(self, line):
        """Answer '["verb", argument, …]' with '{"ok": value}' or '{"error": "one line"}'."""
        try:
            request = json.loads(line)
            if not isinstance(request, list) or not request:
                raise ValueError('a request is a list: ["verb", argument, …]')
            verb = request[0]
            if verb not in VERBS:
                named = verb if isinstance(verb, str) else "of that kind"
                raise ValueError("no verb %s; there are: %s" % (named[:20], ", ".join(VERBS)))
            line = None
            if verb not in _ONCE:
                try:
                    return self._answer(verb, request)
                except MemoryError:
                    pass  # done wholly or not at all: once more, without what this try has left
            gc.collect()
            return self._answer(verb, request)
        except Exception as error:
            # Whatever went wrong: the client gets one line, and the meter goes on as it was.
            return json.dumps({"error": describe(error)})

    def _answer(self, verb, request):
        return json.dumps({"ok": getattr(self, verb)(*request[1:])})

    def _now(self):
        # The record's clock has 32 bits: it stands still in 2136, whatever the rate.
        return min(self._clock.now(), _LATEST)

    def info(self):
        """Return what this is: firmware, board, interpreter, profile and number."""
        status = self._meter.status(self._now())
        about = {"firmware": __version__}
        for name in ("provisioned", "profile", "drn"):
            about[name] = status[name]
        about.update(self._about())
        return about

    def provision(self, config):
        """Make this a new meter (`setup.configured` says what a configuration holds)."""
        clock = config.get("clock") if isinstance(config, dict) else None
        if clock is not None:
            whole("clock", clock, 0, _LATEST)
        now = self._now() if clock is None else clock
        if isinstance(config, dict) and "display" not in config:
            config["display"] = list(self._size)
        self._meter.provision(config, now)
        self._clock.set(now)
        return self.status()

    def enter(self, digits):
        """Take a token by the wire; the result is that of the keypad."""
        if not isinstance(digits, str):
            raise ValueError("a token is a string of 20 digits, not %s" % shown(digits))
        now = self._now()
        return self._outcome(self._meter.enter(clean(digits), now), now)

    def press(self, keys):
        """Press keys one after another: 0 to 9, * backspace, # Enter, i where there is one."""
        if not isinstance(keys, str):
            raise ValueError("keys are a string, not %s" % shown(keys))
        profile = self._meter.profile
        check_keys(keys, profile.codes_start if profile else "")
        now = self._now()
        done = []
        for key in keys:
            outcome = self._meter.press(key, now)
            if outcome:
                done += outcome.earlier
                done.append(outcome)
                outcome.earlier = []
        result = None
        if done:
            last = done.pop()
            last.earlier = done
            result = self._outcome(last, now)
        return {"display": self._meter.display(now), "result": result}

    def _outcome(self, outcome, now):
        value = outcome.as_dict()
        value["display"] = self._meter.display(now)
        return value

    def display(self):
        """Return the display's size and lines, and whether they flash."""
        now = self._now()
        lines = self._meter.display(now)
        flash = bool(self._meter.flashes(now))
        return {"rows": len(lines), "cols": len(lines[0]), "lines": lines, "flash": flash}

    def status(self):
        """Return registers, key attributes and states; never a key."""
        status = self._meter.status(self._now())
        status["rate"] = self._clock.rate
        return status

    def events(self, after=0, most=100):
        """Return the logged events with a number above `after`, the oldest `most` of them."""
        whole("most", most, 1, 100)
        return self._meter.events(whole("after", after, 0, _LATEST), most)

    def load(self, watts):
        """Connect a load behind the switch."""
        self._meter.set_load(watts, self._now())
        return self.status()

    def load_profile(self, load):
        """Connect a load in steps [[seconds, W], …] that begins now.

        Or {"steps": …, "repeat_s": over and over, "at": seconds since 2000 when it begins,
        "more": true for steps that follow those that are there}.
        """
        from . import load as loads

        loads.connect(self._meter, load, self._now())
        return self.status()

    def phases(self, watts):
        """Connect loads to the three phases."""
        from . import load as loads

        loads.connect_phases(self._meter, watts, self._now())
        return self.status()

    def advance_grant(self, energy_wh):
        """Grant an advance, which later credit tokens repay."""
        self._meter.grant(energy_wh, self._now())
        return self.ledger()

    def emergency(self):
        """Take emergency credit."""
        taken, reason = self._meter.emergency(self._now())
        return {"taken": taken, "reason": reason or None, "ledger": self.ledger()}

    def ledger(self):
        """Return what makes up the credit, and what is owed."""
        return self._meter.ledger(self._now())

    def reconnect(self):
        """Press the key that closes the switch where it waits for one."""
        return {"done": self._meter.reconnect(self._now()), "status": self.status()}

    def mute(self):
        """Silence the alarm."""
        self._meter.mute(self._now())
        return self.status()

    def language(self, language=None):
        """Return the display's language and those there are; with an argument choose it first."""
        if language is not None:
            self._meter.set_language(language, self._now())
        profile = self._meter.profile
        return {"language": profile.language, "languages": profile.languages}

    def history(self):
        """Return what was used by day and month."""
        return self._meter.history(self._now())

    def led(self):
        """Return the pulses so far, and whether the supply LED is lit."""
        return self._meter.led(self._now())

    def reports(self):
        """Return the fault reports that wait to be acknowledged, oldest first."""
        return self._meter.reports(self._now())

    def acknowledge(self, seq):
        """Let fault reports up to this number go; return how many still wait."""
        return self._meter.acknowledge(seq, self._now())

    def consume(self, energy_wh):
        """Count energy that flowed, as pulses of a meter would."""
        self._meter.use_energy(energy_wh, self._now())
        return self.status()

    def advance(self, seconds):
        """Let time pass for the meter."""
        whole("seconds", seconds, 0, _LONGEST_ADVANCE_S)
        if self._now() + seconds > _LATEST:
            raise ValueError("the clock ends in 2136")
        if self._meter.load_changes(seconds) > _MOST_CHANGES:
            raise ValueError("the load changes too often for one advance: take shorter ones")
        self._clock.advance(seconds)
        self._meter.save(self._now())
        return self.status()

    def save(self):
        """Save all there is, as a meter does at the sign of a power failure."""
        self._meter.save(self._now())
        return self.status()

    def lock(self, code):
        """Lock the meter by an unlock code: the board starts anew, and has no REPL any more."""
        from . import locked

        locked.lock(self._meter, code, self._line(), self._now())

    def clock(self, seconds=None):
        """Return the clock, seconds since 2000-01-01 UTC; with an argument set it first."""
        if seconds is not None:
            whole("clock", seconds, 0, _LATEST)
            self._meter.clock_set(self._now(), seconds)
            self._clock.set(seconds)
        return self._now()

    def rate(self, rate):
        """Let the clock run at `rate` meter seconds a second; 0 stops it."""
        now = self._now()
        self._clock.rate = whole("rate", rate, 0, 1000000)
        self._meter.process(now)
        return self.status()

    def tamper(self, on):
        """Raise the tamper input; the condition stays until a token clears it."""
        self._meter.set_tamper(bool(on), self._now())
        return self.status()

    def tid(self, tid):
        """Return what the meter would say of a token identifier: Accept, UsedError, OldError, …"""
        whole("tid", tid, 0, MAX_TID)
        return NAMES[self._meter.tids.check(tid, self._meter.state.ken)]


# Not tried again: something would be done twice.
_ONCE = ("press", "advance", "consume", "advance_grant", "emergency", "clock")
VERBS = (
    "info",
    "provision",
    "enter",
    "press",
    "display",
    "status",
    "events",
    "load",
    "load_profile",
    "phases",
    "advance_grant",
    "emergency",
    "ledger",
    "reconnect",
    "mute",
    "language",
    "history",
    "led",
    "reports",
    "acknowledge",
    "consume",
    "advance",
    "clock",
    "rate",
    "tamper",
    "tid",
    "save",
    "lock",
)
