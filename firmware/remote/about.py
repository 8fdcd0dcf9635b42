"""Prints what runs on a board and what it stores, as one line of JSON, with or without a meter."""

import gc
import json
import os
import sys


def facts():
    """Print the interpreter, the meter's files, the firmware's files and the free flash."""
    about = sys.implementation
    gc.collect()
    store = []
    names = os.listdir("/")
    for folder in ("meter", "meter.copy", "meter.new"):
        if folder in names:
            names += [folder + "/" + name for name in os.listdir("/" + folder)]
    for name in names:
        # Older firmware kept the store in the root folder.
        if name.startswith("meter.bin") or (name.startswith("meter") and "/" in name):
            if not os.stat("/" + name)[0] & 0x4000 or os.listdir("/" + name):
                store.append(name)
    disk = None
    try:
        from esp32 import Partition  # type: ignore[import-not-found]

        for label in ("vfs", "ffat"):
            for part in Partition.find(Partition.TYPE_DATA, label=label):
                disk = part.info()[2:4]
    except ImportError:
        pass
    lines = []
    try:
        with open("/firmware.id") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeError):
        pass  # there is no such file, or a damaged one
    size = os.statvfs("/")
    found = {
        "name": about.name,
        "version": list(about.version[:3]),
        "mpy": getattr(about, "_mpy", 0),
        "machine": getattr(about, "_machine", ""),
        "platform": sys.platform,
        "store": store,
        "firmware": lines,
        "disk": disk,
        # littlefs counts some blocks twice: the number of free blocks can wrap and be very large.
        "free": size[0] * size[3] if size[3] <= size[2] else 0,
        "modelled": bool(getattr(os, "getenv", lambda name: None)("JETON_BENCH")),
    }
    print(json.dumps(found))


def setup():
    """Print the board's name, the parts it was flashed without, and the levels of its outputs."""
    name, without = None, ()
    active: dict = {}
    try:
        import board
        import wiring  # type: ignore[import-not-found]

        name = board.NAME
        without = getattr(wiring, "WITHOUT", ())
        active = getattr(wiring, "ACTIVE", {})
    except Exception:  # noqa: S110
        pass  # there is no firmware, or a damaged one
    sys.modules.pop("wiring", None)
    print(json.dumps({"board": name, "without": without, "active": active}))


def interpreter():
    """Print a list: version, _mpy, whether littlefs is there, whether SIGUSR2 interrupts."""
    try:
        from vfs import VfsLfs2  # noqa: F401

        lfs = True
    except ImportError:
        lfs = False
    try:
        from os import getenv

        gentle = getenv("JETON_GENTLE") == "1"
    except ImportError:
        gentle = False
    about = sys.implementation
    print(json.dumps([list(about.version[:3]), getattr(about, "_mpy", 0), lfs, gentle]))


def mac():
    """Print the MAC address as hexadecimal digits."""
    import machine

    print("".join(["%02x" % byte for byte in machine.unique_id()]))
