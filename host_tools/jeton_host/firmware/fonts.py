"""Fonts of the displays of dots: of each only the letters that a board's messages need.

firmware/fonts has the whole ones; jeton_host.firmware.draw_fonts draws them, README.md there says
from what. A file is a head of an octet each (width, height, octets a glyph, number of other
letters), the low octets of the other letters' codes, then the glyphs: those of ASCII from the
space to ~, then the others'. All others are Arabic, whose low octets differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jeton_host.errors import BoardError
from jeton_host.paths import firmware_dir

FONTS = {"ssd1306": "8x16", "ili9341": "12x24"}  # what the drivers open, in /fonts
ASCII = [chr(code) for code in range(0x20, 0x7F)]
OTHERS = {ord(letter) & 0xFF: letter for letter in "\u060c\u061b\u061f\u0640"}
OTHERS |= {code & 0xFF: chr(code) for code in range(0xFE80, 0xFEFD)}  # presentation forms B
_HEAD = 4


@dataclass(frozen=True)
class Font:
    """Glyphs as the board has them: 8 wide in columns of bits, 12 wide in rows of 2 bits."""

    width: int
    height: int
    glyphs: dict[str, bytes]

    def packed(self, letters: Iterable[str]) -> bytes:
        """Return a file with ASCII and these letters, as far as the font has them."""
        others = sorted(set(letters) & set(self.glyphs) - set(ASCII))
        glyphs = [self.glyphs[letter] for letter in [*ASCII, *others]]
        head = bytes((self.width, self.height, len(glyphs[0]), len(others)))
        return head + bytes(ord(letter) & 0xFF for letter in others) + b"".join(glyphs)

    def levels(self, letter: str) -> tuple[tuple[int, ...], ...]:
        """Return the rows of a glyph, dot by dot: 0 is the ground, the most is the ink."""
        glyph = self.glyphs[letter]
        if len(glyph) * 8 == self.width * self.height:
            deep = self.height // 8
            return tuple(
                tuple(glyph[deep * x + y // 8] >> y % 8 & 1 for x in range(self.width))
                for y in range(self.height)
            )
        across = self.width // 4
        return tuple(
            tuple(glyph[across * y + x // 4] >> 2 * (x % 4) & 3 for x in range(self.width))
            for y in range(self.height)
        )


def parsed(octets: bytes) -> Font:
    """Return the font in a file."""
    width, height, size, count = octets[:_HEAD]
    first = _HEAD + count
    letters = [*ASCII, *(OTHERS[low] for low in octets[_HEAD:first])]
    glyphs = {
        letter: octets[first + size * n : first + size * (n + 1)]
        for n, letter in enumerate(letters)
    }
    if len(octets) != first + size * len(letters):
        raise BoardError(f"a font has {len(octets)} octets in place of what its head says")
    return Font(width, height, glyphs)


def load(name: str) -> Font:
    """Return a whole font by its name."""
    return parsed((firmware_dir() / "fonts" / f"{name}.font").read_bytes())


def board_files(drivers: Iterable[str], texts: Iterable[bytes]) -> dict[str, bytes]:
    """Return name on the flash -> octets of the fonts that drivers need to show the texts."""
    letters = {letter for text in texts for letter in text.decode(errors="ignore")}
    named = sorted({FONTS[driver] for driver in drivers if driver in FONTS})
    return {f"fonts/{name}": load(name).packed(letters) for name in named}
