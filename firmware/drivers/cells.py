"""What displays of cells have in common: only what changed is drawn, a little at a time."""

from array import array
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

from micropython import const

_MOST_MS = const(12)  # of drawing at a time: keys are looked at every 20 ms


class Cells:
    """A display of `rows` lines of `cols` cells; a driver has `_cell(row, col, code)`."""

    def __init__(self, rows, cols):
        self._rows = rows
        self._cols = cols
        self._lines = [None] * rows  # what the rows show that are drawn to the end
        self._codes = array("H", bytes(2 * rows * cols))  # 0: whatever the chip has there

    def renew(self):
        """Have the next `show` draw every cell, whatever noise has left there."""
        for row in range(self._rows):
            self._lines[row] = None
        for at in range(len(self._codes)):
            self._codes[at] = 0

    def show(self, lines):
        """Draw what of the lines is not shown yet; True when this has to be called again.

        More or longer lines than there is room for are cut, others made up with blanks. Nothing
        is allocated where nothing changed. OSError where the display does not answer.
        """
        began = ticks_ms()
        for row in range(self._rows):
            line = lines[row] if row < len(lines) else ""
            if line == self._lines[row]:
                continue
            self._lines[row] = None
            octets = line.encode()  # a letter taken from a str stays in the interpreter for ever
            i = 0
            for col in range(self._cols):
                code = 0x20
                if i < len(octets):
                    code = octets[i]
                    i += 1
                    more = (code > 0xBF) + (code > 0xDF)
                    if more:
                        code &= 0x3F >> more
                    for _ in range(more):
                        code = code << 6 | octets[i] & 0x3F
                        i += 1
                at = row * self._cols + col
                if self._codes[at] != code:
                    if ticks_diff(ticks_ms(), began) > _MOST_MS:
                        return True
                    self._cell(row, col, code)  # type: ignore[attr-defined]
                    self._codes[at] = code
            self._lines[row] = line  # type: ignore[assignment]
        return False
