"""What displays of cells have in common: only what changed is drawn, a little at a time."""

from array import array
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

_MOST_MS = 12  # of drawing at a time: keys are looked at every 20 ms
_UNKNOWN = "\0"


class Cells:
    """A display of `rows` lines of `cols` cells; a driver has `_cell(row, col, code)`."""

    def __init__(self, rows, cols):
        self._rows = rows
        self._cols = cols
        self._lines = [_UNKNOWN] * rows  # what the rows show that are drawn to the end
        self._codes = array("H", bytes(2 * rows * cols))  # 0: whatever the chip has there

    def show(self, lines):
        """Draw what of the lines is not shown yet; True when this has to be called again.

        More or longer lines than there is room for are cut, others made up with blanks. Nothing
        is allocated where nothing changed. OSError where the display does not answer.
        """
        began = ticks_ms()
        for row in range(self._rows):
            line = lines[row] if row < len(lines) else ""
            if line != self._lines[row]:
                if not self._row(row, line, began):
                    return True
                self._lines[row] = line
        return False

    def _row(self, row, line, began):
        """Draw a row; False when time is up before its end."""
        octets = line.encode()  # a letter taken from a str stays in the interpreter for ever
        at = row * self._cols
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
            if self._codes[at] != code:
                if ticks_diff(ticks_ms(), began) > _MOST_MS:
                    return False
                self._lines[row] = _UNKNOWN
                self._cell(row, col, code)  # type: ignore[attr-defined]
                self._codes[at] = code
            at += 1
        return True
