"""Pins instead of the serial line: keys are pressed and parts are read at the pins.

`jeton_host.client.pins.Wires` describes the interface. It is implemented here with an adapter, a
second board with MicroPython (docs/hardware/bench.md), and with the models of a virtual board. An
adapter receives the display's data as a second chip at its address; the models of the chips draw
what it received.

An adapter is an RP2040 or RP2350 with MicroPython 1.26 or newer. Its I2CTarget buffers 16 bytes
and then holds the clock, so none is lost, even if its program is late
(ports/rp2/machine_i2c_target.c of MicroPython sets RX_FIFO_FULL_HLD_CTRL). An ESP32 cannot hold it
(esp-idf issue 4173; later chips can), its port delivers a transfer only at its end, and on an S3
bytes were added (micropython issue 19494).
"""

import ast
import contextlib
import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from jeton_host.bench.wiring import plan as wiring
from jeton_host.client.answers import Seen
from jeton_host.client.client import MeterClient
from jeton_host.client.pins import Wires
from jeton_host.errors import BoardError
from jeton_host.firmware import boards, remote
from jeton_host.firmware.boards import Board
from jeton_host.virtual.board import VirtualBoard

if TYPE_CHECKING:
    from jeton_host.virtual.models.hardware import Bench
from jeton_host.bench import facts
from jeton_host.bench.adapter_pins import (
    COLUMN,
    DISPLAYS,
    I2C,
    INHIBIT,
    INPUTS,
    KEYPADS,
    ROW,
    SIGNS,
)
from jeton_host.bench.glass import Glass, OutOfStep

HOLD_MS = 70  # a key counts after two scans, 20 ms apart
HOLD_VARIABLE = "JETON_HOLD_MS"
PULSE_MS = 40  # a pulse of an S0 output takes at least 30 (EN 62053-31)
_BEATS = 3  # steps of the board in HOLD_MS
SEEN_S = 5.0  # longest time for that many steps, or until a key is detected
_STEPS = 2  # of the board, until its pins are up to date
_AGAIN_S = 0.02  # between two requests for its progress: it makes its steps in between
_RING = 16384  # bytes buffered in the adapter: about ten screens of a display
_PART = 2048  # bytes in one answer of the adapter
_LOOKS = 60  # readings of a display that keeps changing
_REDRAWS = 3  # times a display is drawn again because of lost bytes
_BLINK = 10  # readings of a blank display, which may be flashing


