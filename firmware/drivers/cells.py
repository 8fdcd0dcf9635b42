"""Base class of displays made of character cells: draws only changes, a few at a time."""

from array import array
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

from micropython import const

_MOST_MS = const(12)  # longest drawing in one call: keys are scanned every 20 ms


class Cells:
    """A display of `rows` lines of `cols` cells; a driver implements `_cell(row, col, code)`."""

    def __init__(self, rows, cols):
        self._rows = rows
        self._cols = cols
        self._lines = [None] * rows  # content of the rows that are completely drawn
        self._codes = array("H", bytes(2 * rows * cols))  # 0: the content of the chip is unknown

    def renew(self):
        """Let the next `show` draw every cell, to remove disturbances."""
        for row in range(self._rows):
            self._lines[row] = None
        for at in range(len(self._codes)):
            self._codes[at] = 0

    def show(self, lines):
        """Draw the cells that have changed; return True if this must be called again.

        Lines that are too many or too long are cut, missing ones are blank. If nothing changed,
        nothing is allocated. Raise OSError if the display does not answer.
        """
        began = ticks_ms()
        for row in range(self._rows):
            line = lines[row] if row < len(lines) else ""
            if line == self._lines[row]:
                continue
            self._lines[row] = None
            data = line.encode()  # a character taken from a str would be interned permanently
            i = 0
            for col in range(self._cols):
                code = 0x20
                if i < len(data):
                    code = data[i]
                    i += 1
                    more = (code > 0xBF) + (code > 0xDF)
                    if more:
                        code &= 0x3F >> more
                    for _ in range(more):
                        code = code << 6 | data[i] & 0x3F
                        i += 1
                at = row * self._cols + col
                if self._codes[at] != code:
                    if ticks_diff(ticks_ms(), began) > _MOST_MS:
                        return True
                    self._cell(row, col, code)  # type: ignore[attr-defined]
                    self._codes[at] = code
            self._lines[row] = line  # type: ignore[assignment]
        return False
