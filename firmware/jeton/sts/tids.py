"""The store of the 50 largest token identifiers accepted so far (IEC 62055-41 7.3.5)."""

from .results import TokenResult

SIZE = 50
BYTES = 3 * SIZE
MAX_TID = (1 << 24) - 1


class TidStore:
    """The accepted token identifiers in one buffer, 3 bytes each, in ascending order."""

    def __init__(self, data=None):
        self.data = bytearray(BYTES) if data is None else bytearray(data)

    def fill(self, tid):
        """Set all entries to `tid`: the date of manufacture at set-up, 0 after a rollover."""
        self.data = bytearray(tid.to_bytes(3, "big") * SIZE)

    def _at(self, i):
        o = self.data
        return o[3 * i] << 16 | o[3 * i + 1] << 8 | o[3 * i + 2]

    def _place(self, tid):
        """Return the first index whose identifier is not below `tid`; SIZE if there is none."""
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
        """Return ACCEPT, KEY_EXPIRED, USED or OLD, checked in the order of the standard.

        A key has expired for an identifier whose high byte is above the KEN; a KEN of 255 never
        expires.
        """
        if tid >> 16 > ken:
            return TokenResult.KEY_EXPIRED
        place = self._place(tid)
        if place < SIZE and self._at(place) == tid:
            return TokenResult.USED
        return TokenResult.OLD if place == 0 else TokenResult.ACCEPT

    def add(self, tid):
        """Store `tid` in place of the smallest; call it only for one that `check` accepts."""
        place = self._place(tid)
        self.data = self.data[3 : 3 * place] + tid.to_bytes(3, "big") + self.data[3 * place :]
