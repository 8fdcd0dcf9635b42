"""The load behind the switch as data: steps in time, once or repeated.

A step is (seconds from the beginning, W). This module is imported only if the meter has such a
load.
"""

import struct

from .values import shown, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter
    from .state import State

STEPS = 256
_STEP = "<II"
_BYTES = 8
_LONGEST_S = 100 * 366 * 86400


def packed(steps, repeat_s, before=b""):
    """Return checked steps as bytes, appended to `before`; raise ValueError with one line."""
    if not isinstance(steps, list) or not steps:
        raise ValueError("a load is a list of steps: [[seconds, watts], …]")
    first = len(before) // _BYTES
    if first + len(steps) > STEPS:
        raise ValueError("a load has at most %d steps, this has %d" % (STEPS, first + len(steps)))
    data = bytearray(len(before) + _BYTES * len(steps))
    data[: len(before)] = before
    last = struct.unpack_from(_STEP, before, len(before) - _BYTES)[0] if first else -1
    for i, step in enumerate(steps):
        if not isinstance(step, list) or len(step) != 2:
            raise ValueError("a step is [seconds, watts], not %s" % shown(step))
        whole("the seconds of a step", step[0], 0, _LONGEST_S)
        whole("the load of a step", step[1], 0, 0xFFFFFFFF)
        if step[0] <= last:
            raise ValueError("steps go forward in time: %d s comes after %d s" % (step[0], last))
        last = step[0]
        struct.pack_into(_STEP, data, _BYTES * (first + i), step[0], step[1])
    if repeat_s and repeat_s <= last:
        raise ValueError("a load that repeats each %d s has no step at %d s" % (repeat_s, last))
    return data


def connect(meter: "Meter", load, now):
    """Connect the load that `Console.load_profile` describes; ValueError if it is not valid."""
    if isinstance(load, list):
        load = {"steps": load}
    if not isinstance(load, dict):
        raise ValueError("a load is a list of steps, or has steps, repeat_s, at and more")
    for name in load:
        if name not in ("steps", "repeat_s", "at", "more"):
            raise ValueError("a load has no %s" % name)
    start = load.get("at")
    if start is not None:
        whole("at", start, 0, 0xFFFFFFFF)
    repeat_s = whole("repeat_s", load.get("repeat_s", 0), 0, _LONGEST_S)
    meter.set_load_steps(load.get("steps"), now, start, repeat_s, bool(load.get("more")))


def connect_phases(meter: "Meter", watts, now):
    """Connect one load to each of three phases, [W, W, W]."""
    if not isinstance(watts, list) or len(watts) != 3:
        raise ValueError("phases are three loads: [W, W, W]")
    for load in watts:
        whole("the load of a phase", load, 0, 0x3FFFFFFF)
    meter.set_load(sum(watts), now, max(watts) - min(watts))


class Load:
    """The load steps of a record and the meter's position in them; `next` is the next change."""

    def __init__(self, state: "State", now):
        """Find the position at `now`; steps in the past are skipped."""
        self._steps = state.load_steps
        self._count = len(self._steps) // _BYTES
        self._repeat_s = state.load_repeat_s
        base = state.load_from
        if self._repeat_s and now >= base:
            base += (now - base) // self._repeat_s * self._repeat_s
        i = 0
        while i < self._count and base + self._at(i) <= now:
            i += 1
        self._go(i, base)

    def _at(self, i):
        return struct.unpack_from(_STEP, self._steps, _BYTES * i)[0]

    def _go(self, i, base):
        if i == self._count and self._repeat_s:
            i = 0
            base += self._repeat_s
        self.next = base + self._at(i) if i < self._count else None
        self.place = (i, base, self.next)

    def watts(self):
        """Return the watts of the current step, None before the first."""
        i = self.place[0] - 1
        if i < 0:
            if not self._repeat_s:
                return None
            i = self._count - 1
        return struct.unpack_from(_STEP, self._steps, _BYTES * i)[1]

    def step(self):
        """Go to the next step and return its watts."""
        i, base, _ = self.place
        self._go(i + 1, base)
        return struct.unpack_from(_STEP, self._steps, _BYTES * i)[1]
