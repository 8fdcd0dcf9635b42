"""Records of a point of sale: meters, keys and issued tokens."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

from jeton.sts import digits
from jeton_host import clock
from jeton_host.errors import VendingError
from jeton_host.firmware import profiles
from jeton_host.vending import ciphers, tid
from jeton_host.vending.keychange import check_change
from jeton_host.vending.keys import (
    DITK,
    KEY_TYPES,
    KeyParameters,
    check_dkga,
    check_ken,
    check_krn,
    check_kt,
    check_sgc,
    check_ti,
)
from jeton_host.vending.pan import check_drn, meter_pan

_EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class MeterKey:
    """One decoder key of a meter: the parameters to derive it; `given` if it is not derived."""

    number: int
    dkga: int
    kt: int
    sgc: str
    ti: int
    krn: int
    ken: int
    bdt: str
    since: datetime
    given: bytes | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters that identify the key; never the key itself."""
        return {
            "dkga": self.dkga,
            "kt": self.kt,
            "sgc": self.sgc,
            "ti": self.ti,
            "krn": self.krn,
            "ken": self.ken,
            "bdt": self.bdt,
        }

    def __str__(self) -> str:
        return (
            f"{KEY_TYPES[self.kt]}, SGC {self.sgc}, TI {self.ti:02d}, KRN {self.krn}, "
            f"base date {self.bdt}"
        )


@dataclass(frozen=True, slots=True)
class MeterRecord:
    """A meter in the point of sale.

    `key` is the key for its next token; `present` the key that the meter is known to have.
    """

    name: str
    drn: str
    ea: int
    tables: str
    kct: int
    mfr_code: int
    profile: str
    made: date
    key: MeterKey
    present: MeterKey

    @property
    def pending(self) -> bool:
        """Return whether a key change is pending: vended, and not known to be entered."""
        return self.present.number != self.key.number

    @property
    def pan(self) -> str:
        """Return the 18-digit PAN."""
        return meter_pan(self.drn)

    def as_dict(self) -> dict[str, Any]:
        """Return the record for --json; never a decoder key."""
        return {
            "name": self.name,
            "drn": self.drn,
            "pan": self.pan,
            "ea": self.ea,
            "tables": self.tables,
            "kct": self.kct,
            "mfr_code": self.mfr_code,
            "profile": self.profile,
            "made": self.made.isoformat(),
            "pending_from": self.present.as_dict() if self.pending else None,
        } | self.key.as_dict()


@dataclass(frozen=True, slots=True)
class Issued:
    """One issued token. `at`: when it was requested; `issued`: the time that its TID says."""

    meter: str
    drn: str
    token: str
    cls: int
    sub: int
    name: str
    what: str
    tid: int | None
    issued: datetime | None
    at: datetime
    fields: Mapping[str, int]
    key: MeterKey
    section: int | None = None
    test_key: bool = False
    rounded: str = ""  # the requested value, if it was rounded up

    @property
    def summary(self) -> str:
        """Return what the token does, and the requested value if it was rounded up."""
        return f"{self.what} ({self.rounded} rounded up)" if self.rounded else self.what

    @property
    def grouped(self) -> str:
        """Return the token as it is printed, in five groups of four digits."""
        return digits.grouped(self.token)

    def as_dict(self) -> dict[str, Any]:
        """Return the token and all its data for --json; never a part of a key."""
        found: dict[str, Any] = {
            "meter": self.meter,
            "drn": self.drn,
            "token": self.token,
            "class": self.cls,
            "subclass": self.sub,
            "name": self.name,
            "what": self.what,
            "rounded_from": self.rounded or None,
            "at": iso_text(self.at),
            "tid": self.tid,
            "issued": iso_text(self.issued) if self.issued else None,
            "fields": dict(self.fields),
        }
        if self.section is not None:
            found["section"] = self.section
        if self.cls != 1:
            found |= self.key.as_dict() | {"test_key": self.test_key}
        return found


