"""Check the tokens of a vending system: enter them into virtual meters with the same numbers.

The meters are the firmware in MicroPython, on virtual boards. A board is used for one meter after
another: each is set up from the beginning, and its record is only in memory, because there is no
power cut. So flash storage is not simulated; everything else is.
"""

import contextlib
import json
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from jeton.sts import digits
from jeton.sts.results import GOOD, NAMES
from jeton_host import clock
from jeton_host.checking.rows import TokenRow
from jeton_host.client.answers import moment as utc_of
from jeton_host.errors import BoardError, JetonError, VendingError
from jeton_host.firmware import remote
from jeton_host.meter import Meter
from jeton_host.vending import damaged
from jeton_host.vending.explain import Explanation, explain
from jeton_host.vending.functions import KEY_CHANGE_SUBS
from jeton_host.vending.keys import check_ken, check_krn, check_kt, check_sgc, check_ti, parse_ti
from jeton_host.vending.pan import check_drn, padded, split_pan
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import (
    Issued,
    MeterKey,
    MeterRecord,
    configuration,
    describe_meter,
    parameters,
)
from jeton_host.vending.tid import check_bdt
from jeton_host.vending.tokens import decode, describe
from jeton_host.virtual.board import VirtualBoard

SEARCHES = 50
"""How many wrong tokens are explained by trying other keys; each takes half a second."""