class _Pins:
    """Common parts of both: how long a key is pressed, and when a display has stopped changing.

    The board reports what it has detected; if its firmware does not, a fixed time is used
    (`held`).
    """

    def __init__(self, pause: Callable[[], None] | None = None) -> None:
        self._pause = pause or held()
        self._timed = pause is not None
        self._reports = False  # the board reports what it has detected
        self._heard_buzzer = 0
        self.flashes = False
        self.board: Board
        self._of: MeterClient
        self._settled_at = -1  # `talks` of the meter when its pins were up to date

    def begin(self, meter: MeterClient) -> None:
        """Find out the board of the meter."""
        self._of = meter
        info = meter.info()
        if info.board not in boards.names() or not boards.load(info.board).parts:
            having = ", ".join(name for name in boards.names() if boards.load(name).parts)
            raise BoardError(
                f"the board {info.board} at {meter.port} has no pins to wire; boards with pins: "
                f"{having}"
            )

        shipped = boards.load(info.board)
        self.board = shipped.changed(*facts.as_before(meter, shipped))
        self._reports = meter.seen() is not None
        virtual = _board_of(meter)
        bench = virtual.bench if virtual else None
        if not self._timed and bench is not None and bench.beat is not None:
            self._pause = beats(bench)
        elif not self._timed and self._reports:
            self._pause = self._settle

    def _part(self, name: str) -> dict[str, Any]:
        if name not in self.board.parts:
            raise BoardError(f"the board {self.board.name} has no {name}")
        return self.board.parts[name]

    def _key(self, key: str) -> int:
        keys = str(self._part("keypad")["keys"])
        if len(key) != 1 or key not in keys:
            raise BoardError(f"no key {key!r} on the keypad of {self.board.name}: {keys}")
        return keys.index(key)

    def press(self, key: str) -> None:
        """Press a key until the meter has detected it, and release it until that is detected, too.

        Raise BoardError if it is not detected, or if no wires lead to keys.
        """
        at = self._key(key)
        before = self._of.seen() if self._reports else None
        self._hold(at)
        try:
            if before is None:
                self._pause()
            else:
                taken = before.keys_taken
                self._until(lambda now: now.keys_taken != taken, f"key {key!r} go down")
        finally:
            self._release_key()
        if before is None:
            self._pause()
        else:
            self._until(lambda now: key not in now.keys_down, f"key {key!r} come up")

    def _hold(self, at: int) -> None:
        """Close the key at this place on the keypad."""
        raise NotImplementedError

    def _release_key(self) -> None:
        """Open the closed key."""
        raise NotImplementedError

    def _until(self, done: Callable[[Seen], bool], what: str) -> None:
        """Wait until the board reports that something was detected."""
        end = time.monotonic() + SEEN_S
        while (now := self._of.seen()) is None or not done(now):
            if time.monotonic() >= end:
                raise BoardError(
                    f"the board {self.board.name} did not see {what} within {SEEN_S:.0f} s: do "
                    "its wires lead to the keypad, and is no other key down?"
                )
            time.sleep(_AGAIN_S)

    def _settle(self) -> None:
        """Wait until the board has made two more steps and has drawn its display."""
        end = time.monotonic() + SEEN_S
        steps: set[int] = set()
        while True:
            now = self._of.seen()
            if now is not None:
                steps.add(now.step_ms)
                if len(steps) > _STEPS and not now.draws:
                    return
            if time.monotonic() >= end:
                raise BoardError(f"the board {self.board.name} does not run: does it have power?")
            time.sleep(_AGAIN_S)

    def lines(self) -> list[str]:
        """Return the display's lines once they have stopped changing."""
        self._part("display")
        self.flashes = False
        for _ in range(_BLINK):
            text = self._stable()
            if any(line.strip() for line in text):
                return text
            self.flashes = True  # or the display is empty
        self.flashes = False
        return text

    def _stable(self) -> list[str]:
        for _ in range(_LOOKS):
            self._pause()
            if not self._changed():
                return self._text()
        raise BoardError(f"the display of {self.board.name} does not stop changing")

    def _changed(self) -> bool:
        raise NotImplementedError

    def _text(self) -> list[str]:
        raise NotImplementedError

    def _state(self, name: str) -> tuple[bool, int]:
        """Return whether a part is on, and how often it was switched on."""
        raise NotImplementedError

    def _followed(self, name: str) -> tuple[bool, int]:
        """Return `_state` after the pins are up to date with the last request on the line."""
        board = _board_of(self._of)
        if self._settled_at != self._of.talks and (board is None or board.running):
            self._pause()
            self._settled_at = self._of.talks
        return self._state(name)

    @property
    def relay(self) -> bool:
        """Return whether the relay is energized."""
        return self._followed("relay")[0]

    @property
    def lamp(self) -> bool:
        """Return whether the credit LED is lit."""
        return self._followed("credit")[0]

    @property
    def buzzer(self) -> bool:
        """Return whether the buzzer sounds, or has started since the last call."""
        on, count = self._followed("buzzer")
        before, self._heard_buzzer = self._heard_buzzer, count
        return on or count > before

    def pulses(self) -> int:
        """Return how often the pulse LED was lit since `begin`."""
        return self._followed("led")[1]


def _board_of(meter: MeterClient) -> VirtualBoard | None:
    """Return the virtual board that this program has started for a meter, or None."""
    board = getattr(meter, "board", None)
    return board if isinstance(board, VirtualBoard) else None


def held() -> Callable[[], None]:
    """Return a pause as long as a key is held."""
    text = os.environ.get(HOLD_VARIABLE) or str(HOLD_MS)
    if not text.isdecimal() or not 1 <= int(text) <= 2000:
        raise BoardError(
            f"${HOLD_VARIABLE} is {text!r}: give the ms for which a key is held, 1 to 2000"
        )
    return partial(time.sleep, int(text) / 1000)


def beats(bench: "Bench") -> Callable[[], None]:
    """Return a pause of three ticks of a virtual board, in its own time."""

    def pause() -> None:
        if not bench.wait_beats(_BEATS, SEEN_S):
            raise BoardError(f"the board {bench.board.name} does not run: does it have power?")

    return pause


