"""Reads the state of an interpreter's process from /proc: whether it works, waits or is stuck."""

import os
import re
import signal

IDLE_LIMIT = 2.0  # seconds without activity after which the watchdog resets the interpreter
SILENCE_LIMIT = 4.0  # the same on a system without /proc: seconds without output
SAMPLE = 0.5  # seconds between two checks of the watchdog


def catches_interrupt(pid: int) -> bool | None:
    """Return whether a process handles SIGINT, None if the system does not show it."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            caught = re.search(rb"^SigCgt:\s*([0-9a-f]+)", file.read(), re.MULTILINE)
    except OSError:
        return None
    return bool(int(caught[1], 16) >> (signal.SIGINT - 1) & 1) if caught else None


PROC = os.path.exists("/proc/self/status")


def processor_ticks(pid: int) -> bytes | None:
    """Return the context switches of a sleeping process, None if it does not sleep.

    Equal values mean that it was not active in between. On a system without /proc the value is
    always the same.
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
    """Return whether a sleeping process waits for a lock, None if the system does not show it."""
    try:
        with open(f"/proc/{pid}/wchan", "rb") as file:
            where = file.read()
    except OSError:
        return None
    return b"futex" in where if where not in (b"", b"0") else None
