"""What a board's `machine` has and the interpreter's own lacks: a hard reset."""

import sys

_path = sys.path[:]
sys.path.clear()  # so that the interpreter's module is found, and not this one again
try:
    from machine import *  # noqa: F403
finally:
    sys.path.extend(_path)


def reset():
    """Reset the board as its button does: nothing is closed, the meter works until then."""
    import os

    import board

    board.tick()
    os.system("kill -KILL $PPID")  # noqa: S605, S607
