"""A modelled board in the interpreter; its time advances only when a test advances it.

The firmware runs from its littlefs with the heap of a small ESP32, as on a real board. Its timer
fires when a test calls `tick`.
"""

import json
import os
import shutil
import subprocess
import textwrap
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import remote
from jeton_host.firmware.boards import Board
from jeton_host.firmware.interpreter import environment, find
from jeton_host.virtual.board import HEAP_MODELLED
from jeton_host.virtual.models.hardware import Bench

TICK_MS = 20
_END = "\x04"

_BOOT = (
    "def _():\n    import os, sys, vfs\n    del globals()['_']\n"
    + textwrap.indent(remote.source("image", "Flash"), "    ")
    + """
    class Time:
        def __init__(self, ms):
            self.ms = ms
        def ticks_ms(self):
            return self.ms & 0x3fffffff
        def ticks_us(self):
            return self.ms * 1000 & 0x3fffffff
        def ticks_diff(self, end, start):
            return (end - start + 0x20000000 & 0x3fffffff) - 0x20000000
        def ticks_add(self, ticks, delta):
            return ticks + delta & 0x3fffffff
        def sleep_ms(self, ms):
            self.ms += ms
            if "machine" in sys.modules:
                sys.modules["machine"].slept(ms)
        def sleep_us(self, us):
            self.ms += us // 1000
        def sleep(self, s):
            self.ms += int(s * 1000)
    sys.modules["time"] = time = Time({ms})
    flash = Flash({flash!r})
    flash.bdev = sys.modules["flashbdev"] = flash
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(flash), "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]
    import builtins
    builtins.rig_time = time
_()
import sys
def tick(count=1, ms=20):
    import machine
    timers = machine.Timer.timers
    for _ in range(count):
        rig_time.ms += ms
        for name in timers:
            timers[name].fire()
    machine.reset_cause()  # its answer means that the models have handled all earlier traffic
while True:
    line = sys.stdin.readline()
    if not line:
        break
    try:
        exec(eval(line))
    except BaseException as error:
        sys.print_exception(error)
        print("\\x05", end="")
    print("\\x04")
"""
)


class Rig:
    """One modelled board; `run` executes lines on it, `tick` fires its timer."""

    def __init__(
        self,
        board: str | Board,
        folder: Path,
        *,
        heap: str = HEAP_MODELLED,
        start: bool = True,
        ms: int = 0,
    ) -> None:
        interpreter = find()
        self.firmware = firmware_build.build(interpreter, board)
        self.ms = 0
        self.bench = Bench(board, lambda: self.ms / 1000)
        self.bench.slept_s = 0.0
        self.flash = folder / "flash.img"
        if not self.flash.exists():
            shutil.copyfile(self.firmware.image, self.flash)
        self._starts = start
        self._command = interpreter.command(
            *("-X", f"heapsize={heap}", "-c", _BOOT.format(flash=str(self.flash), ms=ms))
        )
        self._process: subprocess.Popen[str] | None = None

    def power_on(self) -> None:
        """Start the interpreter and the firmware."""
        line = self.bench.connect()
        variables = {"JETON_BENCH": str(line.fileno()), "JETON_TICKS": "1"}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(line.fileno(),),
            env=environment() | variables,
            text=True,
            cwd=os.sep,
        )
        line.close()
        if self._starts:
            source = "execfile('boot.py')\nfrom jeton_main import runtime, core as _meter"
            self.said = self.run(source)
        else:
            self.run("exec(open('boot.py').read().split('\\ntry:')[0])\n_mount()")

    def power_cut(self) -> None:
        """Cut the power."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        self.power_on()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.power_cut()
        self.bench.close()

    def run(self, source: str) -> str:
        """Run lines and return their output; raise AssertionError with it if they fail."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(ascii(source) + "\n")
        self._process.stdin.flush()
        said = ""
        while not said.endswith(_END + "\n"):
            line = self._process.stdout.readline()
            assert line, f"the interpreter ended: {said}"
            said += line
        said = said.removesuffix(_END + "\n")
        assert not said.endswith("\x05"), said
        return said

    def ask(self, expression: str) -> Any:
        """Return the value of an expression on the board."""
        return json.loads(self.run(f"import json; print(json.dumps({expression}))"))

    def tick(self, count: int = 1, ms: int = TICK_MS) -> None:
        """Advance time on the board and in the models by `ms`, and fire the timer; repeat."""
        for _ in range(count):
            self.ms += ms
            self.run(f"tick(1, {ms})")

    def idle(self, count: int, ms: int = TICK_MS) -> None:
        """Fire the timer `count` times; the models see all ticks at one moment."""
        self.ms += count * ms
        self.run(f"tick({count}, {ms})")

    def key(self, key: str) -> None:
        """Press a key for 100 ms."""
        self.bench.part("keypad").press(key)
        self.tick(5)
        self.bench.part("keypad").release(key)
        self.tick(5)

    def provision(self, **changed: Any) -> None:
        """Provision the meter with 100 kWh of credit."""
        config = {"drn": "00000000000", "decoder_key": "87f3ecbb2e46b48f", "credit_wh": 100_000}
        self.run(f"meter.provision({config | changed!r})")

    def rpc(self, *request: Any) -> Any:
        """Send a verb and return its answer."""
        answer = json.loads(self.run(f"print(meter.rpc({json.dumps(request)!r}))"))
        assert "ok" in answer, answer
        return answer["ok"]
