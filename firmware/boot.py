"""Start the meter wherever a reset starts MicroPython: after a soft reset main.py may not run."""

from main import meter  # noqa: F401
