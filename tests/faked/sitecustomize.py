"""A `time.sleep` that works under libfaketime; `tests.dates` puts this folder on PYTHONPATH.

CPython 3.11 and later sleep with clock_nanosleep until a moment of the monotonic clock, which is
not faked. The version in libfaketime 0.9.10 takes it as a moment of the faked clock: the call
fails with EINVAL, or sleeps for years.
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
