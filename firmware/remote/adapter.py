"""The adapter: a second board with MicroPython that operates and reads the pins of a meter.

Its names are global there, because an interrupt handler that is a closure may allocate. It stores
no file, and a reset removes it. The host says which pins are wired to what.
"""

import sys
from binascii import hexlify
from time import sleep_ms, ticks_diff, ticks_ms  # type: ignore[attr-defined]

import machine
from machine import Pin

_WAVE_MS = 20  # edges of one sound are closer together than this


def probe():
    """Print the chip's family, MicroPython's version, and 1 if the chip can be an I2C target."""
    version = ".".join([str(n) for n in sys.implementation.version[:3]])
    print(sys.platform, version, int(hasattr(machine, "I2CTarget")))


class Input:
    """A pin that is read, and whose edges to its `active` level are counted."""

    def __init__(self, number, active, wave):
        # A missing wire reads as off.
        self._pin = Pin(number, Pin.IN, Pin.PULL_DOWN if active else Pin.PULL_UP)
        self._active = active
        self._wave = wave
        self._last = ticks_ms() - _WAVE_MS
        self.count = 0
        edge = Pin.IRQ_RISING if active else Pin.IRQ_FALLING
        self._pin.irq(self._edge, edge, hard=True)

    def _edge(self, pin):
        # A hard interrupt: nothing may be allocated here.
        now = ticks_ms()
        if not self._wave or ticks_diff(now, self._last) >= _WAVE_MS:
            self.count += 1
        self._last = now

    def state(self):
        """Return whether the pin is on, or has just had an edge of a wave; and the count."""
        on = self._pin() == self._active
        if self._wave:
            on = self.count > 0 and ticks_diff(ticks_ms(), self._last) < _WAVE_MS
        return int(on), self.count

    def end(self):
        """Release the pin."""
        self._pin.irq(None)


class Receiver:
    """Receives what a controller writes to an address, as a second, silent I2C target there.

    The chip buffers 16 bytes and then holds SCL low until they are read, so the bus loses none.
    When the ring is full, further bytes are lost, and counted.
    """

    def __init__(self, bus, sda, scl, address, size):
        self._ring = bytearray(size)
        self._size = size
        self._chunk = bytearray(16)
        self._head = self._tail = self._lost = 0
        kind = machine.I2CTarget  # type: ignore[attr-defined]
        self._target = kind(bus, address, sda=Pin(sda), scl=Pin(scl))
        self._target.irq(self._take, trigger=kind.IRQ_WRITE_REQ, hard=True)

    def _take(self, target):
        # A hard interrupt: nothing may be allocated here.
        count = target.readinto(self._chunk)
        head = self._head
        if self._lost or (head - self._tail) % self._size + count >= self._size:
            self._lost += count
            return
        for i in range(count):
            self._ring[head] = self._chunk[i]
            head += 1
            if head == self._size:
                head = 0
        self._head = head

    def read(self, most):
        """Return how many bytes were lost, and the next ones as hexadecimal digits."""
        tail, head = self._tail, self._head
        end = head if head >= tail else self._size
        end = min(end, tail + most)
        found = hexlify(self._ring[tail:end]).decode()
        self._tail = 0 if end == self._size else end
        return self._lost, found

    def clear(self):
        """Drop all bytes received and the count of lost ones."""
        self._tail = self._head
        self._lost = 0

    def end(self):
        """Leave the bus."""
        self._target.irq(None)
        self._target.deinit()


class Adapter:
    """All pins: `select` are the address lines of two multiplexers, `inhibit` opens both."""

    def __init__(self, select, inhibit, inputs, signs):
        self._inhibit = Pin(inhibit, Pin.OUT, value=1)  # first: no key is closed
        self._select = [Pin(number, Pin.OUT, value=0) for number in select]
        self._inputs = {name: Input(*settings) for name, settings in inputs.items()}
        # A signal is given by driving the pin; a resistor ends it.
        self._signs = {name: (Pin(number, Pin.IN), on) for name, (number, on) in signs.items()}
        self.receiver = None

    def listen(self, *settings):
        """Receive what is written to the display from now on."""
        self.stop_listening()
        self.receiver = Receiver(*settings)

    def stop_listening(self):
        """Stop receiving from the display."""
        if self.receiver:
            self.receiver.end()
        self.receiver = None

    def key(self, row=-1, column=-1):
        """Close the key at a row and a column, or open the closed one."""
        self._inhibit(1)
        if row < 0:
            return
        bits = row | column << 2
        for i, pin in enumerate(self._select):
            pin(bits >> i & 1)
        self._inhibit(0)

    def state(self):
        """Return name -> whether the input is on, and how often it was switched on."""
        return {name: pin.state() for name, pin in self._inputs.items()}

    def sign(self, name, on):
        """Give a signal, or end it."""
        pin, level = self._signs[name]
        if on:
            pin.init(Pin.OUT, value=level)
        else:
            pin.init(Pin.IN)

    def pulse(self, name, count, ms):
        """Give `count` signals of `ms` milliseconds each, with gaps as long."""
        for _ in range(count):
            self.sign(name, True)
            sleep_ms(ms)
            self.sign(name, False)
            sleep_ms(ms)

    def close(self):
        """Release all pins."""
        self.key()
        for name in self._signs:
            self.sign(name, False)
        for pin in self._inputs.values():
            pin.end()
        self.stop_listening()
