"""A PZEM-004T v3 energy sensor on a serial port: Modbus RTU with its ten registers."""

import struct
from typing import Any

from jeton_host.virtual.models.hardware import Bench, Part


def crc16(data: bytes) -> bytes:
    """Return the Modbus CRC, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)


class Sensor(Part):
    """The sensor: set `energy_wh` and `power_w`; `spoil` makes the next answer wrong."""

    def __init__(self, bench: Bench, name: str, settings: dict[str, Any]) -> None:
        super().__init__(bench, name, settings)
        self.energy_wh = 12_345
        self.power_w = 0
        self.spoil = False
        bench.uart(self, self)

    def write(self, data: bytes) -> bytes:
        """Answer the request for registers 0 to 9; ignore all others."""
        if data[-2:] != crc16(data[:-2]) or data[1:6] != bytes([4, 0, 0, 0, 10]):
            return b""
        words = [2301, *self._pair(1000 * self.power_w // 230), *self._pair(10 * self.power_w)]
        words += [*self._pair(self.energy_wh), 500, 95, 0]
        answer = bytes([data[0], 4, 20]) + struct.pack(">10H", *words)
        answer += crc16(answer)
        if self.spoil:
            self.spoil = False
            return answer[:13] + bytes([answer[13] ^ 0x40]) + answer[14:]
        return answer

    @staticmethod
    def _pair(value: int) -> tuple[int, int]:
        return value & 0xFFFF, value >> 16


make = Sensor
