"""Start the meter wherever a reset starts MicroPython: after a soft reset main.py may not run."""

# firmware/main.py, by the name it has on a board, where a user's own /main.py cannot hide it.
from jeton_main import meter  # type: ignore[import-not-found]  # noqa: F401
