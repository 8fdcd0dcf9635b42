"""From purchase to light: what a vending system issued, keyed into emulated meters of its numbers.

The meters are the firmware itself in MicroPython, on virtual boards. One board is one meter after
another: each is set up anew, and its record kept in memory, since no power is cut here. So what a
flash would do is not part of this; all else that becomes of a token is.
"""

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
from jeton_host.checking import rows as check_rows
from jeton_host.checking.rows import TokenRow
from jeton_host.client.answers import moment as utc_of
from jeton_host.errors import BoardError, JetonError, VendingError
from jeton_host.firmware import remote
from jeton_host.meter import Meter
from jeton_host.vending.explain import Explanation, explain
from jeton_host.vending.keys import parse_ti
from jeton_host.vending.pan import check_drn, split_pan
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.predictions import KEY_CHANGE_SUBS
from jeton_host.vending.records import Issued, MeterKey, MeterRecord, configuration, describe_meter
from jeton_host.vending.tokens import decode, describe
from jeton_host.virtual.board import VirtualBoard

SEARCHES = 50
"""Wrong tokens that are looked into by trying other keys: half a second each."""

_CHUNK = 40  # tokens in one round trip
_PATIENCE_S = 60.0  # for one; a busy computer takes its time
_LONGEST = 200  # characters of a token that are keyed
_NUMBERS = ("ea", "dkga", "krn", "kt", "ken", "kct")
_NEXT_BASE = {"93": "14", "14": "35", "35": "35"}


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one row.

    `result`: the standard's name, None where nothing could be keyed in. `credited_wh`: what the
    token brought; `credit_wh` and `switch`: the register and the relay, "closed" or "open", after
    it. `why`: of what was refused, or is not as expected. `cause`: a word for it, as `explain` has
    them, "row" where the row itself is wrong, "wait" where it was not looked into.
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

    def as_dict(self) -> dict[str, Any]:
        """Return it for --json."""
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
        }

    @property
    def told(self) -> str:
        """Return what is not as expected and why, in one line."""
        if self.result is None:
            return self.why
        wanted = self.row.expected or "a token that is accepted"
        got = self.result
        if self.row.energy_wh is not None or self.credited_wh:
            got += f", {_kwh(self.credited_wh)} kWh"
        return f"expected {wanted}, got {got}" + (f": {self.why}" if self.why else "")


@dataclass(slots=True)
class _Subject:
    """One meter and all rows that are for it, in order."""

    record: MeterRecord
    line: int  # of the row that describes it
    setup: dict[str, Any]
    filed: bool  # described by the file, not by the point of sale
    rows: list[TokenRow] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Keyed:
    """What the board answered to one row."""

    answer: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


