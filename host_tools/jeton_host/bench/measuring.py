"""Measures a board on the board itself; estimates an ESP32 from a virtual board.

Tokens are entered into a separate meter with its own file: the board's meter is not touched. The
board is restarted once, after the meter has saved.
"""

import contextlib
import json
import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from jeton_host.bench import facts, flash_use
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
_LONG = 120.0  # longest measurement, in s
HEAP_KIB = 110  # in use after a start, in 64-bit words of a virtual board; 76 on a chip
_SCAN_MS = 40  # two scans of the keypad, 20 ms apart, because a key may bounce

# EA07 as measured earlier on an ESP32 at 160 MHz (MicroPython 1.24) and on an x86-64 host: with
# 64-bit integers (interpreter only), and with viper (native code).
_PLAIN = 28_000 / 1_311
_NATIVE = 330 / 11.6

_TAKEN = "import gc; gc.collect(); print(gc.mem_alloc())"
_STARTS = 3

# Bits on the bus of a display, as its model counts them: for one more digit, and for another
# screen. A byte on I2C has nine bits.
_BITS = {"lcd": (220, 2_800), "ssd1306": (480, 6_800), "ili9341": (14_000, 370_000)}
_SLICE_MS, _TICK_MS = 12, 20  # of drawing in each tick of the timer, and the tick


