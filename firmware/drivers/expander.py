"""A 4x4 keypad behind a PCF8574: rows on P0 to P3, columns on P4 to P7."""

from .keys import ghosts

# All rows low, columns high by their weak pull-ups; then one row low at a time.
_ALL = b"\xf0"
_ROWS = (b"\xfe", b"\xfd", b"\xfb", b"\xf7")


class Expander:
    """A keypad on a PCF8574; while no key is down, a scan reads the chip once."""

    def __init__(self, bus, address):
        self._bus = bus
        self._address = address
        self._byte = bytearray(1)
        bus.writeto(address, _ALL)

    def _columns(self):
        self._bus.readfrom_into(self._address, self._byte)
        return ~self._byte[0] >> 4 & 15

    def scan(self):
        """Return the keys that are down as bits, row by row; -1 if ambiguous (ghost keys)."""
        if not self._columns():
            # After a short loss of supply all rows of the chip are high, and no key would be seen.
            if self._byte[0] != 0xF0:
                self._bus.writeto(self._address, _ALL)
            return 0
        write = self._bus.writeto
        mask = shift = 0
        try:
            for row in _ROWS:
                write(self._address, row)
                mask |= self._columns() << shift
                shift += 4
        finally:  # also after Ctrl-C
            write(self._address, _ALL)
        return -1 if ghosts(mask, 4) else mask


def make(bus, settings):
    """Return the keypad at the first address that answers; OSError if none does."""
    for address in settings["addresses"]:
        try:
            return Expander(bus, address)
        except OSError as error:
            failed = error
    raise failed
