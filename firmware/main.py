"""Constructs the meter of a board from board, storage, profiles and clock; runs at every reset.

It leaves `meter`, the console, for the REPL and for clients. `boot.py` imports this module,
because only boot.py runs after every kind of reset. For a locked meter this does not return before
it is unlocked.
"""

import gc
import json
import sys

import board
from drivers import rtc, startup
from drivers.clock import Clock
from drivers.storage import Storage
from jeton.console import Console
from jeton.meter import Meter


def _profile(name, language=None):
    """Return a profile's settings or, with a language, its messages."""
    try:
        with open("/profiles/%s.%s" % (name, language or "json"), "rb") as file:
            return file.read() if language else json.load(file)
    except OSError:
        raise ValueError("no profile %s on this board" % name)


def _about():
    gc.collect()
    implementation = sys.implementation
    version = ".".join([str(part) for part in implementation.version[:3]])
    return {
        "board": board.NAME,
        "interpreter": "MicroPython %s" % version,
        "mem_free": gc.mem_free(),  # type: ignore[attr-defined]
        "mem_used": gc.mem_alloc(),  # type: ignore[attr-defined]
        "faults": runtime.faults if runtime else {},
        "bench": runtime.seen() if runtime else None,
    }


def _follow(was, now):
    """Set the meter's clock to that of the RTC, which a client has set."""
    if core.state.provisioned and not core.fault:
        core.clock_set(was, now)


def _line():
    from drivers import locked_line

    return locked_line


core = Meter(Storage(board.STATE_FILE), _profile)
clock = Clock(rtc=rtc)
clock.set(core.start(rtc.read()))
clock.follow = _follow
meter = _console = Console(core, clock, _about, _line, board.DISPLAY)
runtime = None
if hasattr(board, "CHIP"):
    from drivers.runtime import Guarded, Runtime

    runtime = Runtime(core, clock)
    meter = Guarded(_console, runtime)  # type: ignore[assignment]
    for _name in runtime.faults:
        print("jeton: %s: %s" % (_name, runtime.faults[_name]))
if hasattr(board, "keep"):
    board.keep(meter.save)
startup.release()
gc.collect()
_locked = any(core.state.lock)
if runtime:
    runtime.start(_locked)
if _locked:
    _line().serve(_console, core, runtime)
