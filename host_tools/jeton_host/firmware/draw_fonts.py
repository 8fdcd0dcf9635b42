"""Draws the fonts of the graphic displays from fonts of the system; `make fonts` runs this.

It needs GNU Unifont, whose glyphs, Arabic too, are designed for cells of 8 by 16 dots, and DejaVu
Sans Mono Bold, which is smooth on displays with shades. On Debian: fonts-unifont and
fonts-dejavu-core. The results are committed, so that only this program needs these fonts.
"""

import sys

from PIL import Image, ImageDraw, ImageFont

from jeton_host.firmware.fonts import ASCII, OTHERS, Font
from jeton_host.paths import firmware_dir

_LETTERS = [*ASCII, *OTHERS.values()]
_SMALL = ("unifont.otf", 16, 14)  # file, size, y of the base line
_LARGE = ("DejaVuSansMono-Bold.ttf", 18, 18)


def _drawn(
    letter: str, font: ImageFont.FreeTypeFont, base: int, mode: str, w: int, h: int
) -> list[int]:
    """Return the shades of the dots of a cell, 0 to 255, row by row."""
    cell = Image.new("L", (w, h))
    pen = ImageDraw.Draw(cell)
    pen.fontmode = mode
    pen.text((0, base), letter, fill=255, font=font, anchor="ls")
    return list(cell.tobytes())


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(name, size, layout_engine=ImageFont.Layout.BASIC)
    except OSError:
        sys.exit(f"{name} is not on this system: install fonts-unifont and fonts-dejavu-core")


def small() -> Font:
    """Return the font of 8x16 dots: columns from the left, 2 bytes each, bit 0 at the top."""
    name, size, base = _SMALL
    font = _font(name, size)
    glyphs = {}
    for letter in _LETTERS:
        dots = _drawn(letter, font, base, "1", 8, 16)
        columns = [sum((dots[8 * y + x] > 127) << y for y in range(16)) for x in range(8)]
        glyphs[letter] = b"".join(column.to_bytes(2, "little") for column in columns)
    return Font(8, 16, glyphs)


def large() -> Font:
    """Return the font of 11x24 dots: rows from the top, 2 bits per dot, the left dot lowest.

    A row is 3 bytes, and the last dot of it is not part of the cell.
    """
    name, size, base = _LARGE
    font = _font(name, size)
    glyphs = {}
    for letter in _LETTERS:
        dots = [(shade + 42) // 85 for shade in _drawn(letter, font, base, "L", 12, 24)]
        glyphs[letter] = bytes(
            sum(dots[at + n] << 2 * n for n in range(4)) for at in range(0, len(dots), 4)
        )
    return Font(11, 24, glyphs)


def main() -> None:
    """Write both font files."""
    for font in (small(), large()):
        path = firmware_dir() / "fonts" / f"{font.width}x{font.height}.font"
        path.write_bytes(font.packed(font.glyphs))
        print(f"{path.name}: {len(font.glyphs)} glyphs, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
