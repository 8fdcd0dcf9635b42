"""A point of sale: the meters, their keys and every token issued for them, in one SQLite file.

A token and its TID are written in one transaction before the token is returned, so neither a crash
nor a second process can issue a TID twice. Decoder keys are derived when needed; a decoder key is
stored only if it cannot be derived (a DITK, or a key given for a meter without a vending key).
"""

import json
import re
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from jeton.sts import digits, tokens
from jeton_host.errors import UnusableError, VendingError
from jeton_host.paths import data_home
from jeton_host.typed import typed_methods
from jeton_host.vending import ciphers, tid
from jeton_host.vending.functions import refusal
from jeton_host.vending.keychange import check_change, key_after, key_change_set
from jeton_host.vending.keys import (
    DITK,
    VendingKeys,
    check_dkga,
    load_keys,
)
from jeton_host.vending.pan import split_pan
from jeton_host.vending.records import (
    Issued,
    MeterKey,
    MeterRecord,
    check_parameters,
    configuration,
    describe_meter,
    iso_text,
    maker_of,
    parameters,
    utc_or_now,
)
from jeton_host.vending.store import (
    Store,
    insert_key,
    issued_of_row,
    keys_of,
    meter_id,
    next_drn,
    record_of,
)
from jeton_host.vending.tokens import (
    AUTHENTIC,
    CREDIT_UNITS,
    REGISTERS,
    UNITS_PER_CURRENCY,
    Decoded,
    decode,
    describe,
    encode,
    units_up,
)

# The functions that read them check the permitted values.
Amount = Annotated[str | int | Decimal, "read by _number"]
Watts = Annotated[int | str, "read by _watts"]

CREDIT_KINDS = ("electricity", "water", "gas", "time")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")


