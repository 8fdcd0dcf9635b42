"""Looks at an interpreter's process from outside: whether it works, waits or is dead."""

import os
import re
import signal

STILL = 2.0  # seconds without a stir before the watchdog bites
STILL_UNTOLD = 4.0  # the same where the system does not tell: seconds without a word
SAMPLE = 0.5  # seconds from one look of the watchdog to the next


def catches_interrupt(pid: int) -> bool | None:
    """Return whether a process handles SIGINT, None where the system does not tell."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            caught = re.search(rb"^SigCgt:\s*([0-9a-f]+)", file.read(), re.MULTILINE)
    except OSError:
        return None
    return bool(int(caught[1], 16) >> (signal.SIGINT - 1) & 1) if caught else None


PROC = os.path.exists("/proc/self/status")


def processor_ticks(pid: int) -> bytes | None:
    """Return what stays as it is while a process sleeps without a stir; None while it does not.

    Where the system does not tell that is always the same.
    """
    if not PROC:
        return b""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            status = file.read()
    except OSError:
        return None  # it has just ended
    if not re.search(rb"^State:\s*S", status, re.MULTILINE):
        return None
    return b" ".join(re.findall(rb"_ctxt_switches:\s*([0-9]+)", status))


def awaits_lock(pid: int) -> bool | None:
    """Return whether a process that sleeps waits for a lock, None where the system is silent."""
    try:
        with open(f"/proc/{pid}/wchan", "rb") as file:
            where = file.read()
    except OSError:
        return None
    return b"futex" in where if where not in (b"", b"0") else None
