"""Locks on open files, by which processes keep out of each other's way; it knows no meter.

A lock belongs to the open file, not to a process or thread: whoever inherits the descriptor holds
it too, and it is released when the last of them closes it or dies, by kill -9 too.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from jeton_host.errors import BoardError

# filelock is imported where it is used: `jeton --help` takes no lock.
_AGAIN_S = 0.01


def take(file: IO[Any], within_s: float = 0) -> bool:
    """Lock an open file; return False where another holds it for longer than `within_s` seconds.

    BoardError where the file system cannot lock.
    """
    from filelock import lock_descriptor

    deadline = time.monotonic() + within_s
    try:
        while not lock_descriptor(file.fileno(), blocking=False):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_AGAIN_S)
    except OSError as error:
        raise BoardError(f"{file.name} cannot be locked: {error.strerror}") from None
    return True


def is_free(file: IO[Any]) -> bool:
    """Return whether nobody holds an open file, by a lock that is released at once."""
    from filelock import unlock_descriptor

    if not take(file):
        return False
    unlock_descriptor(file.fileno())
    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process at a time do something: wait for the lock of a file, which stays there."""
    from filelock import lock_descriptor

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        lock_descriptor(file.fileno(), poll_interval=_AGAIN_S)
        yield
