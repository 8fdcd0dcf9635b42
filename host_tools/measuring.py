"""Measures a board on the board itself, and estimates an ESP32 from what a virtual one takes.

The tokens are entered into a meter of their own, in a file of its own: the board's meter is not
touched. It is started anew once, which it saves for.
"""

import contextlib
import json
import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from host_tools import boards, firmware_build, flashing, interpreter
from host_tools.errors import BoardError
from host_tools.link import Meter
from host_tools.models.bench import Bench
from host_tools.vending.tokens import encode
from host_tools.virtual import HEAP, shared_files

TOKENS = 7
_TID = 10_000_000
_KEY = bytes.fromhex("87f3ecbb2e46b48f")  # of published test vectors
_KEY11 = bytes.fromhex("929bd3a415c9420a05ec5ee9f3ce91c3")
_BLOCK = "d431f4b09e0e9f62"
_LONG = 120.0
HEAP_KIB = 110  # in use after a start, in the 64-bit words of a virtual board: 76 on a chip
_SCAN_MS = 40  # two looks at the keypad, 20 ms apart: until then a key may bounce

# EA07 as it once was, on an ESP32 at 160 MHz (MicroPython 1.24) and on an x86-64 host: by 64-bit
# integers, which is the interpreter's work alone, and by viper, which is native code.
_PLAIN = 28_000 / 1_311
_NATIVE = 330 / 11.6

_BLOCKS = """
def _measure():
    import gc, json, time
    from jeton.sts import ea07, ea11
    block = bytes.fromhex({block!r})
    key, key11 = bytes.fromhex({key!r}), bytes.fromhex({key11!r})
    def best(function, key):
        found = None
        for _ in range(5):
            gc.collect()
            start = time.ticks_us()
            for _ in range(20):
                function(key, block)
            took = time.ticks_diff(time.ticks_us(), start) / 20
            found = took if found is None else min(found, took)
        return found
    print(json.dumps({{
        "native": bool(ea07.NATIVE),
        "ea07_us": best(ea07.decrypt, key),
        "ea11_us": best(ea11.decrypt, key11),
    }}))
_measure()
del _measure
"""

# {store} is Storage, or keeps nothing.
_TOKENS = """
def _measure():
    import gc, json, os, time
    from drivers.storage import Storage
    from jeton.meter import Meter
    from jeton_main import _profile, bench
    class Memory:
        def load(self, which):
            pass
        def holds(self, parts, start, end):
            return False
        def save(self, parts):
            pass
        def save_tick(self, tick):
            pass
        def set_aside(self):
            pass
    store = Storage("/bench.bin") if {flash!r} else Memory()
    now = 800000000
    tokens, keys, draws, heaps = [], [], [], []
    try:
        meter = Meter(store, _profile)
        meter.start()
        config = {{"drn": "00000000000", "decoder_key": {key!r}}}
        config["display"] = {display!r}
        meter.provision(config, now)
        gc.collect()
        heaps.append(gc.mem_alloc())
        for code in {codes!r}:
            gc.collect()
            start = time.ticks_us()
            outcome = meter.enter(code, now)
            meter.display(now)
            tokens.append(time.ticks_diff(time.ticks_us(), start))
            gc.collect()
            heaps.append(gc.mem_alloc())
            if outcome.result != 1:
                raise ValueError("the token was refused")
            now += 60
        for key in "5*" * 5:
            gc.collect()
            lock = bench.lock if bench else None
            if lock:
                lock.acquire()
            try:
                start = time.ticks_us()
                meter.press(key, now)
                lines = meter.display(now)
                keyed = time.ticks_us()
                if bench and "display" in bench.parts:
                    while bench.parts["display"].show(lines):
                        pass
                keys.append(time.ticks_diff(keyed, start))
                draws.append(time.ticks_diff(time.ticks_us(), keyed))
            finally:
                if lock:
                    bench._lines = []
                    bench.fresh = True
                    lock.release()
    finally:
        for name in os.listdir("/"):
            if name.startswith("bench.bin"):
                if os.stat(name)[0] & 0x4000:
                    for one in os.listdir(name):
                        os.remove(name + "/" + one)
                    os.rmdir(name)
                else:
                    os.remove(name)
    print(json.dumps({{
        "token_us": tokens, "key_us": keys, "draw_us": draws, "token_heap": heaps[1] - heaps[0]
    }}))
_measure()
del _measure
"""

_SIZES = """
def _measure():
    import json, os
    found = {}
    folders = ["/lib"]
    while folders:
        folder = folders.pop()
        for name in os.listdir(folder):
            path = folder + "/" + name
            mode, size = os.stat(path)[0], os.stat(path)[6]
            if mode & 0x4000:
                folders.append(path)
            elif name.endswith(".mpy"):
                found[path[5:]] = size
    print(json.dumps(found))
_measure()
del _measure
"""

