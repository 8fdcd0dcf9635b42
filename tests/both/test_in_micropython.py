"""Runs the tests of this folder in MicroPython: firmware as .mpy, heap of a small ESP32.

The tests are compiled to .mpy too: parsing them in MicroPython would fragment the heap.
"""

import subprocess
from pathlib import Path

import pytest

from tests.small_heap import SmallHeap

HERE = Path(__file__).parent
MODULES = sorted(path.stem for path in HERE.glob("test_*.py") if path.stem != Path(__file__).stem)


@pytest.mark.parametrize("module", MODULES)
def test_the_module_passes_in_micropython(module: str) -> None:
    with SmallHeap(HERE / f"{module}.py", HERE / "both_support.py") as micropython:
        done = subprocess.run(
            micropython.command(HERE / "run_in_micropython.py", module),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    lines = (HERE / f"{module}.py").read_text().splitlines()
    count = sum(line.startswith("def test_") for line in lines)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("passed ") == count