@typed_methods
class PointOfSale(Store):
    """Vends tokens for the meters of one SQLite file; safe for several threads and processes.

    `keys`: the vending keys to use; by default those of $JETON_KEYS and the published test keys.

    A token is issued under the newest key of its meter. As long as the codes of a key change are
    not entered, `key` or `krn` selects an earlier one: `key` is one of `keys_of`, `krn` its KRN.
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

        `drn`: by default the next free one of maker 00, the maker of the published test meters.
        `dkga`: by default 4. `kct`: how many tokens of a key change the meter supports, by default
        the value of the profile for EA07, and 4 for EA11. `mfr_code`: by default the maker digits
        of the DRN. `made`: the date of manufacture. The TID store of the meter is filled with its
        TID, so that older tokens are refused; by default the base date, so that a test meter
        accepts tokens of any date.
        `decoder_key`: used instead of a derived one; for a DITK (KT 0) the default is random.
        """
        new = describe_meter(
            name, drn=drn, ea=ea, dkga=dkga, sgc=sgc, ti=ti, krn=krn, kt=kt, bdt=bdt, ken=ken,
            kct=kct, tables=tables, mfr_code=mfr_code, profile=profile, made=made,
            decoder_key=decoder_key,
        )  # fmt: skip
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM meters WHERE name = ?", (name,)).fetchone():
                raise VendingError(f"there is a meter {name} already: choose another name")
            drn = new.drn or next_drn(db)
            other = db.execute("SELECT name FROM meters WHERE drn = ?", (drn,)).fetchone()
            if other:
                raise VendingError(f"meter {other['name']} already has the meter number {drn}")
            if mfr_code is None:
                mfr_code = maker_of(drn)
            row = db.execute(
                "INSERT INTO meters (name, drn, ea, tables, kct, mfr_code, profile, made)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (name, drn, ea, tables, new.kct, mfr_code, profile, new.made.isoformat()),
            )
            assert row.lastrowid is not None
            insert_key(db, row.lastrowid, new.key)
            record = record_of(db, name)
            self.decoder_key(record)  # refuse a meter whose key cannot be derived
            return record

    def remove_meter(self, name: str) -> None:
        """Delete a meter and all tokens issued for it."""
        with self._transaction() as db:
            record_of(db, name)
            db.execute("DELETE FROM meters WHERE name = ?", (name,))

    def meters(self) -> list[MeterRecord]:
        """Return all meters, sorted by name."""
        with self._reading() as db:
            names = [row["name"] for row in db.execute("SELECT name FROM meters ORDER BY name")]
            return [record_of(db, name) for name in names]

    def meter(self, name: str) -> MeterRecord:
        """Return one meter; raise VendingError if there is none of this name."""
        with self._reading() as db:
            return record_of(db, name)

    def next_drn(self) -> str:
        """Return the DRN that a meter gets if it is registered now without one."""
        with self._reading() as db:
            return next_drn(db)

    def find_meter(self, text: str) -> MeterRecord:
        """Return one meter by its name, DRN or PAN; raise VendingError if there is none."""
        number = digits.clean(text)
        if len(number) == 18 and digits.is_digits(number):
            number = split_pan(number)[1]
        with self._reading() as db:
            row = db.execute(
                "SELECT name FROM meters WHERE name = ? OR drn = ? ORDER BY name = ? DESC",
                (text, number, text),
            ).fetchone()
            return record_of(db, row["name"] if row else text)

    def keys_of(self, name: str) -> list[MeterKey]:
        """Return the keys of a meter, newest first: the present one, then the previous ones."""
        with self._reading() as db:
            record_of(db, name)
            return keys_of(db, name)

    def decoder_key(self, meter: MeterRecord, key: MeterKey | None = None) -> bytes:
        """Return a decoder key of a meter, by default the present one."""
        return self._decoder_key(meter, key or meter.key)

    def config_for(
        self, name: str, *, at: datetime | None = None, key: MeterKey | None = None
    ) -> dict[str, Any]:
        """Return the configuration for a board's `provision`; it contains the decoder key.

        `at`: the time for the clock of the meter, by default now. `key`: one of its `keys_of`, by
        default the present one.
        """
        meter = self.meter(name)
        key = key or meter.key
        return configuration(meter, key, self.decoder_key(meter, key), at)

    def entered(
        self,
        name: str,
        codes: Sequence[str] = (),
        *,
        krn: int | None = None,
        ti: int | None = None,
        sgc: str | None = None,
        kt: int | None = None,
        ken: int | None = None,
        bdt: str | None = None,
    ) -> MeterRecord:
        """Note which key the meter has now, and return its record.

        Without more arguments: the key for its next token, because the codes of all key changes
        were entered. `codes`: the codes that the meter accepted, also those of another vending
        system. The other arguments: what the meter shows; the key is derived if it is not one of
        `keys_of`.
        """
        shown = _given(krn=krn, ti=ti, sgc=sgc, kt=kt, ken=ken, bdt=bdt)
        with self._transaction() as db:
            meter = record_of(db, name)
            keys = keys_of(db, name)
            if codes and shown:
                raise VendingError("give the codes that were entered or what the meter shows")
            if codes:
                found = self._key_after(meter, keys, codes)
            else:
                other = replace(meter.present, number=0, given=None, **shown)
                check_parameters(other)
                found = next((key for key in keys if _matches(key, shown)), other)
            if not found.number:
                found = replace(found, number=keys[0].number + 1, since=utc_or_now(None))
                self._decoder_key(meter, found)  # refuse a key that cannot be derived
                insert_key(db, meter_id(db, name), found)
            db.execute("UPDATE meters SET present = ? WHERE name = ?", (found.number, name))
            return record_of(db, name)

    def _key_after(
        self, meter: MeterRecord, keys: Sequence[MeterKey], codes: Sequence[str]
    ) -> MeterKey:
        """Return the key that a meter has after these codes; its number is 0 if it is new."""
        for old in (meter.present, *keys):
            try:
                before = self._decoder_key(meter, old)
            except VendingError:  # its vending key is not there any more
                continue
            new = key_after(
                codes, before, ea=meter.ea, kct=meter.kct, kt=old.kt, tables=meter.tables
            )
            if new is not None:
                return self._known_key(meter, keys, old, new)
        raise VendingError(
            f"these codes are not a complete key change under a known key of meter {meter.name}"
        )

    def _known_key(
        self, meter: MeterRecord, keys: Sequence[MeterKey], old: MeterKey, new: dict[str, Any]
    ) -> MeterKey:
        """Return the key that a complete set changes `old` to; its number is 0 if it is new.

        `new`: the content of the set. It lacks the base date and, with two codes, the SGC.
        """
        value, ro, sgc = new.pop("key"), new.pop("ro"), new.pop("sgc")
        bases = [bdt for bdt in tid.BASE_DATES if bdt != old.bdt] if ro else [old.bdt]
        same = [key for key in keys if _matches(key, new) and self._has_key(meter, key, value)]
        for key in same:
            if key.bdt in bases:
                return key
        new["sgc"] = f"{sgc:06d}" if sgc else old.sgc
        for base in bases:
            key = replace(old, number=0, given=None, bdt=base, **new)
            if self._has_key(meter, key, value):
                return key
        # It is not derived, as if sections of two sets were mixed.
        return replace(old, number=0, given=value, bdt=max(bases, key=_begun), **new)

    def key_of(self, name: str, krn: int) -> MeterKey:
        """Return the key of a meter with this KRN: the present one or else the newest.

        Raise VendingError if the meter has had no such key.
        """
        with self._reading() as db:
            return _key_of(record_of(db, name), keys_of(db, name), krn)

    # -- tokens -----------------------------------------------------------------------------------

    def credit(
        self,
        name: str,
        amount: Amount,
        *,
        kind: str = "electricity",
        at: datetime | None = None,
        rnd: int | None = None,
        key: MeterKey | None = None,
        krn: int | None = None,
        anyway: bool = False,
    ) -> Issued:
        """Issue credit in kWh (m³ of water or gas, minutes of time).

        An amount that a token cannot contain is rounded up, as the standard requires: to 0.1; from
        1,638.4 to whole units, from 18,022.4 to tens, from 181,862.4 to hundreds. `rounded` is
        then the amount that was requested.

        A token that the meter would always refuse, such as water or currency for a meter of kWh,
        is an UnusableError, also of the other methods; with `anyway` it is issued, to test that
        the meter refuses it.
        """
        sub = _kind(kind)
        unit = CREDIT_UNITS[sub].removeprefix("0.1 ")
        value = _number(amount, "an amount")
        if value <= 0:
            raise VendingError(f"an amount of {value} {unit} cannot be sold: give more than 0")
        units = units_up(value, 10)
        if units > tokens.MAX_AMOUNT:
            raise VendingError(
                f"{value} {unit} does not fit into one token: give at most "
                f"{tokens.MAX_AMOUNT // 10}.{tokens.MAX_AMOUNT % 10} {unit}"
            )
        code = tokens.amount_code(units)
        exact = tokens.amount_value(code) == value * 10
        rounded = "" if exact else f"{value} {unit}"
        fields = {"amount": code}
        return self._issue(name, at, 0, sub, fields, rnd, rounded, key, krn, anyway=anyway)

    def currency(
        self,
        name: str,
        amount: Amount,
        *,
        kind: str = "electricity",
        at: datetime | None = None,
        key: MeterKey | None = None,
        krn: int | None = None,
        anyway: bool = False,
    ) -> Issued:
        """Issue credit in the base currency, for meters that count money; deduct if below 0.

        The meters count kWh and refuse it: give `anyway`, as for `credit`. An amount that a token
        cannot contain is rounded up; `rounded` is then the amount that was requested.
        """
        sub = 4 + _kind(kind)
        value = _number(amount, "an amount")
        if value == 0:
            raise VendingError("an amount of 0 changes nothing: give an amount above or below 0")
        units = units_up(value, UNITS_PER_CURRENCY)
        try:
            se, code = tokens.currency_code(units)
        except ValueError:
            raise VendingError(f"an amount of {value} does not fit into one token") from None
        exact = tokens.currency_value(se, code) == value * UNITS_PER_CURRENCY
        rounded = "" if exact else str(value)
        fields = {"se": se, "amount": code}
        return self._issue(name, at, 0, sub, fields, None, rounded, key, krn, anyway=anyway)

    def power_limit(
        self,
        name: str,
        watts: Watts,
        *,
        at: datetime | None = None,
        rnd: int | None = None,
        key: MeterKey | None = None,
        krn: int | None = None,
    ) -> Issued:
        """Issue a SetMaximumPowerLimit in W; a value that a token cannot contain is rounded up."""
        code, rounded = _watts(watts, "power limit")
        return self._issue(name, at, 2, 0, {"mpl": code}, rnd, rounded, key, krn)

    def unbalance_limit(
        self,
        name: str,
        watts: Watts,
        *,
        at: datetime | None = None,
        rnd: int | None = None,
        key: MeterKey | None = None,
        krn: int | None = None,
    ) -> Issued:
        """Issue a SetMaximumPhasePowerUnbalanceLimit in W, rounded up like a power limit."""
        code, rounded = _watts(watts, "phase unbalance limit")
        return self._issue(name, at, 2, 6, {"mppul": code}, rnd, rounded, key, krn)

    def clear_credit(
        self,
        name: str,
        register: int | str = "electricity",
        *,
        at: datetime | None = None,
        rnd: int | None = None,
        key: MeterKey | None = None,
        krn: int | None = None,
        anyway: bool = False,
    ) -> Issued:
        """Issue a ClearCredit of one register (0 to 7, or its name) or of "all"."""
        number = REGISTERS.get(str(register), None)
        if number is None and str(register).isascii() and str(register).isdigit():
            number = int(register)
        if number not in REGISTERS.values():
            raise VendingError(
                f"register {register!r} does not exist: use 0 to 7, 65535 for all, or one of "
                + ", ".join(REGISTERS)
            )
        assert number is not None
        fields = {"register": number}
        return self._issue(name, at, 2, 1, fields, rnd, key=key, krn=krn, anyway=anyway)

    def clear_tamper(
        self,
        name: str,
        *,
        at: datetime | None = None,
        rnd: int | None = None,
        key: MeterKey | None = None,
        krn: int | None = None,
    ) -> Issued:
        """Issue a ClearTamperCondition."""
        return self._issue(name, at, 2, 5, {"pad": 0}, rnd, key=key, krn=krn)

    def tariff(
        self,
        name: str,
        rate: int,
        *,
        at: datetime | None = None,
        rnd: int | None = None,
        key: MeterKey | None = None,
        krn: int | None = None,
    ) -> Issued:
        """Issue a SetTariffRate; the utility and the maker agree on the meaning of the rate."""
        fields = {"rate": _word(rate, "tariff rate")}
        return self._issue(name, at, 2, 2, fields, rnd, key=key, krn=krn)

    def water_factor(
        self,
        name: str,
        factor: int,
        *,
        at: datetime | None = None,
        rnd: int | None = None,
        key: MeterKey | None = None,
        krn: int | None = None,
        anyway: bool = False,
    ) -> Issued:
        """Issue a SetWaterMeterFactor; a meter of electricity refuses it, see `credit`."""
        fields = {"wmfactor": _word(factor, "water factor")}
        return self._issue(name, at, 2, 7, fields, rnd, key=key, krn=krn, anyway=anyway)

    def extended_write(
        self,
        name: str,
        index: int,
        value: int,
        *,
        at: datetime | None = None,
        rnd: int | None = None,
        key: MeterKey | None = None,
        krn: int | None = None,
        anyway: bool = False,
    ) -> Issued:
        """Issue an ExtendedTokenSetWrite: index 0 to 63 and a value of 10 bits.

        The meters do not have this function, see `credit`.
        """
        if not 0 <= index <= 63:
            raise VendingError(f"extended index {index} is out of range: 0 to 63")
        if not 0 <= value <= 0x3FF:
            raise VendingError(f"extended value {value} is out of range: 0 to 1023")
        fields = {"value": index << 10 | value}
        return self._issue(name, at, 2, 10, fields, rnd, key=key, krn=krn, anyway=anyway)

    def test(
        self,
        name: str,
        numbers: list[int],
        *,
        mfr_code: int = 0,
        four_digits: bool = False,
        at: datetime | None = None,
        anyway: bool = False,
    ) -> Issued:
        """Issue an InitiateMeterTest/Display for the tests `numbers`; [0] requests all tests.

        The token is not encrypted and works on every meter of the maker `mfr_code` (0: any maker).
        `four_digits`: the form with a 4-digit maker code, which has 28 tests instead of 36.
        """
        width, places = (28, 16) if four_digits else (36, 8)
        if not numbers:
            raise VendingError("give at least one test number: 0 for all tests, or 1 to 18")
        control = 0
        for number in numbers:
            if not 0 <= number <= width:
                raise VendingError(f"test {number} does not exist: use 0 to {width}")
            control |= (1 << width) - 1 if number == 0 else 1 << number - 1
        if not 0 <= mfr_code < 1 << places:
            raise VendingError(f"maker code {mfr_code} is out of range: 0 to {(1 << places) - 1}")
        fields = {"control": control, "mfr_code": mfr_code}
        return self._issue(name, at, 1, int(four_digits), fields, None, anyway=anyway)

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
        """Issue a key change set, first section first; later tokens use the new key.

        A parameter that is not given does not change. `three`: under EA07, issue three tokens, of
        which the third contains the SGC; by default if the SGC changes and the meter supports it.
        A change to the present key is refused, unless it sends the SGC to the meter. A change from
        an expired key is permitted, a change to an expired key is not (IEC 62055-41 6.5.2.6).
        """
        moment = utc_or_now(at)
        with self._transaction() as db:
            meter = record_of(db, name)
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
            check_parameters(new)
            ro = new.bdt != tid.check_bdt(old.bdt)
            first = tid.token_tid(moment, new.bdt)
            if first >> 16 > new.ken:
                raise VendingError(
                    f"the new key would have expired on {_expiry(new):%Y-%m-%d %H:%M} UTC "
                    f"(KEN {new.ken}): give a greater ken; 255 never expires"
                )
            if decoder_key is not None:
                new = replace(new, given=ciphers.check_key(decoder_key, meter.ea))
            elif new.kt == DITK:
                new = replace(new, given=secrets.token_bytes(ciphers.KEY_BYTES[meter.ea]))
            sends_sgc = three  # to a meter that does not know its SGC yet
            if three is None:
                three = meter.ea == 7 and meter.kct == 3 and new.sgc != old.sgc
            if three and meter.kct < 3:
                raise VendingError(f"meter {name} supports key changes of 2 tokens only")
            old_key, new_key = self._decoder_key(meter, old), self._decoder_key(meter, new)
            if old_key == new_key and old.as_dict() == new.as_dict() and not sends_sgc:
                raise VendingError(
                    f"meter {name} already has the key {new}: change a parameter; jeton vend "
                    f"{name} history lists the codes that were issued before"
                )
            if ro and old_key == new_key:
                raise VendingError(
                    "the base date would change but the key would not, so used tokens would work "
                    "again: give another krn"
                )
            self._check_used_tokens(db, meter, new_key, ro=ro)
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
            insert_key(db, meter_id(db, name), new)
        return issued

    def _check_used_tokens(
        self, db: sqlite3.Connection, meter: MeterRecord, new_key: bytes, *, ro: bool
    ) -> None:
        """Refuse a change back to an earlier key after which its used tokens would work again.

        A change with RO = 1 makes the meter forget the tokens that it has accepted. Without RO, a
        change back is harmless as long as no such change was made since.
        """
        forgets = ro
        bdt = meter.key.bdt
        for key in keys_of(db, meter.name):  # newest first
            forgets = forgets or key.bdt != bdt
            bdt = key.bdt
            if forgets and self._has_key(meter, key, new_key):
                raise VendingError(
                    f"meter {meter.name} had the key {key} before, and a change of base date "
                    "makes the meter forget its used tokens: those of this key would work again: "
                    "give a krn that the meter never had"
                )

    # -- issued tokens ----------------------------------------------------------------------------

    def issued(self, name: str | None = None, *, token: str | None = None) -> list[Issued]:
        """Return the issued tokens, oldest first; filter by meter, by digits or by both."""
        query, values = "SELECT issues.*, meters.name AS owner FROM issues JOIN meters", []
        query += " ON meters.id = issues.meter WHERE 1"
        if name is not None:
            query, values = query + " AND owner = ?", [name]
        if token is not None:
            query, values = query + " AND token = ?", [*values, digits.clean(token)]
        with self._reading() as db:
            if name is not None:
                record_of(db, name)
            return [
                issued_of_row(db, row) for row in db.execute(query + " ORDER BY issues.id", values)
            ]

    def issued_between(self, first: str, last: str, limit: int = 4) -> list[Issued]:
        """Return issued tokens from `first` to `last` (20 digits each), newest first."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT issues.*, meters.name AS owner FROM issues JOIN meters"
                " ON meters.id = issues.meter WHERE token BETWEEN ? AND ?"
                " ORDER BY issues.id DESC LIMIT ?",
                (first, last, limit),
            )
            return [issued_of_row(db, row) for row in rows]

    # -- internal ---------------------------------------------------------------------------------

    def _decoder_key(self, meter: MeterRecord, key: MeterKey) -> bytes:
        if key.given is not None:
            return key.given
        return self.keys.derive(parameters(meter, key))

    def _has_key(self, meter: MeterRecord, key: MeterKey, value: bytes) -> bool:
        """Return whether a key has a value; False if its vending key is not there any more."""
        try:
            return self._decoder_key(meter, key) == value
        except VendingError:
            return False

    def _issue(
        self,
        name: str,
        at: datetime | None,
        cls: int,
        sub: int,
        fields: dict[str, int],
        rnd: int | None,
        rounded: str = "",
        key: MeterKey | None = None,
        krn: int | None = None,
        *,
        anyway: bool = False,
    ) -> Issued:
        moment = utc_or_now(at)
        with self._transaction() as db:
            meter = record_of(db, name)
            if krn is not None:
                if key is not None:
                    raise VendingError("give key or krn, not both")
                key = _key_of(meter, keys_of(db, name), krn)
            if key is not None:
                meter = replace(meter, key=key)
            if not anyway:
                _check_usable(meter, cls, sub, fields)
            if cls != 1:
                fields = fields | {"tid": _next_tid(db, meter, moment)}
                if not (cls == 0 and sub >= 4):
                    fields["rnd"] = secrets.randbelow(16) if rnd is None else rnd
                decoder_key = self._decoder_key(meter, meter.key)
            else:
                decoder_key = None
            token = encode(cls, sub, fields, key=decoder_key, ea=meter.ea, tables=meter.tables)
            decoded = decode(token, key=decoder_key, ea=meter.ea, tables=meter.tables)
            issued = self._write(db, meter, decoded, token, moment, None)
        return replace(issued, rounded=rounded)

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
            meter_id(db, meter.name),
            key.number,
            key.bdt,
            decoded.cls,
            decoded.sub,
            decoded.tid,
            token,
            iso_text(moment),
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
        issued = issued_of_row(db, written)
        test = key.given is None and self.keys.find(key.dkga, key.kt, key.sgc, key.krn).test
        return replace(issued, test_key=test)


def _check_usable(meter: MeterRecord, cls: int, sub: int, fields: dict[str, int]) -> None:
    """Raise UnusableError for a token that the meter would always refuse."""
    name = tokens.layout(cls, sub, meter.ea)[0]
    found = refusal(meter, Decoded(AUTHENTIC, cls, sub, name, fields))
    if found is not None:
        raise UnusableError(found[1], found[0], "give anyway=True")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _matches(key: MeterKey, wanted: Mapping[str, Any]) -> bool:
    return all(getattr(key, name) == value for name, value in wanted.items())


def _begun(bdt: str) -> tuple[bool, datetime]:
    """Return a sorting key: the latest base date that has begun is the greatest."""
    begin = tid.BASE_DATES[bdt]
    return begin <= utc_or_now(None), begin


def _key_of(meter: MeterRecord, keys: Sequence[MeterKey], krn: int) -> MeterKey:
    """Return the key with a KRN; of several, the one that the meter has, or else the newest."""
    for key in (meter.present, *keys):
        if key.krn == krn:
            return key
    known = ", ".join(str(number) for number in dict.fromkeys(key.krn for key in keys))
    raise VendingError(
        f"meter {meter.name} has no key with KRN {krn}; it has KRN {known}. If another system has "
        f"changed its key: jeton vend {meter.name} entered --krn {krn}"
    )


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
        raise VendingError(
            f"credit of kind {kind!r} does not exist: use " + ", ".join(CREDIT_KINDS)
        )
    return CREDIT_KINDS.index(kind)


def _watts(watts: int | str, what: str) -> tuple[int, str]:
    """Return the amount code of a limit, and the requested W as text if it was rounded up."""
    text = str(watts).strip()
    if not re.fullmatch("[0-9]{1,12}", text) or int(text) > tokens.MAX_AMOUNT:
        short = repr(text if len(text) <= 20 else text[:20] + "…")
        raise VendingError(
            f"a {what} of {short} is not valid: give a whole number of W, 0 to {tokens.MAX_AMOUNT}"
        )
    code = tokens.amount_code(int(text))
    return code, "" if tokens.amount_value(code) == int(text) else f"{int(text)} W"


def _word(value: int, what: str) -> int:
    if not 0 <= value <= 0xFFFF:
        raise VendingError(f"{what} {value} is out of range: 0 to 65535")
    return value


def _next_tid(db: sqlite3.Connection, meter: MeterRecord, moment: datetime) -> int:
    """Return the first TID from `moment` on that was not issued under the meter's base date."""
    key = meter.key
    wanted = tid.token_tid(moment, key.bdt)
    if wanted >> 16 > key.ken:
        raise VendingError(
            f"the key of meter {meter.name} expired on {_expiry(key):%Y-%m-%d %H:%M} UTC "
            f"(KEN {key.ken}): no token can be issued under it, vend a key change first"
        )
    used = db.execute(
        "SELECT tid FROM issues WHERE meter = ? AND bdt = ? AND tid >= ? ORDER BY tid",
        (meter_id(db, meter.name), key.bdt, wanted),
    )
    for row in used:
        if row["tid"] > wanted:
            break
        wanted = tid.skip_reserved(wanted + 1)
    if wanted > tid.TID_MAX or wanted >> 16 > key.ken:
        raise VendingError(
            f"meter {meter.name} has no unused TID left before its "
            + ("base date ends" if wanted > tid.TID_MAX else "key expires")
            + ": vend a key change first"
        )
    return wanted


def _expiry(key: MeterKey) -> datetime:
    """Return the first minute after the expiry by KEN."""
    return tid.BASE_DATES[key.bdt] + timedelta(minutes=(key.ken + 1) << 16)
