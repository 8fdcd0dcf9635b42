"""Modules needed only during start-up or for a rare verb: unloaded after it, to free heap."""

import sys

# They take 9 KB of a small heap: modules that read a record, set up a meter or end a power cut,
# that construct the parts of a board and probe its buses, and its wiring. Call `release`
# after any code that may import one of them: the start (main.py), the retry of a part and a verb
# (runtime.py). A later import loads them again.
ONCE = (
    "jeton.starting",
    "jeton.reading",
    "jeton.migration",
    "jeton.outage",
    "jeton.setup",
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
