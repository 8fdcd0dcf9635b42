"""A character display: an HD44780 with the letters of ROM A00, behind a PCF8574 on I2C.

Our own, because micropython-i2c-lcd is on PyPI as a source archive without a build file (0.1.1),
which pip refuses, and not as a wheel.
"""

from time import sleep_ms  # type: ignore[attr-defined]

from .cells import Cells

# The PCF8574's pins: RS, R/W (always 0), E, the backlight, D4 to D7.
_RS, _E, _LIGHT = 1, 4, 8
_CLEAR, _LEFT_TO_RIGHT, _OFF, _ON, _FOUR_BITS, _GOTO = 0x01, 0x06, 0x08, 0x0C, 0x28, 0x80
# What to write for the letters from U+00E0 on, which A00 lacks.
_PLAIN = b"aaaaaaaceeeeiiiidnooooo/ouuuuypy"


class Lcd(Cells):
    """A display of 1 to 4 lines; OSError where it has none of the addresses."""

    def __init__(self, i2c, settings):
        super().__init__(settings["rows"], settings["cols"])
        self._i2c = i2c
        self._octets = bytearray(5)
        self._next = -1  # the cell that is written next without a word
        for self._address in settings["addresses"]:
            try:
                i2c.writeto(self._address, b"\x08")  # the backlight
                break
            except OSError as error:
                missing = error
        else:
            raise missing
        sleep_ms(40)  # from power on (HD44780U, figure 24: by instruction, whatever was before)
        for wait_ms in (5, 1, 1):
            self._nibble(0x30)
            sleep_ms(wait_ms)
        self._nibble(0x20)
        for command in (_FOUR_BITS, _OFF, _CLEAR):
            self._send(command, 0)
        sleep_ms(2)  # others take 37 us, less than two octets on this bus
        self._send(_LEFT_TO_RIGHT, 0)
        self._send(_ON, 0)

    def _nibble(self, bits):
        bits |= _LIGHT
        self._i2c.writeto(self._address, bytes([bits, bits | _E, bits]))

    def _send(self, octet, rs):
        """Send an octet, half by half: the chip takes each when E falls."""
        octets = self._octets
        octets[0] = octets[2] = octet & 0xF0 | _LIGHT | rs  # RS is there before E rises
        octets[1] = octets[0] | _E
        octets[4] = octet << 4 & 0xF0 | _LIGHT | rs
        octets[3] = octets[4] | _E
        self._i2c.writeto(self._address, octets)

    def _cell(self, row, col, code):
        at = row * self._cols + col
        if at != self._next:
            # The third line goes on where the first ends, the fourth where the second does.
            line = 0x40 * (row & 1) + (self._cols if row > 1 else 0)
            self._send(_GOTO | line + col, 0)
        if 0xC0 <= code <= 0xFF:
            code = _PLAIN[code & 0x1F] - (0x20 if code < 0xE0 else 0)
        elif code == 0x5C:
            code = 0x2F  # A00 has a yen there, and arrows in place of ~ and the last one
        elif code > 0x7D:
            code = 0x3F
        self._send(code, _RS)
        self._next = at + 1 if col + 1 < self._cols else -1


make = Lcd
