"""The account of a customer whom the utility charges by readings of the index."""

from dataclasses import dataclass, field
from datetime import datetime

from jeton_host.drills.stage import kwh
from jeton_host.errors import JetonError


@dataclass(slots=True)
class Account:
    """The account of a customer: readings of the index, estimates and charges, in Wh."""

    readings: list[tuple[datetime, int]] = field(default_factory=list)  # readings, no estimates
    charged_wh: list[int] = field(default_factory=list)
    estimated_wh: int | None = None  # the estimated index of the last charge; None after a reading

    @property
    def index_wh(self) -> int:
        """Return the index up to which the customer was charged, Wh."""
        return self.readings[0][1] + sum(self.charged_wh)

    def read(self, at: datetime, index_wh: int) -> int:
        """Charge up to a reading, minus what was estimated too high; return the charge in Wh."""
        if self.readings and index_wh < self.readings[-1][1]:
            raise JetonError(
                f"an index of {kwh(index_wh)} is below the last reading, "
                f"{kwh(self.readings[-1][1])}: read it again"
            )
        charge_wh = index_wh - self.index_wh if self.readings else 0
        self.readings.append((at, index_wh))
        if len(self.readings) > 1:
            self.charged_wh.append(charge_wh)
        self.estimated_wh = None
        return charge_wh

    def estimate(self, at: datetime) -> int:
        """Charge by the daily use between the last two readings; return the charge in Wh."""
        if len(self.readings) < 2:
            raise JetonError("an estimate needs two readings")
        (first, first_wh), (last, last_wh) = self.readings[-2:]
        charge_wh = int((last_wh - first_wh) * ((at - last) / (last - first)))
        self.charged_wh.append(charge_wh)
        self.estimated_wh = last_wh + charge_wh
        return charge_wh