# What stands in for a chip's own pins and buses, which take nothing of the heap there.
_MODELS = """
import gc, sys
sys.path[:] = [{lib}]
import board
def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()
before = used()
import machine
kept = [machine.Pin(number) for number in {pins!r}]
print(used() - before)
"""

_FILES = """
import gc
def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()
before = used()
space = dict()
with open({shared!r}) as file:
    exec(file.read(), space)
del file
kept = space["Files"](None), space["_File"](None)
print(used() - before)
"""

_TAKEN = "import gc\ngc.collect()\nprint(gc.mem_alloc())"

_IMPORTS = """
import sys, time
sys.path.insert(0, {lib})
start = time.ticks_us()
import {modules}
print(time.ticks_diff(time.ticks_us(), start))
"""

# Bits on the bus of a display, as its model counts them: for what one more digit changes, and for
# another screen. On I2C an octet is nine.
_BITS = {"lcd": (220, 2_800), "ssd1306": (480, 6_800), "ili9341": (14_000, 370_000)}
_SLICE_MS, _TICK_MS = 12, 20  # of drawing in each tick of the timer


@dataclass(frozen=True)
class Figure:
    """One thing measured; `limit` is the target, `estimate` what an ESP32 at 160 MHz may take."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    estimate: float | None = None

    @property
    def slow(self) -> bool:
        """Return whether the target is missed: by the estimate, where there is one."""
        value = self.value if self.estimate is None else self.estimate
        return self.limit is not None and value > self.limit

    def as_dict(self) -> dict[str, Any]:
        """Return it for --json."""
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "target": self.limit,
            "estimate_esp32": None if self.estimate is None else round(self.estimate, 3),
            "slow": self.slow,
        }


@dataclass(frozen=True)
class Measured:
    """What was measured on a board, and by which method an ESP32 was estimated from it."""

    port: str
    board: str
    interpreter: str
    figures: tuple[Figure, ...]
    sizes: dict[str, int]
    method: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for --json."""
        return {
            "port": self.port,
            "board": self.board,
            "interpreter": self.interpreter,
            "figures": [figure.as_dict() for figure in self.figures],
            "mpy_octets": self.sizes,
            "method": self.method or None,
        }


def measure(meter: Meter) -> Measured:
    """Measure the board of an open line."""
    if meter.locked:
        raise BoardError(
            f"the meter at {meter.port} is locked, and measuring needs its REPL: "
            "`jeton unlock --for-good` removes the lock"
        )
    about = flashing.facts(meter)
    played = about.played
    start_ms = _start(meter)
    taken = int(meter.run(_TAKEN))
    info = meter.info()
    if played:
        taken -= models(info.board)
    shown = meter.display()
    size = [shown.rows, shown.cols]
    on_flash = _entered(meter, True, size)  # the first: nothing else has loaded its modules
    in_memory = _entered(meter, False, size)
    blocks = _said(meter, _BLOCKS.format(block=_BLOCK, key=_KEY.hex(), key11=_KEY11.hex()))
    sizes: dict[str, int] = _said(meter, _SIZES)
    meter.soft_reset()  # what was loaded to measure leaves the heap
    token = statistics.median(in_memory["token_us"]) / 1000
    key = statistics.median(in_memory["key_us"]) / 1000
    draw = statistics.median(in_memory["draw_us"]) / 1000
    first = on_flash["token_us"][0] / 1000
    saved = statistics.median(on_flash["token_us"]) / 1000
    ea07, ea11 = blocks["ea07_us"], blocks["ea11_us"]

    def guess(value: float, ratio: float, more: float = 0.0) -> float | None:
        return value * ratio + more if played else None

    drawn = _drawn_ms(boards.load(info.board)) if played else None
    once_ms, screen_ms = drawn or (0.0, 0.0)
    # A screen takes several ticks: each draws for a while, and looks at the keys.
    screen_ms += screen_ms // _SLICE_MS * (_TICK_MS - _SLICE_MS)
    figures = [
        Figure("start to first display", start_ms, "ms", None if played else 2000),
        Figure(
            "key to echo, two scans of 20 ms with it",
            key + draw + _SCAN_MS,
            "ms",
            50,
            guess(key, _PLAIN, _SCAN_MS + once_ms),
        ),
        Figure("  of that the drawing", draw, "ms"),
        Figure("first token after a start, its modules loaded with it", first, "ms"),
        Figure("token to result, saved on flash", saved, "ms", None if played else 150),
        Figure("token to result, without the flash", token, "ms", 150, guess(token, _PLAIN)),
        Figure("EA07, a block", ea07, "µs", None, guess(ea07, _NATIVE)),
        Figure("EA11, a block with key schedule", ea11, "µs", None, guess(ea11, _NATIVE)),
        Figure("heap in use after a start", taken / 1024, "KiB", HEAP_KIB if played else None),
        Figure("  after the first token", (taken + on_flash["token_heap"]) / 1024, "KiB"),
        Figure("heap free after a start", info.mem_free / 1024, "KiB"),
        Figure(".mpy files", sum(sizes.values()) / 1024, "KiB", 96),
    ]
    if played:
        imports_ms = _imports(info.board) / 1000
        figures.insert(
            1, Figure("  its imports", imports_ms, "ms", 2000, guess(imports_ms, _NATIVE))
        )
    method = METHOD if played else ""
    if drawn:
        whole_ms = key * _PLAIN + _SCAN_MS + screen_ms
        method += f" The first key on another screen, all drawn anew, takes {whole_ms:.0f} ms so."
    return Measured(meter.port, info.board, info.interpreter, tuple(figures), sizes, method)