_CHUNK = 40  # tokens in one round trip
_CHUNK_TIMEOUT_S = 60.0  # long enough for a busy computer
_MAX_TOKEN = 200  # characters of a token that are entered
_NUMBERS = ("ea", "dkga", "krn", "kt", "ken", "kct")
_KEY = ("krn", "kt", "ti", "ken", "sgc", "bdt", "dkga")
"""Parameters that a key change can change."""
_SENT = ("krn", "kt", "ti", "ken")
"""Those that the tokens of each key change contain."""
_CHECKS: dict[str, Callable[[Any], object]] = {
    "krn": check_krn, "kt": check_kt, "ti": check_ti, "ken": check_ken, "sgc": check_sgc,
    "bdt": check_bdt,
}  # fmt: skip
_NEXT_BASE = {"93": "14", "14": "35", "35": "35"}


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one row.

    `result`: the name in the standard; None if the token could not be entered. `credited_wh`: the
    credit of the token. `credit_wh` and `switch`: the credit register and the load switch
    ("closed" or "open") after the token. `why`: the reason if the token was refused or the result
    is not as expected. `cause`: one word for the reason, as in `Explanation`; also "row" (the row
    itself is wrong), "wait" (not explained, because `searches` is used up) and "not-compared" (the
    row may contain the energy, but it could not be read). `warning`: what may be wrong with the
    meter number.
    """

    row: TokenRow
    drn: str = ""
    result: str | None = None
    credited_wh: int = 0
    credit_wh: int | None = None
    switch: str = ""
    as_expected: bool = False
    why: str = ""
    cause: str = ""
    warning: str = ""

    @property
    def compared(self) -> bool:
        """Return whether everything that the row expects was compared."""
        return self.cause != "not-compared"

    def as_dict(self) -> dict[str, Any]:
        """Return all fields for --json."""
        row = self.row
        return {
            "line": row.line,
            "meter": row.meter,
            "drn": self.drn or None,
            "token": row.token,
            "expected_result": row.result,
            "expected_wh": row.energy_wh,
            "result": self.result,
            "credited_wh": self.credited_wh,
            "credit_wh": self.credit_wh,
            "switch": self.switch or None,
            "as_expected": self.as_expected,
            "cause": self.cause,
            "why": self.why,
            "warning": self.warning or None,
        }

    @property
    def problem(self) -> str:
        """Return the unexpected results and their cause on one line."""
        if self.result is None:
            return self.why
        if not self.compared:
            return f"not compared, {self.result}, {_kwh(self.credited_wh)} kWh: {self.why}"
        if self.as_expected:
            return ""
        if self.cause == "row":
            return f"{self.why} (the result is {self.result})"
        wanted = self.row.expected or "an accepted token"
        got = self.result
        if self.row.energy_wh is not None or self.credited_wh:
            got += f", {_kwh(self.credited_wh)} kWh"
        return f"expected {wanted}, got {got}" + (f": {self.why}" if self.why else "")


@dataclass(slots=True)
class _MeterRows:
    """One meter and all rows for it, in order."""

    record: MeterRecord
    line: int  # line of the row that describes the meter
    setup: dict[str, Any]
    from_file: bool  # the file describes the meter, not the point of sale
    rows: list[TokenRow] = field(default_factory=list)
    given: list[dict[str, Any]] = field(default_factory=list)  # parameters in each row
    config: dict[str, Any] = field(default_factory=dict)
    warning: str = ""


@dataclass(frozen=True, slots=True)
class _Keyed:
    """The answer of the board to one row; `problem`: why there is none.

    `other`: the parameters that the row gives otherwise, with the values of the meter; such a row
    was not entered.
    """

    answer: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    other: dict[str, Any] = field(default_factory=dict)


class _CombinedPos(PointOfSale):
    """A point of sale with the meters of a file added; read only.

    Meters, keys and tokens are read from the SQLite file once and kept.
    """

    def __init__(self, pos: PointOfSale):
        super().__init__(pos.path, keys=pos.keys)
        self._pos = pos
        self._records = {record.name: record for record in pos.meters()}
        self._by_drn = {record.drn: record.name for record in self._records.values()}
        self._from_file: set[str] = set()
        self._chains: dict[str, list[MeterKey]] = {}
        self._decoder_keys: dict[tuple[str, MeterKey], bytes] = {}
        self._log: dict[str, list[Issued]] = {}

    def find(self, name: str, drn: str | None) -> MeterRecord | None:
        """Return a meter by its name or number; None if it is not known."""
        if name in self._records:
            return self._records[name]
        return self._records[self._by_drn[drn]] if drn in self._by_drn else None

    def in_pos(self, record: MeterRecord) -> bool:
        """Return whether the point of sale describes the meter, not the file."""
        return record.name not in self._from_file

    def describe(
        self, record: MeterRecord, keys: list[MeterKey], sections: Sequence[Issued] = ()
    ) -> None:
        """Add or replace a meter of the file; its keys are newest first.

        `sections`: the key change to the newest key.
        """
        if record.name not in self._from_file:
            self._from_file.add(record.name)
            self._records.pop(self._by_drn.get(record.drn, ""), None)
            self._log[record.name] = []
        self._log[record.name] += sections
        self._by_drn[record.drn] = record.name
        self._records[record.name] = record
        self._chains[record.name] = keys

    def meters(self) -> list[MeterRecord]:
        """Return all meters, in no special order."""
        return list(self._records.values())

    def meter(self, name: str) -> MeterRecord:
        """Return one meter."""
        return self._records[name]

    def keys_of(self, name: str) -> list[MeterKey]:
        """Return the keys of a meter, newest first."""
        if name not in self._chains:
            self._chains[name] = self._pos.keys_of(name)
        return self._chains[name]

    def issued(self, name: str | None = None, *, token: str | None = None) -> list[Issued]:
        """Return the issued tokens, as PointOfSale.issued does."""
        if name is not None:
            if name not in self._log:
                self._log[name] = self._pos.issued(name)
            entries = self._log[name]
        else:
            entries = [e for e in self._pos.issued(token=token) if e.meter in self._records]
            entries += [entry for name in self._from_file for entry in self._log[name]]
        if token is not None:
            clean = digits.clean(token)
            entries = [entry for entry in entries if entry.token == clean]
        return entries

    def decoder_key(self, meter: MeterRecord, key: MeterKey | None = None) -> bytes:
        """Return a decoder key of a meter; keys of its chain are cached."""
        key = key or meter.key
        found = self._decoder_keys.get((meter.drn, key))
        if found is None:
            found = super().decoder_key(meter, key)
            if key in self._chains.get(meter.name, ()):  # do not cache guessed keys
                self._decoder_keys[meter.drn, key] = found
        return found


def check(
    rows: Sequence[TokenRow],
    *,
    pos: PointOfSale,
    setup: Mapping[str, Any] | None = None,
    at: datetime | None = None,
    jobs: int = 1,
    searches: int | None = SEARCHES,
    tick: Callable[[int], object] = lambda count: None,
) -> list[Checked]:
    """Enter all rows into their meters; return the result of each row, in order.

    `pos`: the point of sale with the meters and their keys. It describes a meter unless it does
    not know it, or a row or `setup` gives parameters: then the row decides, then `setup`, then the
    defaults of PointOfSale.add_meter. A meter of the point of sale starts with its present key; if
    the rows contain a key change that was issued for it, it starts with the key before that.
    `at`: the time of the meters, by default now. `jobs`: number of boards at the same time.
    `searches`: how many wrong tokens to explain by trying other keys; None for all. `tick` is
    called with the number of rows just entered. Raise VendingError if `setup` is not valid.
    """
    check_setup(setup or {})
    moment = at or clock.now()
    combined = _CombinedPos(pos)
    meters, done = _meter_rows(rows, combined, setup or {}, moment)
    cases: list[_Case] = []
    for meter, answers in _key_in(meters, jobs, tick):
        cases += _cases(meter, answers, combined, moment)
    cases.sort(key=lambda case: case.checked.row.line)
    _explain(cases, combined, moment, searches)
    found = done + [case.checked for case in cases]
    return sorted(found, key=lambda checked: checked.row.line)


def check_setup(setup: Mapping[str, Any]) -> None:
    """Raise VendingError if no meter can have this `setup`, whatever its row says."""
    first = None
    for ea in (7, 11):  # rows can give the EA and the base date: try all of them
        for bdt in ("14", "93", "35"):
            try:
                describe_meter("any", **({"ea": ea, "bdt": bdt} | dict(setup)))
            except VendingError as error:
                first = first or error
            else:
                return
    assert first is not None
    raise first


# -- the meter of each row -----------------------------------------------------------------------


def _meter_rows(
    rows: Sequence[TokenRow], combined: _CombinedPos, setup: Mapping[str, Any], moment: datetime
) -> tuple[list[_MeterRows], list[Checked]]:
    """Return the meters with their rows, and the faulty rows that have no meter."""
    found: dict[str, _MeterRows] = {}
    wrong = []
    for row in rows:
        try:
            if row.problem:
                raise VendingError(row.problem)
            record = combined.find(row.meter, drn := _drn(row.meter, combined))
            if record is None and drn is None:
                raise VendingError(
                    f"the point of sale has no meter {_short(row.meter)}, and this is not a "
                    "meter number"
                )
            drn = record.drn if record is not None else drn
            assert drn is not None
            given = _setup(row)
            _check_values(given)
            if drn not in found:
                if record is None or given or setup:
                    record = describe_meter(drn, drn=drn, **(dict(setup) | given))
                    combined.describe(record, [record.key])
                from_file = bool(given or setup) or not combined.in_pos(record)
                found[drn] = _MeterRows(record, row.line, given, from_file, warning=padded(drn))
            _check_same(found[drn], given)
        except JetonError as error:
            wrong.append(_wrong(row, str(error)))
        else:
            found[drn].rows.append(row)
            found[drn].given.append(given)
    ready = []
    for meter in found.values():
        key = _first_key(meter, combined)
        try:
            decoder_key = combined.decoder_key(meter.record, key)
        except VendingError as error:
            wrong += [_wrong(row, str(error), meter.record.drn) for row in meter.rows]
        else:
            meter.config = configuration(meter.record, key, decoder_key, moment)
            ready.append(meter)
    return ready, wrong


def _wrong(row: TokenRow, why: str, drn: str = "") -> Checked:
    return Checked(row, drn, why=why, cause="row")


def _drn(text: str, combined: _CombinedPos) -> str | None:
    """Return the DRN of a meter number (DRN or PAN); None for a text that is not a number."""
    number = digits.clean(text)
    if not digits.is_digits(number):
        if damage := damaged.meter_number(text, combined.meters()):
            raise VendingError(damage)
        return None
    try:
        return split_pan(number)[1] if len(number) == 18 else check_drn(number)
    except VendingError as error:
        if damage := damaged.meter_number(text, combined.meters()):
            raise VendingError(damage) from None
        lost = "; did a spreadsheet remove leading zeros?" if len(number) in range(6, 13) else ""
        raise VendingError(f"{error}{lost if len(number) != 11 else ''}") from None


def _setup(row: TokenRow) -> dict[str, Any]:
    """Return the parameters of the meter in a row, in the types of `describe_meter`."""
    found: dict[str, Any] = {}
    for name, text in row.setup.items():
        if name == "ti":
            found[name] = parse_ti(text)
        elif name == "made":
            try:
                found[name] = date.fromisoformat(text)
            except ValueError:
                raise VendingError(
                    f"{_short(text)} is not a date: write it like 2026-01-31"
                ) from None
        elif name in _NUMBERS:
            if not re.fullmatch("[0-9]{1,3}", text):
                raise VendingError(f"{name} must be a whole number, not {_short(text)}")
            found[name] = int(text)
        else:
            found[name] = text
    return found


def _check_values(given: Mapping[str, Any]) -> None:
    """Raise VendingError for a parameter that no meter can have."""
    for name, value in given.items():
        if name in _CHECKS:
            _CHECKS[name](value)


def _check_same(meter: _MeterRows, given: Mapping[str, Any]) -> None:
    """Raise VendingError if a row gives another parameter of its meter that never changes."""
    for name, value in given.items():
        if name in meter.setup:
            same = value == meter.setup[name]
        else:
            same = name in _KEY or value == getattr(meter.record, name)
        if not same and name not in _KEY:
            raise VendingError(_conflict(meter, name, value, getattr(meter.record, name)))


def _conflict(meter: _MeterRows, name: str, value: object, present: object) -> str:
    """Return that a row gives another parameter than its meter has there."""
    first = meter.setup.get(name)
    said = f"{name} is {value} here"
    if first is not None:
        said += f" and {first} in line {meter.line}"
    if first is None or str(first) != str(present):
        said += f", but the emulated meter has {present}"
    if name not in _KEY:
        return f"{said}: it never changes"
    return f"{said}: a key change needs its tokens as rows"


def _first_key(meter: _MeterRows, combined: _CombinedPos) -> MeterKey:
    """Return the key that a meter starts with: the one before the key changes in its rows."""
    if meter.from_file:
        return meter.record.key
    tokens = {digits.clean(row.token) for row in meter.rows}
    numbers = [
        entry.key.number
        for entry in combined.issued(meter.record.name)
        if entry.section is not None and entry.token in tokens
    ]
    if not numbers:
        return meter.record.key
    keys = combined.keys_of(meter.record.name)
    return next(key for key in keys if key.number == min(numbers))


# -- the boards ---------------------------------------------------------------------------------


class _Board:
    """A virtual board that is used for one meter after another."""

    def __init__(self) -> None:
        board = VirtualBoard().start()
        try:
            self._meter = Meter(board.path, board=board)
        except BaseException:
            board.close()
            raise
        try:
            self._meter.run(remote.keep("_jeton", "key_in", "KeyIn"))
        except BaseException:
            self._meter.close()
            raise

    def close(self) -> None:
        """Stop the board."""
        self._meter.close()

    def key_in(self, meter: _MeterRows) -> Iterator[list[_Keyed]]:
        """Set the meter up and enter its rows; yield the answers, up to _CHUNK rows at a time."""
        source = f"_jeton.begin({json.dumps(['provision', meter.config])!r})\n"
        for first in range(0, len(meter.rows), _CHUNK):
            rows = meter.rows[first : first + _CHUNK]
            lines = [
                (
                    json.dumps(["enter", row.token[:_MAX_TOKEN]]),
                    row.result != "LockOut",
                    _required(given),
                )
                for row, given in zip(rows, meter.given[first : first + _CHUNK], strict=True)
            ]
            source += f"_jeton.key({lines!r})"
            replies = [json.loads(line) for line in self._run(source)]
            if first == 0 and "error" in (begun := replies.pop(0)):
                problem = f"the meter cannot be set up: {begun['error']}"
                yield [_Keyed(problem=problem) for _ in meter.rows]
                return
            if len(replies) != 2 * len(rows):
                raise BoardError(f"the board sent {len(replies)} lines for {len(rows)} tokens")
            yield [
                _Keyed(
                    entered.get("ok") or {},
                    shown.get("ok") or {},
                    entered.get("error", ""),
                    entered.get("other") or {},
                )
                for entered, shown in zip(replies[::2], replies[1::2], strict=True)
            ]
            source = ""

    def _run(self, source: str) -> list[str]:
        return self._meter.run(source, timeout=_CHUNK_TIMEOUT_S).splitlines()


def _required(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that the meter must have, or have had, before the token is entered."""
    return {name: given[name] for name in (*_SENT, "sgc", "bdt") if name in given}