class _Book(PointOfSale):
    """The meters of a point of sale and of a file: read once, nothing is written."""

    def __init__(self, pos: PointOfSale):
        super().__init__(pos.path, keys=pos.keys)
        self._pos = pos
        self._records = {record.name: record for record in pos.meters()}
        self._by_drn = {record.drn: record.name for record in self._records.values()}
        self._filed: set[str] = set()
        self._chains: dict[str, list[MeterKey]] = {}
        self._octets: dict[tuple[str, MeterKey], bytes] = {}
        self._log: dict[str, list[Issued]] = {}

    def find(self, name: str, drn: str | None) -> MeterRecord | None:
        """Return a meter by its name or number, None for one that is not known."""
        if name in self._records:
            return self._records[name]
        return self._records[self._by_drn[drn]] if drn in self._by_drn else None

    def sold(self, record: MeterRecord) -> bool:
        """Return whether the point of sale knows a meter, and not only the file."""
        return record.name not in self._filed

    def describe(
        self, record: MeterRecord, keys: list[MeterKey], sections: Sequence[Issued] = ()
    ) -> None:
        """Take a meter as the file has it: its keys, newest first, and what changed the last."""
        if record.name not in self._filed:
            self._filed.add(record.name)
            self._records.pop(self._by_drn.get(record.drn, ""), None)
            self._log[record.name] = []
        self._log[record.name] += sections
        self._by_drn[record.drn] = record.name
        self._records[record.name] = record
        self._chains[record.name] = keys

    def meters(self) -> list[MeterRecord]:
        """Return all meters, by no order."""
        return list(self._records.values())

    def meter(self, name: str) -> MeterRecord:
        """Return one meter."""
        return self._records[name]

    def keys_of(self, name: str) -> list[MeterKey]:
        """Return the keys of a meter, the present one first."""
        if name not in self._chains:
            self._chains[name] = self._pos.keys_of(name)
        return self._chains[name]

    def issued(self, name: str | None = None, *, token: str | None = None) -> list[Issued]:
        """Return the tokens issued, as PointOfSale does."""
        if name is not None:
            if name not in self._log:
                self._log[name] = self._pos.issued(name)
            entries = self._log[name]
        else:
            entries = [e for e in self._pos.issued(token=token) if e.meter in self._records]
            entries += [entry for filed in self._filed for entry in self._log[filed]]
        if token is not None:
            clean = digits.clean(token)
            entries = [entry for entry in entries if entry.token == clean]
        return entries

    def decoder_key(self, meter: MeterRecord, key: MeterKey | None = None) -> bytes:
        """Return a meter's decoder key; those that are asked for again are kept."""
        key = key or meter.key
        found = self._octets.get((meter.drn, key))
        if found is None:
            found = super().decoder_key(meter, key)
            if key in self._chains.get(meter.name, ()):  # not each that is guessed at
                self._octets[meter.drn, key] = found
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
    """Key all rows into meters of their own; return what became of each, in order.

    `pos`: knows the meters and their keys. What it does not know, or what a row or `setup` says
    anything of, is set up as the row says, else by `setup`, else as PointOfSale.add_meter does.
    Another meter begins with the key that the point of sale has for it now or, where rows are a
    key change it issued, with the one before that. `at`: the meters' time, now by default. `jobs`:
    boards at a time. `searches`: how many wrong tokens are looked into (SEARCHES), None for all.
    `tick` is told how many more rows were keyed in. VendingError where `setup` will not do.
    """
    check_setup(setup or {})
    moment = at or clock.now()
    book = _Book(pos)
    subjects, done = _subjects(rows, book, setup or {}, moment)
    cases: list[_Case] = []
    for subject, answers in _key_in(subjects, jobs, tick):
        cases += _cases(subject, answers, book, moment)
    cases.sort(key=lambda case: case.checked.row.line)
    _explain(cases, book, moment, searches)
    found = done + [case.checked for case in cases]
    return sorted(found, key=lambda checked: checked.row.line)


def check_setup(setup: Mapping[str, Any]) -> None:
    """Raise VendingError where no meter can be set up so, whatever else a row says of it."""
    first = None
    for ea in (7, 11):  # what the others have to go with, where it is left to the rows
        for bdt in ("14", "93", "35"):
            try:
                describe_meter("any", **({"ea": ea, "bdt": bdt} | dict(setup)))
            except VendingError as error:
                first = first or error
            else:
                return
    assert first is not None
    raise first


# -- whose token it is --------------------------------------------------------------------------