def describe_meter(
    name: str,
    *,
    drn: str | None = None,
    ea: int = 7,
    dkga: int | None = None,
    sgc: str = "201457",
    ti: int = 1,
    krn: int = 1,
    kt: int = 2,
    bdt: str = "14",
    ken: int = 255,
    kct: int | None = None,
    tables: str = "certified",
    mfr_code: int | None = None,
    profile: str = "generic",
    made: date | None = None,
    decoder_key: bytes | None = None,
) -> MeterRecord:
    """Return the record of a new meter, without registering it.

    The parameters are those of PointOfSale.add_meter. Without `drn`, the record has an empty DRN.
    """
    if not _NAME.fullmatch(name):
        raise VendingError(
            f"meter name {name!r} is not valid: use letters, digits, dot, dash and underscore, "
            "at most 64, beginning with a letter or digit"
        )
    drn = "" if drn is None else check_drn(drn)
    dkga = check_dkga(4 if dkga is None else dkga, ciphers.check_ea(ea))
    check_sgc(sgc)
    check_ti(ti)
    check_krn(krn)
    check_ken(ken)
    check_kt(kt)
    tid.check_bdt(bdt)
    if tables not in ciphers.TABLES:
        raise VendingError(f"tables {tables!r} do not exist: use certified or sample")
    settings = profiles.load(profile)
    if kct is None:
        kct = 4 if ea == 11 else settings["key_change"]["tokens"]
    if kct not in ((4,) if ea == 11 else (2, 3)):
        raise VendingError(
            f"a meter with EA{ea:02d} supports "
            f"{'4' if ea == 11 else '2 or 3'} key change tokens, not {kct}"
        )
    check_change(DITK, kt)  # a new meter can have any key type except DCTK (magnetic cards)
    made = tid.BASE_DATES[bdt].date() if made is None else made
    tid.tid_of(_midnight(made), bdt)
    if decoder_key is not None:
        ciphers.check_key(decoder_key, ea)
    elif kt == DITK:
        decoder_key = secrets.token_bytes(ciphers.KEY_BYTES[ea])
    if mfr_code is None:
        mfr_code = maker_of(drn) if drn else 0
    if not 0 <= mfr_code <= 0xFFFF:
        raise VendingError(f"maker code {mfr_code} is out of range: 0 to 65535")
    key = MeterKey(1, dkga, kt, sgc, ti, krn, ken, bdt, _now(), decoder_key)
    return MeterRecord(name, drn, ea, tables, kct, mfr_code, profile, made, key, key)


def check_parameters(key: MeterKey) -> None:
    """Raise VendingError for a parameter of a key that is out of its range."""
    check_kt(key.kt)
    check_krn(key.krn)
    check_ti(key.ti)
    check_sgc(key.sgc)
    check_ken(key.ken)
    tid.check_bdt(key.bdt)


def maker_of(drn: str) -> int:
    """Return the maker code: the first 2 digits of an 11-digit DRN, 4 of a 13-digit DRN."""
    return int(drn[: len(drn) - 9])


def configuration(
    meter: MeterRecord, key: MeterKey, decoder_key: bytes, at: datetime | None = None
) -> dict[str, Any]:
    """Return the configuration for a board's `provision`; `decoder_key` is the value of `key`."""
    return {
        "drn": meter.drn,
        "ea": meter.ea,
        "tables": meter.tables,
        "kt": key.kt,
        "sgc": key.sgc,
        "ti": key.ti,
        "krn": key.krn,
        "ken": key.ken,
        "decoder_key": decoder_key.hex(),
        "bdt": key.bdt,
        "kct": meter.kct,
        "mfr_code": meter.mfr_code,
        "profile": meter.profile,
        "tid0": _first_tid(meter.made, key.bdt),
        "credit_wh": 0,
        "clock": int((utc_or_now(at) - _EPOCH_2000).total_seconds()),
    }


def parameters(meter: MeterRecord, key: MeterKey) -> KeyParameters:
    """Return the parameters from which a decoder key of this meter is derived."""
    return KeyParameters(key.dkga, meter.ea, meter.pan, key.kt, key.sgc, key.ti, key.krn, key.bdt)


def _first_tid(made: date, bdt: str) -> int:
    """Return the TID that fills a new TID store; 0 for a meter made before the base date."""
    moment = _midnight(made)
    return 0 if moment < tid.BASE_DATES[bdt] else tid.tid_of(moment, bdt)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _now() -> datetime:
    return clock.now().replace(microsecond=0)


def utc_or_now(at: datetime | None) -> datetime:
    """Return `at` in UTC; if it is None, the present time in whole seconds."""
    return _now() if at is None else tid.utc(at)


def iso_text(moment: datetime) -> str:
    """Return a UTC time in ISO 8601 format with a Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
