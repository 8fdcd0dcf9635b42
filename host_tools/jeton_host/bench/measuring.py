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

from jeton_host.bench import facts
from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware import boards, interpreter, remote
from jeton_host.firmware import build as firmware_build
from jeton_host.vending.tokens import encode
from jeton_host.virtual.board import HEAP, shared_files
from jeton_host.virtual.models.hardware import Bench

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

_TAKEN = "import gc; gc.collect(); print(gc.mem_alloc())"

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


def measure(meter: MeterClient) -> Measured:
    """Measure the board of an open line."""
    if meter.locked:
        raise BoardError(
            f"the meter at {meter.port} is locked, and measuring needs its REPL: "
            "`jeton unlock --for-good` removes the lock"
        )
    about = facts.facts(meter)
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
    blocks = _said(meter, "blocks", _BLOCK, _KEY.hex(), _KEY11.hex())
    sizes: dict[str, int] = _said(meter, "sizes")
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


def _start(meter: MeterClient) -> float:
    """Return the milliseconds from a reset to the first answer; the display comes with it."""
    meter.save()
    begin = time.perf_counter()
    meter.reset()
    meter.display()
    return 1000 * (time.perf_counter() - begin)


def _said(meter: MeterClient, function: str, *arguments: object) -> Any:
    source = remote.once("measure", function, *arguments)
    answer = meter.run(source, timeout=_LONG).strip().splitlines()
    try:
        return json.loads(answer[-1])
    except (ValueError, IndexError):
        raise BoardError(f"the board at {meter.port} measured nothing") from None


def _entered(meter: MeterClient, flash: bool, display: list[int]) -> Any:
    codes = [
        encode(0, 0, {"rnd": 1, "tid": _TID + i, "amount": 5}, key=_KEY) for i in range(TOKENS)
    ]
    return _said(meter, "tokens", _KEY.hex(), codes, display, flash)


def models(name: str) -> int:
    """Return the octets of heap that stand in for a chip's pins and buses on a virtual board."""
    board = boards.load(name)
    if not board.parts:
        return 0
    pins = sorted({use.number for use in board.pins()})
    return int(_alone(board, "models", pins))


def files(name: str) -> int:
    """Return the octets of heap by which a virtual board with a timer shares its files."""
    board = boards.load(name)
    if not board.parts:
        return 0
    return int(_alone(board, "files", str(shared_files())))


def _imports(name: str) -> float:
    """Return the microseconds of all that a start imports, in a fresh interpreter on this host.

    On a wired board that is with the drivers of its parts, whose models answer nothing here.
    """
    board = boards.load(name)
    modules = ["board", "drivers.clock", "drivers.storage", "jeton.console", "jeton.meter"]
    if board.parts:
        modules += ["machine", "drivers.runtime", "drivers.parts"]
        modules += [f"drivers.{driver}" for driver in sorted(board.drivers())]
    return float(_alone(board, "imports", modules))


def _alone(board: boards.Board, function: str, argument: object) -> str:
    """Return what a function prints in an interpreter of its own, with the board's /lib."""
    micropython = interpreter.find()
    lib = firmware_build.build(micropython, board).tree / "lib"
    source = remote.once("measure", function, str(lib), argument)
    command = micropython.command("-X", f"heapsize={HEAP}", "-c", source)
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
