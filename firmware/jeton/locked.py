"""Locked mode: lines of JSON in place of a REPL, some verbs only after the unlock code.

Loaded only where a meter is locked. It knows no line: octets come and answers go by `Guard.take`.
Of the code the record keeps no more than a salted hash.
"""

import gc
import hashlib
import json
import struct

from .values import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter
    from .state import State

LONGEST_LINE = 4096
# What Ctrl-A is answered: a client that looks for the raw REPL sees at once what it has found.
MARK = '{"locked": true}'
# What Ctrl-W is answered. A serial port holds some 260 octets that nobody has read yet, and loses
# what comes then: of a longer line a client sends the next piece when it has read this.
HEARD = "\x06"

_SHORTEST, _LONGEST = 8, 64  # characters of an unlock code
_ROUNDS = 500
# Wrong codes: three are free, then each costs a minute, twice that, …, at most an hour.
_FREE = 3
_WAIT_S = 60
_LONGEST_WAIT_S = 3600

# What a customer has in hand, and what a recharge from afar needs. All else is the engineer's.
_FREE_VERBS = (
    "info",
    "enter",
    "press",
    "display",
    "status",
    "events",
    "emergency",
    "ledger",
    "reconnect",
    "mute",
    "language",
    "history",
    "led",
    "reports",
    "tid",
)


# The record's `lock`: salt and hash of the code, wrong codes since the last right one, and until
# when no code is taken.
_LOCK = "<16s32sBI"


def _hash(code, salt):
    found = code.encode()
    for _ in range(_ROUNDS):
        found = hashlib.sha256(salt + found).digest()
    return found


def _keep(meter: "Meter", now, *lock):
    def change(state: "State"):
        state.lock = struct.pack(_LOCK, *lock)

    meter.change(now, change)


def lock(meter: "Meter", code, line, now):
    """Lock a meter that is open: its board answers, and starts anew."""
    _set_code(meter, code, line.salt(), now)
    line.restart(json.dumps({"ok": None}))


def _set_code(meter: "Meter", code, salt, now):
    if not isinstance(code, str) or not _SHORTEST <= len(code) <= _LONGEST:
        raise ValueError("an unlock code has %d to %d characters" % (_SHORTEST, _LONGEST))
    if not meter.state.provisioned:
        raise ValueError("the meter has no key yet: provision it, then lock it")
    _keep(meter, now, salt, _hash(code, salt), 0, 0)


def _check_code(meter: "Meter", code, now):
    """Raise ValueError unless this is the unlock code; the try is counted and saved first."""
    salt, kept, wrong, until = struct.unpack(_LOCK, meter.state.lock)
    if until > now:
        raise ValueError("too many wrong unlock codes: wait %d s" % (until - now))
    if not isinstance(code, str):
        raise ValueError("an unlock code is a string")
    wrong = min(wrong + 1, 255)
    until = 0
    if wrong >= _FREE:
        until = now + min(_WAIT_S << min(wrong - _FREE, 6), _LONGEST_WAIT_S)
    _keep(meter, now, salt, kept, wrong, min(until, 0xFFFFFFFF))
    if _hash(code[:_LONGEST], salt) != kept:
        raise ValueError("that is not the unlock code")
    _keep(meter, now, salt, kept, 0, 0)


class Guard:
    """What stands between the line and the console of a locked meter.

    `salt` returns 16 random octets, for a new code.
    """

    def __init__(self, console, meter: "Meter", salt):
        self._console = console
        self._meter = meter
        self._salt = salt
        self._unlocked = False
        self._line = bytearray(LONGEST_LINE)
        self._length = 0
        self._skips = False  # to the end of a line that is too long
        self.resets = False  # the board is to be reset

    @property
    def locked(self):
        """Return whether the meter is locked still."""
        return any(self._meter.state.lock)

    def take(self, octet):
        """Take one octet from the line; return a line to answer, or None.

        LF or CR ends a line. Ctrl-A forgets one half sent, Ctrl-W is answered and leaves it; other
        control characters do nothing.
        """
        length = self._length
        if octet >= 32:
            if length < LONGEST_LINE:
                self._line[length] = octet
                self._length = length + 1
            elif not self._skips:
                self._skips = True
                return json.dumps({"error": "a line has at most %d octets" % LONGEST_LINE})
        elif octet == 0x17:
            return HEARD
        elif octet in (1, 10, 13):
            skips = self._skips
            self._length = 0
            self._skips = False
            if octet == 1:
                return MARK
            if length and not skips:
                return self._answer(length)
        return None

    def _answer(self, length):
        try:
            line = str(memoryview(self._line)[:length], "utf-8")
            request = json.loads(line)
            verb = request[0] if isinstance(request, list) and request else None
            if verb in ("unlock", "lock", "open", "reset"):
                del line
                gc.collect()
                return json.dumps({"ok": getattr(self, "_" + verb)(*request[1:])})
            needs = verb not in _FREE_VERBS and (verb != "clock" or len(request) > 1)
            if needs and verb in self._console.verbs:
                self._check_unlocked(verb)
            request = None
            return self._console.rpc(line)
        except _Locked as error:
            return json.dumps({"error": str(error), "locked": True})
        except Exception as error:
            return json.dumps({"error": describe(error)})

    def _check_unlocked(self, verb):
        if not self._unlocked:
            raise _Locked("this meter is locked: %s needs its unlock code" % verb)

    def _unlock(self, code):
        _check_code(self._meter, code, self._console.clock())
        self._unlocked = True

    def _lock(self, code=None):
        if code is not None:
            self._check_unlocked("another code")
            _set_code(self._meter, code, self._salt(), self._console.clock())
        self._console.rate(1)  # or whoever guesses next waits in a hurry
        self._unlocked = False

    def _open(self, code):
        now = self._console.clock()
        _check_code(self._meter, code, now)
        _keep(self._meter, now, b"", b"", 0, 0)

    def _reset(self):
        self._check_unlocked("reset")
        self.resets = True


class _Locked(Exception):
    """A verb that needs the unlock code."""
