"""Handles a failed start: the REPL of a locked meter stays closed."""

import gc
from time import sleep

import machine
import micropython
from micropython import const

import board

_WAIT_S = const(5)


def start(error):
    """Raise the error that ended the start; if a meter is locked, restart the board instead."""
    gc.collect()
    for path in (board.STATE_FILE, board.STATE_FILE + ".d/copy"):
        if locked(path):
            print("jeton: the locked meter cannot start: %r" % error)
            sleep(_WAIT_S)
            machine.reset()
    micropython.kbd_intr(3)
    raise error


def locked(path):
    """Return whether the meter of a record is locked; true if there is no memory to read it."""
    try:
        from jeton import state as states

        with open(path, "rb") as file:
            head = file.read(6)
            older = states.ZONE_BYTES if head[4:] == b"\3\0" else 0
            file.seek(states.SIZE - states.LOCK_BYTES - older)
            known = head[:4] == states.MAGIC and (older or head[4:] == bytes((states.VERSION, 0)))
            return bool(known) and any(file.read(states.LOCK_BYTES))
    except MemoryError:
        return True
    except (OSError, ImportError):
        return False