_Answers = list[_Keyed]


def _key_in(
    meters: Sequence[_MeterRows], jobs: int, tick: Callable[[int], object]
) -> Iterator[tuple[_MeterRows, _Answers]]:
    """Enter all rows of all meters, on `jobs` boards; yield each meter when it is done."""
    waiting: queue.SimpleQueue[_MeterRows] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[_MeterRows, _Answers] | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    for meter in meters:
        waiting.put(meter)

    def answers(board: _Board, meter: _MeterRows, reported: int = 0) -> _Answers:
        found: _Answers = []
        for some in board.key_in(meter):
            found += some
            tick(max(0, len(found) - reported))
            reported = max(reported, len(found))
            if stop.is_set():
                break
        return found

    def work() -> None:
        board = None
        try:
            while not stop.is_set():
                meter = waiting.get_nowait()
                board = board or _Board()
                try:
                    found = answers(board, meter)
                except (BoardError, ValueError):  # try once more, on a new board
                    board.close()
                    board = _Board()
                    try:
                        found = answers(board, meter, len(meter.rows))
                    except (BoardError, ValueError) as error:
                        found = [_Keyed(problem=str(error)) for _ in meter.rows]
                done.put((meter, found))
        except queue.Empty:
            pass
        except BaseException as error:
            done.put(error)
        finally:
            if board is not None:
                board.close()

    threads = [threading.Thread(target=work) for _ in range(min(jobs, len(meters)))]
    try:
        for thread in threads:
            thread.start()
        for _ in meters:
            found = done.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


