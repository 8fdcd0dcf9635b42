"""Keypad input after debouncing: turns keys into tokens, short codes and page turns.

Keys are characters, as on a telephone: 0 to 9, `*` for backspace, `#` for Enter, and `i` if the
short codes of the profile begin with that key.
"""

from .sts.digits import DIGITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .profile import Profile

BACKSPACE = "*"
ENTER = "#"
INFO = "i"
KEYS = "0123456789" + BACKSPACE + ENTER
# Longest entry, for several tokens at once; further digits are ignored.
_LONGEST = 199
# An entry of so many digits is a short code, known or not: makers' codes have 2 or 3 digits, and
# one more may be a typing error.
_SHORT = (2, 3, 4)


def check_keys(keys, start=""):
    """Raise ValueError for a key not on the keypad; `start` is the key that begins short codes."""
    for key in keys:
        if key not in KEYS and key != start:
            also = ", i for short codes" if start == INFO else ""
            raise ValueError(
                "no key %r on this keypad: 0 to 9, * backspace, # Enter%s" % (key, also)
            )


def find(show, code):
    """Return (what, n) of a short code in a profile's `codes.show`, or None.

    A key of `show` is a code, or a range such as "301-350" of which `code` is the `n`th (else n is
    1).
    """
    if code in show:
        return show[code], 1
    for key in show:
        first, dash, last = key.partition("-")
        if dash and len(code) == len(first) and first <= code <= last:
            return show[key], int(code) - int(first) + 1
    return None


class Entry:
    """The digits keyed in since the last Enter; `code` is true while a short code is keyed in."""

    def __init__(self, profile: "Profile"):
        self._auto_enter = profile.entry_auto_enter
        self._idle_timeout_s = profile.entry_idle_timeout_s
        self._clear_s = profile.entry_clear_s
        self._split = profile.entry_several == "split"
        self._start = profile.codes_start
        self._code_digits = profile.codes_digits
        self._profile = profile
        self.digits = ""
        self.code = False
        self.pause = 0  # the longest time between two digits of the entry, s
        self._last = 0
        self._backspace = None  # type: int | None

    def press(self, key, now):
        """Handle one key; return what it completes, else None.

        ("token", [digits, …]): the entry, split into tokens of 20 digits if the profile splits;
        ("code", code): a short code; ("page",): Enter without digits. Raise ValueError for a key
        that is not on the keypad.
        """
        if len(key) != 1:
            raise ValueError("one key at a time, not %r" % key)
        check_keys(key, self._start)
        since, before, self._last = self._backspace, self._last, now
        self._backspace = None
        if key == BACKSPACE:
            again = since is not None and self._clear_s is not None
            if again and now - since <= self._clear_s:
                self.drop()
            else:
                self._backspace = now
                self.code = self.code and bool(self.digits)
                self.digits = self.digits[:-1]
            return None
        if key == self._start and not self.digits and (not self.code or key == INFO):
            self.code = True
            return None
        if key == INFO:
            self.digits = ""
            self.code = True
            return None
        if key == ENTER:
            return self._take()
        self.pause = max(self.pause, now - before) if self.digits else 0
        if len(self.digits) < _LONGEST:
            self.digits += key
        count = len(self.digits)
        if self.code and count == self._code_digits:
            return self._take()
        if count == DIGITS:
            self.code = False  # no code is that long: the key that begins codes was one too many
            if self._auto_enter:
                return self._take()
        return None

    def _take(self):
        digits, code = self.digits, self.code
        self.drop()
        if not digits:
            return ("page",)
        if code or (not self._start and self._is_code(digits)):
            return ("code", digits)
        return ("token", self.tokens(digits))

    def _is_code(self, digits):
        show = self._profile.codes_show
        return find(show, digits) or (show and len(digits) in _SHORT)

    def tokens(self, digits):
        """Return the entry as a list of tokens: every 20 digits are one if the profile splits."""
        count = len(digits)
        if self._split and 0 < count <= _LONGEST and count % DIGITS == 0:
            return [digits[i : i + DIGITS] for i in range(0, count, DIGITS)]
        return [digits]

    def drop(self):
        """Delete the entry."""
        self.digits = ""
        self.code = False

    def deadline(self):
        """Return when an unfinished entry is dropped, or None."""
        return self._last + self._idle_timeout_s if self.digits or self.code else None

    def process(self, now):
        """Drop an unfinished entry after the idle timeout."""
        deadline = self.deadline()
        if deadline is not None and now >= deadline:
            self.drop()

    def shift(self, seconds):
        """Adjust to a clock that was set forward by `seconds` (negative: back)."""
        self._last += seconds
        if self._backspace is not None:
            self._backspace += seconds
