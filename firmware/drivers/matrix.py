"""A keypad whose keys join rows and columns of pins."""

from machine import Pin

from .keys import ghosts


class Matrix:
    """Rows pull down one after another, columns are read; nobody drives a row up.

    So two keys of a column join nothing that has current. While no key is down all rows pull
    together, and a look costs as many reads as there are columns. Each look begins with that:
    Ctrl-C may have ended the one before wherever it was.
    """

    def __init__(self, rows, columns):
        self._rows = [Pin(number, Pin.OPEN_DRAIN, value=0) for number in rows]
        self._columns = [Pin(number, Pin.IN, Pin.PULL_UP) for number in columns]

    def scan(self):
        """Return the keys that are down as bits, row by row; -1 where it cannot be told."""
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
