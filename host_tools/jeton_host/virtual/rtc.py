"""The clock of a virtual board's chip, `machine.RTC`: its memory and its battery.

The memory is a file of two numbers, written by boards/virtual/machine.py: the clock and the ticks
of this computer, ms, at one moment. An empty file is a clock that lost its supply: it begins at
2000-01-01.
"""

import struct
import tempfile

_KEPT = struct.Struct("<qq")


class Rtc:
    """The clock of a chip; with `battery` it outlives a power cut (an ESP32 has none)."""

    def __init__(self, battery: bool = False) -> None:
        self.battery = battery
        self._file = tempfile.TemporaryFile(prefix="jeton-rtc-", buffering=0)  # noqa: SIM115

    @property
    def number(self) -> int:
        """Return the number of the open file, for the interpreter."""
        return self._file.fileno()

    def supply_lost(self) -> None:
        """Forget the time if there is no battery; call it while the board is off."""
        if not self.battery:
            self._file.truncate(0)

    def advance(self, seconds: int) -> None:
        """Let time pass for the clock alone; call it while the board is off."""
        self._file.seek(0)
        kept = self._file.read(_KEPT.size)
        if len(kept or b"") == _KEPT.size:
            at_ms, ticks_ms = _KEPT.unpack(kept)
            self._file.seek(0)
            self._file.write(_KEPT.pack(at_ms + 1000 * seconds, ticks_ms))

    def close(self) -> None:
        """Remove it."""
        self._file.close()
