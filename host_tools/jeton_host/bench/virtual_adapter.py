"""A bench with its adapter, in software: two interpreters, and the wires between their pins.

The adapter's own program runs in an interpreter of its own, behind a serial port of its own; what
it does to its pins happens to the pins of a meter's board, and back. Wires can be left out or
swapped, as people do.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from jeton_host.bench.adapter_pins import COLUMN, I2C, INHIBIT, INPUTS, ROW, SIGNS
from jeton_host.bench.wiring import plan as wiring
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware.boards import Board
from jeton_host.firmware.build import Firmware
from jeton_host.firmware.interpreter import Interpreter
from jeton_host.paths import boards_dir
from jeton_host.virtual.board import HEAP_MODELLED, VirtualBoard
from jeton_host.virtual.models.hardware import Bench
from jeton_host.virtual.models.operations import codes

_TARGET, _TAKE, _WAITS = codes("TARGET TAKE WAITS")
_QUEUE = 16  # octets the chip's own queue gives at a time

_BOOT = b"import i2c_target\nimport machine\n\nmachine.I2CTarget = i2c_target.I2CTarget\n"
_BOARD = Board(name="adapter", chip="RP2040", display=(1, 1))


class AdapterBench(Bench):
    """The adapter's pins, and its ear on the meter's bus."""

    def __init__(self, meter: Bench) -> None:
        super().__init__(_BOARD, meter.now, meter.lock)
        self.address: int | None = None
        self.heard: deque[int] = deque()

    def ear(self, sda: int, scl: int, address: int, octets: bytes) -> bool:
        """Take what a controller wrote, where the wires lead to the pins that listen."""
        if address != self.address or (sda, scl) != (I2C.sda, I2C.scl):
            return False
        self.heard.extend(octets)
        return True

    def _do(self, op: int, argument: int, octets: bytes) -> bytes | None:
        if op == _TARGET:
            self.address = argument >> 8 or None
            self.heard.clear()
            return b"\x00"
        if op == _WAITS:
            return bytes([min(len(self.heard), _QUEUE)])
        if op == _TAKE:
            count = min(octets[0], len(self.heard), _QUEUE)
            return bytes([count, *[self.heard.popleft() for _ in range(count)]])
        return super()._do(op, argument, octets)


class VirtualAdapter(VirtualBoard):
    """A board with MicroPython that is wired to the bench of a virtual board, which has started.

    `missing` are wires that nobody has plugged in: "R2", "C3", "SDA", "inhibit", or what stands
    in the table of the board's README ("relay", "led", "tamper", …). `swapped` maps a wire to the
    one in whose place it is.
    """

    def __init__(
        self,
        meter: Bench,
        *,
        missing: Sequence[str] = (),
        swapped: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(board="adapter", heap=HEAP_MODELLED)
        self.meter = meter
        self._missing = set(missing)
        self._swapped = dict(swapped or {})
        self.bench: AdapterBench = AdapterBench(meter)
        self._held: str | None = None
        self._wire()

    def _prepared(self, interpreter: Interpreter) -> Firmware:
        virtual = boards_dir() / "virtual"
        mine = {name: (virtual / f"{name}.py").read_bytes() for name in ("board", "machine")}
        modelled = {
            n: (virtual / "modelled" / f"{n}.py").read_bytes() for n in ("machine", "i2c_target")
        }
        files = {
            "boot.py": _BOOT,
            "lib/board.mpy": mine["board"] + b"\n" + _BOARD.head().encode(),
            "lib/machine.mpy": mine["machine"] + b"\n" + modelled["machine"],
            "lib/i2c_target.mpy": modelled["i2c_target"],
        }
        return firmware_build.build_files(interpreter, "adapter", files)

    # The wires

    def _leads(self, wire: str) -> str | None:
        """Return where a wire leads to; None where it is not plugged in."""
        return None if wire in self._missing else self._swapped.get(wire, wire)

    def _wire(self) -> None:
        mine, theirs, parts = self.bench.pins, self.meter.pins, self.meter.board.parts
        for number in (*ROW, *COLUMN, INHIBIT):
            mine[number].watch(self._select)
        within = wiring.reachable(self.meter.board)
        for name, number in INPUTS.items():
            lead = self._leads(name)
            if lead in within and "pin" in parts[lead]:
                pin = theirs[parts[lead]["pin"]]
                follow = partial(self._follow, number, 1 - parts[lead].get("active", 1))
                follow(pin.level)
                pin.watch(follow)
                pin.listen(partial(self._wave, number))
        for name in set(SIGNS) & within:
            theirs[parts[name]["pin"]].drive(1)  # the pull-up alone, where no wire leads
        for name, number in SIGNS.items():
            lead = self._leads(name)
            if name in within and lead in within:
                # The resistor hangs on the wire, and goes with it.
                rest = 1 - parts[name].get("active", 0)
                theirs[parts[lead]["pin"]].drive(rest)
                mine[number].watch(partial(self._sign, parts[lead]["pin"], rest))
        display = parts.get("display", {})
        bus = self.meter.board.buses.get(display.get("bus", ""), {})
        if "scl" in bus:
            leads = {wire: self._leads(wire) for wire in ("SDA", "SCL")}
            numbers = {"SDA": I2C.sda, "SCL": I2C.scl, None: -1}
            sda, scl = (numbers.get(leads[wire], -1) for wire in ("SDA", "SCL"))
            self.meter.overhear(bus["scl"], partial(self.bench.ear, sda, scl))

    def _follow(self, number: int, off: int, level: int | None) -> None:
        self.bench.pins[number].drive(off if level is None else level)

    def _wave(self, number: int, on: bool) -> None:
        """Let a wave's first edge be seen: it stands for all of them."""
        if on:
            self.bench.pins[number].drive(1)
        self.bench.pins[number].drive(0)

    def _sign(self, number: int, rest: int, level: int | None) -> None:
        self.meter.pins[number].drive(rest if level is None else level)

    def _select(self, level: int | None) -> None:
        """Close the key that the multiplexers join, as their address lines stand."""
        key = self._joined()
        if key == self._held:
            return
        keypad = self.meter.part("keypad")
        if self._held is not None:
            keypad.release(self._held)
        self._held = key
        if key is not None:
            keypad.press(key)

    def _joined(self) -> str | None:
        # A wire of the keypad that leads elsewhere; the pull-up at `inhibit` opens all.
        pins = self.bench.pins
        if self._leads("inhibit") is None or pins[INHIBIT].level != 0:
            return None
        leads = []
        for wire, (low, high) in (("R", ROW), ("C", COLUMN)):
            channel = (pins[low].level or 0) + 2 * (pins[high].level or 0)
            leads.append(self._leads(f"{wire}{channel + 1}"))
        row, column = leads
        if row is None or column is None:
            return None
        at = {row[0]: int(row[1]) - 1, column[0]: int(column[1]) - 1}
        if len(at) < 2:  # two rows, or two columns: no key lies there
            return None
        keys: Any = self.meter.board.parts["keypad"]["keys"]
        return str(keys[4 * at["R"] + at["C"]])
