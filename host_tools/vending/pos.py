"""A point of sale: which meters there are, under which key, and every token it ever issued.

One SQLite file. A token and its TID are written in one transaction before the token is handed out,
so neither a crash nor a second process can issue a TID twice. Decoder keys are derived when
needed; only a key that was given (a DITK, or a meter whose vending key nobody has) is stored.
"""

import json
import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from host_tools import profiles
from host_tools.errors import BusyError, VendingError
from host_tools.paths import data_home
from host_tools.vending import ciphers, tid
from host_tools.vending.keychange import check_change, key_change_set
from host_tools.vending.keys import (
    DDTK,
    DITK,
    KEY_TYPES,
    KeyParameters,
    VendingKeys,
    check_dkga,
    check_ken,
    check_krn,
    check_kt,
    check_sgc,
    check_ti,
    load_keys,
)
from host_tools.vending.pan import check_drn, make_drn, meter_pan, split_pan
from host_tools.vending.tokens import (
    CREDIT_UNITS,
    REGISTERS,
    UNITS_PER_CURRENCY,
    Decoded,
    decode,
    describe,
    encode,
    units_up,
)
from jeton.sts import digits, tokens

CREDIT_KINDS = ("electricity", "water", "gas", "time")
SCHEMA = 1
_EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
BUSY_S = 30.0

_TABLES = """
CREATE TABLE IF NOT EXISTS meters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    drn TEXT NOT NULL UNIQUE,
    ea INTEGER NOT NULL,
    tables TEXT NOT NULL,
    kct INTEGER NOT NULL,
    mfr_code INTEGER NOT NULL,
    profile TEXT NOT NULL,
    made TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS keys (
    meter INTEGER NOT NULL REFERENCES meters(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    dkga INTEGER NOT NULL,
    kt INTEGER NOT NULL,
    sgc TEXT NOT NULL,
    ti INTEGER NOT NULL,
    krn INTEGER NOT NULL,
    ken INTEGER NOT NULL,
    bdt TEXT NOT NULL,
    given BLOB,
    since TEXT NOT NULL,
    PRIMARY KEY (meter, number)
);
CREATE TABLE IF NOT EXISTS issues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    meter INTEGER NOT NULL REFERENCES meters(id) ON DELETE CASCADE,
    key INTEGER NOT NULL,
    bdt TEXT NOT NULL,
    cls INTEGER NOT NULL,
    sub INTEGER NOT NULL,
    tid INTEGER,
    token TEXT NOT NULL,
    at TEXT NOT NULL,
    what TEXT NOT NULL,
    fields TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_tid ON issues (meter, bdt, tid) WHERE tid IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_token ON issues (token);
"""


@dataclass(frozen=True, slots=True)
class MeterKey:
    """One decoder key of a meter, by what it is derived from; `given` where it is not derived."""

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
        """Return what identifies the key; never the key itself."""
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
    """A meter as the point of sale knows it, with the key that its next token is for."""

    name: str
    drn: str
    ea: int
    tables: str
    kct: int
    mfr_code: int
    profile: str
    made: date
    key: MeterKey

    @property
    def pan(self) -> str:
        """Return the 18-digit PAN."""
        return meter_pan(self.drn)

    def as_dict(self) -> dict[str, Any]:
        """Return the record for --json; never a key."""
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
        } | self.key.as_dict()


@dataclass(frozen=True, slots=True)
class Issued:
    """One token that was issued. `at` is when it was asked for, `issued` what its TID says."""

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
    rounded: str = ""  # what was asked for, where no token says exactly that

    @property
    def told(self) -> str:
        """Return what it does, and that it was rounded up for that where it was."""
        return f"{self.what} ({self.rounded} rounded up)" if self.rounded else self.what

    @property
    def grouped(self) -> str:
        """Return the token as it is printed, in five groups of four."""
        return digits.grouped(self.token)

    def as_dict(self) -> dict[str, Any]:
        """Return the token and all about it for --json; never a part of a key."""
        found: dict[str, Any] = {
            "meter": self.meter,
            "drn": self.drn,
            "token": self.token,
            "class": self.cls,
            "subclass": self.sub,
            "name": self.name,
            "what": self.what,
            "rounded_from": self.rounded or None,
            "at": _iso(self.at),
            "tid": self.tid,
            "issued": _iso(self.issued) if self.issued else None,
            "fields": dict(self.fields),
        }
        if self.section is not None:
            found["section"] = self.section
        if self.cls != 1:
            found |= self.key.as_dict() | {"test_key": self.test_key}
        return found


