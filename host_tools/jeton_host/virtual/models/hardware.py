"""The bench of a modelled board: its pins, contacts and buses, and the models of its parts.

The interpreter's `machine` module (boards/virtual/modelled) sends each hardware operation of the
firmware over a socket, in order; this module answers. Tests and people use the parts:
`bench.part("keypad").press("5")`, `bench.part("relay").closed`.
"""

import importlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, Self

from jeton_host.errors import BoardError
from jeton_host.firmware import boards
from jeton_host.firmware.boards import Board
from jeton_host.virtual.models.operations import codes

_MODE, _LEVEL, _SET, _EDGES, _IRQ = codes("MODE LEVEL SET EDGES IRQ")
_I2C_WRITE, _I2C_READ, _SPI, _SPI_READ, _BUS = codes("I2C_WRITE I2C_READ SPI SPI_READ BUS")
_PWM, _COUNTER, _COUNT = codes("PWM COUNTER COUNT")
_UART_WRITE, _UART_READ, _WDT = codes("UART_WRITE UART_READ WDT")
_CAUSE, _SLEPT = codes("CAUSE SLEPT")

IN, OUT, OPEN_DRAIN = 1, 3, 7
_PULL_DOWN, _PULL_UP = 1, 2
_RISING, _FALLING = 1, 2
POWER_ON, WATCHDOG = 1, 3  # machine.reset_cause()


class I2CDevice(Protocol):
    """A chip on an I2C bus."""

    def write(self, data: bytes) -> None:
        """Process the bytes that the controller writes in one transfer."""

    def read(self, count: int) -> bytes:
        """Return `count` bytes, as the controller requests."""


class SPIDevice(Protocol):
    """A chip on an SPI bus."""

    def select(self, active: bool) -> None:
        """Process a change of the chip select."""

    def transfer(self, data: bytes) -> bytes:
        """Process bytes; return the same number of bytes, sent at the same time."""


class UARTDevice(Protocol):
    """A device at the other end of a serial port."""

    def write(self, data: bytes) -> bytes:
        """Process bytes and return the answer."""


class Contact:
    """A contact that connects two pins while it is closed.

    After each change it bounces for `bounce_ms`: open and closed in turn, shorter and shorter.
    """

    def __init__(self, bench: "Bench", a: int, b: int, bounce_ms: float = 5.0) -> None:
        self._bench = bench
        self.ends = (a, b)
        self.bounce_ms = bounce_ms
        self._closed = False
        self._since = -1e9

    def set(self, closed: bool) -> None:
        """Close or open the contact."""
        with self._bench.lock:
            if closed != self._closed:
                self._closed = closed
                self._since = self._bench.now()

    @property
    def closed(self) -> bool:
        """Return whether it connects its ends now, bouncing included."""
        past_ms = (self._bench.now() - self._since) * 1000
        if past_ms >= self.bounce_ms:
            return self._closed
        # 8 phases, each a little shorter than the one before.
        phase = int(8 * (1 - (1 - past_ms / self.bounce_ms) ** 2))
        return self._closed if phase % 2 == 0 else not self._closed


