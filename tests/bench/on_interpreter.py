"""Measures the firmware inside MicroPython.

Argument: the folder of the compiled firmware. Standard input: credit tokens for this meter, one
a line.

Prints one JSON object: microseconds for each measurement, the best of several rounds.
"""

import gc
import json
import sys
import time

sys.path.insert(0, sys.argv[1])

from jeton.meter import Meter
from jeton.sts import ea07, ea11

gc.threshold(16384)  # as firmware/main.py does

KEY = bytes.fromhex("87f3ecbb2e46b48f")
KEY11 = bytes.fromhex("929bd3a415c9420a05ec5ee9f3ce91c3")
BLOCK = bytes.fromhex("d431f4b09e0e9f62")


class Store:
    """A store in memory: the flash is measured elsewhere (on_flash.py)."""

    data = None

    def load(self, which):
        """Return None: there is no record."""

    def set_aside(self):
        """Do nothing: no record here is damaged."""

    def holds(self, parts, start, end):
        """Return False: every save writes the whole record."""
        return False

    def save(self, parts):
        """Keep the record."""
        self.data = b"".join(parts)


def best(function, count, rounds=7):
    """Return the microseconds of one call, in the best of `rounds` rounds of `count` calls."""
    found = None
    for _ in range(rounds):
        gc.collect()
        start = time.ticks_us()
        for _ in range(count):
            function()
        took = time.ticks_diff(time.ticks_us(), start) / count
        found = took if found is None else min(found, took)
    return found


def profiles(name, language=None):
    """Return a profile as a board reads it."""
    with open(sys.argv[1] + "/../tree/profiles/%s.%s" % (name, language or "json"), "rb") as file:
        return file.read() if language else json.load(file)


expanded = ea11.schedule(KEY11)
meter = Meter(Store(), profiles)
meter.start()
meter.provision({"drn": "00000000000", "decoder_key": KEY.hex()}, 800_000_000)
codes = iter([line.strip() for line in sys.stdin])


def enter():
    """Enter a token that must be accepted: a refusal would be faster."""
    if meter.enter(next(codes), 800_000_000).result != 1:
        raise RuntimeError("the benchmark's own token was refused")


def press():
    """Press a digit and read the display; then delete the digit."""
    meter.press("5", 800_000_000)
    meter.display(800_000_000)
    meter.press("*", 800_000_000)
    meter.display(800_000_000)


def year():
    """Return the microseconds of a year with a different load each hour of the week."""
    steps = [[3600 * i, 300 + i * 7919 % 2500] for i in range(168)]
    config = {"drn": "00000000000", "decoder_key": KEY.hex(), "credit_wh": 10**9}
    meter.provision(config, 800_000_000)
    meter.set_load_steps(steps, 800_000_000, None, 168 * 3600)
    start = time.ticks_us()
    meter.process(800_000_000 + 364 * 86400)
    took = time.ticks_diff(time.ticks_us(), start)
    if meter.state.total_wh != 52 * sum([watts for _, watts in steps]):
        raise RuntimeError("the year's energy is wrong")
    return took


print(
    json.dumps(
        {
            "native": ea07.NATIVE,
            "ea07": best(lambda: ea07.decrypt(KEY, BLOCK), 500),
            "ea07_plain": best(lambda: ea07.decrypt_plain(KEY, BLOCK), 50),
            "ea11": best(lambda: ea11.decrypt(KEY11, BLOCK), 500),
            "ea11_expanded": best(lambda: ea11.decrypt_expanded(expanded, BLOCK), 500),
            "ea11_plain": best(lambda: ea11.decrypt_plain(expanded, BLOCK), 50),
            "enter": best(enter, 50),
            "press": best(press, 50) / 2,
            "year": year(),
        }
    )
)
