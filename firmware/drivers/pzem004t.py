"""A PZEM-004T v3 energy sensor on a serial port: Modbus RTU, 9600 baud, function 4.

Its registers: voltage 0.1 V, current 1 mA (two words, the low one first), power 0.1 W (two),
energy 1 Wh (two), frequency, power factor, alarm. Any address answers to 0xF8.
"""

_ASK = b"\xf8\x04\x00\x00\x00\x0a\x64\x64"
_LENGTH = 25
_PERIOD = 50  # ticks between two questions
_PATIENCE = 3  # questions without an answer


def crc16(octets, count):
    """Return the CRC of Modbus over the first `count` octets."""
    crc = 0xFFFF
    for i in range(count):
        crc ^= octets[i]
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


class Sensor:
    """Asks every second, and never waits for the answer."""

    def __init__(self, uart):
        self._uart = uart
        self._octets = bytearray(_LENGTH)
        self._ticks = 0
        self._missed = 0
        self._before = None
        self.power_w = 0

    def take(self):
        """Return the Wh since the last call; OSError where nothing has answered for 3 s.

        Call it at every tick.
        """
        self._ticks += 1
        if self._ticks < _PERIOD:
            return 0
        self._ticks = 0
        new_wh = self._read()
        self._uart.write(_ASK)
        if self._missed > _PATIENCE:
            self._missed = 1
            raise OSError(110)  # ETIMEDOUT
        return new_wh

    def _read(self):
        octets = self._octets
        self._missed += 1
        if self._uart.readinto(octets) != _LENGTH:
            self._uart.read()  # half an answer: away with the rest
            return 0
        if octets[1] != 4 or crc16(octets, 23) != octets[23] | octets[24] << 8:
            return 0
        self._missed = 0
        self.power_w = _pair(octets, 9) // 10
        energy_wh = _pair(octets, 13)
        before, self._before = self._before, energy_wh
        # Its register starts again at 10,000 kWh, or where somebody resets it.
        return energy_wh - before if before is not None and energy_wh > before else 0


def _pair(octets, at):
    """Return two words, the low one first."""
    low = octets[at] << 8 | octets[at + 1]
    return (octets[at + 2] << 8 | octets[at + 3]) << 16 | low


def make(bus, settings):
    """Return the sensor."""
    return Sensor(bus)