class ModelWires(_Pins):
    """Wires to the models of the parts of a virtual board that this program has started."""

    def begin(self, meter: MeterClient) -> None:
        """Find the models of the meter's board."""
        super().begin(meter)
        virtual = _board_of(meter)
        if virtual is None or virtual.bench is None:
            raise BoardError(
                f"{meter.port} is not a virtual board of this program: only such a board has "
                "models"
            )
        self._bench = virtual.bench
        self._seen = -1
        self._sounds = 0
        if "buzzer" in self.board.parts:
            self._bench.pins[self.board.parts["buzzer"]["pin"]].listen(self._count_sound)
        self._flashes_before = self._bench.part("led").flashes if "led" in self.board.parts else 0

    def _count_sound(self, on: bool) -> None:
        self._sounds += on

    def _hold(self, at: int) -> None:
        self._held_key = str(self.board.parts["keypad"]["keys"])[at]
        self._bench.part("keypad").press(self._held_key)

    def _release_key(self) -> None:
        self._bench.part("keypad").release(self._held_key)

    def _changed(self) -> bool:
        before, self._seen = self._seen, self._bench.part("display").bus_bytes
        return before != self._seen

    def _text(self) -> list[str]:
        return list(self._bench.part("display").text())

    def _state(self, name: str) -> tuple[bool, int]:
        self._part(name)
        model = self._bench.part(name)
        if name == "relay":
            return model.closed, model.thrown
        if name == "buzzer":
            return model.sounds, self._sounds
        return model.lit, model.flashes - (self._flashes_before if name == "led" else 0)

    def tamper(self, on: bool = True) -> None:
        """Open or close the cover, and give the board time to detect it."""
        self._part("tamper")
        self._bench.part("tamper").set(on)
        self._pause()
        self._pause()

    def pulse(self, count: int = 1) -> None:
        """Give pulses at the S0 input."""
        self._part("pulses")
        for _ in range(count):
            self._bench.part("pulses").set(True)
            self._pause()
            self._bench.part("pulses").set(False)
            self._pause()

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


