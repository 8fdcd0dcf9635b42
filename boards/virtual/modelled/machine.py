"""The `machine` of a modelled board, added to that of the virtual board: pins, buses, timers.

Each operation on the hardware is a message over a socket to the models of the parts on the host
(jeton_host.virtual.models): operation, argument, length, bytes. A request for a value blocks until
its answer. The interface is that of MicroPython's ESP32 port, as far as the drivers need it. A
method allocates only if that of the port does.
"""

import _thread
import os
import sys
import time

from micropython import const

import board

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)

# Operations: the models read these lines (host_tools/jeton_host/virtual/models/operations.py).
_MODE = const(1)
_LEVEL = const(2)
_SET = const(3)
_EDGES = const(4)
_IRQ = const(5)
_I2C_WRITE = const(6)
_I2C_READ = const(7)
_SPI = const(8)
_SPI_READ = const(9)
_BUS = const(10)
_PWM = const(11)
_COUNTER = const(12)
_COUNT = const(13)
_UART_WRITE = const(14)
_UART_READ = const(15)
_WDT = const(16)
_CAUSE = const(17)
_SLEPT = const(18)

_ENODEV = const(19)

_file = open(int(os.getenv("JETON_BENCH")), "r+b", buffering=0)
_lock = _thread.allocate_lock()  # a timer's thread sends too
_head = bytearray(6)
_one = bytearray(1)
_four = bytearray(4)
_status = bytearray(1)


def _header(op, argument, length):
    _head[0] = op
    _head[1] = argument & 0xFF
    _head[2] = argument >> 8 & 0xFF
    _head[3] = length & 0xFF
    _head[4] = length >> 8 & 0xFF
    _head[5] = length >> 16
    _write_all(_head)


def _write_all(data):
    """Write all bytes: a socket may accept only a part of them."""
    done = _file.write(data)
    while done < len(data):
        done += _file.write(memoryview(data)[done:])


def _fill(buffer):
    done = _file.readinto(buffer)
    while 0 < done < len(buffer):
        done += _file.readinto(memoryview(buffer)[done:])
    if not done and len(buffer):
        raise OSError(_ENODEV)  # the host program has ended


def _send(op, argument, data):
    with _lock:
        _header(op, argument, len(data))
        _write_all(data)


def _ask(op, argument, data, answer):
    with _lock:
        _header(op, argument, len(data))
        if data:
            _write_all(data)
        _fill(answer)


def _request(op, argument, data):
    """Request an operation that the chip may refuse."""
    status = bytearray(1)
    _ask(op, argument, data, status)
    if status[0] == 1:
        raise ValueError("invalid pin")
    if status[0] == 2:
        raise ValueError("pin can only be input")
    if status[0]:
        raise OSError(_ENODEV)


