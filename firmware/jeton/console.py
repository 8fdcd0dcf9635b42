"""The verbs that a serial client calls; also the object `meter` at the REPL.

`rpc` takes and returns one line of JSON, so a client in any language needs nothing else.
"""

import gc
import json

from .sts.digits import clean
from .values import describe, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import ports
    from .meter import Meter

_LATEST = 0xFFFFFFFF


class Console:
    """A meter with its clock: each method is a verb and returns a value that JSON can hold.

    `clock` and `about` are ports (`ports.Clock`, `ports.About`); `line` is a function that returns
    a `ports.Line`. `display` is the display size of the board, for a set-up that gives none.
    """

    def __init__(
        self,
        meter: "Meter",
        clock: "ports.Clock",
        about: "ports.About",
        line: "ports.Lines | None" = None,
        display=(2, 16),
    ):
        self._meter = meter
        self._size = display
        self._clock = clock
        self._about = about
        self._line = line
        self.verbs = VERBS

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
                    pass  # the verb changed nothing: retry after freeing memory
            gc.collect()
            return self._answer(verb, request)
        except Exception as error:
            # After any error the client gets one line and the meter continues unchanged.
            return json.dumps({"error": describe(error)})

    def _answer(self, verb, request):
        return json.dumps({"ok": getattr(self, verb)(*request[1:])})

    def _now(self):
        # The clock of the record has 32 bits: it stops in 2136.
        return min(self._clock.now(), _LATEST)

    def enter(self, digits):
        """Enter a token over the serial line; the result is the same as from the keypad."""
        if not isinstance(digits, str):
            raise ValueError("a token is a string of 20 digits, not %s" % shown(digits))
        now = self._now()
        return self._outcome(self._meter.enter(clean(digits), now), now)

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

    def save(self):
        """Save everything, as a meter does when its supply fails."""
        self._meter.save(self._now())
        return self.status()

    def __getattr__(self, name):
        """Return a verb of the module `verbs`, which is imported at the first such call."""
        if name not in VERBS:
            raise AttributeError(name)
        from . import verbs

        function = getattr(verbs, name)
        return lambda *arguments: function(self, *arguments)


# Verbs that are not retried, because their effect would occur twice.
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
