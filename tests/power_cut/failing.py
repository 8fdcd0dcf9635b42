"""Saves on a flash whose operations fail once, and saves that an interrupt ends.

Runs in MicroPython. Arguments: the folder of the compiled firmware, that of the NOR model. Prints
one JSON object: the number of failures and of interrupts, and what was wrong.
"""

import json
import sys

import vfs

for folder in sys.argv[1:3]:
    sys.path.insert(0, folder)

from drivers.storage import Storage
from nor import BLOCK, Nor

PATH = "/m/meter/record"
SIZE = 3000


class Failing(Nor):
    """A flash on which one operation fails; after that it works again."""

    fails_in = 0
    failed = False

    def _do(self, block, offset, old, done, garbage):
        self.fails_in -= 1
        if self.fails_in == 0:
            self.failed = True
            return -5
        return super()._do(block, offset, old, done, garbage)


class Stop(Exception):
    """An interrupt, such as Ctrl-C."""


class Parts(list):
    """The parts of a record; an interrupt comes before the part `stop`."""

    stop = 0

    def __iter__(self):
        for i in range(len(self)):
            if i == self.stop:
                raise Stop
            yield self[i]


def parts(value):
    """Return a record in three parts, the bytes of which have this value."""
    return [bytearray(bytes([value]) * 900), bytes([value]) * (SIZE - 1000), bytes([value]) * 100]


def fresh():
    """Return a flash with a store that holds a record of zeros."""
    nor = Failing([bytearray(b"\xff" * BLOCK)] * 32)
    vfs.VfsLfs2.mkfs(nor)
    vfs.mount(vfs.VfsLfs2(nor), "/m")
    store = Storage(PATH)
    for which in (2, 0, 1):
        store.load(which)
    store.save(parts(0))
    store.save_tick(bytes(46))
    return nor, store


def found(nor):
    """Return the first and last byte of record and copy, and that of the tick, after a restart."""
    vfs.umount("/m")
    vfs.mount(vfs.VfsLfs2(Nor(nor.snapshot())), "/m")
    store = Storage(PATH)
    read = [store.load(which) for which in (2, 0, 1)]
    vfs.umount("/m")
    for data in read[1:]:
        if len(data) != SIZE or data != bytes([data[0]]) * SIZE:
            return "a mixed record"
    return [data[0] for data in read]


def main():
    """Let each operation fail once, then interrupt at each part."""
    wrong = []
    failures = interrupts = 0
    failed = True
    while failed:
        failures += 1
        nor, store = fresh()
        nor.fails_in = failures
        reported = []
        for value in (1, 2):
            try:
                store.save(parts(value))
                store.save_tick(bytes([value]) * 46)
            except OSError:
                reported.append(value)
            nor.fails_in = 0
        failed = nor.failed
        if reported not in ([], [1]):
            wrong.append("failure %d: saves %r reported an error" % (failures, reported))
        if found(nor) != [2, 2, 2]:
            wrong.append("failure %d: the next save is not on the flash" % failures)
    for stop in range(3):
        for copy in (False, True):
            interrupts += 1
            nor, store = fresh()
            stopped = Parts(parts(1))
            if copy:
                store._write(0, parts(1))
            stopped.stop = stop
            try:
                if copy:
                    store._write(1, stopped)
                else:
                    store.save(stopped)
                wrong.append("no interrupt")
            except Stop:
                pass
            if not copy and (store.holds(parts(0), 0, 0) or store.holds(parts(1), 0, 0)):
                wrong.append("part %d: a partial record counts as stored" % stop)
            cut = Nor(nor.snapshot())
            store.save(parts(2))
            if not store.holds(parts(2), 0, 0):
                wrong.append("part %d: the next save does not count as stored" % stop)
            if found(nor) != [0, 2, 2]:
                wrong.append("part %d: the next save is not on the flash" % stop)
            vfs.mount(vfs.VfsLfs2(cut), "/m")
            if found(cut) != [0, 1 if copy else 0, 0]:
                wrong.append("part %d: a power cut after the interrupt changed it" % stop)
    print(json.dumps({"failures": failures, "interrupts": interrupts, "wrong": wrong}))


main()
