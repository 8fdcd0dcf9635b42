"""The keypad above debounce: digits, backspace and Enter become the digits of a token.

Keys are characters, as on a telephone: 0 to 9, `*` for backspace and `#` for Enter.
"""

from .sts.digits import DIGITS

BACKSPACE = "*"
ENTER = "#"
KEYS = "0123456789" + BACKSPACE + ENTER
# Somebody who keys three tokens in one go is told so; what comes after is counted as one more.
_LONGEST = 99


def check_keys(keys):
    """Raise ValueError for a key that is not on the keypad."""
    for key in keys:
        if key not in KEYS:
            raise ValueError("no key %r on this keypad: 0 to 9, * backspace, # Enter" % key)


class Entry:
    """What has been keyed since the last Enter."""

    def __init__(self, auto_enter, idle_timeout_s):
        self._auto_enter = auto_enter
        self._idle_timeout_s = idle_timeout_s
        self.digits = ""
        self._last = 0

    def press(self, key, now):
        """Take one key; return the digits when they are entered, else None.

        Enter on an empty entry returns "". With auto-enter the 20th digit enters by itself.
        Raise ValueError for a key that is not on the keypad.
        """
        if len(key) != 1:
            raise ValueError("one key at a time, not %r" % key)
        check_keys(key)
        self._last = now
        if key == BACKSPACE:
            self.digits = self.digits[:-1]
            return None
        if key == ENTER:
            return self._take()
        if len(self.digits) < _LONGEST:
            self.digits += key
        if self._auto_enter and len(self.digits) == DIGITS:
            return self._take()
        return None

    def _take(self):
        digits, self.digits = self.digits, ""
        return digits

    def deadline(self):
        """Return when an unfinished entry is dropped, or None."""
        return self._last + self._idle_timeout_s if self.digits else None

    def process(self, now):
        """Drop an unfinished entry that nobody went on with."""
        deadline = self.deadline()
        if deadline is not None and now >= deadline:
            self.digits = ""

    def shift(self, seconds):
        """Follow a clock that was set forward by `seconds` (negative: back)."""
        self._last += seconds