# -- the result of each row ---------------------------------------------------------------------


@dataclass(slots=True)
class _Case:
    """A row with all data that is needed to explain its result."""

    checked: Checked
    meter: _MeterRows
    keyed: _Keyed
    taken: Mapping[int, TokenRow]  # TID -> the earlier row with that token


def _cases(
    meter: _MeterRows, answers: _Answers, combined: _CombinedPos, moment: datetime
) -> list[_Case]:
    """Compare the rows of a meter with what is expected; follow its key changes."""
    taken: dict[int, TokenRow] = {}
    change = _Change(meter, combined, moment)
    labels = _Labels(meter, change)
    found = []
    for row, given, keyed in zip(meter.rows, meter.given, answers, strict=True):
        drn = meter.record.drn
        if not keyed.answer:
            why = keyed.problem
            for name, present in keyed.other.items():
                why = _conflict(meter, name, given[name], present)
            found.append(_Case(_wrong(row, why, drn), meter, keyed, {}))
            continue
        steps = [*keyed.answer["earlier"], keyed.answer]
        last = next((step for step in steps if step["result"] not in GOOD), steps[-1])
        done = [step for step in steps if step["name"] == "Accept"]
        credited_wh = sum(step["amount_wh"] or 0 for step in done if step["class"] == 0)
        checked = Checked(
            row=row,
            drn=drn,
            result=last["name"],
            credited_wh=credited_wh,
            credit_wh=keyed.status.get("credit_wh"),
            switch=keyed.status.get("switch", ""),
            as_expected=_as_expected(row, last, credited_wh),
            warning=meter.warning,
        )
        if checked.as_expected and row.unread and credited_wh and row.energy_wh is None:
            checked = replace(checked, as_expected=False, why=row.unread, cause="not-compared")
        used = dict(taken) if last["name"] == "UsedError" else {}
        found.append(_Case(checked, meter, keyed, used))
        for step in done:
            if step["tid"] is not None:
                taken[step["tid"]] = row
        change.see(row, last)
        labels.see(found[-1], given, last)
    return found


