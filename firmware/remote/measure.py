"""Measures the firmware on the board: times in microseconds, heap in bytes, as JSON.

Tokens are entered into a separate meter with its own file: the board's meter is not touched.
"""

import json
import os
import sys
from gc import collect, mem_alloc  # type: ignore[attr-defined]
from time import ticks_diff, ticks_us  # type: ignore[attr-defined]

from .flash import erase
from .spare import Memory, profile


def blocks(block, key, key11):
    """Print the time of a block in each cipher; all arguments are hexadecimal digits."""
    from jeton.sts import ea07, ea11

    data = bytes.fromhex(block)

    def best(function, key):
        found = None
        for _ in range(5):
            collect()
            start = ticks_us()
            for _ in range(20):
                function(key, data)
            took = ticks_diff(ticks_us(), start) / 20
            found = took if found is None else min(found, took)
        return found

    print(
        json.dumps(
            {
                "native": bool(ea07.NATIVE),
                "ea07_us": best(ea07.decrypt, bytes.fromhex(key)),
                "ea11_us": best(ea11.decrypt, bytes.fromhex(key11)),
            }
        )
    )


def tokens(key, codes, display, flash):
    """Print the times of tokens and keys in a meter with this decoder key and display.

    With `flash` its record is saved to flash, else it is in RAM. The time of a key is that of its
    echo; drawing is separate.
    """
    from drivers import startup
    from drivers.storage import Storage
    from jeton.meter import Meter
    from jeton_main import runtime  # type: ignore[import-not-found]

    store = Storage("/bench.bin") if flash else Memory()
    now = 800000000
    entered, keyed, drawn, heaps = [], [], [], []
    try:
        meter = Meter(store, profile)
        meter.start()
        meter.provision({"drn": "00000000000", "decoder_key": key, "display": display}, now)
        startup.release()
        collect()
        heaps.append(mem_alloc())
        for code in codes:
            collect()
            start = ticks_us()
            outcome = meter.enter(code, now)
            meter.display(now)
            entered.append(ticks_diff(ticks_us(), start))
            collect()
            heaps.append(mem_alloc())
            if outcome.result != 1:
                raise ValueError("the token was refused")
            now += 60
        for pressed in "5*" * 5:
            collect()
            lock = runtime.lock if runtime else None
            if lock:
                lock.acquire()
            try:
                start = ticks_us()
                meter.press(pressed, now)
                lines = meter.display(now)
                echoed = ticks_us()
                if runtime and "display" in runtime.parts:
                    while runtime.parts["display"].show(lines):
                        pass
                keyed.append(ticks_diff(echoed, start))
                drawn.append(ticks_diff(ticks_us(), echoed))
            finally:
                if lock:
                    runtime.lines = []
                    runtime.fresh = True
                    lock.release()
    finally:
        erase("bench.bin")
    print(
        json.dumps(
            {
                "token_us": entered,
                "key_us": keyed,
                "draw_us": drawn,
                "token_heap": heaps[1] - heaps[0],
            }
        )
    )


def sizes():
    """Print the sizes of the firmware's modules, by their names in /fw."""
    found = {}
    folders = ["/fw"]
    while folders:
        folder = folders.pop()
        for name, kind, _, size in os.ilistdir(folder):  # type: ignore[attr-defined]
            path = folder + "/" + name
            if kind & 0x4000:
                folders.append(path)
            else:
                found[path[4:]] = size
    print(json.dumps(found))


def models(path, values):
    """Print the heap used by the pins of a virtual board: the pins of a chip use none.

    `path` is the folder of the modules, `values` are the pins' numbers. Of the names here only
    `used` and `before` are new to MicroPython: more new names could make its name table grow
    between the measurements.
    """
    sys.path[:] = [path]
    import board  # noqa: F401

    def used():
        collect()
        collect()
        return mem_alloc()

    before = used()
    import machine

    items = [machine.Pin(value) for value in values]  # noqa: F841
    print(used() - before)


def files(path, program):
    """Print the heap used by the files of a virtual board with a timer thread.

    `path` is the folder of the modules, `program` the path of boards/virtual/modelled/files.py. As
    in `models`, no name here is new to MicroPython except `used` and `before`.
    """
    sys.path[:] = [path]

    def used():
        collect()
        collect()
        return mem_alloc()

    before = used()
    items = {}  # type: ignore[var-annotated]
    with open(program) as file:
        exec(file.read(), items)  # noqa: S102
    del file
    items = items["Files"](None), items["_File"](None)  # type: ignore[assignment]
    print(used() - before)


def imports(lib, modules):
    """Print the time of the imports of a start."""
    sys.path.insert(0, lib)
    start = ticks_us()
    for module in modules:
        __import__(module)
    print(ticks_diff(ticks_us(), start))
