"""Counts what a meter does with its flash, on a virtual board of its own.

The counts are exact and do not depend on the computer. The clock of the meter is stopped, and
only a measurement advances it, so no save by time is among them.
"""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jeton_host.client.answers import EPOCH, FlashCounts
from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.vending.pos import PointOfSale
from jeton_host.virtual.board import VirtualBoard

TOKENS = 200
_NAME = "flash"
_SOLD = EPOCH + timedelta(days=9700)
_LONG_S = 3600.0  # between ticks of the board: none during a measurement


@dataclass(frozen=True)
class Use:
    """The use of the flash by one action; with `worst`, by the median and the worst of many."""

    name: str
    counts: FlashCounts
    worst: FlashCounts | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the use for --json."""
        worst = self.worst.as_dict() if self.worst else None
        return {"name": self.name, **self.counts.as_dict(), "worst": worst}


class Counted:
    """A provisioned meter on a virtual board of its own, with the tokens for it."""

    def __init__(self, meter: MeterClient, pos: PointOfSale) -> None:
        self.meter = meter
        self._pos = pos
        self._sold = 0

    def start(self) -> FlashCounts:
        """Reset the board; return the use of its start, up to the first answer."""
        self.meter.save()
        self.meter.reset()
        found = self.meter.flash_counts()
        self.meter.set_rate(0)
        return found

    def tokens(self, count: int) -> list[FlashCounts]:
        """Enter tokens that are accepted; return the use of each."""
        return [self._entered(self._credit()) for _ in range(count)]

    def key_change(self) -> FlashCounts:
        """Change the tariff index, and so the key; return the use of all tokens of the set."""
        change = self._pos.key_change(_NAME, ti=2)
        before = self.meter.flash_counts()
        for issued in change:
            if not self.meter.enter(issued.token).result.good:
                raise BoardError("the key change was refused")
        return self.meter.flash_counts() - before

    def hour(self, watts: int) -> FlashCounts:
        """Return the use of an hour with a load, in steps of 10 s as on a board."""
        self.meter.set_load(watts)
        before = self.meter.flash_counts()
        for _ in range(360):
            self.meter.advance(10)
        found = self.meter.flash_counts() - before
        self.meter.set_load(0)
        return found

    def _credit(self) -> str:
        self._sold += 1
        at = _SOLD + timedelta(minutes=self._sold)
        return self._pos.credit(_NAME, "0.5", at=at).token

    def _entered(self, token: str) -> FlashCounts:
        before = self.meter.flash_counts()
        if not self.meter.enter(token).result.good:
            raise BoardError("the token of the measurement was refused")
        return self.meter.flash_counts() - before


@contextmanager
def counted(board: str = "virtual") -> Iterator[Counted]:
    """Yield a meter on a virtual board of this kind, with a temporary flash."""
    with TemporaryDirectory(prefix="jeton-") as folder:
        pos = PointOfSale(Path(folder) / "pos.sqlite")
        pos.add_meter(_NAME)
        with (
            VirtualBoard(board=board, tick_s=_LONG_S) as virtual,
            MeterClient(virtual.path) as meter,
        ):
            meter.provision(pos.config_for(_NAME) | {"credit_wh": 100_000})
            meter.set_rate(0)
            yield Counted(meter, pos)


def measure(board: str = "virtual") -> tuple[Use, ...]:
    """Return the use of a start, a token, a key change and an hour with a load."""
    with counted(board) as one:
        start = one.start()
        first = one.tokens(1)[0]
        tokens = one.tokens(TOKENS)
        return (
            Use("start", start),
            Use("first token after a start", first),
            Use(f"token, the median of {TOKENS}", median(tokens), worst(tokens)),
            Use("key change", one.key_change()),
            Use("an hour with 2,000 W", one.hour(2000)),
        )


def median(counts: list[FlashCounts]) -> FlashCounts:
    """Return the use with the median number of reads."""
    middle = statistics.median_low([one.reads for one in counts])
    return next(one for one in counts if one.reads == middle)


def worst(counts: list[FlashCounts]) -> FlashCounts:
    """Return the use with most reads."""
    return max(counts, key=lambda one: one.reads)
