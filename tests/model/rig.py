"""Starts on_interpreter.py: the real meter in MicroPython, with the heap of a small board."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.small_heap import SmallHeap

HERE = Path(__file__).parent
BOTH = HERE.parent / "both"


class Rig:
    """One MicroPython process with the real meter; it serves many examples."""

    def __init__(self) -> None:
        self._micropython = SmallHeap(BOTH / "both_support.py")
        self._process = subprocess.Popen(
            self._micropython.command(HERE / "on_interpreter.py"),
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
        self._micropython.close()

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
