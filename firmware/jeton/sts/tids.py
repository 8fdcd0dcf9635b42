"""The store of the 50 most recent token identifiers (IEC 62055-41 7.3.5)."""

from .results import TokenResult

SIZE = 50
OCTETS = 3 * SIZE
MAX_TID = (1 << 24) - 1


class TidStore:
    """The accepted token identifiers in one buffer, 3 octets each, smallest first."""

    def __init__(self, octets=None):
        self.octets = bytearray(OCTETS) if octets is None else bytearray(octets)

    def fill(self, tid):
        """Make every place hold `tid`: the date of manufacture at set-up, 0 after a rollover."""
        self.octets = bytearray(tid.to_bytes(3, "big") * SIZE)

    def _at(self, i):
        o = self.octets
        return o[3 * i] << 16 | o[3 * i + 1] << 8 | o[3 * i + 2]

    def _place(self, tid):
        """Return the first index whose identifier is not below `tid` (SIZE if there is none)."""
        low, high = 0, SIZE
        while low < high:
            middle = (low + high) // 2
            if self._at(middle) < tid:
                low = middle + 1
            else:
                high = middle
        return low

    @property
    def oldest(self):
        """Return the smallest stored identifier."""
        return self._at(0)

    @property
    def newest(self):
        """Return the largest stored identifier."""
        return self._at(SIZE - 1)

    def check(self, tid, ken=255):
        """Return ACCEPT, KEY_EXPIRED, USED or OLD, in the standard's order of checks.

        A key expires when the identifier's high octet is above its KEN (255 never is).
        """
        if tid >> 16 > ken:
            return TokenResult.KEY_EXPIRED
        place = self._place(tid)
        if place < SIZE and self._at(place) == tid:
            return TokenResult.USED
        return TokenResult.OLD if place == 0 else TokenResult.ACCEPT

    def add(self, tid):
        """Store `tid` in place of the smallest. Call it only for one that `check` accepts."""
        place = self._place(tid)
        self.octets = (
            self.octets[3 : 3 * place] + tid.to_bytes(3, "big") + self.octets[3 * place :]
        )
