"""A keypad whose keys connect rows and columns of pins."""

from machine import Pin

from .keys import ghosts


class Matrix:
    """Rows pull down one after another, columns are read; no row is driven high.

    So two keys of one column cannot cause a short circuit. While no key is down all rows pull down
    together, and a scan needs only one read a column. Each scan starts with that, because Ctrl-C
    may have interrupted the one before at any point.
    """

    def __init__(self, rows, columns):
        self._rows = [Pin(number, Pin.OPEN_DRAIN, value=0) for number in rows]
        self._columns = [Pin(number, Pin.IN, Pin.PULL_UP) for number in columns]

    def scan(self):
        """Return the keys that are down as bits, row by row; -1 if ambiguous (ghost keys)."""
        columns = self._columns
        for row in self._rows:
            row(0)
        for column in columns:
            if not column():
                break
        else:
            return 0
        for row in self._rows:
            row(1)
        mask = 0
        bit = 1
        for row in self._rows:
            row(0)
            for column in columns:
                if not column():
                    mask |= bit
                bit <<= 1
            row(1)
        return -1 if ghosts(mask, len(columns)) else mask


def make(bus, settings):
    """Return the keypad."""
    return Matrix(settings["rows"], settings["columns"])
