"""Locked mode: lines of JSON instead of a REPL; some verbs only after the unlock code.

Imported only if the meter is locked. The serial line is outside this module: `Guard.take` receives
bytes and returns answers. Only a salted hash of the unlock code is stored in the record.
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
# Answer to Ctrl-A: a client that tries to enter the raw REPL sees at once that the meter is
# locked.
MARK = '{"locked": true}'
# Answer to Ctrl-W. A serial port buffers about 260 unread bytes and loses further ones: a client
# sends a longer line in pieces, each after this answer to the one before.
HEARD = "\x06"

_SHORTEST, _LONGEST = 8, 64  # characters of an unlock code
_ROUNDS = 500
# Wrong codes: three without a wait, then a wait of one minute, doubled each time, at most one
# hour.
_FREE = 3
_WAIT_S = 60
_LONGEST_WAIT_S = 3600

# Verbs without the unlock code: what a customer can do at the meter, and what remote recharging
# needs.
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


# The field `lock` of the record: salt and hash of the code, wrong codes since the last right one,
# and the time before which no code is accepted.
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
    """Lock an open meter: send the answer and restart the board."""
    _set_code(meter, code, line.salt(), now)
    line.restart(json.dumps({"ok": None}))


def _set_code(meter: "Meter", code, salt, now):
    if not isinstance(code, str) or not _SHORTEST <= len(code) <= _LONGEST:
        raise ValueError("an unlock code has %d to %d characters" % (_SHORTEST, _LONGEST))
    if not meter.state.provisioned:
        raise ValueError("the meter has no key yet: provision it, then lock it")
    _keep(meter, now, salt, _hash(code, salt), 0, 0)


def _check_code(meter: "Meter", code, now):
    """Raise ValueError unless this is the unlock code; count and save the attempt first."""
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
    """Filter between the serial line and the console of a locked meter.

    `salt` returns 16 random bytes, for a new code.
    """

    def __init__(self, console, meter: "Meter", salt):
        self._console = console
        self._meter = meter
        self._salt = salt
        self._unlocked = False
        self._line = bytearray(LONGEST_LINE)
        self._length = 0
        self._skips = False  # skip to the end of a line that is too long
        self.resets = False  # the board must be reset

    @property
    def locked(self):
        """Return whether the meter is still locked."""
        return any(self._meter.state.lock)

    def take(self, byte):
        """Process one byte from the line; return a line to answer, or None.

        LF or CR ends a line. Ctrl-A drops an unfinished line. Ctrl-W is answered and keeps it.
        Other control characters are ignored.
        """
        length = self._length
        if byte >= 32:
            if length < LONGEST_LINE:
                self._line[length] = byte
                self._length = length + 1
            elif not self._skips:
                self._skips = True
                return json.dumps({"error": "a line has at most %d bytes" % LONGEST_LINE})
        elif byte == 0x17:
            return HEARD
        elif byte in (1, 10, 13):
            skips = self._skips
            self._length = 0
            self._skips = False
            if byte == 1:
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
        self._console.rate(1)  # an accelerated clock would shorten the waits after wrong codes
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
