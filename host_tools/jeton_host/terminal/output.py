"""Standard output and error that may break without stopping what a command does to a meter.

The reader of a pipe ends, a disk is full, a terminal closes: then the rest of the output is
discarded, the command completes its work, and the error is reported at the end.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class Output:
    """A stream; a write never raises OSError, `error` keeps the first one."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write text."""
        try:
            return self.stream.write(text)
        except OSError as error:
            self._break(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self.stream.flush()
        except OSError as error:
            self._break(error)

    def _break(self, error: OSError) -> None:
        self.error = self.error or error
        discard(self.stream)


def discard(stream: TextIO) -> None:
    """Discard the buffered and all later output of a stream; no error is reported at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


@contextlib.contextmanager
def used() -> Iterator[Output]:
    """Replace standard output and error by an `Output`; give that of standard output."""
    before = sys.stdout, sys.stderr
    output, errors = Output(sys.stdout), Output(sys.stderr)
    sys.stdout, sys.stderr = output, errors
    try:
        yield output
    finally:
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def without_hangup() -> Iterator[None]:
    """Ignore that the terminal closes, until the work is done."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
