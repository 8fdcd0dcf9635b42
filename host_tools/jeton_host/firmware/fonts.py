"""Fonts of the graphic displays, reduced to the letters that a board's messages need.

firmware/fonts contains the complete fonts; `draw_fonts` draws them, README.md there names their
sources. A font file contains: a header of one byte each (width, height, bytes per glyph, number of
letters outside ASCII), the low bytes of the codes of these letters, the glyphs of ASCII from the
space to ~, and the other glyphs. The other letters are all Arabic, and their low bytes differ.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jeton_host.errors import BoardError
from jeton_host.paths import firmware_dir

FONTS = {"ssd1306": "8x16", "ili9341": "11x24"}  # driver -> its file in /fonts
ASCII = [chr(code) for code in range(0x20, 0x7F)]
OTHERS = {ord(letter) & 0xFF: letter for letter in "\u060c\u061b\u061f\u0640"}
OTHERS |= {code & 0xFF: chr(code) for code in range(0xFE80, 0xFEFD)}  # presentation forms B
_HEAD = 4


@dataclass(frozen=True)
class Font:
    """A font in the board's format: 8 dots wide in columns of bits, or 11 in rows of 2 bits."""

    width: int
    height: int
    glyphs: dict[str, bytes]

    def packed(self, letters: Iterable[str]) -> bytes:
        """Return a font file with ASCII and those of the letters that the font contains."""
        others = sorted(set(letters) & set(self.glyphs) - set(ASCII))
        glyphs = [self.glyphs[letter] for letter in [*ASCII, *others]]
        head = bytes((self.width, self.height, len(glyphs[0]), len(others)))
        return head + bytes(ord(letter) & 0xFF for letter in others) + b"".join(glyphs)

    def levels(self, letter: str) -> tuple[tuple[int, ...], ...]:
        """Return the rows of a glyph as shades of dots: 0 is background, the highest is ink."""
        glyph = self.glyphs[letter]
        if len(glyph) * 8 == self.width * self.height:
            deep = self.height // 8
            return tuple(
                tuple(glyph[deep * x + y // 8] >> y % 8 & 1 for x in range(self.width))
                for y in range(self.height)
            )
        across = -(-self.width // 4)
        return tuple(
            tuple(glyph[across * y + x // 4] >> 2 * (x % 4) & 3 for x in range(self.width))
            for y in range(self.height)
        )


def parsed(data: bytes) -> Font:
    """Return the font in a font file; BoardError if its length is wrong."""
    width, height, size, count = data[:_HEAD]
    first = _HEAD + count
    letters = [*ASCII, *(OTHERS[low] for low in data[_HEAD:first])]
    glyphs = {
        letter: data[first + size * n : first + size * (n + 1)] for n, letter in enumerate(letters)
    }
    if len(data) != first + size * len(letters):
        raise BoardError(f"a font file has {len(data)} bytes, which does not match its header")
    return Font(width, height, glyphs)


def load(name: str) -> Font:
    """Return a complete font by its name."""
    return parsed((firmware_dir() / "fonts" / f"{name}.font").read_bytes())


def board_files(drivers: Iterable[str], texts: Iterable[bytes]) -> dict[str, bytes]:
    """Return name on the flash -> font file, for the fonts that drivers need for the texts."""
    letters = {letter for text in texts for letter in text.decode(errors="ignore")}
    named = sorted({FONTS[driver] for driver in drivers if driver in FONTS})
    return {f"fonts/{name}": load(name).packed(letters) for name in named}
