"""`jeton doctor`: a simulated person operates the models of the parts."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import jeton, ran, refused, result_of

from jeton_host.bench import doctor
from jeton_host.cli import boards as cli_boards
from jeton_host.firmware import boards
from jeton_host.meter import Meter
from jeton_host.meters.named import make_config
from jeton_host.virtual.board import VirtualBoard

pytestmark = pytest.mark.virtual_only


@pytest.fixture(autouse=True)
def shorter_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "HOLD_MS", 800)
    monkeypatch.setattr(doctor, "SWITCH_MS", 60)
    monkeypatch.setattr(doctor, "LIMIT_S", 4)


@pytest.fixture
def wired() -> Iterator[VirtualBoard]:
    with VirtualBoard(board="esp32_lcd2004") as board:
        yield board


class Attentive:
    """A person who presses each key that is asked for, and reads the models of the parts."""

    present = True

    def __init__(self, board: VirtualBoard, broken: str = "") -> None:
        assert board.bench is not None
        self.bench = board.bench
        keys = self.bench.board.parts["keypad"]["keys"]
        self.left = [key for key in keys if key not in broken]
        self.down = ""
        self.asked: list[str] = []
        self.seen: dict[str, Any] = {}
        self.next = ""
        self.wanted = doctor.pattern(*self.bench.board.display[:2])

    def say(self, text: str) -> None:
        self.next = text.partition(":")[0]

    def heard(self, what: str) -> None:
        if what == "shown":
            self._look()
        if self.next.startswith("Activate the tamper"):
            self.bench.part("tamper").set(what == "ready")
        if what == "ready" and self.next.startswith("Give a pulse"):
            self.bench.part("pulses").pulse()
        if self.next == "Keypad" and (what == "ready" or what == f"key {self.down}"):
            self._press()

    def _look(self) -> None:
        """Read the display until it shows the pattern: drawing may not have ended yet."""
        end = time.monotonic() + doctor.HOLD_MS / 1000
        while self.seen.get("display") != self.wanted and time.monotonic() < end:
            self.seen["display"] = self.bench.part("display").text()

    def _press(self) -> None:
        if self.down:
            self.bench.part("keypad").release(self.down)
        self.down = self.left.pop(0) if self.left else ""
        if self.down:
            self.bench.part("keypad").press(self.down)

    def ask(self, question: str) -> bool:
        self.asked.append(question)
        return True


@pytest.mark.parametrize("name", [n for n in boards.names() if boards.load(n).parts])
def test_a_working_bench_passes(name: str) -> None:
    with VirtualBoard(board=name) as wired, Meter(wired.path) as meter:
        person = Attentive(wired)
        bench = person.bench
        meter.provision(make_config() | {"credit_wh": 10_000})
        before = meter.status()
        thrown, lamps = bench.part("relay").thrown, bench.part("credit").flashes
        report = doctor.examine(meter, person)
        after = meter.status()
        port = wired.path
    assert report.good, report.markdown()
    assert [f.result for f in report.findings] == [doctor.OK] * len(report.findings)
    assert {f.part for f in report.findings} >= {"meter", "display", "keypad", "relay", "led"}
    assert person.seen["display"] == doctor.pattern(*bench.board.display[:2])
    assert bench.part("relay").thrown - thrown >= 2 * doctor.TIMES - 1
    assert bench.part("credit").flashes - lamps >= doctor.TIMES - 1  # it may be lit at first
    # The meter is unchanged (no key, no tamper, no energy) and shows its own display again.
    assert (after.tamper, after.total_wh, after.credit_wh) == (
        before.tamper, before.total_wh, before.credit_wh,
    )  # fmt: skip
    page = report.markdown()
    assert page.startswith(f"# {name} at {port}\n")
    assert "| keypad | ok |  |" in page
    assert json.loads(json.dumps(report.as_dict()))["good"]


def test_faulty_parts_are_reported(wired: VirtualBoard) -> None:
    person = Attentive(wired, broken="7")
    person.ask = lambda question: "buzzer" not in question  # type: ignore[method-assign]
    with Meter(wired.path) as meter:
        report = doctor.examine(meter, person)
    assert not report.good
    failed = {f.part: f.note for f in report.findings if f.result == doctor.FAILED}
    assert failed == {
        "keypad": "never came: 7",
        "buzzer": "Did the buzzer sound, 3 times? No",
    }


def test_the_option_yes_answers_every_question(
    wired: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Attentive(wired)
    whole = cli_boards._Bystander.say

    def say(self: Any, text: str) -> None:
        person.say(text)
        whole(self, text)

    monkeypatch.setattr(cli_boards._Bystander, "say", say)
    monkeypatch.setattr(cli_boards._Bystander, "heard", lambda self, what: person.heard(what))
    said = jeton("doctor", wired.path, "--yes")
    assert "Keypad: press each key once: 1 2 3 A 4 5 6 B 7 8 9 C * 0 # D\n" in said
    assert "relay      ok\n" in said
    assert person.seen["display"] == doctor.pattern(4, 20)


def test_a_check_without_a_person_skips_the_questions(wired: VirtualBoard, tmp_path: Path) -> None:
    file = tmp_path / "bench.md"
    found = result_of("doctor", wired.path, "--no-person", "--report", str(file))
    assert found["good"]
    results = {f["part"]: f["result"] for f in found["findings"]}
    assert results["meter"] == doctor.OK
    assert results["relay"] == results["keypad"] == doctor.SKIPPED
    assert "| relay | not tested |" in file.read_text()
    assert "keypad     not tested" in jeton("doctor", wired.path, "--no-person")


def test_a_missing_display_is_reported() -> None:
    board = VirtualBoard(board="esp32_lcd2004")
    with board:
        assert board.bench is not None
        board.bench.part("display").present = False
        board.reset()
        said = ran("doctor", board.path, "--no-person")
        assert said.status == 1
        assert "display    failed     nothing answers on i2c at 0x27, 0x3F" in said.out
        assert said.err == f"jeton: {board.path}: display failed\n"
        again = ran("doctor", board.path, "--no-person", "--json")
        assert again.status == 1
        assert not again.json["good"]


def test_the_meter_continues_if_the_person_leaves(wired: VirtualBoard) -> None:
    class Gone(Attentive):
        def heard(self, what: str) -> None:
            raise KeyboardInterrupt

    with Meter(wired.path) as meter, pytest.raises(KeyboardInterrupt):
        doctor.examine(meter, Gone(wired))
    with Meter(wired.path) as meter:
        assert meter.status().fault is None
        assert doctor.examine(meter, Attentive(wired)).good


def test_a_virtual_board_has_no_parts_to_check() -> None:
    with VirtualBoard() as board:
        found = result_of("doctor", board.path, "--no-person")
        assert [f["part"] for f in found["findings"]] == ["meter", "heap"]


def test_wrong_uses_are_refused(wired: VirtualBoard) -> None:
    line = refused("doctor", wired.path, "--yes", "--no-person")
    assert line == "--yes and --no-person do not go together: choose one"
    assert "does not exist" in refused("doctor", "/dev/nonesuch", "--no-person")


def test_a_check_without_a_terminal_needs_an_option(
    wired: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    line = refused("doctor", wired.path)
    assert line == (
        "no person can be asked, this is not a terminal: give --no-person, or --yes on a test "
        "bench"
    )


def test_a_locked_meter_is_not_checked() -> None:
    with VirtualBoard() as board:
        with Meter(board.path) as meter:
            meter.provision(make_config())
            meter.lock("correct horse")
        line = refused("doctor", board.path, "--no-person")
        assert "is locked, and a test needs its REPL" in line


def test_a_board_without_jeton_is_refused() -> None:
    with VirtualBoard() as board:
        with Meter(board.path) as meter:
            meter.run("import os\nos.remove('boot.py')")
            meter.soft_reset()
        assert "no Jeton: flash it first" in refused("doctor", board.path, "--no-person")


def test_a_display_lost_after_the_start_is_reported() -> None:
    class Absent(Attentive):
        present = False

    with VirtualBoard(board="esp32_oled") as wired, Meter(wired.path) as meter:
        assert wired.bench is not None
        person = Absent(wired)
        assert doctor.examine(meter, person).good
        wired.bench.part("display").present = False
        found = {one.part: one for one in doctor.examine(meter, person).findings}
        assert found["display"].result == doctor.FAILED


def test_a_display_with_fewer_lines_than_usual_is_checked() -> None:
    with VirtualBoard(board="esp32_lcd2004") as wired, Meter(wired.path) as meter:
        assert wired.bench is not None
        display = wired.bench.part("display")
        display.rows, display.cols = 2, 16
        meter.provision(make_config() | {"display": [2, 16]})
        person = Attentive(wired)
        person.wanted = doctor.pattern(2, 16)
        report = doctor.examine(meter, person)
        assert report.good, report.markdown()
        assert "Were there 2 rows of 16 characters" in person.asked
        assert person.seen["display"] == doctor.pattern(2, 16)
