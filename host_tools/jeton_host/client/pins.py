"""The pins of a bench: what a finger and an eye do there, as a protocol."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jeton_host.client.client import MeterClient


class Wires(Protocol):
    """The pins of a meter's bench: what a finger and an eye do there, without the serial line.

    `jeton_host.bench.wires` has the two that come with Jeton; whatever has these methods will do.
    What a bench cannot do raises BoardError with a line that says why.
    """

    def begin(self, meter: "MeterClient") -> None:
        """Be ready for a meter that has been opened; `meter.info().board` is its board."""

    def press(self, key: str) -> None:
        """Press a key by its name and let it go, each until the board has seen it.

        `meter.seen()` says when. By time alone that is 70 ms, and a busy board may miss a key.
        """

    def lines(self) -> list[str]:
        """Return what stands on the display when it has come to rest."""

    @property
    def flashes(self) -> bool:
        """Return whether the display was seen to flash when its lines were read last."""

    @property
    def relay(self) -> bool:
        """Return whether the relay has current."""

    @property
    def lamp(self) -> bool:
        """Return whether the credit LED is lit."""

    @property
    def buzzer(self) -> bool:
        """Return whether the buzzer sounds, or has begun to since this was asked last."""

    def pulses(self) -> int:
        """Return how often the pulse LED was lit since these wires were begun with."""

    def tamper(self, on: bool = True) -> None:
        """Open the cover, or shut it."""

    def pulse(self, count: int = 1) -> None:
        """Give pulses at the S0 input."""

    def close(self) -> None:
        """Let everything go."""
