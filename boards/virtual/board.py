"""Parts of the virtual board: MicroPython's unix port behind a pseudo-terminal."""

import sys

NAME = "virtual"
DISPLAY = (2, 16)  # rows, columns; a meter's own set-up may say otherwise
STATE_FILE = "/meter.bin"

_save = None
_terminal = None  # as it is while the interpreter has the line


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


def attend(on=True):
    """Tell whoever plays the hardware that a program has the line, and that all is saved.

    It asks by Ctrl-D whether all is. With `on` False the interpreter has the line again.
    """
    global _terminal
    import os
    import termios

    tick()
    if not on:
        termios.tcsetattr(0, termios.TCSANOW, _terminal)
        return
    if _terminal is None:
        _terminal = termios.tcgetattr(0)
        termios.setraw(0)  # no key is a signal
    print(os.getenv("JETON_MARK"), end="")
