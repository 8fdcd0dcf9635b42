"""A font in a file on the flash, read glyph by glyph (format: jeton_host.firmware.fonts)."""

from micropython import const

_FIRST, _ASCII = const(0x20), const(95)  # from the space to ~
_OTHERS = b"\x06\xfe"  # the high bytes of all other codes
_HEAD = const(4)


class Font:
    """A font file; `glyph` holds the glyph that was read last."""

    def __init__(self, path):
        self._file = file = open(path, "rb")
        head = file.read(_HEAD)
        self._others = file.read(head[3])  # the low bytes of their codes
        self.glyph = bytearray(head[2])
        self._code = 0

    def read(self, code):
        """Read a glyph; ? replaces a missing one."""
        if code == self._code:
            return
        at = code - _FIRST
        if at >= _ASCII:
            at = -1
            if code >> 8 in _OTHERS:
                at = self._others.find(bytes((code & 0xFF,)))
            at = at + _ASCII if at >= 0 else 0x3F - _FIRST
        size = len(self.glyph)
        self._code = 0
        self._file.seek(_HEAD + len(self._others) + size * at)
        self._file.readinto(self.glyph)
        self._code = code