class AdapterWires(_Pins):
    """Wires to an adapter at a serial port; docs/hardware/bench.md describes its wiring.

    `pause` waits for at least two steps of the board. Without it, the board is asked for its
    progress, or, if its firmware does not report it, the pause is HOLD_MS, or $JETON_HOLD_MS.
    `lost` counts lost bytes of the display, which is then drawn again.
    """

    def __init__(self, port: str, *, pause: Callable[[], None] | None = None) -> None:
        super().__init__(pause)
        self.port = port
        self.lost = 0
        self._redraws = 0  # redraws since it was last stable
        self._line: MeterClient | None = None
        self._meter: MeterClient | None = None
        self.glass: Glass | None = None

    def begin(self, meter: MeterClient) -> None:
        """Send the adapter its program, and let the meter draw its display for it."""
        self.connect(meter)
        try:
            if self.readable:
                self.listen()
        except BaseException:
            self.close()
            raise

    def connect(self, meter: MeterClient) -> None:
        """Send the adapter its program."""
        super().begin(meter)
        self._reached = wiring.reachable(self.board)
        self._meter = meter
        self._line = MeterClient(self.port)
        try:
            self._check()
            self._line.run(remote.gone("adapter"))  # left by a program that was killed
            self._line.run(remote.source("adapter"))
            self._line.run(f"adapter = Adapter{self._settings()!r}")
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        platform, version, listens = self._run(remote.once("adapter", "probe")).split()
        if platform not in ("rp2", "linux") or listens != "1":
            raise BoardError(
                f"the board at {self.port} ({platform}, MicroPython {version}) is not an "
                "adapter: an RP2040 or RP2350 (a Pico) with 1.26 or newer is needed"
            )

    def _settings(self) -> tuple[Any, ...]:
        parts = self.board.parts
        inputs = {
            name: (number, parts[name].get("active", 1), int("freq" in parts[name]))
            for name, number in INPUTS.items()
            if name in self._reached and "pin" in parts[name]
        }
        signs = {
            name: (number, parts[name].get("active", 0))
            for name, number in SIGNS.items()
            if name in self._reached
        }
        return (ROW + COLUMN, INHIBIT, inputs, signs)

    @property
    def readable(self) -> bool:
        """Return whether the board has a display that an adapter can receive."""
        return self.board.parts.get("display", {}).get("driver") in DISPLAYS

    def _address(self) -> int:
        """Return the display's address: as found by the meter, else the usual one."""
        assert self._meter is not None
        found = 0
        if not self._meter.locked:
            found = int(self._meter.run(remote.once("examine", "display_address")))
        return found or int(self.board.parts["display"]["addresses"][0])

    def listen(self) -> None:
        """Listen to the display and let the meter draw it; BoardError if nothing is received."""
        assert self._meter is not None
        self.glass = Glass(self.board)
        self._do(f"listen({I2C.number}, {I2C.sda}, {I2C.scl}, {self._address()}, {_RING})")
        if self._meter.locked:
            return
        self._draw()
        for _ in range(_BLINK):
            self._pause()
            if self._changed():
                return
        raise BoardError(
            f"the adapter at {self.port} receives nothing from the display: are its SDA, SCL and "
            "GND connected to the meter's?"
        )

    def _draw(self) -> None:
        assert self._meter is not None
        fault = self._meter.run(remote.once("examine", "begin_display")).strip()
        if fault:
            raise BoardError(
                f"the meter finds no display: {fault}; are SDA, SCL and GND of the adapter at "
                f"{self.port} connected to the display's?"
            )

    # The adapter

    def _run(self, source: str, timeout: float | None = None) -> str:
        if self._line is None:
            raise BoardError(f"the adapter at {self.port} is closed: open the meter again")
        return self._line.run(source, timeout=timeout)

    def _do(self, call: str, timeout: float | None = None) -> str:
        return self._run(f"print(adapter.{call})", timeout).strip()

    def _check_reached(self, name: str) -> None:
        self._part(name)
        if name not in self._reached:
            raise BoardError(f"the {name} of {self.board.name} has no pin that a wire can reach")

    def hold(self, row: int, column: int) -> None:
        """Close the key at a row and a column, counted from 0, until `release`."""
        self._do(f"key({row}, {column})")

    def release(self) -> None:
        """Open the closed key."""
        self._do("key()")

    def _release_key(self) -> None:
        self.release()

    def _hold(self, at: int) -> None:
        driver = self.board.parts["keypad"]["driver"]
        if driver not in KEYPADS:
            raise BoardError(
                f"the keys of {self.board.name} are on its touch panel ({driver}): an adapter "
                "closes contacts, and cannot touch"
            )
        self.hold(*divmod(at, 4))

    def states(self) -> dict[str, tuple[bool, int]]:
        """Return part -> whether it is on, and how often it was switched on since `begin`."""
        found = ast.literal_eval(self._do("state()"))
        return {name: (bool(on), count) for name, (on, count) in found.items()}

    def _state(self, name: str) -> tuple[bool, int]:
        if "pin" not in self._part(name):
            raise BoardError(f"the {name} of {self.board.name} has two coils: look at its contact")
        self._check_reached(name)
        return self.states()[name]

    def sign(self, name: str, on: bool) -> None:
        """Give the signal of an input, or end it."""
        self._check_reached(name)
        self._do(f"sign({name!r}, {on})")

    def tamper(self, on: bool = True) -> None:
        """Open or close the cover, and give the board time to detect it."""
        self.sign("tamper", on)
        self._pause()
        self._pause()

    def pulse(self, count: int = 1) -> None:
        """Give pulses at the S0 input."""
        self._check_reached("pulses")
        self._do(f"pulse('pulses', {count}, {PULSE_MS})", 5 + 2 * count * PULSE_MS / 1000)
        self._pause()

    # The display

    def lines(self) -> list[str]:
        """Return the display's lines once they have stopped changing."""
        self._part("display")
        if self.glass is None:
            bus = self.board.buses[self.board.parts["display"]["bus"]]["kind"]
            raise BoardError(
                f"the display of {self.board.name} is on {bus}: an adapter reads I2C only"
            )
        self._redraws = 0
        return super().lines()

    def _read(self) -> tuple[int, bytes]:
        """Return the number of lost bytes, and the bytes received since the last call."""
        found = b""
        while True:
            lost, data = ast.literal_eval(self._do(f"receiver.read({_PART})"))
            found += bytes.fromhex(data)
            if not data or len(found) > _RING:
                return lost, found

    def _changed(self) -> bool:
        assert self.glass is not None
        lost, data = self._read()
        try:
            self.glass.feed(data)
        except OutOfStep:
            lost = lost or 1
        if lost or not (data or self.glass.whole):
            self._redraw(lost)
            return True
        return bool(data)

    def _redraw(self, lost: int) -> None:
        """Let the meter draw the display again after lost bytes."""
        assert self.glass is not None
        self.lost += max(lost, 1)
        self._redraws += 1
        if self._redraws > _REDRAWS:
            raise BoardError(
                f"the adapter at {self.port} loses bytes of the display repeatedly, "
                f"{self.lost} by now: it is too slow, or SDA and SCL are too long"
            )
        for _ in range(_LOOKS):  # until the bus is idle: the next byte begins a transfer
            self._do("receiver.clear()")
            self._pause()
            if self._read() == (0, b""):
                break
        self.glass.forget()
        assert self._meter is not None
        if not self._meter.locked:
            self._draw()

    def _text(self) -> list[str]:
        assert self.glass is not None
        if not self.glass.known:
            raise BoardError(
                f"the display of {self.board.name} is unknown until a locked meter draws it "
                "again: reset the meter"
            )
        return self.glass.text()

    def leave(self) -> None:
        """Close the port for another program; the adapter keeps its program and its levels."""
        if self._line is not None:
            self._line.release()

    def close(self) -> None:
        """Release all pins and remove the program from the adapter."""
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(BoardError):
                line.run(remote.gone("adapter"))
            line.close()


def connect(where: str, board: VirtualBoard | None = None) -> Wires:
    """Return the wires for `models` or for the port of an adapter.

    `board` is the virtual board that this program has started, if any.
    """
    from jeton_host.meters import ports

    if where == "models":
        return ModelWires()
    bench = board.bench if board else None
    pause = beats(bench) if bench is not None and bench.beat is not None else None
    return AdapterWires(ports.find(where).device, pause=pause)