class Pin:
    """One pin of the chip, with the levels that the board and the parts set."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.mode = 0
        self.pull = 0
        self.out = 0
        self.outside: int | None = None  # the level that a part sets
        self.rose = self.fell = 0
        self.frequency = self.duty = 0
        self.looks = 0  # how often the board has read it
        self._watchers: list[Callable[[int | None], None]] = []
        self._listeners: list[Callable[[bool], None]] = []

    @property
    def level(self) -> int | None:
        """Return the level that the board sets, None if it sets none."""
        drives = self.mode == OUT or (self.mode == OPEN_DRAIN and not self.out)
        return self.out if drives else None

    def watch(self, watcher: Callable[[int | None], None]) -> None:
        """Register a function that is called with each new `level`."""
        self._watchers.append(watcher)

    def listen(self, listener: Callable[[bool], None]) -> None:
        """Register a function that is called with whether a PWM signal begins or ends."""
        self._listeners.append(listener)

    def wave(self, frequency: int, duty: int) -> None:
        """Set the PWM signal of the board; a duty of 0 is no signal."""
        before = self.duty
        self.frequency, self.duty = frequency, duty
        if bool(duty) != bool(before):
            for listener in self._listeners:
                listener(bool(duty))

    def drive(self, level: int | None) -> None:
        """Set the level from outside; None releases the pin."""
        before = 1 if self.outside is None else self.outside
        self.outside = level
        after = 1 if level is None else level
        if after > before:
            self.rose += 1
        elif after < before:
            self.fell += 1

    def put(self, mode: int, level: int) -> None:
        """Set mode and level, as the board does."""
        before = self.level
        self.mode, self.out = mode, level
        if self.level != before:
            for watcher in self._watchers:
                watcher(self.level)


class Part:
    """A part of the board: the base class of the models."""

    def __init__(self, bench: "Bench", name: str, settings: dict[str, Any]) -> None:
        self.bench = bench
        self.name = name
        self.settings = settings
        self.present = True


class Lamp(Part):
    """An LED: whether it is lit, how often it was switched on, and when."""

    def __init__(self, bench: "Bench", name: str, settings: dict[str, Any]) -> None:
        super().__init__(bench, name, settings)
        self._active = settings.get("active", 1)
        self.flashes = 0
        self.times: list[float] = []
        bench.pins[settings["pin"]].watch(self._follow)

    def _follow(self, level: int | None) -> None:
        if level == self._active:
            self.flashes += 1
            self.times.append(self.bench.now())

    @property
    def lit(self) -> bool:
        """Return whether it is lit."""
        level: int | None = self.bench.pins[self.settings["pin"]].level
        return level == self._active


class Buzzer(Lamp):
    """A buzzer, driven by a level or, if it has a frequency, by a PWM signal."""

    @property
    def sounds(self) -> bool:
        """Return whether it sounds."""
        pin = self.bench.pins[self.settings["pin"]]
        return pin.duty > 0 if "freq" in self.settings else self.lit


class Input(Part):
    """A contact to ground with an external pull-up: tamper switch, S0 or LED pulses."""

    def __init__(self, bench: "Bench", name: str, settings: dict[str, Any]) -> None:
        super().__init__(bench, name, settings)
        self._active = settings.get("active", 0)
        bench.pins[settings["pin"]].outside = 1 - self._active

    def set(self, on: bool) -> None:
        """Switch the input on or off."""
        with self.bench.lock:
            self.bench.pins[self.settings["pin"]].drive(self._active if on else 1 - self._active)

    def pulse(self, count: int = 1) -> None:
        """Send `count` pulses."""
        for _ in range(count):
            self.set(True)
            self.set(False)


class Bench:
    """The models of the parts of one modelled board.

    `part(name)` returns the model of a part; `pins` are the pins of the chip by number. `faults`
    lists electrical faults of the firmware, such as a short circuit. `now` returns the time in
    seconds; a test may give its own. Benches that are wired to each other need the same `lock`.
    """

    def __init__(
        self,
        board: str | Board,
        now: Callable[[], float] = time.monotonic,
        lock: Any = None,
    ) -> None:
        self.board = boards.load(board) if isinstance(board, str) else board
        if self.board.chip not in boards.CHIPS:
            raise BoardError(f"the board {self.board.name} has no wiring")
        self.chip = boards.CHIPS[self.board.chip]
        self.now = now
        self.lock = lock or threading.RLock()
        self.pins = {number: Pin(number) for number in sorted(self.chip.pins)}
        self.contacts: list[Contact] = []
        self.reset_cause = POWER_ON
        self.faults: list[str] = []  # electrical faults, such as a short circuit
        # Seconds that the board has slept, in addition to `now`; None if `now` includes them.
        self.slept_s: float | None = None
        self.watchdog_s: float | None = None
        self.boots = 0
        self._fed = 0.0
        self._i2c: dict[int, dict[int, tuple[Part, I2CDevice]]] = {}
        self._spi: dict[int, list[tuple[int, Part, SPIDevice]]] = {}
        self._uart: dict[int, tuple[Part, UARTDevice]] = {}
        self._received: dict[int, bytearray] = {}
        self._ears: list[tuple[int, Callable[[int, bytes], bool]]] = []
        self._beat = threading.Condition(self.lock)
        self._irqs: dict[int, tuple[int, int]] = {}
        self._counted: dict[int, tuple[int, int]] = {}
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.parts: dict[str, Any] = {}
        for name, settings in self.board.parts.items():
            self.parts[name] = self._made(name, settings)

    def _made(self, name: str, settings: dict[str, Any]) -> Any:
        driver = settings.get("driver")
        if name in boards.INPUTS:
            return Input(self, name, settings)
        if driver is None and name != "relay":
            return (Buzzer if name == "buzzer" else Lamp)(self, name, settings)
        driver = driver or name
        module = f"jeton_host.virtual.models.{driver}"
        try:
            return importlib.import_module(module).make(self, name, settings)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            part = Part(self, name, settings)  # no model exists: the part is absent
            part.present = False
            return part

    def part(self, name: str) -> Any:
        """Return the model of a part."""
        if name not in self.parts:
            known = ", ".join(self.parts)
            raise BoardError(f"{self.board.name} has no {name}; there are: {known}")
        return self.parts[name]

    # The ticks of the board: its timer reads each input once per tick.

    @property
    def beat(self) -> int | None:
        """Return a pin that is read once per tick, None if the board has no input."""
        inputs = [part for name, part in self.board.parts.items() if name in boards.INPUTS]
        return int(inputs[0]["pin"]) if inputs else None

    def wait_beats(self, count: int, timeout: float) -> bool:
        """Wait for `count` ticks of the board; return whether they came in `timeout` seconds."""
        number = self.beat
        if number is None:
            raise BoardError(f"the board {self.board.name} has no input that it reads")
        with self._beat:
            pin = self.pins[number]
            goal = pin.looks + count
            return self._beat.wait_for(lambda: pin.looks >= goal, timeout)

    def wait_for(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait until `done` returns true; return whether it did within `timeout` seconds.

        `done` is called each time the board reads an input, and when the board starts. It must not
        use the board's serial line.
        """
        with self._beat:
            return self._beat.wait_for(done, timeout)

    # Called by the models.

    def overhear(self, wire: int, ear: Callable[[int, bytes], bool]) -> None:
        """Register a function that gets each write on the I2C bus with this SCL pin.

        It is called with address and bytes, and returns whether it acknowledges.
        """
        self._ears.append((wire, ear))

    def contact(self, a: int, b: int, bounce_ms: float = 5.0) -> Contact:
        """Return a new contact between two pins."""
        contact = Contact(self, a, b, bounce_ms)
        self.contacts.append(contact)
        return contact

    def i2c(self, part: Part, address: int, device: I2CDevice) -> None:
        """Connect a chip to the bus of its part."""
        wire = self.board.buses[part.settings["bus"]]["scl"]
        self._i2c.setdefault(wire, {})[address] = (part, device)

    def spi(self, part: Part, cs: int, device: SPIDevice) -> None:
        """Connect a chip to the bus of its part."""
        wire = self.board.buses[part.settings["bus"]]["sck"]
        self._spi.setdefault(wire, []).append((cs, part, device))
        self.pins[cs].watch(lambda level: device.select(level == 0))

    def uart(self, part: Part, device: UARTDevice) -> None:
        """Connect a device to the serial port of its part."""
        self._uart[self.board.buses[part.settings["bus"]]["tx"]] = (part, device)

    def level(self, number: int) -> int:
        """Return the level of a pin, from all drivers, pull-ups and closed contacts."""
        joined = {number}
        while True:
            more = {
                end
                for contact in self.contacts
                if joined & set(contact.ends) and contact.closed
                for end in contact.ends
            } - joined
            if not more:
                break
            joined |= more
        strong, weak = set(), set()
        for pin in [self.pins[end] for end in joined]:
            if pin.level is not None:
                strong.add(pin.level)
            if pin.outside is not None:
                strong.add(pin.outside)
            if pin.pull & _PULL_UP:
                weak.add(1)
            if pin.pull & _PULL_DOWN:
                weak.add(0)
        if len(strong) > 1:
            self.faults.append(f"a short between {', '.join(f'GPIO{n}' for n in sorted(joined))}")
            return 0
        if not strong and not weak:
            self.faults.append(f"GPIO{number} is read but not connected")
            return 0
        return (strong or weak).pop()

    # The socket to the interpreter.

    def connect(self) -> socket.socket:
        """Return the board's end of a new socket, for a board that starts; close the old one."""
        self.close()
        self._socket, child = socket.socketpair()
        with self.lock:
            for pin in self.pins.values():
                pin.pull = 0
                pin.wave(0, 0)
                pin.put(0, 0)
            self.boots += 1
            self._irqs.clear()
            self._counted.clear()
            self.watchdog_s = None
            self._beat.notify_all()
        self._thread = threading.Thread(
            target=self._serve, args=(self._socket,), name="jeton-bench", daemon=True
        )
        self._thread.start()
        return child

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close() if self._thread is None else self._hang_up()
            self._socket = None

    def _hang_up(self) -> None:
        assert self._socket is not None
        assert self._thread is not None
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join()
        self._socket.close()
        self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self, line: socket.socket) -> None:
        file = line.makefile("rb")
        try:
            while len(head := file.read(6)) == 6:
                op, argument, low, high = struct.unpack("<BHHB", head)
                length = low | high << 16
                data = file.read(length) if length else b""
                if len(data) < length:
                    break
                with self.lock:
                    answer = self._do(op, argument, data)
                if answer is not None:
                    line.sendall(answer)
        except OSError:
            pass  # the interpreter has ended

    def _do(self, op: int, argument: int, data: bytes) -> bytes | None:
        pin, address = argument & 0xFF, argument >> 8
        if op in (_LEVEL, _COUNT, _EDGES):
            self.pins[pin].looks += 1
            self._beat.notify_all()
        if op == _LEVEL:
            return bytes([self.level(pin)])
        if op == _SET:
            self.pins[pin].put(self.pins[pin].mode, data[0])
        elif op == _MODE:
            return bytes([self._mode(pin, *data)])
        elif op == _I2C_WRITE:
            return self._i2c_write(pin, address, data)
        elif op == _I2C_READ:
            return self._i2c_read(pin, address, data[0] | data[1] << 8)
        elif op in (_SPI, _SPI_READ):
            answer = self._transfer(pin, data)
            return answer if op == _SPI_READ else None
        elif op == _BUS:
            return bytes([max([self._bus(data[:1], number) for number in data[1:]])])
        elif op == _PWM:
            self.pins[pin].wave(*struct.unpack("<HH", data))
        elif op == _IRQ:
            self._irqs[pin] = (data[0], self._edges(pin, data[0]))
        elif op == _EDGES:
            trigger, before = self._irqs[pin]
            edges = self._edges(pin, trigger)
            # A chip keeps one edge while it cannot process it.
            self._irqs[pin] = (trigger, edges)
            return bytes([min(edges - before, 255)])
        elif op == _COUNTER:
            self._counted[pin] = (data[0], self._edges(pin, data[0]))
        elif op == _COUNT:
            edge, before = self._counted[pin]
            return struct.pack("<I", self._edges(pin, edge) - before)
        elif op in (_UART_WRITE, _UART_READ):
            return self._serial(op, pin, data)
        elif op == _WDT:
            if data:
                self.watchdog_s = int.from_bytes(data, "little") / 1000
            self._fed = self.now()
        elif op == _SLEPT:
            self.slept_s = (self.slept_s or 0.0) + argument / 1000
        elif op == _CAUSE:
            return bytes([self.reset_cause])
        return None

    def _mode(self, number: int, mode: int, pull: int, level: int) -> int:
        if number not in self.chip.pins or number in self.chip.flash:
            return 1
        if mode in (OUT, OPEN_DRAIN) and number in self.chip.input_only:
            return 2
        pin = self.pins[number]
        pin.put(pin.mode if mode == 0xFF else mode, level if level < 2 else pin.out)
        if pull != 0xFF:
            pin.pull = 0 if number in self.chip.input_only else pull
        return 0

    def _bus(self, kind: bytes, number: int) -> int:
        if number not in self.chip.pins or number in self.chip.flash:
            return 1
        return 0

    def _i2c_write(self, wire: int, address: int, data: bytes) -> bytes:
        heard = [ear(address, data) for scl, ear in self._ears if scl == wire]
        part, device = self._i2c.get(wire, {}).get(address, (None, None))
        if part is None or device is None or not part.present:
            return b"\x00" if any(heard) else b"\x01"
        if data:
            device.write(data)
        return b"\x00"

    def _i2c_read(self, wire: int, address: int, count: int) -> bytes:
        part, device = self._i2c.get(wire, {}).get(address, (None, None))
        if part is None or device is None or not part.present:
            return b"\x01"
        return b"\x00" + device.read(count)

    def _transfer(self, wire: int, data: bytes) -> bytes:
        answer = b"\xff" * len(data)
        for cs, part, device in self._spi.get(wire, ()):
            pin = self.pins[cs]
            if part.present and pin.level == 0:
                answer = device.transfer(data)
        return answer

    def _edges(self, number: int, trigger: int) -> int:
        pin = self.pins[number]
        rose = pin.rose if trigger & _RISING else 0
        return rose + (pin.fell if trigger & _FALLING else 0)

    def _serial(self, op: int, wire: int, data: bytes) -> bytes | None:
        waiting = self._received.setdefault(wire, bytearray())
        if op == _UART_WRITE:
            part, device = self._uart.get(wire, (None, None))
            if part is not None and device is not None and part.present:
                waiting += device.write(data)
            return None
        if not data[0]:
            return bytes([min(len(waiting), 255)])
        found = bytes(waiting[: data[0]])
        del waiting[: data[0]]
        return found

    @property
    def hungry(self) -> bool:
        """Return whether the watchdog would have reset the chip by now."""
        return self.watchdog_s is not None and self.now() - self._fed > self.watchdog_s
