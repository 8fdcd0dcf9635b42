"""Start the meter after every kind of reset: after a soft reset main.py may not run."""

# Ctrl-C must not end the start of a meter that may be locked.
__import__("micropython").kbd_intr(-1)
# A user's own /board.py must not replace the board's.
__import__("sys").path.insert(0, "/lib")
# Collect often, also during the start: else its objects are spread over the whole heap, which then
# has no contiguous block for an answer.
__import__("gc").threshold(16384)
try:
    # firmware/main.py, under its name on a board, so that a user's own /main.py cannot replace it.
    from jeton_main import meter  # type: ignore[import-not-found]  # noqa: F401
except Exception as error:
    # Unload the modules of the failed start: the check of the lock needs their memory.
    __import__("sys").modules.clear()
    __import__("gc").collect()
    try:
        shut = __import__("drivers.shut").shut
    except MemoryError:
        # It is not known whether the meter is locked: its REPL stays closed.
        __import__("time").sleep(5)
        __import__("machine").reset()
    shut.start(error)
__import__("sys").path.remove("/lib")

__import__("micropython").kbd_intr(3)
