"""Keys from contacts: a scan's bits become keys pressed; knows nothing of pins or tokens."""

from micropython import const

_MOST = const(32)  # keys that wait while the meter is busy; what comes then is lost


class Keys:
    """Takes contacts that bounce; gives each key once, when it goes down.

    `scan()` returns a number whose bit i tells that `keys[i]` is down, or -1 where it cannot tell
    (ghost keys): then all is as it was. A key counts that is down in two scans running, so call
    `poll` further apart than contacts bounce. What is down at the start is stuck: it is reported
    and left alone until it comes up.
    """

    def __init__(self, scan, keys):
        self._scan = scan
        self._keys = keys
        self._seen = self._down = 0
        self._queue = bytearray(_MOST)
        self._first = self._count = 0
        self.stuck = max(scan(), 0)

    def poll(self):
        """Look at the contacts once; nothing is allocated."""
        seen = self._scan()
        if seen < 0 or not (seen or self._seen or self._down or self.stuck):
            return
        changed = seen ^ self._seen
        self._seen = seen
        down = (self._down & changed) | (seen & ~changed)
        self.stuck &= down | changed
        fresh = down & ~self._down & ~self.stuck
        self._down = down
        i = 0
        while fresh and self._count < _MOST:
            if fresh & 1:
                self._queue[(self._first + self._count) % _MOST] = i
                self._count += 1
            fresh >>= 1
            i += 1

    def take(self):
        """Return the next key that went down, in their order; None where there is none."""
        if not self._count:
            return None
        i = self._queue[self._first]
        self._first = (self._first + 1) % _MOST
        self._count -= 1
        return self._keys[i]

    def seen(self):
        """Return how many keys were taken, modulo 32, and those that are down."""
        return self._first, self.held()

    def held(self, mask=None):
        """Return the keys that are down."""
        mask = self._down if mask is None else mask
        return "".join([key for i, key in enumerate(self._keys) if mask >> i & 1])


def ghosts(mask, columns):
    """Tell whether a matrix shows keys that nobody need have pressed: corners of a rectangle."""
    row = (1 << columns) - 1
    while mask:
        below = mask >> columns
        while below:
            both = mask & below & row
            if both & (both - 1):
                return True
            below >>= columns
        mask >>= columns
    return False