def _subjects(
    rows: Sequence[TokenRow], book: _Book, setup: Mapping[str, Any], moment: datetime
) -> tuple[list[_Subject], list[Checked]]:
    """Return the meters with their rows, and the rows that are for none."""
    found: dict[str, _Subject] = {}
    wrong = []
    for row in rows:
        try:
            if row.problem:
                raise VendingError(row.problem)
            record = book.find(row.meter, drn := _drn(row.meter))
            if record is None and drn is None:
                raise VendingError(
                    f"the point of sale knows no meter {_short(row.meter)}, and it is no meter "
                    "number"
                )
            drn = record.drn if record is not None else drn
            assert drn is not None
            said = _setup(row)
            if drn not in found:
                if record is None or said or setup:
                    record = describe_meter(drn, drn=drn, **(dict(setup) | said))
                    book.describe(record, [record.key])
                filed = bool(said or setup) or not book.sold(record)
                found[drn] = _Subject(record, row.line, said, filed)
            _check_same(found[drn], said)
        except JetonError as error:
            wrong.append(_wrong(row, str(error)))
        else:
            found[drn].rows.append(row)
    ready = []
    for subject in found.values():
        key = _first_key(subject, book)
        try:
            octets = book.decoder_key(subject.record, key)
        except VendingError as error:
            wrong += [_wrong(row, str(error), subject.record.drn) for row in subject.rows]
        else:
            subject.config = configuration(subject.record, key, octets, moment)
            ready.append(subject)
    return ready, wrong


def _wrong(row: TokenRow, why: str, drn: str = "") -> Checked:
    return Checked(row, drn, why=why, cause="row")


def _drn(text: str) -> str | None:
    """Return the DRN that a meter's number or PAN says, None for what is no number."""
    number = digits.clean(text)
    if spoilt := check_rows.spoilt(text):
        raise VendingError(f"meter number {spoilt}")
    if not digits.is_digits(number):
        return None
    if len(number) == 18:
        return split_pan(number)[1]
    try:
        return check_drn(number)
    except VendingError as error:
        lost = "; has a spreadsheet taken leading zeros?" if len(number) in range(6, 13) else ""
        raise VendingError(f"{error}{lost if len(number) != 11 else ''}") from None


def _setup(row: TokenRow) -> dict[str, Any]:
    """Return what a row says of its meter, as `describe_meter` takes it."""
    found: dict[str, Any] = {}
    for name, text in row.setup.items():
        if name == "ti":
            found[name] = parse_ti(text)
        elif name == "made":
            try:
                found[name] = date.fromisoformat(text)
            except ValueError:
                raise VendingError(f"{_short(text)} is no date: 2026-01-31") from None
        elif name in _NUMBERS:
            if not re.fullmatch("[0-9]{1,3}", text):
                raise VendingError(f"{name} is a whole number, not {_short(text)}")
            found[name] = int(text)
        else:
            found[name] = text
    return found


def _check_same(subject: _Subject, said: Mapping[str, Any]) -> None:
    """Refuse a row that says another thing of its meter than the first did."""
    for name, value in said.items():
        first = subject.setup.get(name)
        if first != value:
            raise VendingError(
                f"{name} is {_short(value)} here and "
                + (f"not said in line {subject.line}" if first is None else f"{first} in line ")
                + ("" if first is None else str(subject.line))
                + ": a meter is set up once, by its first row; key changes come as tokens"
            )


def _first_key(subject: _Subject, book: _Book) -> MeterKey:
    """Return the key that a meter begins with: the one before the key changes of its rows."""
    if subject.filed:
        return subject.record.key
    tokens = {digits.clean(row.token) for row in subject.rows}
    numbers = [
        entry.key.number
        for entry in book.issued(subject.record.name)
        if entry.section is not None and entry.token in tokens
    ]
    if not numbers:
        return subject.record.key
    keys = book.keys_of(subject.record.name)
    return next(key for key in keys if key.number == min(numbers))


# -- the boards ---------------------------------------------------------------------------------


