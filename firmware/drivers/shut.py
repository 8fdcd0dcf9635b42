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
    folder, _, name = board.STATE_FILE.rpartition("/")
    # Older firmware kept the record of /meter/record in /meter.bin: it may not have been moved.
    places = folder + ".copy/" + name, folder + ".new/" + name, folder + ".bin"
    for path in (board.STATE_FILE, folder + ".bin.d/copy") + places:
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
            file.seek(states.SIZE_3 - states.LOCK_BYTES)
            return (
                head[:4] == states.MAGIC
                and head[4] in (3, states.VERSION)
                and any(file.read(states.LOCK_BYTES))
            )
    except MemoryError:
        return True
    except (OSError, ImportError):
        return False
