"""What Python needs under libfaketime: `tests.dates` puts this on the path of all it starts.

Its clock_nanosleep, by which CPython sleeps since 3.11, takes a moment of a clock that is not
faked for one of the faked clock (libfaketime 0.9.10): EINVAL, or a sleep of years.
"""

import select
import time


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        select.select([], [], [], left)


time.sleep = _sleep
