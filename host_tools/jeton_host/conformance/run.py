"""Run the published vectors and the matrix of `cases` on a board, over its serial line.

No row depends on another row: each row sets the meter up again, so that the board's own store,
power-ups and saving are tested. A set-up is used again only if the row before needed the same one
and changed nothing. A row compares the result of each token, and all fields of the meter's status
that a token can change: a refused token must change nothing.
"""

import hashlib
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jeton.sts import tokens as layouts
from jeton_host import __version__, clock, paths
from jeton_host.bench import facts, flashing
from jeton_host.client.answers import EnterResult, Status, TokenResult
from jeton_host.conformance.cases import DRN, ConformanceCase, Settings, Step, matrix
from jeton_host.errors import BoardError
from jeton_host.firmware import boards, profiles, remote
from jeton_host.meter import Meter
from jeton_host.vending import keys, pan, tid

FORMAT = "jeton-conformance/1"
BOARD, COMPUTER = "board", "computer"

# All fields of the status that a token can change; not those that time or a load changes.
WATCHED = (
    "credit_wh",
    "kt",
    "krn",
    "ti",
    "sgc",
    "ken",
    "max_power_limit_w",
    "phase_unbalance_limit_w",
    "tariff_rate",
    "tamper",
    "pending",
    "tid_newest",
)

# Vectors for the vending side: a meter has neither a vending key nor a calendar.
_VENDING_SIDE = ("dkga02", "dkga04", "tid")
_A = TokenResult.ACCEPT
_SILENT_S = 2.0  # how long a board may take to answer after an error


