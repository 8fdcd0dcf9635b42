"""A meter for tests, and the point of sale that vends for it."""

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from jeton_host.meter import Meter
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, MeterRecord

Amount = str | int | Decimal


class MeterPos:
    """The point of sale of one meter: the methods of PointOfSale, without the meter's name.

    Every method accepts the keyword arguments of the same method of PointOfSale, and raises
    VendingError. `pos` is the whole point of sale, `path` its SQLite file, `name` the meter's name
    in it.
    """

    def __init__(self, pos: PointOfSale, name: str) -> None:
        self.pos = pos
        self.name = name

    @property
    def path(self) -> Path:
        """Return the point of sale's file, for a service that vends from it."""
        return self.pos.path

    @property
    def record(self) -> MeterRecord:
        """Return the record of the meter at the point of sale."""
        return self.pos.meter(self.name)

    @property
    def drn(self) -> str:
        """Return the meter's number."""
        return self.record.drn

    def credit(self, amount: Amount, **how: Any) -> Issued:
        """Issue credit in kWh (m³ of water or gas, minutes of time)."""
        return self.pos.credit(self.name, amount, **how)

    def currency(self, amount: Amount, **how: Any) -> Issued:
        """Issue credit in the base currency."""
        return self.pos.currency(self.name, amount, **how)

    def power_limit(self, watts: int | str, **how: Any) -> Issued:
        """Issue a SetMaximumPowerLimit."""
        return self.pos.power_limit(self.name, watts, **how)

    def unbalance_limit(self, watts: int | str, **how: Any) -> Issued:
        """Issue a SetMaximumPhasePowerUnbalanceLimit."""
        return self.pos.unbalance_limit(self.name, watts, **how)

    def clear_credit(self, register: int | str = "electricity", **how: Any) -> Issued:
        """Issue a ClearCredit."""
        return self.pos.clear_credit(self.name, register, **how)

    def clear_tamper(self, **how: Any) -> Issued:
        """Issue a ClearTamperCondition."""
        return self.pos.clear_tamper(self.name, **how)

    def tariff(self, rate: int, **how: Any) -> Issued:
        """Issue a SetTariffRate."""
        return self.pos.tariff(self.name, rate, **how)

    def water_factor(self, factor: int, **how: Any) -> Issued:
        """Issue a SetWaterMeterFactor."""
        return self.pos.water_factor(self.name, factor, **how)

    def extended_write(self, index: int, value: int, **how: Any) -> Issued:
        """Issue an ExtendedTokenSetWrite."""
        return self.pos.extended_write(self.name, index, value, **how)

    def test(self, numbers: list[int], **how: Any) -> Issued:
        """Issue an InitiateMeterTest/Display."""
        return self.pos.test(self.name, numbers, **how)

    def key_change(self, **to: Any) -> list[Issued]:
        """Issue a key change set; later tokens are for the new key, or for `krn`."""
        return self.pos.key_change(self.name, **to)

    def entered(self, codes: Sequence[str] = (), **shown: Any) -> MeterRecord:
        """Note that the codes of a key change were entered, or which key the meter shows."""
        return self.pos.entered(self.name, codes, **shown)

    def issued(self) -> list[Issued]:
        """Return the tokens issued for this meter, oldest first."""
        return self.pos.issued(self.name)


class PoolMeter(Meter):
    """A meter in a test: a Meter with its point of sale and its configuration."""

    def __init__(self, port: str, **options: Any) -> None:
        self.config: dict[str, Any] = {}
        self.folder: Path | None = None  # of its point of sale
        self._locked_by: str | None = None
        self.ended = False  # its virtual board was switched off
        super().__init__(port, **options)

    def lock(self, code: str | None = None) -> None:
        """Lock the meter as `Meter.lock` does; a named board is unlocked after the test."""
        super().lock(code)
        self._locked_by = code or self._locked_by

    def close(self) -> None:
        """Close the meter as `Meter.close` does."""
        self.ended = self.ended or self.board is not None
        super().close()

    def reopen(self) -> None:
        """Remove the lock that a test has set."""
        code, self._locked_by = self._locked_by, None
        if code is not None and self.locked:
            self.open_up(code)

    def _desk(self) -> PointOfSale | None:
        return self.pos.pos if "pos" in self.__dict__ else None

    @cached_property
    def pos(self) -> MeterPos:
        """Return the point of sale that has this meter, created at first use."""
        assert self.folder is not None
        return register(self, PointOfSale(self.folder / "pos.sqlite"))


def register(meter: PoolMeter, pos: PointOfSale) -> MeterPos:
    """Register a meter at a point of sale, with the attributes that the meter reports."""
    status = meter.status()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", meter.name).strip("-._")[:64] or "meter"
    facts: dict[str, Any] = {
        "drn": status.drn,
        "ea": status.ea,
        "kct": status.kct,
        "krn": status.krn,
        "kt": status.kt,
        "ti": status.ti,
        "sgc": status.sgc,
        "ken": status.ken,
        "bdt": status.bdt,
        "profile": status.profile,
        "tables": meter.config.get("tables", "certified"),
        "mfr_code": meter.config.get("mfr_code"),
    }
    key = bytes.fromhex(meter.config["decoder_key"])
    if status.kt:  # a key of type 0 is not derived
        record = pos.add_meter(name, **facts)
        if pos.decoder_key(record) == key:
            return MeterPos(pos, name)
        pos.remove_meter(name)
    pos.add_meter(name, decoder_key=key, **facts)
    return MeterPos(pos, name)
