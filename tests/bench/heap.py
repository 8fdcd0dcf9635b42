"""What the firmware takes of a board: octets of flash and of heap, module by module."""

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

FLASH_LIMIT = 96 * 1024  # of everything compiled
HEAP_LIMIT = 112_640  # in use after a start, in 64-bit words: about 76 KB on a chip
PIECE_LIMIT = 8192  # the largest single piece
MARCH = {"ESP32": "xtensawin", "ESP32-C3": "rv32imc"}
_NAMES = re.compile(r"n_qstr=(\d+)")
_GROWS_AT, _GROWS_BY = 1240, 14_144  # names, octets
_BLOCK = 32  # octets of a block of the heap there
_TRIES = 3

CONFIG = {"drn": "00000000000", "decoder_key": "87f3ecbb2e46b48f", "credit_wh": 100_000}

# Each module's own share, without what it imports; those of the models are left out.
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

# The timer's thread leaves the meter alone meanwhile.
_TAKEN = """
import gc, micropython
from jeton_main import runtime
with runtime.lock:
    gc.collect()
    print(gc.mem_alloc())
    micropython.mem_info()
"""


def flash(name: str) -> dict[str, int]:
    """Return the octets of each compiled module, for the chip of the board."""
    march = MARCH[boards.load(name).chip]
    with TemporaryDirectory() as folder:
        target = Path(folder) / "out.mpy"
        found = {}
        for file, source in firmware_build.sources(name, native=True, virtual=False).items():
            if file.endswith(".mpy"):
                shown = file.removeprefix("lib/")
                firmware_build.compile_module(source, target, shown, march, lines=False)
                found[shown.removesuffix(".mpy")] = target.stat().st_size
    return found


def _inside(board: Board, source: str, heap: str = "512k") -> str:
    """Return what a script prints in the interpreter that plays a board."""
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
    return str(firmware_build.build(interpreter.find(), name).tree / "lib")


def shares(name: str) -> dict[str, int]:
    """Return the octets of heap that importing each module takes."""
    board = boards.load(name)
    names = ["board", "machine", "jeton.console", "jeton.meter", "drivers.clock"]
    names += ["drivers.storage", "drivers.runtime", "drivers.parts"]
    names += [f"drivers.{driver}" for driver in sorted(board.drivers())]
    found = json.loads(_inside(board, _SHARES.format(lib=_lib(name), names=names)))
    del found["machine"]
    return dict(found)


# What main.py brings in comes first, as at a start.
_START = ("board", "drivers.clock", "drivers.storage", "jeton.console", "jeton.meter")


def _imported(name: str) -> str:
    lines = f"import {name}\n"
    if name in ONCE:
        lines += f"del sys.modules[{name!r}], {name}\n"
    return lines + "gc.collect()\n"


def import_all(name: str, heap_octets: int) -> int:
    """Import every module of a board into one heap, models apart; return how many there are.

    What only a start needs is unloaded as a start does it (drivers/startup.py).
    """
    files = firmware_build.sources(name, native=True, virtual=False)
    names = [file.removeprefix("lib/").removesuffix(".mpy") for file in files]
    names = [n.replace("/", ".").removesuffix(".__init__") for n in names if n != "boot.py"]
    names.remove("jeton_main")  # that is a start
    lines = "".join(_imported(n) for n in ["machine", *_START, *sorted(set(names) - set(_START))])
    source = f"import gc, sys\nsys.path[:] = [{_lib(name)!r}]\n{lines}"
    room = heap_octets + measuring.models(name) + _names_grow(name, source)
    _inside(boards.load(name), source, str(room))
    return len(names)


def _names_grow(name: str, source: str) -> int:
    """Return what the interpreter's table of names takes more for those of the stand-in.

    The table grows twofold; on a chip the names of `machine` are built in and not in it.
    """
    count = "\nimport micropython; micropython.qstr_info()"
    own = f"import sys\nsys.path[:] = [{_lib(name)!r}]{count}\nimport machine{count}"
    before, after = (int(n) for n in _NAMES.findall(_inside(boards.load(name), own)))
    in_use = int(_NAMES.findall(_inside(boards.load(name), source + count))[0])
    return _GROWS_BY if in_use - (after - before) <= _GROWS_AT < in_use else 0


def after_start(name: str) -> dict[str, tuple[int, int]]:
    """Return profile -> (octets of heap in use after a start, largest piece); without models."""
    stand_in = measuring.models(name) + measuring.files(name)
    found = {}
    with VirtualBoard(board=name) as board, Meter.open(board.path) as meter:
        for profile in profiles.names():
            meter.provision(CONFIG | {"profile": profile})
            taken: list[tuple[int, int]] = []
            # What a stack still shows by chance is taken for in use: another start shows other.
            while not taken or (min(taken)[0] > HEAP_LIMIT and len(taken) < 4 * _TRIES):
                meter.reset()
                for _ in range(_TRIES):
                    used, said = meter.run(_TAKEN).split("\n", 1)
                    piece = int(said.split("max blk sz:")[1].split(",")[0]) * _BLOCK
                    taken.append((int(used) - stand_in, piece))
            found[profile] = min(taken)
    return found