class _Board:
    """A virtual board that is one meter after another."""

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
        """Switch it off."""
        self._meter.close()

    def key_in(self, subject: _Subject) -> Iterator[list[_Keyed]]:
        """Set the meter up and key in its rows; yield what it answers, some rows at a time."""
        source = f"_jeton.begin({json.dumps(['provision', subject.config])!r})\n"
        for first in range(0, len(subject.rows), _CHUNK):
            rows = subject.rows[first : first + _CHUNK]
            lines = [
                (json.dumps(["enter", row.token[:_LONGEST]]), row.result != "LockOut")
                for row in rows
            ]
            source += f"_jeton.key({lines!r})"
            said = [json.loads(line) for line in self._run(source)]
            if first == 0 and "error" in (begun := said.pop(0)):
                problem = f"the meter cannot be set up: {begun['error']}"
                yield [_Keyed(problem=problem) for _ in subject.rows]
                return
            if len(said) != 2 * len(rows):
                raise BoardError(f"the board answered {len(said)} lines to {len(rows)} tokens")
            yield [
                _Keyed(entered.get("ok") or {}, shown.get("ok") or {}, entered.get("error", ""))
                for entered, shown in zip(said[::2], said[1::2], strict=True)
            ]
            source = ""

    def _run(self, source: str) -> list[str]:
        return self._meter.run(source, timeout=_PATIENCE_S).splitlines()


_Answers = list[_Keyed]


def _key_in(
    subjects: Sequence[_Subject], jobs: int, tick: Callable[[int], object]
) -> Iterator[tuple[_Subject, _Answers]]:
    """Key in all rows of all meters, on `jobs` boards; yield each meter when it is done."""
    waiting: queue.SimpleQueue[_Subject] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[_Subject, _Answers] | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    for subject in subjects:
        waiting.put(subject)

    def answers(board: _Board, subject: _Subject, told: int = 0) -> _Answers:
        found: _Answers = []
        for some in board.key_in(subject):
            found += some
            tick(max(0, len(found) - told))
            told = max(told, len(found))
            if stop.is_set():
                break
        return found

    def work() -> None:
        board = None
        try:
            while not stop.is_set():
                subject = waiting.get_nowait()
                board = board or _Board()
                try:
                    found = answers(board, subject)
                except (BoardError, ValueError):  # once more, on a fresh one
                    board.close()
                    board = _Board()
                    try:
                        found = answers(board, subject, len(subject.rows))
                    except (BoardError, ValueError) as error:
                        found = [_Keyed(problem=str(error)) for _ in subject.rows]
                done.put((subject, found))
        except queue.Empty:
            pass
        except BaseException as error:
            done.put(error)
        finally:
            if board is not None:
                board.close()

    threads = [threading.Thread(target=work) for _ in range(min(jobs, len(subjects)))]
    try:
        for thread in threads:
            thread.start()
        for _ in subjects:
            found = done.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


# -- what became of it --------------------------------------------------------------------------


@dataclass(slots=True)
class _Case:
    """A row with all that is needed to say why."""

    checked: Checked
    subject: _Subject
    keyed: _Keyed
    taken: Mapping[int, TokenRow]  # TID -> row that brought it, before this one


def _cases(subject: _Subject, answers: _Answers, book: _Book, moment: datetime) -> Iterator[_Case]:
    """Judge the rows of a meter; learn from them which keys it has had."""
    taken: dict[int, TokenRow] = {}
    change = _Change(subject, book, moment)
    for row, keyed in zip(subject.rows, answers, strict=True):
        drn = subject.record.drn
        if not keyed.answer:
            yield _Case(_wrong(row, keyed.problem, drn), subject, keyed, {})
            continue
        steps = [*keyed.answer["earlier"], keyed.answer]
        last = next((step for step in steps if step["result"] not in GOOD), steps[-1])
        done = [step for step in steps if step["name"] == "Accept"]
        credited_wh = sum(step["amount_wh"] or 0 for step in done if step["class"] == 0)
        good = last["result"] in GOOD
        if row.result is not None:
            good = last["name"] == row.result
        if row.energy_wh is not None:
            good = good and credited_wh == row.energy_wh
            good = good and (row.result is not None or last["name"] == "Accept")
        checked = Checked(
            row=row,
            drn=drn,
            result=last["name"],
            credited_wh=credited_wh,
            credit_wh=keyed.status.get("credit_wh"),
            switch=keyed.status.get("switch", ""),
            as_expected=good,
        )
        yield _Case(checked, subject, keyed, dict(taken) if last["name"] == "UsedError" else {})
        for step in done:
            if step["tid"] is not None:
                taken[step["tid"]] = row
        change.see(row, last)


