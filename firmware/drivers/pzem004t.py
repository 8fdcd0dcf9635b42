"""A PZEM-004T v3 energy sensor on a serial port: Modbus RTU, 9600 baud, function 4.

Its registers: voltage 0.1 V, current 1 mA (two words, the low one first), power 0.1 W (two),
energy 1 Wh (two), frequency, power factor, alarm. The address 0xF8 is accepted by every sensor.
"""

_REQUEST = b"\xf8\x04\x00\x00\x00\x0a\x64\x64"
_LENGTH = 25
_PERIOD = 50  # ticks between two requests
_MOST_MISSED = 3  # requests without an answer


def crc16(data, count):
    """Return the Modbus CRC of the first `count` bytes."""
    crc = 0xFFFF
    for i in range(count):
        crc ^= data[i]
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


class Sensor:
    """The sensor; sends a request every second and never blocks for the answer."""

    def __init__(self, uart):
        self._uart = uart
        self._data = bytearray(_LENGTH)
        self._ticks = 0
        self._missed = 0
        self._before = None
        self.power_w = 0

    def take(self):
        """Return the Wh since the last call; OSError if there was no answer for 3 s.

        Call it at every tick.
        """
        self._ticks += 1
        if self._ticks < _PERIOD:
            return 0
        self._ticks = 0
        new_wh = self._read()
        self._uart.write(_REQUEST)
        if self._missed > _MOST_MISSED:
            self._missed = 1
            raise OSError(110)  # ETIMEDOUT
        return new_wh

    def _read(self):
        data = self._data
        self._missed += 1
        if self._uart.readinto(data) != _LENGTH:
            self._uart.read()  # an incomplete answer: discard the rest
            return 0
        if data[1] != 4 or crc16(data, 23) != data[23] | data[24] << 8:
            return 0
        self._missed = 0
        self.power_w = _pair(data, 9) // 10
        energy_wh = _pair(data, 13)
        before, self._before = self._before, energy_wh
        # The register restarts at 10,000 kWh, or when it is reset by hand.
        return energy_wh - before if before is not None and energy_wh > before else 0


def _pair(data, at):
    """Return two words as one number; the low word comes first."""
    low = data[at] << 8 | data[at + 1]
    return (data[at + 2] << 8 | data[at + 3]) << 16 | low


def make(bus, settings):
    """Return the sensor."""
    return Sensor(bus)