def _as_expected(row: TokenRow, last: Mapping[str, Any], credited_wh: int) -> bool:
    """Return whether the result of a row, and its energy, are as expected."""
    if row.result is not None and last["name"] != row.result:
        return False
    accepted = last["result"] in GOOD
    if row.energy_wh is None:
        return accepted or row.result is not None
    if not accepted:  # the energy is that of the token, and the row expects that it is refused
        return row.result is not None
    return credited_wh == row.energy_wh


class _Labels:
    """Compares the parameters in each row with those of the emulated meter there."""

    def __init__(self, meter: _MeterRows, change: "_Change"):
        self._meter = meter
        self._change = change
        self._seen = {name: {meter.config[name]} for name in (*_SENT, "sgc", "bdt")}
        self._waiting: list[tuple[_Case, dict[str, Any]]] = []  # until a key change is complete

    def see(self, case: "_Case", given: Mapping[str, Any], step: Mapping[str, Any]) -> None:
        """Compare the parameters of a row that was entered."""
        status = case.keyed.status
        for name, seen in self._seen.items():
            if status.get(name) is not None:
                seen.add(status[name])
        section = step["class"] == 2 and step["subclass"] in KEY_CHANGE_SUBS
        if section and step["result"] in GOOD:
            other = {n: v for n, v in given.items() if n in _KEY and not self._is_seen(n, v)}
            self._waiting.append((case, other))
            if step["name"] == "Accept":
                for each, labels in self._waiting:
                    self._compare(each, labels, status)
                self._waiting = []
        else:
            self._compare(case, given, status)

    def _is_seen(self, name: str, value: object) -> bool:
        if name == "dkga":
            return bool(value == self._meter.record.key.dkga)
        return value in self._seen[name] or value == self._meter.setup.get(name)

    def _compare(self, case: "_Case", given: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        for name in _SENT:
            if name in given and not self._is_seen(name, given[name]):
                self._mark(case, name, given[name], status.get(name))
        for name in ("sgc", "bdt", "dkga"):
            if name in given and not self._is_seen(name, given[name]):
                present = self._change.claim(name, given)
                if present is not None:
                    self._mark(case, name, given[name], present)
                elif name != "dkga":
                    self._seen[name].add(given[name])

    def _mark(self, case: "_Case", name: str, value: object, present: object) -> None:
        why = _conflict(self._meter, name, value, present)
        case.checked = replace(case.checked, as_expected=False, why=why, cause="row")


class _Change:
    """Follows the key changes in the rows of a meter that the file describes.

    Its keys are known only from the tokens of the key changes.
    """

    def __init__(self, meter: _MeterRows, combined: _CombinedPos, moment: datetime):
        self._record = meter.record
        self._combined = combined
        self._moment = moment
        self._keys = [meter.record.key] if meter.from_file else []
        self._sections: dict[int, Issued] = {}
        self._parts: dict[str, int] = {}

    def see(self, row: TokenRow, step: Mapping[str, Any]) -> None:
        """Collect an accepted section; after the last one of a set, add the new key."""
        number = KEY_CHANGE_SUBS.get(step["subclass"] or 0)
        if not self._keys or step["class"] != 2 or number is None or step["result"] not in GOOD:
            return
        record, key = self._record, self._keys[0]
        decoder_key = self._combined.decoder_key(record, key)
        try:
            found = decode(row.token, key=decoder_key, ea=record.ea, tables=record.tables)
        except VendingError:  # several tokens in one cell
            found = None
        if found is None or not found.authentic:
            self._keys = []
            return
        self._parts |= found.fields
        self._sections[number] = Issued(
            meter=record.name, drn=record.drn, token=digits.clean(row.token), cls=2,
            sub=step["subclass"], name=found.name or "", what=describe(found), tid=None,
            issued=None, at=self._moment, fields={}, key=key, section=number,
        )  # fmt: skip
        if step["name"] == "Accept":
            self._keys.insert(0, self._next(key))
            self._combined.describe(record, self._keys, list(self._sections.values()))
            self._sections, self._parts = {}, {}

    def claim(self, name: str, given: Mapping[str, Any]) -> object:
        """Use a parameter of a row that the tokens of a key change do not contain.

        Return None if it can be that of the newest key; else the value that the meter has.
        """
        if not self._keys:
            return None
        key = self._keys[0]
        present = getattr(key, name)
        before = self._keys[1] if len(self._keys) > 1 else key
        if present == given[name]:
            return None
        if before is key or (name == "bdt" and key.bdt == before.bdt):
            return present
        wanted = {n: given[n] for n in ("sgc", "bdt", "dkga") if n in given}
        if "bdt" in wanted and key.bdt == before.bdt:
            del wanted["bdt"]
        claimed = replace(key, given=None, **wanted)
        with contextlib.suppress(VendingError):  # the vending key is not known: nothing to compare
            if self._combined.keys.derive(parameters(self._record, claimed)) != key.given:
                return present
        self._keys[0] = replace(key, **wanted)
        self._combined.describe(self._record, self._keys)
        return None

    def _next(self, key: MeterKey) -> MeterKey:
        parts = self._parts
        words = ("nkho", "nklo") if self._record.ea == 7 else ("nkho", "nkmo2", "nkmo1", "nklo")
        sgc = parts.get("sgc", None)
        if "sgcho" in parts:
            sgc = parts["sgcho"] << 12 | parts["sgclo"]
        return replace(
            key,
            number=key.number + 1,
            kt=parts["kt"],
            ti=parts["ti"],
            krn=parts["krn"],
            ken=parts["kenho"] << 4 | parts["kenlo"],
            sgc=key.sgc if sgc is None else f"{sgc:06d}",
            # The tokens say that the base date changes, but not to which one.
            bdt=_NEXT_BASE[key.bdt] if parts["ro"] else key.bdt,
            since=self._moment,
            given=b"".join(parts[word].to_bytes(4, "big") for word in words),
        )


# -- why ----------------------------------------------------------------------------------------


def _explain(
    cases: Sequence[_Case], combined: _CombinedPos, moment: datetime, searches: int | None
) -> None:
    """Add the reason to each refused row.

    Trying other keys takes long and is limited to `searches` tokens: rows that are not as expected
    come first.
    """
    refused = [
        case
        for case in cases
        if case.checked.result and not _accepted(case.checked) and case.checked.cause != "row"
    ]
    left = len(refused) if searches is None else searches
    known: dict[object, tuple[str, str]] = {}  # for a wrong token that is in several rows
    for case in sorted(refused, key=lambda case: case.checked.as_expected):
        row = case.checked.row
        long = case.checked.result == "CRCError" and not combined.issued(token=row.token)
        shown = [case.keyed.status.get(name) for name in ("krn", "kt", "ti", "ken", "sgc", "bdt")]
        same = (case.meter.record.drn, row.token, *shown)
        what, sure = damaged.token(row.token, combined) if long else ("", False)
        if sure:
            why, cause = f"not a whole token: {what}", "damaged"
        elif long and same in known:
            why, cause = known[same]
        elif long and not left:
            why, cause = "mistyped, or for another meter or key (not searched)", "wait"
        else:
            left -= long
            why, cause = _why(case, combined, moment)
            if long:
                known[same] = why, cause
        case.checked = replace(case.checked, why=why, cause=cause)


def _accepted(checked: Checked) -> bool:
    return checked.result in [NAMES[number] for number in GOOD]


def _why(case: _Case, combined: _CombinedPos, moment: datetime) -> tuple[str, str]:
    """Return why a token was refused, and one word for the cause."""
    row, name = case.checked.row, case.checked.result
    answer, status = case.keyed.answer, dict(case.keyed.status)
    before = case.taken.get(answer["tid"]) if answer["tid"] is not None else None
    if name == "UsedError" and before is not None:
        same = digits.clean(before.token) == digits.clean(row.token)
        what = "it was entered before" if same else "a token with the same TID was entered before"
        return f"{what}, line {before.line}", "used"
    # The status is from after the token: a lock-out that this token caused must not explain it.
    until = status.pop("lock_until", None)
    if name == "LockOut":
        for part, seconds in (("lock_until", until), ("clock", status["clock"])):
            status[part] = utc_of(seconds).isoformat()

    def tid_state(number: int) -> str:
        if number == answer["tid"]:
            return {"UsedError": "Used", "OldError": "Old"}.get(str(name), "Valid")
        return "Used" if number in case.taken else "Valid"

    found: Explanation = explain(
        row.token,
        pos=combined,
        meter=case.meter.record.name,
        status=status,
        tid_state=tid_state,
        now=moment,
    )
    if found.result in (None, name):
        return found.summary, found.cause
    return answer["message"] or f"the meter answers {name}", "unknown"


def _short(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _kwh(energy_wh: int) -> str:
    return f"{energy_wh / 1000:.3f}".rstrip("0").rstrip(".")