@dataclass(frozen=True)
class Figure:
    """One measured value; `limit` is the target, `estimate` is for an ESP32 at 160 MHz."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    estimate: float | None = None

    @property
    def slow(self) -> bool:
        """Return whether the target is missed: by the estimate, if there is one."""
        value = self.value if self.estimate is None else self.estimate
        return self.limit is not None and value > self.limit

    def as_dict(self) -> dict[str, Any]:
        """Return the figure for --json."""
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
    """The measurements of a board, and the method of the estimates for an ESP32."""

    port: str
    board: str
    interpreter: str
    figures: tuple[Figure, ...]
    sizes: dict[str, int]
    method: str
    flash: tuple[flash_use.Use, ...] = ()  # of a virtual board

    def as_dict(self) -> dict[str, Any]:
        """Return the measurements for --json."""
        return {
            "port": self.port,
            "board": self.board,
            "interpreter": self.interpreter,
            "figures": [figure.as_dict() for figure in self.figures],
            "mpy_octets": self.sizes,
            "method": self.method or None,
            "flash": [use.as_dict() for use in self.flash] or None,
        }


def measure(meter: MeterClient) -> Measured:
    """Measure the board of an open line."""
    if meter.locked:
        raise BoardError(
            f"the meter at {meter.port} is locked, and measuring needs its REPL: "
            "`jeton unlock --for-good` removes the lock"
        )
    about = facts.facts(meter)
    # A restart sets another rate again, with modules that a start does not need.
    rate = meter.status().rate
    if rate != 1:
        meter.set_rate(1)
    try:
        return _measured(meter, about.virtual)
    finally:
        if rate != 1:
            meter.set_rate(rate)


def _measured(meter: MeterClient, virtual: bool) -> Measured:
    # An old value on the stack can keep objects in use: take the smallest of several starts.
    starts = [(_start(meter), int(meter.run(_TAKEN))) for _ in range(_STARTS)]
    start_ms, taken = min(start for start, _ in starts), min(taken for _, taken in starts)
    info = meter.info()
    if virtual:
        taken -= models(info.board) + files(info.board)
    shown = meter.display()
    size = [shown.rows, shown.cols]
    on_flash = _entered(meter, True, size)  # first, while its modules are not loaded yet
    in_memory = _entered(meter, False, size)
    blocks = _answer_of(meter, "blocks", _BLOCK, _KEY.hex(), _KEY11.hex())
    sizes: dict[str, int] = _answer_of(meter, "sizes")
    meter.soft_reset()  # removes the measuring code from the heap
    token = statistics.median(in_memory["token_us"]) / 1000
    key = statistics.median(in_memory["key_us"]) / 1000
    draw = statistics.median(in_memory["draw_us"]) / 1000
    first = on_flash["token_us"][0] / 1000
    saved = statistics.median(on_flash["token_us"]) / 1000
    ea07, ea11 = blocks["ea07_us"], blocks["ea11_us"]

    def guess(value: float, ratio: float, more: float = 0.0) -> float | None:
        return value * ratio + more if virtual else None

    drawn = _drawn_ms(boards.load(info.board)) if virtual else None
    once_ms, screen_ms = drawn or (0.0, 0.0)
    # A whole screen takes several ticks: in each, drawing takes a part and the keys are scanned.
    screen_ms += screen_ms // _SLICE_MS * (_TICK_MS - _SLICE_MS)
    figures = [
        Figure("start to first display", start_ms, "ms", None if virtual else 2000),
        Figure(
            "key to echo, two scans of 20 ms with it",
            key + draw + _SCAN_MS,
            "ms",
            50,
            guess(key, _PLAIN, _SCAN_MS + once_ms),
        ),
        Figure("  of that the drawing", draw, "ms"),
        Figure("first token after a start, its modules loaded with it", first, "ms"),
        Figure("token to result, saved on flash", saved, "ms", None if virtual else 150),
        Figure("token to result, without the flash", token, "ms", 150, guess(token, _PLAIN)),
        Figure("EA07, a block", ea07, "µs", None, guess(ea07, _NATIVE)),
        Figure("EA11, a block with key schedule", ea11, "µs", None, guess(ea11, _NATIVE)),
        Figure("heap in use after a start", taken / 1024, "KiB", HEAP_KIB if virtual else None),
        Figure("  after the first token", (taken + on_flash["token_heap"]) / 1024, "KiB"),
        Figure("heap free after a start", info.mem_free / 1024, "KiB"),
        Figure(".mpy files", sum(sizes.values()) / 1024, "KiB", 96),
    ]
    if virtual:
        imports_ms = _imports(info.board) / 1000
        figures.insert(
            1, Figure("  its imports", imports_ms, "ms", 2000, guess(imports_ms, _NATIVE))
        )
    method = METHOD if virtual else ""
    if drawn:
        whole_ms = key * _PLAIN + _SCAN_MS + screen_ms
        method += f" The first key on another screen, all drawn again, takes {whole_ms:.0f} ms."
    flash = flash_use.measure(info.board) if virtual else ()
    return Measured(meter.port, info.board, info.interpreter, tuple(figures), sizes, method, flash)


METHOD = (
    "Estimated for an ESP32 at 160 MHz, not measured there: the time of interpreted code is "
    "multiplied by 21.4, that of native code and imports by 28.4. These are the ratios of EA07 "
    "there and on an x86-64 host, in plain MicroPython (28 ms and 1,311 µs) and as viper code "
    "(0.33 ms and 11.6 µs); this host is assumed to be as fast as that one, and idle. A key "
    "includes the bits that the display's model counts on its bus. Of a start only the imports "
    "are estimated: not included are reading the flash, initializing the display (50 ms of an "
    "LCD, 130 of an ILI9341) and the start of the chip itself. A token does not include writing "
    "the flash. The heap in use does not include the models of the chip's pins and buses; words "
    "are twice as long here as there."
)


def _start(meter: MeterClient) -> float:
    """Return the milliseconds from a reset to the first answer, which needs the display."""
    meter.save()
    begin = time.perf_counter()
    meter.reset()
    meter.display()
    return 1000 * (time.perf_counter() - begin)


def _answer_of(meter: MeterClient, function: str, *arguments: object) -> Any:
    source = remote.once("measure", function, *arguments)
    answer = meter.run(source, timeout=_LONG).strip().splitlines()
    try:
        return json.loads(answer[-1])
    except (ValueError, IndexError):
        raise BoardError(f"the board at {meter.port} returned no measurement") from None


def _entered(meter: MeterClient, flash: bool, display: list[int]) -> Any:
    codes = [
        encode(0, 0, {"rnd": 1, "tid": _TID + i, "amount": 5}, key=_KEY) for i in range(TOKENS)
    ]
    return _answer_of(meter, "tokens", _KEY.hex(), codes, display, flash)


def models(name: str) -> int:
    """Return the bytes of heap that model the pins and buses of a chip on a virtual board."""
    board = boards.load(name)
    if not board.parts:
        return 0
    pins = sorted({use.number for use in board.pins()})
    return int(_alone(board, "models", pins))


def files(name: str) -> int:
    """Return the bytes of heap with which a virtual board with a timer shares its files."""
    board = boards.load(name)
    if not board.parts:
        return 0
    return int(_alone(board, "files", str(shared_files())))


def _imports(name: str) -> float:
    """Return the microseconds of all imports of a start, in a fresh interpreter on this host.

    On a modelled board this includes the drivers of its parts, whose models do not answer here.
    """
    board = boards.load(name)
    modules = ["board", "drivers.clock", "drivers.storage", "jeton.console", "jeton.meter"]
    if board.parts:
        modules += ["machine", "drivers.runtime", "drivers.parts"]
        modules += [f"drivers.{driver}" for driver in sorted(board.drivers())]
    return float(_alone(board, "imports", modules))


def _alone(board: boards.Board, function: str, argument: object) -> str:
    """Return the output of a function in a separate interpreter with the board's modules."""
    micropython = interpreter.find()
    lib = firmware_build.build(micropython, board).modules
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
    """Return the milliseconds of bus time for one key, and for a whole other screen."""
    display = board.parts.get("display", {})
    bits = _BITS.get(display.get("driver", ""))
    if bits is None:
        return None
    bus = board.buses[display["bus"]]
    rate = bus.get("freq") or bus["baudrate"]
    return 1000 * bits[0] / rate, 1000 * bits[1] / rate