METHOD = (
    "Estimated for an ESP32 at 160 MHz, not measured there: what the interpreter works is "
    "multiplied by 21.4, native code and imports by 28.4. So much longer took EA07 there than on "
    "an x86-64 host, in plain MicroPython (28 ms and 1,311 µs) and as viper code (0.33 ms and "
    "11.6 µs); this host is taken to be as fast as that one, and to have nothing else to do. A "
    "key has the bits with it that its model counts on the display's bus. Of a start only the "
    "imports are estimated: reading the flash, setting up the display (50 ms of an LCD, 130 of "
    "an ILI9341) and the start of the chip itself are not in it, nor is writing the flash in a "
    "token. The heap in use is without what stands in for a chip's pins and buses; words are "
    "twice as long here as there."
)


def _start(meter: Meter) -> float:
    """Return the milliseconds from a reset to the first answer; the display comes with it."""
    meter.save()
    begin = time.perf_counter()
    meter.reset()
    meter.display()
    return 1000 * (time.perf_counter() - begin)


def _said(meter: Meter, source: str) -> Any:
    answer = meter.run(source, timeout=_LONG).strip().splitlines()
    try:
        return json.loads(answer[-1])
    except (ValueError, IndexError):
        raise BoardError(f"the board at {meter.port} measured nothing") from None


def _entered(meter: Meter, flash: bool, display: list[int]) -> Any:
    codes = [
        encode(0, 0, {"rnd": 1, "tid": _TID + i, "amount": 5}, key=_KEY) for i in range(TOKENS)
    ]
    source = _TOKENS.format(flash=flash, key=_KEY.hex(), codes=codes, display=display)
    return _said(meter, source)


def models(name: str) -> int:
    """Return the octets of heap that stand in for a chip's pins and buses on a virtual board."""
    board = boards.load(name)
    if not board.parts:
        return 0
    pins = sorted({use.number for use in board.pins()})
    return int(_alone(board, _MODELS.format(lib="{lib}", pins=pins)))


def files(name: str) -> int:
    """Return the octets of heap by which a virtual board with a timer shares its files."""
    board = boards.load(name)
    if not board.parts:
        return 0
    return int(_alone(board, _FILES.format(lib="{lib}", shared=str(shared_files()))))


def _imports(name: str) -> float:
    """Return the microseconds of all that a start imports, in a fresh interpreter on this host.

    On a wired board that is with the drivers of its parts, whose models answer nothing here.
    """
    board = boards.load(name)
    modules = ["board", "drivers.clock", "drivers.storage", "jeton.console", "jeton.meter"]
    if board.parts:
        modules += ["machine", "drivers.bench", "drivers.parts"]
        modules += [f"drivers.{driver}" for driver in sorted(board.drivers())]
    return float(_alone(board, _IMPORTS.format(lib="{lib}", modules=", ".join(modules))))


def _alone(board: boards.Board, source: str) -> str:
    """Return what a program prints in an interpreter of its own, {lib} being the board's."""
    micropython = interpreter.find()
    lib = firmware_build.build(micropython, board).tree / "lib"
    command = micropython.command(
        "-X", f"heapsize={HEAP}", "-c", source.format(lib=repr(str(lib)))
    )
    variables = interpreter.environment() | {"JETON_TICKS": "1"}
    with contextlib.ExitStack() as stack:
        passed = []
        if board.parts:
            line = stack.enter_context(stack.enter_context(Bench(board)).connect())
            variables["JETON_BENCH"] = str(line.fileno())
            passed.append(line.fileno())
        done = subprocess.run(
            command, env=variables, pass_fds=passed,
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    if done.returncode or not done.stdout.strip():
        raise BoardError(f"the firmware does not load: {done.stderr.strip()[-80:]}")
    return done.stdout


def _drawn_ms(board: boards.Board) -> tuple[float, float] | None:
    """Return the milliseconds of bus for what a key changes, and for a whole other screen."""
    display = board.parts.get("display", {})
    bits = _BITS.get(display.get("driver", ""))
    if bits is None:
        return None
    bus = board.buses[display["bus"]]
    rate = bus.get("freq") or bus["baudrate"]
    return 1000 * bits[0] / rate, 1000 * bits[1] / rate
