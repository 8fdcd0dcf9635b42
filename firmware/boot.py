"""Start the meter wherever a reset starts MicroPython: after a soft reset main.py may not run."""

# Ctrl-C must not end the start of a meter that may be locked.
__import__("micropython").kbd_intr(-1)
# A user's own /board.py must not hide the board's.
__import__("sys").path.insert(0, "/lib")
try:
    # firmware/main.py, by the name it has on a board, where a user's own /main.py cannot hide it.
    from jeton_main import meter  # type: ignore[import-not-found]  # noqa: F401
except Exception as error:
    __import__("drivers.shut").shut.start(error)
__import__("sys").path.remove("/lib")

__import__("micropython").kbd_intr(3)