class Store:
    """The SQLite file of a point of sale; transactions are safe over threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open_now = threading.local()

    @contextmanager
    def together(self) -> Iterator[sqlite3.Connection]:
        """Let all that is issued inside, in this thread, be one transaction; yield its connection.

        For records of one's own in the same file, which must not be without their token nor a
        token without them.
        """
        with self._transaction() as db:
            self._open_now.db = db
            try:
                yield db
            finally:
                self._open_now.db = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that holds the write lock; commit at the end, nothing on an error."""
        outer = getattr(self._open_now, "db", None)
        if outer is not None:
            yield outer
            return
        with self._connection(write=True) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        outer = getattr(self._open_now, "db", None)
        if outer is not None:
            yield outer
            return
        with self._connection(write=False) as db:
            yield db

    @contextmanager
    def _connection(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        db = None
        try:
            db = self._open(write)
            yield db
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what it extends
            locked = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            raise (BusyError if locked else VendingError)(
                f"point of sale file {self.path}: {error}; nothing was issued"
            ) from None
        except OSError as error:
            raise VendingError(
                f"point of sale file {self.path}: {error.strerror or error}"
            ) from None
        finally:
            if db is not None:
                db.close()

    def _open(self, write: bool) -> sqlite3.Connection:
        if write:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # The file can hold a given decoder key: nobody else's business.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            target: str = str(self.path)
        else:
            # Looking must not leave a file behind.
            target = str(self.path) if self.path.exists() else ":memory:"
        db = sqlite3.connect(target, timeout=BUSY_S, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            db.close()
            raise VendingError(
                f"point of sale file {self.path} is of a newer Jeton (format {version}): update"
            )
        if version < SCHEMA:
            db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
        return db


class PointOfSale(Store):
    """Vends tokens for the meters of one SQLite file; safe across threads and processes.

    `keys`: the vending keys to use; by default those of $JETON_KEYS and the published test keys.
    """

    def __init__(self, path: str | Path | None = None, *, keys: VendingKeys | None = None):
        super().__init__(Path(path) if path is not None else data_home() / "pos.sqlite")
        self._keys = keys

    @property
    def keys(self) -> VendingKeys:
        """Return the vending keys in use."""
        if self._keys is None:
            self._keys = load_keys()
        return self._keys

    # -- meters -----------------------------------------------------------------------------------

    def add_meter(
        self,
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
        """Register a meter and return its record.

        `drn`: by default the next one of maker 00, the maker of the published test meter numbers.
        `dkga`: by default 4. `kct`: tokens of a key change that the meter supports, by default
        what the profile says under EA07 and 4 under EA11. `mfr_code`: by default the maker digits
        of the DRN. `made`: the date of manufacture, with whose TID the meter's store is filled, so
        that older tokens are refused; by default the base date, so that a test meter takes tokens
        of any date.
        `decoder_key`: given instead of derived; a DITK (KT 0) that is not given is generated.
        """
        new = describe_meter(
            name, drn=drn, ea=ea, dkga=dkga, sgc=sgc, ti=ti, krn=krn, kt=kt, bdt=bdt, ken=ken,
            kct=kct, tables=tables, mfr_code=mfr_code, profile=profile, made=made,
            decoder_key=decoder_key,
        )  # fmt: skip
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM meters WHERE name = ?", (name,)).fetchone():
                raise VendingError(f"there is a meter {name} already: choose another name")
            drn = new.drn or _next_drn(db)
            other = db.execute("SELECT name FROM meters WHERE drn = ?", (drn,)).fetchone()
            if other:
                raise VendingError(f"meter number {drn} is that of meter {other['name']} already")
            if mfr_code is None:
                mfr_code = maker_of(drn)
            row = db.execute(
                "INSERT INTO meters (name, drn, ea, tables, kct, mfr_code, profile, made)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (name, drn, ea, tables, new.kct, mfr_code, profile, new.made.isoformat()),
            )
            assert row.lastrowid is not None
            _insert_key(db, row.lastrowid, new.key)
            record = _record(db, name)
            self.decoder_key(record)  # no meter without a key that can be had
            return record

    def remove_meter(self, name: str) -> None:
        """Forget a meter and all that was issued for it."""
        with self._transaction() as db:
            _record(db, name)
            db.execute("DELETE FROM meters WHERE name = ?", (name,))

    def meters(self) -> list[MeterRecord]:
        """Return all meters by name."""
        with self._reading() as db:
            names = [row["name"] for row in db.execute("SELECT name FROM meters ORDER BY name")]
            return [_record(db, name) for name in names]

    def meter(self, name: str) -> MeterRecord:
        """Return one meter, or raise VendingError."""
        with self._reading() as db:
            return _record(db, name)

    def next_drn(self) -> str:
        """Return the DRN that the next meter takes which is registered without one."""
        with self._reading() as db:
            return _next_drn(db)

    def find_meter(self, text: str) -> MeterRecord:
        """Return one meter by its name, DRN or PAN, or raise VendingError."""
        number = digits.clean(text)
        if len(number) == 18 and digits.is_digits(number):
            number = split_pan(number)[1]
        with self._reading() as db:
            row = db.execute(
                "SELECT name FROM meters WHERE name = ? OR drn = ? ORDER BY name = ? DESC",
                (text, number, text),
            ).fetchone()
            return _record(db, row["name"] if row else text)

    def keys_of(self, name: str) -> list[MeterKey]:
        """Return the keys of a meter, the present one first, then the previous ones."""
        with self._reading() as db:
            _record(db, name)
            rows = db.execute(
                "SELECT keys.* FROM keys JOIN meters ON meters.id = keys.meter"
                " WHERE name = ? ORDER BY number DESC",
                (name,),
            )
            return [_key(row) for row in rows]

    def decoder_key(self, meter: MeterRecord, key: MeterKey | None = None) -> bytes:
        """Return a meter's decoder key, the present one unless another is named."""
        return self._decoder_key(meter, key or meter.key)

    def config_for(
        self, name: str, *, at: datetime | None = None, key: MeterKey | None = None
    ) -> dict[str, Any]:
        """Return what a board's `provision` takes, decoder key included; `at` sets its clock.

        `key`: one of its `keys_of`, the present one by default.
        """
        meter = self.meter(name)
        key = key or meter.key
        return configuration(meter, key, self.decoder_key(meter, key), at)

    # -- tokens -----------------------------------------------------------------------------------

    def credit(
        self,
        name: str,
        amount: str | int | Decimal,
        *,
        kind: str = "electricity",
        at: datetime | None = None,
        rnd: int | None = None,
        key: MeterKey | None = None,
    ) -> Issued:
        """Issue credit in kWh (m³ of water or gas, minutes of time).

        What no token can say is rounded up, as the standard has it: to 0.1, from 1,638.4 on to
        whole units, from 18,022.4 to tens, from 181,862.4 to hundreds. `rounded` is then what was
        asked for. `key`: one of its `keys_of`, as a vending system would issue under that has not
        heard of a key change; the present one by default.
        """
        sub = _kind(kind)
        unit = CREDIT_UNITS[sub].removeprefix("0.1 ")
        value = _number(amount, "an amount")
        if value <= 0:
            raise VendingError(f"an amount of {value} {unit} cannot be sold: it must be above 0")
        units = units_up(value, 10)
        if units > tokens.MAX_AMOUNT:
            raise VendingError(
                f"{value} {unit} does not fit into one token: at most "
                f"{tokens.MAX_AMOUNT // 10}.{tokens.MAX_AMOUNT % 10} {unit}"
            )
        code = tokens.amount_code(units)
        exact = tokens.amount_value(code) == value * 10
        rounded = "" if exact else f"{value} {unit}"
        return self._issue(name, at, 0, sub, {"amount": code}, rnd, rounded, key)

    def currency(
        self,
        name: str,
        amount: str | int | Decimal,
        *,
        kind: str = "electricity",
        at: datetime | None = None,
    ) -> Issued:
        """Issue credit in the base currency, for meters that count money; below 0 deducts.

        What no token can say is rounded up; `rounded` is then what was asked for.
        """
        sub = 4 + _kind(kind)
        value = _number(amount, "an amount")
        if value == 0:
            raise VendingError("an amount of 0 changes nothing: give one above or below 0")
        units = units_up(value, UNITS_PER_CURRENCY)
        try:
            se, code = tokens.currency_code(units)
        except ValueError:
            raise VendingError(f"an amount of {value} does not fit into one token") from None
        exact = tokens.currency_value(se, code) == value * UNITS_PER_CURRENCY
        rounded = "" if exact else str(value)
        return self._issue(name, at, 0, sub, {"se": se, "amount": code}, None, rounded)

    def power_limit(
        self, name: str, watts: int | str, *, at: datetime | None = None, rnd: int | None = None
    ) -> Issued:
        """Issue a SetMaximumPowerLimit; W that no token can say are rounded up."""
        code, rounded = _watts(watts, "power limit")
        return self._issue(name, at, 2, 0, {"mpl": code}, rnd, rounded)

    def unbalance_limit(
        self, name: str, watts: int | str, *, at: datetime | None = None, rnd: int | None = None
    ) -> Issued:
        """Issue a SetMaximumPhasePowerUnbalanceLimit; W that no token can say are rounded up."""
        code, rounded = _watts(watts, "limit of unbalance")
        return self._issue(name, at, 2, 6, {"mppul": code}, rnd, rounded)

    def clear_credit(
        self,
        name: str,
        register: int | str = "electricity",
        *,
        at: datetime | None = None,
        rnd: int | None = None,
    ) -> Issued:
        """Issue a ClearCredit of one register, 0 to 7 or by name, or of "all"."""
        number = REGISTERS.get(str(register), None)
        if number is None and str(register).isascii() and str(register).isdigit():
            number = int(register)
        if number not in REGISTERS.values():
            raise VendingError(
                f"register {register!r} is none: 0 to 7, 65535 for all, or one of "
                + ", ".join(REGISTERS)
            )
        assert number is not None
        return self._issue(name, at, 2, 1, {"register": number}, rnd)

    def clear_tamper(
        self, name: str, *, at: datetime | None = None, rnd: int | None = None
    ) -> Issued:
        """Issue a ClearTamperCondition."""
        return self._issue(name, at, 2, 5, {"pad": 0}, rnd)

    def tariff(
        self, name: str, rate: int, *, at: datetime | None = None, rnd: int | None = None
    ) -> Issued:
        """Issue a SetTariffRate; what the rate means is between utility and maker."""
        return self._issue(name, at, 2, 2, {"rate": _word(rate, "tariff rate")}, rnd)

    def water_factor(
        self, name: str, factor: int, *, at: datetime | None = None, rnd: int | None = None
    ) -> Issued:
        """Issue a SetWaterMeterFactor."""
        return self._issue(name, at, 2, 7, {"wmfactor": _word(factor, "water factor")}, rnd)

    def extended_write(
        self,
        name: str,
        index: int,
        value: int,
        *,
        at: datetime | None = None,
        rnd: int | None = None,
    ) -> Issued:
        """Issue an ExtendedTokenSetWrite: index 0 to 63 and 10 bits of value."""
        if not 0 <= index <= 63:
            raise VendingError(f"extended index {index} is out of range: 0 to 63")
        if not 0 <= value <= 0x3FF:
            raise VendingError(f"extended value {value} is out of range: 0 to 1023")
        return self._issue(name, at, 2, 10, {"value": index << 10 | value}, rnd)

    def test(
        self,
        name: str,
        numbers: list[int],
        *,
        mfr_code: int = 0,
        four_digits: bool = False,
        at: datetime | None = None,
    ) -> Issued:
        """Issue an InitiateMeterTest/Display of one or several tests, 0 alone for all of them.

        The token is not encrypted and works on every meter of the maker (code 0: of any maker).
        `four_digits`: the form with a 4-digit maker code, which has 28 tests in place of 36.
        """
        width, places = (28, 16) if four_digits else (36, 8)
        if not numbers:
            raise VendingError("name at least one test: 0 for all, or 1 to 18")
        control = 0
        for number in numbers:
            if not 0 <= number <= width:
                raise VendingError(f"test {number} is none: 0 to {width}")
            control |= (1 << width) - 1 if number == 0 else 1 << number - 1
        if not 0 <= mfr_code < 1 << places:
            raise VendingError(f"maker code {mfr_code} does not fit: 0 to {(1 << places) - 1}")
        fields = {"control": control, "mfr_code": mfr_code}
        return self._issue(name, at, 1, int(four_digits), fields, None)

    def key_change(
        self,
        name: str,
        *,
        krn: int | None = None,
        bdt: str | None = None,
        ti: int | None = None,
        sgc: str | None = None,
        ken: int | None = None,
        kt: int | None = None,
        dkga: int | None = None,
        three: bool | None = None,
        decoder_key: bytes | None = None,
        at: datetime | None = None,
    ) -> list[Issued]:
        """Issue a key change set, first section first; later tokens are under the new key.

        What is left out stays as it is. `three`: under EA07, a set of three tokens that brings the
        SGC; by default where the SGC changes and the meter supports it. A change to the key that
        the meter has is refused, unless it brings the SGC. A change away from an expired key is
        allowed, one to an expired key is not (IEC 62055-41 6.5.2.6).
        """
        moment = _moment(at)
        with self._transaction() as db:
            meter = _record(db, name)
            old = meter.key
            wanted: dict[str, Any] = {
                "krn": krn, "bdt": bdt, "ti": ti, "sgc": sgc, "ken": ken, "kt": kt, "dkga": dkga,
            }  # fmt: skip
            changes = {part: value for part, value in wanted.items() if value is not None}
            if not changes and decoder_key is None:
                raise VendingError(
                    "a key change must change something: give krn, bdt, ti, sgc, ken or kt"
                )
            new = replace(old, number=old.number + 1, since=moment, given=None, **changes)
            check_change(old.kt, new.kt)
            check_dkga(new.dkga, meter.ea)
            check_krn(new.krn)
            check_ti(new.ti)
            check_sgc(new.sgc)
            check_ken(new.ken)
            ro = new.bdt != tid.check_bdt(old.bdt)
            first = tid.token_tid(moment, new.bdt)
            if first >> 16 > new.ken:
                raise VendingError(
                    f"the new key would have expired on {_expiry(new):%Y-%m-%d %H:%M} UTC "
                    f"(KEN {new.ken}): give a later ken, 255 never expires"
                )
            if decoder_key is not None:
                new = replace(new, given=ciphers.check_key(decoder_key, meter.ea))
            elif new.kt == DITK:
                new = replace(new, given=secrets.token_bytes(ciphers.KEY_OCTETS[meter.ea]))
            teaches = three  # the SGC, to a meter that has not learnt it
            if three is None:
                three = meter.ea == 7 and meter.kct == 3 and new.sgc != old.sgc
            if three and meter.kct < 3:
                raise VendingError(f"meter {name} takes key changes of 2 tokens only")
            old_key, new_key = self._decoder_key(meter, old), self._decoder_key(meter, new)
            if old_key == new_key and old.as_dict() == new.as_dict() and not teaches:
                raise VendingError(
                    f"the key of meter {name} is {new} already: change something; codes that "
                    f"were not entered yet are in: jeton vend {name} history"
                )
            if ro and old_key == new_key:
                raise VendingError(
                    "the base date would change and the key not, so used tokens would work again: "
                    "give another krn"
                )
            sections = key_change_set(
                old_key,
                new_key,
                ea=meter.ea,
                kt=new.kt,
                sgc=new.sgc,
                ti=new.ti,
                krn=new.krn,
                ken=new.ken,
                ro=ro,
                three=three,
                tables=meter.tables,
            )
            issued = []
            for section in sections:
                decoded = decode(section.token, key=old_key, ea=meter.ea, tables=meter.tables)
                issued.append(
                    self._write(db, meter, decoded, section.token, moment, section.number)
                )
            _insert_key(db, _meter_id(db, name), new)
        return issued

    # -- what was issued --------------------------------------------------------------------------

    def issued(self, name: str | None = None, *, token: str | None = None) -> list[Issued]:
        """Return the tokens issued, oldest first: all, one meter's, or those of these digits."""
        query, values = "SELECT issues.*, meters.name AS owner FROM issues JOIN meters", []
        query += " ON meters.id = issues.meter WHERE 1"
        if name is not None:
            query, values = query + " AND owner = ?", [name]
        if token is not None:
            query, values = query + " AND token = ?", [*values, digits.clean(token)]
        with self._reading() as db:
            if name is not None:
                _record(db, name)
            return [_issued(db, row) for row in db.execute(query + " ORDER BY issues.id", values)]

    # -- inside -----------------------------------------------------------------------------------

    def _decoder_key(self, meter: MeterRecord, key: MeterKey) -> bytes:
        if key.given is not None:
            return key.given
        return self.keys.derive(parameters(meter, key))

    def _issue(
        self,
        name: str,
        at: datetime | None,
        cls: int,
        sub: int,
        fields: dict[str, int],
        rnd: int | None,
        rounded: str = "",
        under: MeterKey | None = None,
    ) -> Issued:
        moment = _moment(at)
        with self._transaction() as db:
            meter = _record(db, name)
            if under is not None:
                meter = replace(meter, key=under)
            if cls != 1:
                self._check_key_serves(meter, cls)
                fields = fields | {"tid": _next_tid(db, meter, moment)}
                if not (cls == 0 and sub >= 4):
                    fields["rnd"] = secrets.randbelow(16) if rnd is None else rnd
                octets = self._decoder_key(meter, meter.key)
            else:
                octets = None
            token = encode(cls, sub, fields, key=octets, ea=meter.ea, tables=meter.tables)
            decoded = decode(token, key=octets, ea=meter.ea, tables=meter.tables)
            issued = self._write(db, meter, decoded, token, moment, None)
        return replace(issued, rounded=rounded)

    def _check_key_serves(self, meter: MeterRecord, cls: int) -> None:
        if cls == 0 and meter.key.kt == DDTK:
            raise VendingError(
                f"meter {meter.name} is on a default key (KT 1, DDTK), which takes no credit: "
                "vend a key change with kt 2 first"
            )

    def _write(
        self,
        db: sqlite3.Connection,
        meter: MeterRecord,
        decoded: Decoded,
        token: str,
        moment: datetime,
        section: int | None,
    ) -> Issued:
        key = meter.key
        fields = {k: v for k, v in decoded.fields.items() if not k.startswith("nk")}
        row = (
            _meter_id(db, meter.name),
            key.number,
            key.bdt,
            decoded.cls,
            decoded.sub,
            decoded.tid,
            token,
            _iso(moment),
            describe(decoded),
            json.dumps(fields | ({"section": section} if section else {})),
        )
        number = db.execute(
            "INSERT INTO issues (meter, key, bdt, cls, sub, tid, token, at, what, fields)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        ).lastrowid
        written = db.execute(
            "SELECT issues.*, meters.name AS owner FROM issues JOIN meters"
            " ON meters.id = issues.meter WHERE issues.id = ?",
            (number,),
        ).fetchone()
        issued = _issued(db, written)
        test = key.given is None and self.keys.find(key.dkga, key.kt, key.sgc, key.krn).test
        return replace(issued, test_key=test)


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
    """Return the record of a new meter, whose values are those of PointOfSale.add_meter.

    Nothing is registered. Without a `drn` that of the record is empty.
    """
    if not _NAME.fullmatch(name):
        raise VendingError(
            f"meter name {name!r} will not do: letters, digits, dot, dash and underscore, "
            "at most 64, a letter or digit first"
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
        raise VendingError(f"tables {tables!r} are none: use certified or sample")
    settings = profiles.load(profile)
    if kct is None:
        kct = 4 if ea == 11 else settings["key_change"]["tokens"]
    if kct not in ((4,) if ea == 11 else (2, 3)):
        raise VendingError(
            f"a meter with EA{ea:02d} supports "
            f"{'4' if ea == 11 else '2 or 3'} key change tokens, not {kct}"
        )
    check_change(DITK, kt)  # a new meter may have any key type but the magnetic cards' DCTK
    made = tid.BASE_DATES[bdt].date() if made is None else made
    tid.tid_of(_midnight(made), bdt)
    if decoder_key is not None:
        ciphers.check_key(decoder_key, ea)
    elif kt == DITK:
        decoder_key = secrets.token_bytes(ciphers.KEY_OCTETS[ea])
    if mfr_code is None:
        mfr_code = maker_of(drn) if drn else 0
    if not 0 <= mfr_code <= 0xFFFF:
        raise VendingError(f"maker code {mfr_code} is out of range: 0 to 65535")
    key = MeterKey(1, dkga, kt, sgc, ti, krn, ken, bdt, _now(), decoder_key)
    return MeterRecord(name, drn, ea, tables, kct, mfr_code, profile, made, key)


def maker_of(drn: str) -> int:
    """Return the maker code that a DRN begins with."""
    return int(drn[: len(drn) - 9])


def configuration(
    meter: MeterRecord, key: MeterKey, octets: bytes, at: datetime | None = None
) -> dict[str, Any]:
    """Return what a board's `provision` takes for a meter with `key`, whose octets are given."""
    return {
        "drn": meter.drn,
        "ea": meter.ea,
        "tables": meter.tables,
        "kt": key.kt,
        "sgc": key.sgc,
        "ti": key.ti,
        "krn": key.krn,
        "ken": key.ken,
        "decoder_key": octets.hex(),
        "bdt": key.bdt,
        "kct": meter.kct,
        "mfr_code": meter.mfr_code,
        "profile": meter.profile,
        "tid0": _first_tid(meter.made, key.bdt),
        "credit_wh": 0,
        "clock": int((_moment(at) - _EPOCH_2000).total_seconds()),
    }


def parameters(meter: MeterRecord, key: MeterKey) -> KeyParameters:
    """Return what a decoder key of this meter is derived from."""
    return KeyParameters(key.dkga, meter.ea, meter.pan, key.kt, key.sgc, key.ti, key.krn, key.bdt)


def _number(value: str | int | Decimal, what: str) -> Decimal:
    text = str(value).strip()
    if isinstance(value, bool | float) or not _NUMBER.fullmatch(text):
        hint = " (write a decimal point)" if re.fullmatch(r"[0-9]+,[0-9]+", text) else ""
        raise VendingError(f"{what} must be a decimal number like 12.5, not {text!r}{hint}")
    if len(text) > 64:
        raise VendingError(f"{what} of {len(text)} digits does not fit into one token")
    return Decimal(text)


def _kind(kind: str) -> int:
    if kind not in CREDIT_KINDS:
        raise VendingError(f"no credit of kind {kind!r}: " + ", ".join(CREDIT_KINDS))
    return CREDIT_KINDS.index(kind)


def _watts(watts: int | str, what: str) -> tuple[int, str]:
    """Return the amount of a limit, and the W asked for where that is another one."""
    text = str(watts).strip()
    if not re.fullmatch("[0-9]{1,12}", text) or int(text) > tokens.MAX_AMOUNT:
        short = repr(text if len(text) <= 20 else text[:20] + "…")
        raise VendingError(
            f"a {what} of {short} will not do: a whole number of W, 0 to {tokens.MAX_AMOUNT}"
        )
    code = tokens.amount_code(int(text))
    return code, "" if tokens.amount_value(code) == int(text) else f"{int(text)} W"


def _word(value: int, what: str) -> int:
    if not 0 <= value <= 0xFFFF:
        raise VendingError(f"{what} {value} is out of range: 0 to 65535")
    return value


def _next_tid(db: sqlite3.Connection, meter: MeterRecord, moment: datetime) -> int:
    """Return the first TID from `moment` on that this meter never had under its base date."""
    key = meter.key
    wanted = tid.token_tid(moment, key.bdt)
    if wanted >> 16 > key.ken:
        raise VendingError(
            f"the key of meter {meter.name} expired on {_expiry(key):%Y-%m-%d %H:%M} UTC "
            f"(KEN {key.ken}): no token may be issued under it, vend a key change first"
        )
    used = db.execute(
        "SELECT tid FROM issues WHERE meter = ? AND bdt = ? AND tid >= ? ORDER BY tid",
        (_meter_id(db, meter.name), key.bdt, wanted),
    )
    for row in used:
        if row["tid"] > wanted:
            break
        wanted = tid.skip_reserved(wanted + 1)
    if wanted > tid.TID_MAX or wanted >> 16 > key.ken:
        raise VendingError(
            f"meter {meter.name} has no unused minute left before its "
            + ("base date ends" if wanted > tid.TID_MAX else "key expires")
            + ": vend a key change first"
        )
    return wanted


def _expiry(key: MeterKey) -> datetime:
    """Return the first minute that KEN no longer covers."""
    return tid.BASE_DATES[key.bdt] + timedelta(minutes=(key.ken + 1) << 16)


def _next_drn(db: sqlite3.Connection) -> str:
    """Return a DRN of maker 00 that no meter of this file ever had."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'meters'").fetchone()
    serial = (row["seq"] if row else 0) + 1
    while db.execute("SELECT 1 FROM meters WHERE drn = ?", (make_drn(serial),)).fetchone():
        serial += 1
    return make_drn(serial)


def _meter_id(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute("SELECT id FROM meters WHERE name = ?", (name,)).fetchone()["id"])


def _insert_key(db: sqlite3.Connection, meter: int, key: MeterKey) -> None:
    values = asdict(key) | {"meter": meter, "since": _iso(key.since)}
    db.execute(
        "INSERT INTO keys VALUES (:meter, :number, :dkga, :kt, :sgc, :ti, :krn, :ken, :bdt,"
        " :given, :since)",
        values,
    )


def _key(row: sqlite3.Row) -> MeterKey:
    return MeterKey(
        number=row["number"],
        dkga=row["dkga"],
        kt=row["kt"],
        sgc=row["sgc"],
        ti=row["ti"],
        krn=row["krn"],
        ken=row["ken"],
        bdt=row["bdt"],
        since=_parse_iso(row["since"]),
        given=row["given"],
    )


def _record(db: sqlite3.Connection, name: str) -> MeterRecord:
    row = db.execute("SELECT * FROM meters WHERE name = ?", (name,)).fetchone()
    if row is None:
        known = [r["name"] for r in db.execute("SELECT name FROM meters ORDER BY name LIMIT 9")]
        hint = f"; there are {', '.join(known)}" if known else "; there are none, see: jeton new"
        raise VendingError(f"the point of sale knows no meter {name!r}{hint}")
    key = db.execute(
        "SELECT * FROM keys WHERE meter = ? ORDER BY number DESC LIMIT 1", (row["id"],)
    ).fetchone()
    return MeterRecord(
        name=row["name"],
        drn=row["drn"],
        ea=row["ea"],
        tables=row["tables"],
        kct=row["kct"],
        mfr_code=row["mfr_code"],
        profile=row["profile"],
        made=date.fromisoformat(row["made"]),
        key=_key(key),
    )


def _issued(db: sqlite3.Connection, row: sqlite3.Row) -> Issued:
    meter = _record(db, row["owner"])
    key = _key(
        db.execute(
            "SELECT * FROM keys WHERE meter = ? AND number = ?", (row["meter"], row["key"])
        ).fetchone()
    )
    fields = json.loads(row["fields"])
    section = fields.pop("section", None)
    return Issued(
        meter=meter.name,
        drn=meter.drn,
        token=row["token"],
        cls=row["cls"],
        sub=row["sub"],
        name=tokens.layout(row["cls"], row["sub"], meter.ea)[0],
        what=row["what"],
        tid=row["tid"],
        issued=None if row["tid"] is None else tid.tid_time(row["tid"], row["bdt"]),
        at=_parse_iso(row["at"]),
        fields=fields,
        key=key,
        section=section,
    )


def _first_tid(made: date, bdt: str) -> int:
    """Return what a meter's store is filled with; 0 where the base date came after the meter."""
    moment = _midnight(made)
    return 0 if moment < tid.BASE_DATES[bdt] else tid.tid_of(moment, bdt)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _moment(at: datetime | None) -> datetime:
    return _now() if at is None else tid.utc(at)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _parse_iso(text: str) -> datetime:
    return datetime.fromisoformat(text)
