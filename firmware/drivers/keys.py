"""Debouncing: turns the bits of contact scans into pressed keys."""

from micropython import const

_MOST = const(32)  # keys queued while the meter is busy; further keys are lost


class Keys:
    """Debounces contacts; returns each key once, when it goes down.

    `scan()` returns a number whose bit i is 1 while `keys[i]` is down, or -1 if the state is
    ambiguous (ghost keys): then nothing changes. A key counts as down after two equal scans in
    succession, so call `poll` at intervals longer than contacts bounce. A key that is down at the
    start is stuck: it is reported, and ignored until it goes up.
    """

    def __init__(self, scan, keys):
        self._scan = scan
        self._keys = keys
        self._seen = self._down = 0
        self._queue = bytearray(_MOST)
        self._first = self._count = 0
        self.stuck = max(scan(), 0)

    def poll(self):
        """Scan the contacts once; nothing is allocated."""
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
        """Return the next key that went down, in order; None if there is none."""
        if not self._count:
            return None
        i = self._queue[self._first]
        self._first = (self._first + 1) % _MOST
        self._count -= 1
        return self._keys[i]

    def seen(self):
        """Return the number of keys taken, modulo 32, and the keys that are down."""
        return self._first, self.held()

    def held(self, mask=None):
        """Return the keys that are down."""
        mask = self._down if mask is None else mask
        return "".join([key for i, key in enumerate(self._keys) if mask >> i & 1])


def ghosts(mask, columns):
    """Return whether a matrix may show ghost keys: pressed keys at the corners of a rectangle."""
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
