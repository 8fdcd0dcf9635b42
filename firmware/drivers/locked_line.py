"""The serial line of a locked meter: bytes in, lines out, no REPL."""

import gc
import select
import sys
from os import urandom
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined]

from micropython import const

import board
from jeton.locked import MARK, Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jeton.console import Console
    from jeton.meter import Meter

_TICK_MS = const(5000)


def salt():
    """Return 16 random bytes."""
    return urandom(16)


def restart(answer):
    """Send a client its answer and restart the board."""
    print(answer)
    raise SystemExit  # at the REPL, and in a client's code there, this is a soft reset


def serve(console: "Console", meter: "Meter", runtime=None):
    """Answer lines until the meter is unlocked, then restart the board.

    If there is a `runtime`, its timer runs the meter, and each line is handled while the timer
    does nothing.

    A board without a timer has `tick`, which is called every 5 s. A board run by a host program
    has `attend`, which reports to it that boot.py now reads the line, and again at each Ctrl-D.
    """
    __import__("micropython").kbd_intr(-1)
    guard = Guard(console, meter, salt)
    tick = getattr(board, "tick", None)
    attend = getattr(board, "attend", None)
    # Free memory for the next requests: the heap of a locked meter is fuller.
    gc.collect()
    if attend:
        attend()
    print(MARK)
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    read = sys.stdin.buffer.read
    take = runtime.guarded(guard.take) if runtime else guard.take
    ticked = ticks_ms()
    pending = False
    while guard.locked and not guard.resets:
        try:
            answer = None
            idle = True
            for _ in poll.ipoll(0 if pending else _TICK_MS):  # type: ignore[attr-defined]
                byte = read(1)
                idle = False
                pending = pending or byte == b"\x04"
                if byte:
                    answer = take(byte[0])
            if answer:
                print(answer)
            if pending and idle:  # one report for several Ctrl-D
                pending = False
                if attend:
                    attend()
            if tick and ticks_diff(ticks_ms(), ticked) >= _TICK_MS:
                ticked = ticks_ms()
                tick()
        except Exception:
            # A lack of memory must not end the locked mode.
            gc.collect()
    if tick:
        tick()
    if runtime:
        runtime.restart()
    raise SystemExit  # in boot.py this is a soft reset too
