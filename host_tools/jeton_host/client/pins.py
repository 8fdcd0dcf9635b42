"""The protocol `Wires`: keys, display and other parts of a board, used through its pins."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jeton_host.client.client import MeterClient


class Wires(Protocol):
    """Access to the parts of a board through its pins, without the serial line.

    `Meter.open(wires=…)` accepts any object with these methods. `jeton_host.bench.wires` contains
    the two that ship with Jeton: an adapter, and the models of a virtual board. A method that the
    wiring does not support raises `BoardError`.
    """

    def begin(self, meter: "MeterClient") -> None:
        """Prepare for a meter that has just been opened; `meter.info().board` names its board."""

    def press(self, key: str) -> None:
        """Press a key by its name and release it.

        Hold it, and then wait, until the board has read each change: `meter.seen()` shows this.
        Holding a key for a fixed 70 ms also works, but a busy board may miss it.
        """

    def lines(self) -> list[str]:
        """Return the display's lines once they have stopped changing."""

    @property
    def flashes(self) -> bool:
        """Return whether the display flashed when `lines` was called last."""

    @property
    def relay(self) -> bool:
        """Return whether the relay is switched on."""

    @property
    def lamp(self) -> bool:
        """Return whether the credit LED is lit."""

    @property
    def buzzer(self) -> bool:
        """Return whether the buzzer sounds, or has sounded since this was read last."""

    def pulses(self) -> int:
        """Return the number of flashes of the pulse LED since `begin`."""

    def tamper(self, on: bool = True) -> None:
        """Open the cover, or close it."""

    def pulse(self, count: int = 1) -> None:
        """Send `count` pulses to the S0 input."""

    def close(self) -> None:
        """Release all keys and inputs, and the port."""
