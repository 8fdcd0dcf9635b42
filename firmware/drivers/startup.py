"""Modules that only a start needs: unloaded after it, to free heap."""

import sys

# 3.6 KB of a small heap: what reads a record, what makes a board's parts and looks for them on
# their buses, and the board's wiring. `release` follows whatever may have loaded one of them: a
# start (main.py), and a part that is tried again (runtime.py). An import loads them again.
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
    """Unload what is loaded of these modules; nobody may keep a reference to one."""
    for name in ONCE:
        if name in sys.modules:
            package, dot, part = name.partition(".")
            if dot:
                delattr(sys.modules[package], part)
            del sys.modules[name]
