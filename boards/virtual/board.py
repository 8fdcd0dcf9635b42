"""Parts of the virtual board: MicroPython's unix port behind a pseudo-terminal."""

import sys

NAME = "virtual"
DISPLAY = (2, 16)  # rows, columns; the set-up of a meter may differ
STATE_FILE = "/meter/record"

_save = None
_attending = False


def keep(save):
    """Call `save` while the board waits at its prompt, and when its interpreter ends."""
    global _save
    _save = save
    sys.atexit(tick)  # type: ignore[attr-defined]


def tick():
    """Save, as a board's timer does; the host program calls this every few seconds."""
    if _save is not None:
        try:
            _save()
        except Exception:  # noqa: S110
            pass  # a full or damaged flash: the status of the meter reports it


def attend():
    """Save, then report to the host program that boot.py now reads the line.

    The host program sends Ctrl-D to request this report.
    """
    global _attending
    import os
    import termios

    if not _attending:
        _attending = True
        # Raw mode: no key is a signal; input received before is lost.
        termios.setraw(0)  # type: ignore[attr-defined]
    tick()
    print(os.getenv("JETON_MARK"), end="")
