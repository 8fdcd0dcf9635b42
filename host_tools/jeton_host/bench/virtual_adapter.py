"""A virtual bench with an adapter: two interpreters, and the wires between their pins.

The adapter's own program runs in its own interpreter, behind its own serial port. Changes of its
pins reach the pins of the meter's board, and vice versa. Wires can be missing or swapped, as on a
real bench.
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
_QUEUE = 16  # bytes in the chip's own queue

_BOOT = b"import i2c_target\nimport machine\n\nmachine.I2CTarget = i2c_target.I2CTarget\n"
_BOARD = Board(name="adapter", chip="RP2040", display=(1, 1))


class AdapterBench(Bench):
    """The models of an adapter's pins, and its receiver on the meter's bus."""

    def __init__(self, meter: Bench) -> None:
        super().__init__(_BOARD, meter.now, meter.lock)
        self.address: int | None = None
        self.received: deque[int] = deque()

    def receive(self, sda: int, scl: int, address: int, data: bytes) -> bool:
        """Receive bytes from a controller, if the wires lead to the receiving pins."""
        if address != self.address or (sda, scl) != (I2C.sda, I2C.scl):
            return False
        self.received.extend(data)
        return True

    def _do(self, op: int, argument: int, data: bytes) -> bytes | None:
        if op == _TARGET:
            self.address = argument >> 8 or None
            self.received.clear()
            return b"\x00"
        if op == _WAITS:
            return bytes([min(len(self.received), _QUEUE)])
        if op == _TAKE:
            count = min(data[0], len(self.received), _QUEUE)
            return bytes([count, *[self.received.popleft() for _ in range(count)]])
        return super()._do(op, argument, data)


class VirtualAdapter(VirtualBoard):
    """A board with MicroPython that is wired to the bench of a started virtual board.

    `missing` are wires that are not plugged in: "R2", "C3", "SDA", "inhibit", or a part in the
    table of the board's README ("relay", "led", "tamper", …). `swapped` maps a wire to the wire
    whose place it takes.
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
        """Return where a wire leads to; None if it is not plugged in."""
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
            theirs[parts[name]["pin"]].drive(1)  # the pull-up, if no wire is there
        for name, number in SIGNS.items():
            lead = self._leads(name)
            if name in within and lead in within:
                # The resistor is part of the wire and moves with it.
                rest = 1 - parts[name].get("active", 0)
                theirs[parts[lead]["pin"]].drive(rest)
                mine[number].watch(partial(self._signal, parts[lead]["pin"], rest))
        display = parts.get("display", {})
        bus = self.meter.board.buses.get(display.get("bus", ""), {})
        if "scl" in bus:
            leads = {wire: self._leads(wire) for wire in ("SDA", "SCL")}
            numbers = {"SDA": I2C.sda, "SCL": I2C.scl, None: -1}
            sda, scl = (numbers.get(leads[wire], -1) for wire in ("SDA", "SCL"))
            self.meter.overhear(bus["scl"], partial(self.bench.receive, sda, scl))

    def _follow(self, number: int, off: int, level: int | None) -> None:
        self.bench.pins[number].drive(off if level is None else level)

    def _wave(self, number: int, on: bool) -> None:
        """Show one edge for a whole wave: one is enough for the adapter."""
        if on:
            self.bench.pins[number].drive(1)
        self.bench.pins[number].drive(0)

    def _signal(self, number: int, rest: int, level: int | None) -> None:
        self.meter.pins[number].drive(rest if level is None else level)

    def _select(self, level: int | None) -> None:
        """Close the key that the multiplexers select by their address lines."""
        key = self._selected()
        if key == self._held:
            return
        keypad = self.meter.part("keypad")
        if self._held is not None:
            keypad.release(self._held)
        self._held = key
        if key is not None:
            keypad.press(key)

    def _selected(self) -> str | None:
        # A wire of the keypad may lead elsewhere; without the wire at `inhibit` its pull-up opens
        # all keys.
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
        if len(at) < 2:  # two rows, or two columns: there is no key
            return None
        keys: Any = self.meter.board.parts["keypad"]["keys"]
        return str(keys[4 * at["R"] + at["C"]])
