"""Modules needed only during start-up: unloaded after it, to free heap."""

import sys

# They take 3.6 KB of a small heap: modules that read a record, that construct the parts of a board
# and probe its buses, and the wiring of the board. Call `release` after any code that may import
# one of them: the start (main.py) and the retry of a part (runtime.py). A later import loads them
# again.
ONCE = (
    "jeton.reading",
    "jeton.migration",
    "drivers.storage_start",
    "drivers.parts",
    "drivers.probe_start",
    "drivers.ili9341_start",
    "drivers.lcd_start",
    "wiring",
)


def release():
    """Unload these modules if they are loaded; no other object may keep a reference to one.

    Close the archive of modules too, which stays open during a start.
    """
    for name in ONCE:
        if name in sys.modules:
            package, dot, part = name.partition(".")
            if dot:
                delattr(sys.modules[package], part)
            del sys.modules[name]
    if "jeton_pack" in sys.modules:
        sys.modules["jeton_pack"].done()
