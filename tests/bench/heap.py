"""The flash and the heap, in bytes, that the firmware uses on a board, for each module."""

import json
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from drivers.startup import ONCE
from jeton_host.bench import measuring
from jeton_host.errors import BoardError
from jeton_host.firmware import boards, interpreter, profiles
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware.boards import Board
from jeton_host.firmware.interpreter import environment
from jeton_host.meter import Meter
from jeton_host.virtual.board import VirtualBoard
from jeton_host.virtual.models.hardware import Bench

FLASH_LIMIT = 96 * 1024  # bytes of all compiled modules
HEAP_LIMIT = 112_640  # in use after a start, in 64-bit words: about 76 KB on a chip
PIECE_LIMIT = 8192  # bytes of the largest contiguous heap block in use
MARCH = {"ESP32": "xtensawin", "ESP32-C3": "rv32imc"}
_NAMES = re.compile(r"n_qstr=(\d+)")
_GROWS_AT, _GROWS_BY = 1240, 14_144  # names at which their table grows, and bytes it grows by
_BLOCK = 32  # bytes of a heap block of the interpreter
_TRIES = 3

CONFIG = {"drn": "00000000000", "decoder_key": "87f3ecbb2e46b48f", "credit_wh": 100_000}

# The heap of each module itself, without the modules it imports and without the models.
_SHARES = """
import builtins, gc, json, sys
sys.path[:] = [{lib!r}]
def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()
real, nested, shares = builtins.__import__, [], {{}}
def counted(name, *arguments):
    known = set(sys.modules)
    before = used()
    nested.append(0)
    module = real(name, *arguments)
    whole = used() - before
    own = whole - nested.pop()
    if nested:
        nested[-1] += whole
    new = [name for name in sys.modules if name not in known and name not in shares]
    for name in new:
        shares[name] = 0
    if new:
        shares[max(new, key=len)] = own
    return module
builtins.__import__ = counted
for name in {names!r}:
    __import__(name)
builtins.__import__ = real
print(json.dumps(shares))
"""

# The lock keeps the timer's thread from the meter during the measurement.
_IN_USE = """
import gc, micropython
from jeton_main import runtime
with runtime.lock:
    gc.collect()
    print(gc.mem_alloc())
    micropython.mem_info()
"""


def flash(name: str) -> dict[str, int]:
    """Return module -> size in bytes, compiled for the chip of the board."""
    march = MARCH[boards.load(name).chip]
    with TemporaryDirectory() as folder:
        target = Path(folder) / "out.mpy"
        found = {}
        for file, source in firmware_build.sources(name, native=True, virtual=False).items():
            if file.endswith(".mpy"):
                shown = file.partition("/")[2]
                firmware_build.compile_module(source, target, shown, march, lines=False)
                found[shown.removesuffix(".mpy")] = target.stat().st_size
    return found


def _inside(board: Board, source: str, heap: str = "512k") -> str:
    """Return the output of a script in the interpreter of a virtual board."""
    micropython = interpreter.find()
    with Bench(board) as bench, bench.connect() as line:
        done = subprocess.run(
            micropython.command("-X", f"heapsize={heap}", "-c", source),
            env=environment() | {"JETON_BENCH": str(line.fileno()), "JETON_TICKS": "1"},
            pass_fds=(line.fileno(),),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    if done.returncode:
        raise BoardError(f"{board.name}: {done.stdout}{done.stderr}")
    return done.stdout


def _lib(name: str) -> str:
    return str(firmware_build.build(interpreter.find(), name).modules)


def shares(name: str) -> dict[str, int]:
    """Return module -> bytes of heap that its import uses."""
    board = boards.load(name)
    names = ["board", "machine", "jeton.console", "jeton.meter", "drivers.clock"]
    names += ["drivers.storage", "drivers.runtime", "drivers.parts"]
    names += [f"drivers.{driver}" for driver in sorted(board.drivers())]
    found = json.loads(_inside(board, _SHARES.format(lib=_lib(name), names=names)))
    del found["machine"]
    return dict(found)


# The modules that main.py imports come first, as at a start.
_START = ("board", "drivers.clock", "drivers.storage", "jeton.console", "jeton.meter")


def _imported(name: str) -> str:
    lines = f"import {name}\n"
    if name in ONCE:
        lines += f"del sys.modules[{name!r}], {name}\n"
    return lines + "gc.collect()\n"


def import_all(name: str, heap_bytes: int) -> int:
    """Import every module of a board into one heap; return the number of modules.

    `heap_bytes` is without the models. Modules needed only at start are unloaded afterwards.
    """
    files = firmware_build.sources(name, native=True, virtual=False)
    names = [file[3:].removesuffix(".mpy") for file in files if file.startswith("fw/")]
    names = [name.replace("/", ".").removesuffix(".__init__") for name in names]
    names.remove("jeton_main")  # its import would start the firmware
    lines = "".join(_imported(n) for n in ["machine", *_START, *sorted(set(names) - set(_START))])
    source = f"import gc, sys\nsys.path[:] = [{_lib(name)!r}]\n{lines}"
    room = heap_bytes + measuring.models(name) + _names_grow(name, source)
    _inside(boards.load(name), source, str(room))
    return len(names)


def _names_grow(name: str, source: str) -> int:
    """Return the bytes by which the table of names grows because of the machine model.

    The table grows to twice its size. On a chip the names of `machine` are built in, not in it.
    """
    count = "\nimport micropython; micropython.qstr_info()"
    own = f"import sys\nsys.path[:] = [{_lib(name)!r}]{count}\nimport machine{count}"
    before, after = (int(n) for n in _NAMES.findall(_inside(boards.load(name), own)))
    in_use = int(_NAMES.findall(_inside(boards.load(name), source + count))[0])
    return _GROWS_BY if in_use - (after - before) <= _GROWS_AT < in_use else 0


def after_start(name: str) -> dict[str, tuple[int, int]]:
    """Return profile -> (heap in use after a start, largest block), in bytes, without models."""
    overhead = measuring.models(name) + measuring.files(name)
    found = {}
    with VirtualBoard(board=name) as board, Meter.open(board.path) as meter:
        for profile in profiles.names():
            meter.provision(CONFIG | {"profile": profile})
            taken: list[tuple[int, int]] = []
            # Old values on the stack can keep objects in use: take the smallest of several starts.
            while not taken or (min(taken)[0] > HEAP_LIMIT and len(taken) < 4 * _TRIES):
                meter.reset()
                for _ in range(_TRIES):
                    used, said = meter.run(_IN_USE).split("\n", 1)
                    piece = int(said.split("max blk sz:")[1].split(",")[0]) * _BLOCK
                    taken.append((int(used) - overhead, piece))
            found[profile] = min(taken)
    return found
