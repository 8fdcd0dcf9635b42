"""A font in a file on the flash, of which the last glyphs that were used are at hand."""

from array import array

_FIRST, _ASCII = 0x20, 95  # from the space to ~
_HEAD = 5  # octets; host_tools/fonts.py says what is in them


class Font:
    """Glyphs by their codes; `cache` has room for `slots` of them."""

    def __init__(self, path, slots):
        self._file = file = open(path, "rb")
        head = file.read(_HEAD)
        self._size = size = head[2]
        count = head[3] | head[4] << 8
        self._codes = array("H", file.read(2 * count))  # both ends have the low octet first
        self._start = _HEAD + 2 * count
        self.cache = bytearray(slots * size)
        self._held = array("H", bytes(2 * slots))
        self._next = 0

    def slot(self, code):
        """Return in which slot of the cache the glyph is now; ? stands for one there is not."""
        held = self._held
        for slot in range(len(held)):
            if held[slot] == code:
                return slot
        slot = self._next
        self._next = (slot + 1) % len(held)
        held[slot] = 0
        size = self._size
        self._file.seek(self._start + size * self._index(code))
        self._file.readinto(memoryview(self.cache)[slot * size : (slot + 1) * size])
        held[slot] = code
        return slot

    def _index(self, code):
        if _FIRST <= code < _FIRST + _ASCII:
            return code - _FIRST
        low, high = 0, len(self._codes)
        while low < high:
            middle = (low + high) // 2
            if self._codes[middle] < code:
                low = middle + 1
            else:
                high = middle
        if low < len(self._codes) and self._codes[low] == code:
            return _ASCII + low
        return ord("?") - _FIRST
