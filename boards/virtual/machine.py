"""Adds to the interpreter's `machine` what a board's has and it lacks: a hard reset."""

import sys

_path = sys.path[:]
sys.path.clear()  # so that the interpreter's module is found, not this one again
try:
    from machine import *  # noqa: F403
finally:
    sys.path.extend(_path)


def reset():
    """Reset the board as its button does: save, then kill the interpreter."""
    import os

    import board

    board.tick()
    os.system("kill -KILL $PPID")  # noqa: S605, S607
