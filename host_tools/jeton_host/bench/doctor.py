"""Tests the parts of a bench together with a person in front of it.

Each test is one program on the board that ends by itself: if this program stops, the meter
continues. During a test the meter does not use its parts; afterwards it draws its display again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from jeton_host import clock
from jeton_host.bench import facts
from jeton_host.client.answers import Info
from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware import boards, remote
from jeton_host.firmware.boards import Board

OK, FAILED, SKIPPED = "ok", "failed", "not tested"
HOLD_MS = 4000  # how long a test pattern is shown
TIMES = 3  # how often an output is switched
SWITCH_MS = 400
LIMIT_S = 20  # longest wait for a key or a signal
_GRACE_S = 10.0
_TICK_MS = 20
_TOO_FULL = 8192  # bytes of heap that a verb may need

_SIGNALS = {
    "tamper": "Activate the tamper switch",
    "supply": "Activate the power failure input",
    "pulses": "Give a pulse at the pulse input",
}
_SWITCHED = {
    "led": "Did the pulse LED go on",
    "credit": "Did the credit LED go on",
    "buzzer": "Did the buzzer sound",
    "relay": "Did the relay close and open",
}


class Person(Protocol):
    """The person in front of the bench, if present."""

    present: bool

    def say(self, text: str) -> None:
        """Show what to do or what to look at."""

    def heard(self, what: str) -> None:
        """Show what the board has detected: a key, or that something is shown."""

    def ask(self, question: str) -> bool:
        """Return the answer to a question."""


@dataclass(frozen=True)
class Finding:
    """The result of one test: OK, FAILED or SKIPPED."""

    part: str
    result: str
    note: str = ""

    def as_dict(self) -> dict[str, str | None]:
        """Return the finding for --json."""
        return {"part": self.part, "result": self.result, "note": self.note or None}


@dataclass(frozen=True)
class Report:
    """The findings of one board."""

    port: str
    when: datetime
    info: Info
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def good(self) -> bool:
        """Return whether no test has failed."""
        return all(finding.result != FAILED for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for --json."""
        return {
            "port": self.port,
            "time": self.when.isoformat(timespec="seconds"),
            "good": self.good,
            **self.info.as_dict(),
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def markdown(self) -> str:
        """Return the report as a page of Markdown."""
        info = self.info
        lines = [
            f"# {info.board} at {self.port}",
            "",
            f"{self.when:%Y-%m-%d %H:%M} UTC, Jeton {info.firmware}, {info.interpreter}, "
            + (f"meter {info.drn}, profile {info.profile}" if info.provisioned else "no meter yet")
            + f", heap {info.mem_used // 1024} KB used, {info.mem_free // 1024} KB free.",
            "",
            "| part | result | |",
            "|---|---|---|",
        ]
        for finding in self.findings:
            note = finding.note.replace("|", "\\|")
            lines.append(f"| {finding.part} | {finding.result} | {note} |")
        return "\n".join([*lines, ""])


def examine(meter: MeterClient, person: Person) -> Report:
    """Test the board of an open line; BoardError if it cannot be tested."""
    if meter.locked:
        raise BoardError(
            f"the meter at {meter.port} is locked, and a test needs its REPL: "
            "`jeton unlock --for-good` removes the lock"
        )
    info = meter.info()
    if info.board not in boards.names():
        raise BoardError(
            f"the board at {meter.port} is {info.board!r}, which this version of Jeton does not "
            "know: flash it again"
        )
    findings = [_meter(meter), _heap(info)]
    board = boards.load(info.board)
    if board.parts:
        board = board.changed(*facts.as_before(meter, board))
        findings += _Bench(meter, board, person).examine()
    return Report(meter.port, clock.now(), info, tuple(findings))


def _meter(meter: MeterClient) -> Finding:
    now = meter.status()
    if now.fault:
        return Finding("meter", FAILED, now.fault)
    return Finding("meter", OK, "" if now.provisioned else "none is set up yet")


def _heap(info: Info) -> Finding:
    note = f"{info.mem_free // 1024} KB free"
    return Finding("heap", OK if info.mem_free > _TOO_FULL else FAILED, note)


class _Bench:
    """The parts of one board under test."""

    def __init__(self, meter: MeterClient, board: Board, person: Person) -> None:
        self._meter = meter
        self._board = board
        self._person = person
        self._faults: dict[str, str] = meter.rpc("info").get("faults", {})

    def examine(self) -> list[Finding]:
        """Test each part in turn."""
        found = []
        for name in self._board.parts:
            fault = self._faults.get(name)
            if fault:
                found.append(Finding(name, FAILED, fault))
            elif not self._person.present:
                found.append(self._unattended(name))
            else:
                found.append(self._tested(name))
        return found

    def _unattended(self, name: str) -> Finding:
        """Return the finding for a part that no person looks at."""
        if name == "display":
            try:  # it may have failed since the start
                self._do(0, lambda line: None, "redraw")
            except BoardError:
                return Finding(name, FAILED, "it does not answer any more")
        return Finding(name, SKIPPED, "it is there, but no person is present to check it")

    def _tested(self, name: str) -> Finding:
        try:
            if name == "display":
                return self._display()
            if name == "keypad":
                return self._keypad()
            if name in _SWITCHED:
                return self._switched(name)
            if name in _SIGNALS:
                return self._signal(name)
        except BoardError as error:
            return Finding(name, FAILED, str(error))
        return Finding(name, OK, "it answers")

    def _do(self, seconds: float, heard: Callable[[str], None], test: str, *of: object) -> None:
        """Run a test on the board; `seconds` is its longest time without output."""
        source = remote.once("examine", test, *of)
        self._meter.run(source, timeout=seconds + _GRACE_S, heard=heard)

    def _answered(self, name: str, question: str) -> Finding:
        good = self._person.ask(question)
        return Finding(name, OK if good else FAILED, "" if good else f"{question}? No")

    def _display(self) -> Finding:
        rows, cols = self._board.display[:2]
        if self._meter.status().provisioned:  # the meter may use fewer than the board has
            size = self._meter.display()
            rows, cols = size.rows, size.cols
        lines = pattern(rows, cols)
        self._person.say(
            "Display: check that each row begins with its number and no place is empty"
        )
        self._do(HOLD_MS / 1000, self._person.heard, "show", lines, HOLD_MS // _TICK_MS)
        return self._answered("display", f"Were there {rows} rows of {cols} characters")

    def _switched(self, name: str) -> Finding:
        if name == "relay":
            self._person.say("Relay: it switches now; its load goes on and off")
        seconds = 2 * TIMES * SWITCH_MS / 1000
        self._do(seconds, self._person.heard, "switch", name, TIMES, SWITCH_MS)
        return self._answered(name, f"{_SWITCHED[name]}, {TIMES} times")

    def _keypad(self) -> Finding:
        keys = str(self._board.parts["keypad"]["keys"])
        pressed: list[str] = []

        def heard(line: str) -> None:
            word, _, key = line.partition(" ")
            if word == "key":
                pressed.append(key)
            self._person.heard(line)

        self._person.say(f"Keypad: press each key once: {' '.join(keys)}")
        self._do(LIMIT_S, heard, "await_keys", keys, LIMIT_S * 1000)
        missing = [key for key in keys if key not in pressed]
        if missing:
            return Finding("keypad", FAILED, f"never came: {' '.join(missing)}")
        again = sorted({key for key in pressed if pressed.count(key) > 1})
        return Finding("keypad", OK, f"more than once: {' '.join(again)}" if again else "")

    def _signal(self, name: str) -> Finding:
        seen: list[str] = []

        def heard(line: str) -> None:
            seen.append(line)
            self._person.heard(line)

        self._person.say(f"{_SIGNALS[name]}, within {LIMIT_S} s")
        self._do(LIMIT_S, heard, "await_sign", name, LIMIT_S * 1000)
        if "sign" in seen:
            return Finding(name, OK)
        return Finding(name, FAILED, f"no signal came within {LIMIT_S} s")


def pattern(rows: int, cols: int) -> list[str]:
    """Return the test pattern of a display: each row begins with its number, all rows differ."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return [(str(row + 1) + letters[row * 7 % 26 :] + letters)[:cols] for row in range(rows)]
