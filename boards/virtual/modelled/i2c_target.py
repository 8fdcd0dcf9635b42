"""Adds I2CTarget to an adapter's `machine`, as in MicroPython's RP2 port.

The chip has a queue of 16 bytes. A separate thread calls the program's interrupt handlers; a chip
calls them at once.
"""

import _thread
import time

import machine
from micropython import const

# Operations; see machine.py.
_TARGET = const(19)
_TAKE = const(20)
_WAITS = const(21)

_LOOK_MS = const(3)


class I2CTarget:
    """A chip on a bus of two wires with another controller."""

    IRQ_ADDR_MATCH_READ, IRQ_ADDR_MATCH_WRITE, IRQ_READ_REQ = 1, 2, 4
    IRQ_WRITE_REQ, IRQ_END_READ, IRQ_END_WRITE = 8, 16, 32

    def __init__(self, id, addr, *, addrsize=7, mem=None, mem_addrsize=8, scl=None, sda=None):
        # Which controller a pin belongs to: RP2040 data sheet, 1.4.3.
        if scl.id & 3 != id << 1 | 1 or sda.id & 3 != id << 1:
            raise ValueError("bad SCL pin" if sda.id & 3 == id << 1 else "bad SDA pin")
        self._scl = scl.id
        self._sda = sda.id
        self._handler = None
        self._head = bytearray(1)
        machine._request(_TARGET, scl.id | addr << 8, bytes([sda.id]))
        _made[id] = self  # there is one object for each controller

    def irq(self, handler=None, trigger=48, hard=False):
        """Call `handler` as soon as bytes arrive."""
        if handler and trigger & 15 and not hard:
            raise ValueError("hard IRQ required")
        self._handler = handler

    def readinto(self, buf):
        """Fill a buffer with received bytes; return their number."""
        head = self._head
        with machine._lock:
            machine._header(_TAKE, self._scl, 1)
            head[0] = len(buf)
            machine._write_all(head)
            machine._fill(head)
            if head[0]:
                machine._fill(memoryview(buf)[: head[0]])
        return head[0]

    def deinit(self):
        """Leave the bus."""
        machine._request(_TARGET, self._scl, bytes([self._sda]))
        for id in [id for id in _made if _made[id] is self]:
            del _made[id]

    def _waits(self):
        head = bytearray(1)
        machine._ask(_WAITS, self._scl, b"", head)
        return head[0]


_made = {}


def _serve():
    try:
        while True:
            time.sleep_ms(_LOOK_MS)
            machine._serve_irqs()
            for target in list(_made.values()):
                while target._handler and target._waits():
                    target._handler(target)
    except OSError:
        pass  # the host program has ended


_thread.start_new_thread(_serve, ())
