"""Runs lab.py in MicroPython and adds up its counts."""

import json
import subprocess
from pathlib import Path
from typing import Any

from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import interpreter

HERE = Path(__file__).parent
HEAP = "8M"  # for flashes and their copies; other tests run the meter with 192k
GOOD = ("old", "new")
BAD = ("neither", "doubled", "lost")


def start(what: str, seed: int, count: int, *kinds: str) -> "subprocess.Popen[str]":
    """Start `cuts`, `flips`, or a control (`unsafe`, `silent`) in its own interpreter."""
    lib = firmware_build.build(interpreter.find()).modules
    root = HERE.parents[1]
    return _start(
        *("lab.py", what, str(lib)),
        *(str(root / "tests" / "both"), str(root), str(seed), str(count), *kinds),
    )


def _start(script: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start a script of this folder in its own interpreter."""
    command = ("-X", f"heapsize={HEAP}", str(HERE / script), *arguments)
    return subprocess.Popen(
        interpreter.find().command(*command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def failing() -> "subprocess.Popen[str]":
    """Start failing.py: saves that fail once or are interrupted."""
    lib = firmware_build.build(interpreter.find()).modules
    return _start("failing.py", str(lib), str(HERE))


def finish(process: "subprocess.Popen[str]", timeout: float | None = None) -> dict[str, Any]:
    """Return the results of a laboratory: `rows` by kind and mode, `failures` as lines."""
    output, errors = process.communicate(timeout=timeout)
    if process.returncode:
        raise AssertionError(output[-2000:] + errors[-2000:])
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def total(rows: list[dict[str, Any]], name: str, **only: str) -> int:
    """Return the sum of a column, over the rows with the values `only`."""
    return sum(row.get(name, 0) for row in rows if all(row[key] == only[key] for key in only))


def values(rows: list[dict[str, Any]], name: str) -> list[str]:
    """Return the distinct values of a column, in the order of the rows."""
    return list(dict.fromkeys(row[name] for row in rows))
