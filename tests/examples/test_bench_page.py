"""Runs docs/hardware/bench.md as written, with a virtual board and its adapter."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jeton_host import VirtualAdapter, VirtualBoard, Wires
from jeton_host.paths import docs_dir
from tests.examples.docs import blocks, run_doc

PAGE = docs_dir() / "hardware" / "bench.md"


def test_the_page_works(wheel_venv: Path, tmp_path: Path) -> None:
    with VirtualBoard(board="esp32_lcd2004") as board:
        assert board.bench is not None
        with VirtualAdapter(board.bench) as adapter:
            ports = {"/dev/ttyUSB0": board.path, "/dev/ttyACM0": adapter.path}
            done = run_doc(PAGE, wheel_venv, tmp_path / "empty", replace=ports)
            assert board.bench.faults == []
    assert done[-1][1].splitlines()[1] == "True"


def test_the_example_of_another_adapter_works(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [block for block in blocks(PAGE.read_text()) if block.name == "pi_wires.py"]
    log: list[Any] = []

    class Line:
        def __init__(self, number: int, **_: Any) -> None:
            self.__dict__.update(number=number, value=0)

        def __setattr__(self, name: str, value: int) -> None:
            self.__dict__[name] = value
            log.append((self.__dict__["number"], value))

        def on(self) -> None:
            self.value = 1

        def off(self) -> None:
            self.value = 0

        def close(self) -> None:
            log.append("closed")

    monkeypatch.setitem(
        sys.modules,
        "gpiozero",
        SimpleNamespace(DigitalInputDevice=Line, DigitalOutputDevice=Line),  # type: ignore[arg-type]
    )
    space: dict[str, Any] = {}
    exec(compile(block.text, block.name, "exec"), space)
    monkeypatch.setattr(space["time"], "sleep", lambda seconds: log.append(seconds))
    pins: Wires = space["PiWires"]()
    pins.begin(SimpleNamespace())  # type: ignore[arg-type]
    pins.press("6")  # second row, third column
    assert log == [(5, 1), (6, 0), (13, 0), (19, 1), (26, 0), 0.07, (26, 1), 0.07]
    assert not pins.relay
    names = {name for name in vars(Wires) if not name.startswith("_")}
    assert names <= set(dir(type(pins)))
    with pytest.raises(Exception, match="no eye for the display"):
        print(pins.lamp)
    pins.close()
    assert log[-1] == "closed"
