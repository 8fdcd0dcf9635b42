"""The serial line of a locked meter: octets in, lines out, no REPL; knows nothing of verbs."""

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
    """Return 16 random octets."""
    return urandom(16)


def restart(answer):
    """Give a client its answer, and start the board anew."""
    print(answer)
    raise SystemExit  # at the REPL, and in what a client runs there, this is a soft reset


def serve(console: "Console", meter: "Meter", runtime=None):
    """Answer lines until the meter is not locked any more, then start the board anew.

    A `runtime` runs the meter from its timer, which a line must not be disturbed by.

    A board without a timer has `tick`, which is called every 5 s. A board that somebody plays has
    `attend`, which tells them that the line is taken, and again at each Ctrl-D.
    """
    __import__("micropython").kbd_intr(-1)
    guard = Guard(console, meter, salt)
    tick = getattr(board, "tick", None)
    attend = getattr(board, "attend", None)
    # Free for whatever the meter needs next: the heap of a locked one is fuller.
    gc.collect()
    if attend:
        attend()
    print(MARK)
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    read = sys.stdin.buffer.read
    take = runtime.guarded(guard.take) if runtime else guard.take
    ticked = ticks_ms()
    asked = False
    while guard.locked and not guard.resets:
        try:
            answer = None
            waits = True
            for _ in poll.ipoll(0 if asked else _TICK_MS):  # type: ignore[attr-defined]
                octet = read(1)
                waits = False
                asked = asked or octet == b"\x04"
                if octet:
                    answer = take(octet[0])
            if answer:
                print(answer)
            if asked and waits:  # once, of however many
                asked = False
                if attend:
                    attend()
            if tick and ticks_diff(ticks_ms(), ticked) >= _TICK_MS:
                ticked = ticks_ms()
                tick()
        except Exception:
            # Memory has run out: of a locked meter that must not be the way out.
            gc.collect()
    if tick:
        tick()
    if runtime:
        runtime.restart()
    raise SystemExit  # in boot.py too this is a soft reset
