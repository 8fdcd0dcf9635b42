"""Parts of the virtual board: MicroPython's unix port behind a pseudo-terminal."""

import sys

NAME = "virtual"
DISPLAY = (2, 16)  # rows, columns; a meter's own set-up may say otherwise
STATE_FILE = "/meter.bin"

_save = None
_attends = False


def keep(save):
    """Have `save` called while the board waits at its prompt, and when its interpreter ends."""
    global _save
    _save = save
    sys.atexit(tick)  # type: ignore[attr-defined]


def tick():
    """Do what a board's timer does; whoever plays the hardware calls this every few seconds."""
    if _save is not None:
        try:
            _save()
        except Exception:  # noqa: S110
            pass  # a flash that is full or damaged: the meter tells when it is asked


def attend():
    """Tell whoever plays the hardware that boot.py keeps the line, and that all is saved.

    It asks by Ctrl-D whether all is.
    """
    global _attends
    import os
    import termios

    if not _attends:
        _attends = True
        # No key is a signal; what was typed ahead is lost.
        termios.setraw(0)  # type: ignore[attr-defined]
    tick()
    print(os.getenv("JETON_MARK"), end="")