class _Change:
    """Follows the key changes among the rows of a meter that only the file describes."""

    def __init__(self, subject: _Subject, book: _Book, moment: datetime):
        self._record = subject.record
        self._book = book
        self._moment = moment
        self._keys = [subject.record.key] if subject.filed else []
        self._sections: dict[int, Issued] = {}
        self._parts: dict[str, int] = {}

    def see(self, row: TokenRow, step: Mapping[str, Any]) -> None:
        """Take a section that the meter took; with the last of a set comes a new key."""
        number = KEY_CHANGE_SUBS.get(step["subclass"] or 0)
        if not self._keys or step["class"] != 2 or number is None or step["result"] not in GOOD:
            return
        record, key = self._record, self._keys[0]
        octets = self._book.decoder_key(record, key)
        try:
            found = decode(row.token, key=octets, ea=record.ea, tables=record.tables)
        except VendingError:  # several in one cell
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
            self._book.describe(record, self._keys, list(self._sections.values()))
            self._sections, self._parts = {}, {}

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
            # The tokens say that there is another base date, not which.
            bdt=_NEXT_BASE[key.bdt] if parts["ro"] else key.bdt,
            since=self._moment,
            given=b"".join(parts[word].to_bytes(4, "big") for word in words),
        )


# -- why ----------------------------------------------------------------------------------------


def _explain(cases: Sequence[_Case], book: _Book, moment: datetime, searches: int | None) -> None:
    """Say of what was refused why; what nobody expected comes first where that takes long."""
    refused = [case for case in cases if case.checked.result and not _accepted(case.checked)]
    left = len(refused) if searches is None else searches
    known: dict[object, tuple[str, str]] = {}  # the same wrong token again
    for case in sorted(refused, key=lambda case: case.checked.as_expected):
        row = case.checked.row
        long = case.checked.result == "CRCError" and not book.issued(token=row.token)
        shown = [case.keyed.status.get(name) for name in ("krn", "kt", "ti", "ken", "sgc", "bdt")]
        same = (case.subject.record.drn, row.token, *shown)
        if long and same in known:
            why, cause = known[same]
        elif long and not left:
            why, cause = "mistyped, or for another meter or key (not looked into)", "wait"
        else:
            left -= long
            why, cause = _why(case, book, moment)
            if long:
                known[same] = why, cause
        case.checked = replace(case.checked, why=why, cause=cause)


def _accepted(checked: Checked) -> bool:
    return checked.result in [NAMES[number] for number in GOOD]


def _why(case: _Case, book: _Book, moment: datetime) -> tuple[str, str]:
    """Return why a token was refused, and a word for it."""
    row, name = case.checked.row, case.checked.result
    answer, status = case.keyed.answer, dict(case.keyed.status)
    if spoilt := check_rows.spoilt(row.token):
        return spoilt, "not-a-token"
    before = case.taken.get(answer["tid"]) if answer["tid"] is not None else None
    if name == "UsedError" and before is not None:
        same = digits.clean(before.token) == digits.clean(row.token)
        what = "it was keyed in already" if same else "one with its TID was keyed in already"
        return f"{what}, line {before.line}", "used"
    # That a wrong token locks the meter comes after it.
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
        pos=book,
        meter=case.subject.record.name,
        status=status,
        tid_state=tid_state,
        now=moment,
    )
    if found.result in (None, name):
        return found.summary, found.cause
    return answer["message"] or f"the meter says {name}", "unknown"


def _short(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _kwh(energy_wh: int) -> str:
    return f"{energy_wh / 1000:.3f}".rstrip("0").rstrip(".")
