"""Counts the flash erases that saving causes: the real store on littlefs on a NOR model.

Runs in MicroPython. Arguments: the folder of the compiled firmware, that of the NOR model, the
flash image of a board, watts, seconds between two calls, days, whether it waits. Prints one JSON
object: erases of each sector, ticks, records.
"""

import json
import sys

import vfs

for folder in sys.argv[1:3]:
    sys.path.insert(0, folder)

from drivers.storage import Storage
from jeton import state as states
from jeton.meter import Meter
from nor import BLOCK, Nor

DAY_S = 86400
NOW = 9260 * DAY_S  # a midnight


class Counted(Storage):
    """The store; it counts its writes."""

    ticks = records = 0

    def save(self, parts):
        """Save and count."""
        super().save(parts)
        self.records += 1

    def save_tick(self, tick):
        """Save and count."""
        super().save_tick(tick)
        self.ticks += 1


def profiles(name, language=None):
    """Return a profile as a board reads it."""
    with open(sys.argv[1] + "/../tree/profiles/%s.%s" % (name, language or "json"), "rb") as file:
        return file.read() if language else json.load(file)


def boot(nor):
    """Start a meter on this flash and return it."""
    vfs.mount(vfs.VfsLfs2(nor), "/m")
    store = Counted("/m/meter/record")
    meter = Meter(store, profiles)
    meter.start()
    return meter, store


def main():
    """Run a meter for the given days, with a start each day; begin with a new meter."""
    with open(sys.argv[3], "rb") as file:
        blocks = []
        while True:
            block = file.read(BLOCK)
            if not block:
                break
            blocks.append(bytearray(block))
    watts, step_s, days, waits = [int(value) for value in sys.argv[4:8]]
    nor = Nor(blocks)
    meter, store = boot(nor)
    config = {"drn": "00000000000", "decoder_key": "87f3ecbb2e46b48f", "credit_wh": 10**9}
    meter.provision(config, NOW)
    meter.set_load(watts, NOW)
    nor.erases = [0] * len(blocks)
    counted = [0, 0]
    now = NOW
    for day in range(days):
        while now < NOW + (day + 1) * DAY_S:
            now += step_s
            meter.process(now)
            if waits and not meter.state.reconnect_at:
                meter.state.reconnect_at = 0xFFFFFFFF
        counted = [counted[0] + store.ticks, counted[1] + store.records]
        vfs.umount("/m")
        meter, store = boot(nor)
    if meter.state.total_wh != watts * days * DAY_S // 3600:
        raise RuntimeError("the energy is wrong")
    found = {"erases": nor.erases, "ticks": counted[0], "records": counted[1]}
    found["tick_bytes"] = states.TICK_BYTES
    print(json.dumps(found))


main()
