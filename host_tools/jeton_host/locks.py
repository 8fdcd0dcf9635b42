"""Locks on open files, for mutual exclusion between processes; this module knows no meter.

A lock belongs to the open file, not to a process or a thread. A process that inherits the file
descriptor holds the lock too. The lock is released when the last such process closes the file or
ends, even by `kill -9`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from jeton_host.errors import BoardError

# filelock is imported where it is used: `jeton --help` takes no lock.
_RETRY_S = 0.01


def take(file: IO[Any], within_s: float = 0) -> bool:
    """Lock an open file; return False if another process still holds it after `within_s` seconds.

    BoardError if the file system does not support locks.
    """
    from filelock import lock_descriptor

    deadline = time.monotonic() + within_s
    try:
        while not lock_descriptor(file.fileno(), blocking=False):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_RETRY_S)
    except OSError as error:
        raise BoardError(f"{file.name} cannot be locked: {error.strerror}") from None
    return True


def is_free(file: IO[Any]) -> bool:
    """Return whether no process has locked an open file.

    The test locks the file and releases it at once.
    """
    from filelock import unlock_descriptor

    if not take(file):
        return False
    unlock_descriptor(file.fileno())
    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file during a `with` block, so that one process at a time runs it.

    Waits until the lock is free. The file is created if needed and is not removed afterwards.
    """
    from filelock import lock_descriptor

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        lock_descriptor(file.fileno(), poll_interval=_RETRY_S)
        yield
