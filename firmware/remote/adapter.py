"""The adapter: fingers and eyes at the pins of a meter, on a second board with MicroPython.

Its names are global there, since an interrupt that calls a closure may allocate. Nothing is
stored, and a reset leaves nothing of it. The host says which pins are wired to what; this knows
no meters.
"""

import sys
from binascii import hexlify
from time import sleep_ms, ticks_diff, ticks_ms  # type: ignore[attr-defined]

import machine
from machine import Pin

_WAVE_MS = 20  # two edges of one sound lie closer together than this


def probe():
    """Print the chip's family, MicroPython's version, and 1 if the chip can listen on I2C."""
    version = ".".join([str(n) for n in sys.implementation.version[:3]])
    print(sys.platform, version, int(hasattr(machine, "I2CTarget")))


class Input:
    """A pin that is looked at, and whose edges to its `active` level are counted."""

    def __init__(self, number, active, wave):
        # A wire that is not there reads as off.
        self._pin = Pin(number, Pin.IN, Pin.PULL_DOWN if active else Pin.PULL_UP)
        self._active = active
        self._wave = wave
        self._last = ticks_ms() - _WAVE_MS
        self.count = 0
        edge = Pin.IRQ_RISING if active else Pin.IRQ_FALLING
        self._pin.irq(self._edge, edge, hard=True)

    def _edge(self, pin):
        # An interrupt at once, in which nothing can be allocated.
        now = ticks_ms()
        if not self._wave or ticks_diff(now, self._last) >= _WAVE_MS:
            self.count += 1
        self._last = now

    def state(self):
        """Return whether it is on, or has just had an edge of a wave; and the count."""
        on = self._pin() == self._active
        if self._wave:
            on = self.count > 0 and ticks_diff(ticks_ms(), self._last) < _WAVE_MS
        return int(on), self.count

    def end(self):
        """Let the pin go."""
        self._pin.irq(None)


class Ear:
    """Takes what a controller writes to an address, as a second chip there that only listens.

    The chip keeps 16 octets and then holds SCL low until they are taken, so none is lost on the
    bus; where the ring is full what follows is lost, and counted.
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
        # An interrupt at once, in which nothing can be allocated.
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
        """Return how many octets were lost, and the next ones as hexadecimal digits."""
        tail, head = self._tail, self._head
        end = head if head >= tail else self._size
        end = min(end, tail + most)
        found = hexlify(self._ring[tail:end]).decode()
        self._tail = 0 if end == self._size else end
        return self._lost, found

    def clear(self):
        """Forget all there is; what was lost too."""
        self._tail = self._head
        self._lost = 0

    def end(self):
        """Leave the bus."""
        self._target.irq(None)
        self._target.deinit()


class Adapter:
    """All of it: `select` are the address lines of two multiplexers, `inhibit` opens both."""

    def __init__(self, select, inhibit, inputs, signs):
        self._inhibit = Pin(inhibit, Pin.OUT, value=1)  # before all else: no key is closed
        self._select = [Pin(number, Pin.OUT, value=0) for number in select]
        self._inputs = {name: Input(*settings) for name, settings in inputs.items()}
        # A sign is given by driving the pin; a resistor ends it.
        self._signs = {name: (Pin(number, Pin.IN), on) for name, (number, on) in signs.items()}
        self.ear = None

    def listen(self, *settings):
        """Take what is written to the display from now on."""
        self.deaf()
        self.ear = Ear(*settings)

    def deaf(self):
        """Leave the display alone."""
        if self.ear:
            self.ear.end()
        self.ear = None

    def key(self, row=-1, column=-1):
        """Close the key where a row and a column cross, or open what is closed."""
        self._inhibit(1)
        if row < 0:
            return
        bits = row | column << 2
        for i, pin in enumerate(self._select):
            pin(bits >> i & 1)
        self._inhibit(0)

    def state(self):
        """Return name -> whether it is on, and how often it went on."""
        return {name: pin.state() for name, pin in self._inputs.items()}

    def sign(self, name, on):
        """Give a sign, or end it."""
        pin, level = self._signs[name]
        if on:
            pin.init(Pin.OUT, value=level)
        else:
            pin.init(Pin.IN)

    def pulse(self, name, count, ms):
        """Give so many signs, each of so many milliseconds, as far apart."""
        for _ in range(count):
            self.sign(name, True)
            sleep_ms(ms)
            self.sign(name, False)
            sleep_ms(ms)

    def close(self):
        """Let everything go."""
        self.key()
        for name in self._signs:
            self.sign(name, False)
        for pin in self._inputs.values():
            pin.end()
        self.deaf()