@dataclass(frozen=True, slots=True)
class Keyed:
    """One token of a row: its digits, the expected result, the result and its time in ms."""

    token: str
    expected: str
    result: str
    ms: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return it for the sheet in JSON."""
        return {
            "token": self.token,
            "expected": self.expected,
            "result": self.result,
            "ms": None if self.ms is None else round(self.ms, 1),
        }


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row of the sheet. `wrong` says what differs from the expected; empty if nothing."""

    part: str  # "vector" or "matrix"
    kind: str
    key: str
    store: str
    clause: str
    where: str
    keyed: tuple[Keyed, ...]
    wrong: str = ""
    source: str = ""

    @property
    def good(self) -> bool:
        """Return whether the whole row is as expected."""
        return not self.wrong

    @property
    def expected(self) -> str:
        """Return the expected result of the last token."""
        return self.keyed[-1].expected if self.keyed else ""

    @property
    def result(self) -> str:
        """Return the result of the last token."""
        return self.keyed[-1].result if self.keyed else ""

    def as_dict(self) -> dict[str, Any]:
        """Return it for the sheet in JSON."""
        return {
            "part": self.part,
            "kind": self.kind,
            "key": self.key,
            "store": self.store,
            "clause": self.clause,
            "where": self.where,
            "tokens": [keyed.as_dict() for keyed in self.keyed],
            "expected": self.expected,
            "result": self.result,
            "ok": self.good,
            "wrong": self.wrong,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Sheet:
    """All data of a run: Markdown, HTML and JSON are made from this object only."""

    head: Mapping[str, str]
    provenance: Mapping[str, int]
    rows: tuple[SheetRow, ...]
    seconds: float

    @property
    def failed(self) -> tuple[SheetRow, ...]:
        """Return the rows that are not as expected."""
        return tuple(row for row in self.rows if not row.good)

    @property
    def good(self) -> bool:
        """Return whether there are rows and all of them are as expected."""
        return bool(self.rows) and not self.failed

    @property
    def summary(self) -> dict[str, Any]:
        """Return the counts, and the times of a token over the serial line."""
        times = sorted(k.ms for row in self.rows for k in row.keyed if k.ms is not None)
        parts = Counter(row.part for row in self.rows)
        return {
            "ok": self.good,
            "rows": len(self.rows),
            "as_expected": len(self.rows) - len(self.failed),
            "failed": len(self.failed),
            "vectors": parts["vector"],
            "matrix": parts["matrix"],
            "tokens": len(times),
            "median_ms": round(times[len(times) // 2], 1) if times else None,
            "slowest_ms": round(times[-1], 1) if times else None,
            "seconds": round(self.seconds, 1),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the sheet for JSON: failures first."""
        return {
            "format": FORMAT,
            "head": dict(self.head),
            "summary": self.summary,
            "vectors_by_source": dict(self.provenance),
            "rows": [row.as_dict() for row in self.in_order],
        }

    @property
    def in_order(self) -> tuple[SheetRow, ...]:
        """Return all rows, failures first."""
        return (*self.failed, *(row for row in self.rows if row.good))


def vectors_file() -> Path:
    """Return the file of published vectors."""
    return paths.vectors_dir() / "sts.jsonl"


def vectors() -> list[dict[str, Any]]:
    """Return the published vectors."""
    try:
        return [json.loads(line) for line in vectors_file().read_text().splitlines()]
    except OSError as error:
        raise BoardError(f"the vectors cannot be read: {error}") from None


class Run:
    """A run on one open meter, which it sets up again for almost every row.

    The data of the meter is lost: ask the user before. Raise BoardError if the board does not
    answer; if the board answers with an error, the row is a failed row.
    """

    def __init__(self, meter: Meter, profile: str = "generic") -> None:
        self._meter = meter
        self._settings = Settings.of(profiles.load(profile))
        self._vectors = vectors()
        self._cases = list(matrix(self._settings))
        # The present set-up of the meter, with the steps done, and its status; None if changed.
        self._current: tuple[tuple[Mapping[str, Any], tuple[Step, ...]], Status] | None = None

    @property
    def total(self) -> int:
        """Return how many rows there will be."""
        return len(self._vectors) + len(self._cases)

    def sheet(self, progress: Callable[[int], object] = lambda done: None) -> Sheet:
        """Run all rows and return the sheet; `progress` gets the number of rows done."""
        began, start = clock.now(), time.monotonic()
        head = _head(self._meter, self._settings.profile, began)
        self._meter.set_rate(0)
        rows = [self._vector_row(vector, n, progress) for n, vector in enumerate(self._vectors)]
        done = len(rows)
        found: dict[int, SheetRow] = {}
        for n in sorted(range(len(self._cases)), key=lambda n: _setup_order(self._cases[n])):
            found[n] = self._case(self._cases[n])
            progress(done + len(found))
        rows += [found[n] for n in range(len(self._cases))]
        self._meter.set_rate(1)
        sources = Counter(vector["source"] for vector in self._vectors)
        return Sheet(head, dict(sources), tuple(rows), time.monotonic() - start)

    def _vector_row(
        self, vector: Mapping[str, Any], n: int, progress: Callable[[int], object]
    ) -> SheetRow:
        row = self._vector(vector)
        progress(n + 1)
        return row

    # The matrix

    def _case(self, case: ConformanceCase) -> SheetRow:
        """Run one row on the board."""
        keyed: list[Keyed] = []
        wrong = ""
        try:
            wrong = self._enter_steps(case, keyed)
            if wrong or not _changes_nothing(case):
                self._current = None
        except BoardError as error:
            self._current = None
            check_answers(self._meter)  # a board that does not answer ends the run
            wrong = str(error)
        return SheetRow(
            case.part, case.kind, case.key, case.store, case.clause, BOARD, tuple(keyed), wrong,
            case.source,
        )  # fmt: skip

    def _enter_steps(self, case: ConformanceCase, keyed: list[Keyed]) -> str:
        meter = self._meter
        if self._current is None or self._current[0] != (case.config, case.before):
            self._current = None
            before = meter.provision(case.config)
            for step in case.before:
                wrong = self._step(step)
                if wrong:
                    return f"before it: {wrong}"
            self._current = (case.config, case.before), meter.status() if case.before else before
        before = self._current[1]
        last = None
        for step in case.steps:
            start = time.perf_counter()
            last = meter.enter(step.token)
            ms = 1000 * (time.perf_counter() - start)
            assert step.expected is not None
            keyed.append(Keyed(step.token, step.expected.standard_name, last.name, ms))
            if last.result != step.expected:
                return f"{last.name}, expected {step.expected.standard_name}"
        assert last is not None
        return _misread(last, case.read) or _wrong_status(before, meter.status(), case.changes)

    def _step(self, step: Step) -> str:
        """Do one step before the row's tokens; return what is wrong, empty if nothing."""
        meter = self._meter
        if step.do == "tamper":
            meter.set_tamper()
        elif step.do == "advance":
            meter.advance(step.seconds)
        elif step.do == "restart":
            meter.soft_reset()
            meter.set_rate(0)
        else:
            assert step.expected is not None
            result = meter.enter(step.token)
            if result.result != step.expected:
                return f"{result.name}, expected {step.expected.standard_name}, for {step.token}"
        return ""

    # Vectors

    def _vector(self, vector: Mapping[str, Any]) -> SheetRow:
        kind = vector["kind"]
        if kind in ("cipher", "crc", "luhn", *_VENDING_SIDE):
            return self._value(vector)
        case = _CASES[kind](vector, self._settings)
        return self._case(case)

    def _value(self, vector: Mapping[str, Any]) -> SheetRow:
        """Run a vector that is not a token: a cipher, checksum, check digit, key or date."""
        inputs, expected = vector["inputs"], str(vector["expected"])
        where, found, wrong = COMPUTER, "", ""
        start = time.perf_counter()
        try:
            if vector["kind"] in _VENDING_SIDE or inputs.get("alg") == "DES":
                found = _by_computer(vector)
            elif "cls" in inputs:
                return self._case(_sample(vector, self._settings))
            else:
                where = BOARD
                found = self._meter.run(_source(vector)).strip()
        except BoardError as error:
            if where == BOARD:
                check_answers(self._meter)
            wrong = str(error)
        if vector["kind"] == "cipher" and where == BOARD:
            expected = inputs["block"]  # the board deciphers the published result to the block
        ms = 1000 * (time.perf_counter() - start) if where == BOARD else None
        if not wrong and found != expected:
            wrong = f"{found or 'nothing'}, expected {expected}"
        keyed = (Keyed("", expected, found, ms),)
        return SheetRow(
            "vector", f"{vector['kind']} {vector['id']}", "", "", _CLAUSES[vector["kind"]], where,
            keyed, wrong, vector["source"],
        )  # fmt: skip


def check_answers(meter: Meter) -> None:
    """Raise BoardError, within _SILENT_S, if a board no longer answers."""
    before, meter.timeout = meter.timeout, min(meter.timeout, _SILENT_S)
    try:
        meter.info()
    finally:
        meter.timeout = before


def _misread(result: EnterResult, read: Mapping[str, Any]) -> str:
    """Return the first field of a token that the board reports wrongly; empty if none."""
    for name, value in read.items():
        if getattr(result, name) != value:
            return f"{name} is {getattr(result, name)}, expected {value}"
    return ""


def _wrong_status(before: Status, after: Status, changes: Mapping[str, Any] | None) -> str:
    """Return the first field of the status that is wrong after a row; empty if none."""
    if changes is None:
        return ""
    for name in WATCHED:
        value, wanted = getattr(after, name), changes.get(name, getattr(before, name))
        if value != wanted:
            return f"{name} is {_words(value)}, expected {_words(wanted)}"
    return ""


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _changes_nothing(case: ConformanceCase) -> bool:
    """Return whether the meter is unchanged after a row whose results are as expected."""
    # A wrong token counts towards a lock-out; the status does not show this count.
    return case.changes == {} and all(step.expected != TokenResult.CRC for step in case.steps)


def _setup_order(case: ConformanceCase) -> tuple[str, str, bool]:
    """Return a sort key: rows with the same set-up are together, to save writes to the flash."""
    config = json.dumps(case.config, sort_keys=True)
    return config, repr(case.before), not _changes_nothing(case)


# Vectors as cases

_CLAUSES = {
    "cipher": "6.5.4, 7.2",
    "crc": "6.3",
    "luhn": "IEC 7812",
    "tid": "6.3.5",
    "dkga02": "6.5.3",
    "dkga04": "6.5.3",
}


def _by_computer(vector: Mapping[str, Any]) -> str:
    """Return the value of a vector, computed by the vending side."""
    inputs, kind = vector["inputs"], vector["kind"]
    if kind == "cipher":
        from Crypto.Cipher import DES

        key, block = bytes.fromhex(inputs["key"]), bytes.fromhex(inputs["block"])
        return DES.new(key, DES.MODE_ECB).encrypt(block).hex()  # noqa: S304 (DKGA02 is DES)
    if kind == "tid":
        return str(tid.token_tid(datetime.fromisoformat(inputs["issue"]), inputs["bdt"]))
    parameters = keys.KeyParameters(
        dkga=int(kind[-2:]),
        ea=inputs.get("ea", 7),
        pan=inputs["pan"],
        kt=inputs["kt"],
        sgc=inputs["sgc"],
        ti=int(inputs["ti"]),
        krn=inputs["krn"],
        bdt=inputs.get("bdt", "93"),
    )
    return keys.derive(bytes.fromhex(inputs["vk"]), parameters).hex()


def _source(vector: Mapping[str, Any]) -> str:
    """Return the program that computes a vector on the board."""
    inputs = vector["inputs"]
    if vector["kind"] == "crc":
        return remote.once("vector", "checksum", inputs["data"])
    if vector["kind"] == "luhn":
        return remote.once("vector", "check_digit", inputs["digits"])
    ea, sample = 11 if inputs.get("alg") == "MISTY1" else 7, inputs.get("tables") == "sample"
    return remote.once("vector", "decipher", ea, inputs["key"], sample, vector["expected"])


def _config(inputs: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the configuration for a vector: its decoder key, and a store that accepts any TID."""
    decoder_key = inputs["decoder_key"]
    key = inputs.get("key") or {}
    config = {
        "drn": pan.split_pan(key["pan"])[1] if key.get("pan") else DRN,
        "ea": 7 if len(decoder_key) == 16 else 11,
        "decoder_key": decoder_key,
        "profile": settings.profile,
        "tid0": 0,
        "clock": 800_000_000,
    }
    for name in ("kt", "sgc", "krn", "bdt"):
        if name in key:
            config[name] = key[name]
    return config | ({"ti": int(key["ti"])} if "ti" in key else {})


def _row(
    vector: Mapping[str, Any], config: Mapping[str, Any], steps: tuple[Step, ...], clause: str,
    changes: Mapping[str, Any], read: Mapping[str, Any],
) -> ConformanceCase:  # fmt: skip
    name = f"{vector['kind']} {vector['id']}"
    return ConformanceCase(
        "vector", name, "", "", clause, config, steps, (), changes, read, vector["source"]
    )


_CLASS = {"credit": 0, "currency": 0, "class1": 1, "class2": 2}


def _token(vector: Mapping[str, Any], settings: Settings) -> ConformanceCase:
    """Return the row of a published token, with its result on an electricity meter."""
    v = vector["inputs"]
    given = v.get("fields", {})
    cls = given.get("class", _CLASS.get(vector["kind"]))
    sub = given.get("subclass", v.get("subclass"))
    number = given.get("tid", v.get("tid"))
    value = given.get("value", v.get("value"))
    read = {"token_class": cls, "subclass": sub, "tid": number}
    if "name" in given:
        read["token"] = given["name"]
    changes: dict[str, Any] = {} if number is None else {"tid_newest": number}
    result, clause = _A, "6.2"
    if cls == 0 and sub == 0:
        # The amount can be greater than requested: it is rounded up for the customer.
        units = layouts.amount_value(given.get("amount_code", v.get("amount_code")))
        changes["credit_wh"] = read["amount_wh"] = 100 * units
    elif cls == 0:
        result, changes = TokenResult.FUNCTION, {}
    elif cls == 1:
        clause = "6.2.3"
    elif sub in (0, 6):
        name = "max_power_limit_w" if sub == 0 else "phase_unbalance_limit_w"
        changes[name] = layouts.amount_value(value)
    elif sub == 1 and value not in (0, 0xFFFF):
        result, changes = TokenResult.FUNCTION, {}
    elif sub in (3, 8):
        number = {3: 1, 8: 3}[sub]
        result, clause = (TokenResult.KCT1, "7.3.7") if sub == 3 else (TokenResult.KCT3, "7.3.7")
        changes = {"pending": (number,)}
        if sub == 8 and settings.ordered:
            result, changes = TokenResult.NOT_READY, {}
    config = {"drn": DRN, "decoder_key": "87f3ecbb2e46b48f", "profile": settings.profile}
    if "decoder_key" in v:
        config = _config(v, settings)
    steps = (Step(vector["expected"], result),)
    return _row(vector, config, steps, clause, changes, read)


def _set(vector: Mapping[str, Any], settings: Settings) -> ConformanceCase:
    """Return the row of a published key change set; after it, the meter has the new key."""
    v = vector["inputs"]
    new, ea = v["new"], v["old"]["ea"]
    config = _config({"decoder_key": v["old_decoder_key"], "key": v["old"]}, settings)
    config["kct"] = 4 if ea == 11 else 3 if v["three"] else 2
    order = (1, 2, 3, 4)
    sections = [TokenResult.KCT1, TokenResult.KCT2, TokenResult.KCT3, TokenResult.KCT4]
    codes = vector["expected"]
    steps = [Step(code, sections[n - 1]) for n, code in zip(order, codes, strict=False)]
    steps[-1] = Step(codes[-1], _A)
    changes = {"kt": new["kt"], "krn": new["krn"], "ti": int(new["ti"]), "ken": v["ken"]}
    if v["ro"]:
        changes["tid_newest"] = 0
    changes["sgc"] = "000000" if config["kct"] == 2 else new["sgc"]
    return _row(vector, config, tuple(steps), "7.3.7-7.3.10", changes, {})


def _sample(vector: Mapping[str, Any], settings: Settings) -> ConformanceCase:
    """Return the row of the standard's worked example, with its sample tables."""
    v = vector["inputs"]
    block = int(v["block"], 16)
    config = _config({"decoder_key": v["key"]}, settings) | {"tables": "sample"}
    token = f"{int(vector['expected'], 16):020d}"
    number, amount = block >> 32 & 0xFFFFFF, block >> 16 & 0xFFFF
    credit_wh = 100 * layouts.amount_value(amount)
    return _row(
        vector, config, (Step(token, _A),), _CLAUSES["cipher"],
        {"credit_wh": credit_wh, "tid_newest": number}, {"tid": number, "amount_wh": credit_wh},
    )  # fmt: skip


_CASES: dict[str, Callable[[Mapping[str, Any], Settings], ConformanceCase]] = {
    "credit": _token,
    "currency": _token,
    "class1": _token,
    "class2": _token,
    "fields": _token,
    "key_change_set": _set,
}


# The head


def _head(meter: Meter, profile: str, began: datetime) -> dict[str, str]:
    """Return the head of the sheet: what was tested, with which versions, and when."""
    info, about = meter.info(), facts.facts(meter)
    data = vectors_file().read_bytes()
    found = about.firmware[0] if about.firmware else ""
    return {
        "board": info.board,
        "port": meter.name,
        "chip": about.chip or ("none: a virtual board" if about.virtual else about.machine),
        # On the unix port this field is a part of the compiler's version: leave it out.
        **({} if about.virtual else {"machine": about.machine}),
        "interpreter": f"{info.interpreter}",
        "MicroPython": about.shown,
        "firmware": info.firmware,
        "firmware hash": found or "none on the board",
        "is this Jeton's": _known(about, info.board, found),
        "profile": profile,
        "date": f"{began:%Y-%m-%d %H:%M:%S} UTC",
        "Jeton": __version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "vectors": f"{len(data.splitlines())} in {vectors_file().name}, "
        f"SHA-256 {hashlib.sha256(data).hexdigest()}",
    }


def _known(about: facts.Facts, board: str, found: str) -> str:
    """Return whether the board has the firmware that this version of Jeton would flash."""
    try:
        wanted = flashing.firmware_for(about, boards.load(board)).hash
    except BoardError as error:
        return f"not known: {error}"
    return "yes" if found == wanted else f"no, Jeton has {wanted}"