class Pin:
    """A pin, identified by its number."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2
    DRIVE_0, DRIVE_1, DRIVE_2, DRIVE_3 = range(4)

    def __init__(self, id, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        self.id = id
        self.handler = None
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        """Set mode, pull and level."""
        level = 2 if value is None else int(bool(value))
        pull = 0 if pull is None else pull
        _request(_MODE, self.id, bytes([mode & 0xFF, pull & 0xFF, level]))

    def value(self, value=None):
        """Return the level, or set it."""
        if value is None:
            with _lock:
                _header(_LEVEL, self.id, 0)
                _fill(_one)
                return _one[0]
        with _lock:
            _one[0] = 1 if value else 0
            _header(_SET, self.id, 1)
            _write_all(_one)

    __call__ = value

    def on(self):
        """Set the pin high."""
        self.value(1)

    def off(self):
        """Set the pin low."""
        self.value(0)

    def irq(self, handler=None, trigger=3, hard=False):
        """Call `handler` at edges: at the next timer tick here, at once on a chip."""
        self.handler = handler
        _send(_IRQ, self.id, bytes([trigger]))
        for pin in _irqs:
            if pin.id == self.id:  # one entry for each pin, however often it is constructed
                _irqs.remove(pin)
                break
        _irqs.append(self)


_irqs = []


def _serve_irqs():
    for pin in _irqs:
        with _lock:
            _header(_EDGES, pin.id, 0)
            _fill(_one)
            edges = _one[0]
        for _ in range(edges):
            if pin.handler:
                pin.handler(pin)


def _pins(*pins):
    return bytes([pin.id for pin in pins if pin is not None])


class I2C:
    """The controller of a bus of two wires."""

    def __init__(self, id=-1, *, scl=None, sda=None, freq=400000, timeout=50000):
        self.id = scl.id  # the wires identify the bus, not the number of the controller
        _request(_BUS, self.id, b"i" + _pins(scl, sda))

    def scan(self):
        """Return the addresses that answer."""
        found = []
        for address in range(0x08, 0x78):
            try:
                self.writeto(address, b"")
                found.append(address)
            except OSError:
                pass
        return found

    def writeto(self, addr, buf, stop=True):
        """Write bytes; OSError if there is no acknowledgement."""
        with _lock:
            _header(_I2C_WRITE, self.id | addr << 8, len(buf))
            if len(buf):
                _write_all(buf)
            _fill(_status)
            failed = _status[0]
        if failed:
            raise OSError(_ENODEV)
        return len(buf)

    def readfrom_into(self, addr, buf, stop=True):
        """Fill a buffer; OSError if there is no acknowledgement."""
        with _lock:
            _four[0] = len(buf) & 0xFF
            _four[1] = len(buf) >> 8
            _header(_I2C_READ, self.id | addr << 8, 4)
            _write_all(_four)
            _fill(_status)
            failed = _status[0]
            if not failed:
                _fill(buf)
        if failed:
            raise OSError(_ENODEV)

    def readfrom(self, addr, nbytes, stop=True):
        """Return bytes read from an address."""
        buffer = bytearray(nbytes)
        self.readfrom_into(addr, buffer)
        return bytes(buffer)

    def writevto(self, addr, vector, stop=True):
        """Write several buffers in one transfer."""
        return self.writeto(addr, b"".join([bytes(piece) for piece in vector]))

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        """Write to a register."""
        self.writeto(addr, bytes([memaddr]) + bytes(buf))

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        """Read from a register."""
        self.writeto(addr, bytes([memaddr]))
        self.readfrom_into(addr, buf)

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        """Return the content of a register."""
        buffer = bytearray(nbytes)
        self.readfrom_mem_into(addr, memaddr, buffer)
        return bytes(buffer)


class SoftI2C(I2C):
    """The same bus, bit-banged."""

    def __init__(self, scl, sda, *, freq=400000, timeout=50000):
        super().__init__(scl=scl, sda=sda, freq=freq)


class SPI:
    """The controller of a bus of three wires."""

    MSB, LSB = 0, 1

    def __init__(
        self,
        id=-1,
        baudrate=500000,
        *,
        polarity=0,
        phase=0,
        bits=8,
        firstbit=0,
        sck=None,
        mosi=None,
        miso=None,
    ):
        self.id = sck.id
        _request(_BUS, self.id, b"s" + _pins(sck, mosi, miso))

    def init(self, baudrate=500000, **settings):
        """Set another speed: no effect here."""

    def deinit(self):
        """Release the pins: no effect here."""

    def write(self, buf):
        """Write bytes."""
        if not buf:
            raise ValueError("buffer too short")
        with _lock:
            _header(_SPI, self.id, len(buf))
            _write_all(buf)

    def write_readinto(self, write_buf, read_buf):
        """Write bytes and read as many at the same time."""
        with _lock:
            _header(_SPI_READ, self.id, len(write_buf))
            _write_all(write_buf)
            _fill(read_buf)

    def readinto(self, buf, write=0):
        """Fill a buffer while writing the same byte repeatedly."""
        self.write_readinto(bytes([write]) * len(buf), buf)

    def read(self, nbytes, write=0):
        """Return bytes read."""
        buffer = bytearray(nbytes)
        self.readinto(buffer, write)
        return bytes(buffer)


class SoftSPI(SPI):
    """The same bus, bit-banged."""

    def __init__(self, baudrate=500000, **settings):
        super().__init__(-1, baudrate, **settings)


class PWM:
    """A square wave on a pin."""

    def __init__(self, dest, freq=0, duty_u16=0, **settings):
        self._pin = dest.id
        self._freq, self._duty = freq, duty_u16
        self._report()

    def _report(self):
        _head_ = self._freq | self._duty << 16
        with _lock:
            for i in range(4):
                _four[i] = _head_ >> 8 * i & 0xFF
            _header(_PWM, self._pin, 4)
            _write_all(_four)

    def freq(self, value=None):
        """Return the frequency in Hz, or set it."""
        if value is None:
            return self._freq
        self._freq = value
        self._report()

    def duty_u16(self, value=None):
        """Return the duty cycle, of 65536, or set it."""
        if value is None:
            return self._duty
        self._duty = value
        self._report()

    def deinit(self):
        """Stop the wave."""
        self.duty_u16(0)


class Timer:
    """Calls a function repeatedly, or once.

    The callback runs in a thread of its own, also while the board waits at the prompt; on a chip
    it interrupts the running code. With $JETON_TICKS set no timer runs by itself: a program calls
    `fire` of `timers`.
    """

    ONE_SHOT, PERIODIC = 0, 1
    timers = {}  # the running timers
    _made = {}

    def __new__(cls, id, **settings):
        """Return the only timer with this number."""
        if not 0 <= id < (4 if board.CHIP == "ESP32" else 2):
            raise ValueError("invalid Timer number")
        if id not in cls._made:
            cls._made[id] = timer = object.__new__(cls)
            timer.id = id
            timer._life = 0
        return cls._made[id]

    def __init__(self, id, **settings):
        if settings:
            self.init(**settings)

    def init(self, *, mode=1, period=-1, callback=None, hard=False):
        """Start the timer."""
        self._life += 1
        self._callback, self._period, self._mode = callback, period, mode
        self.timers[self.id] = self
        if not os.getenv("JETON_TICKS"):
            _thread.start_new_thread(self._run, (self._life,))

    def deinit(self):
        """Stop the timer."""
        self._life += 1
        self.timers.pop(self.id, None)

    def fire(self):
        """Serve pin interrupts and call the callback, as at each period."""
        _serve_irqs()
        self._callback(self)

    def _run(self, life):
        while self._life == life:
            time.sleep_ms(self._period)
            if self._life == life:
                try:
                    self.fire()
                except Exception as error:
                    sys.print_exception(error)
            if self._mode == self.ONE_SHOT:
                return


if board.CHIP == "ESP32":  # the C3 has no pulse counter

    class Counter:
        """Counts edges of a pin in hardware."""

        RISING, FALLING = 1, 2

        def __init__(self, id, src=None, *, edge=1, direction=1, filter_ns=0):
            self._id = src.id
            _send(_COUNTER, src.id, bytes([edge]))

        def value(self, value=None):
            """Return the count, or set it."""
            with _lock:
                _header(_COUNT, self._id, 0)
                _fill(_four)
                count = _four[0] | _four[1] << 8 | _four[2] << 16 | _four[3] << 24
            return count


class UART:
    """A serial port."""

    def __init__(self, id, baudrate=115200, *, tx=None, rx=None, timeout=0, **settings):
        self._id = tx.id
        _request(_BUS, self._id, b"u" + _pins(tx, rx))

    def write(self, buf):
        """Write bytes and return their number."""
        _send(_UART_WRITE, self._id, buf)
        return len(buf)

    def any(self):
        """Return the number of bytes that can be read."""
        with _lock:
            _one[0] = 0
            _header(_UART_READ, self._id, 1)
            _write_all(_one)
            _fill(_one)
            return _one[0]

    def readinto(self, buf, nbytes=-1):
        """Fill a buffer with received bytes; return their number, or None."""
        count = min(self.any(), len(buf))
        if not count:
            return None
        with _lock:
            _one[0] = count
            _header(_UART_READ, self._id, 1)
            _write_all(_one)
            _fill(memoryview(buf)[:count])
        return count

    def read(self, nbytes=-1):
        """Return received bytes, or None."""
        buffer = bytearray(self.any() if nbytes < 0 else nbytes)
        count = self.readinto(buffer)
        return bytes(buffer[:count]) if count else None


class WDT:
    """The watchdog."""

    def __init__(self, id=0, timeout=5000):
        data = bytes([timeout & 0xFF, timeout >> 8 & 0xFF, timeout >> 16 & 0xFF])
        _send(_WDT, 1, data)

    def feed(self):
        """Restart the watchdog's time."""
        with _lock:
            _header(_WDT, 0, 0)


def reset_cause():
    """Return why the board started."""
    cause = bytearray(1)
    _ask(_CAUSE, 0, b"", cause)
    return cause[0]


def slept(ms):
    """Report a sleep of `ms` to the models, where the time of the board is simulated."""
    with _lock:
        _header(_SLEPT, ms, 0)
