"""Tests of the console when memory runs out, and of the parts of a record in a commit."""

import json

from both_support import T0, again, new_meter
from jeton.console import Console
from jeton.load import STEPS


class Clock:
    rate = 1

    def now(self):
        return T0

    def advance(self, seconds):
        pass


def test_after_a_memory_error_only_repeatable_verbs_are_retried():
    meter, _ = new_meter(credit_wh=5000)
    console = Console(meter, Clock(), dict)
    left = []

    def failing(name):
        whole = getattr(meter, name)

        def part(*arguments):
            if left:
                left.pop()
                raise MemoryError("memory allocation failed")
            return whole(*arguments)

        setattr(meter, name, part)

    for name in ("set_load", "events", "use_energy", "display"):
        failing(name)
    for line, retried in (
        ('["load", 500]', True),
        ('["events"]', True),
        ('["consume", 5]', False),
        ('["press", "12"]', False),
    ):
        left.append(1)
        answer = json.loads(console.rpc(line))
        assert ("ok" in answer) == retried, line
        left.append(1)
        left.append(1)
        assert "memory" in json.loads(console.rpc(line))["error"], line
        left.clear()
    assert meter.state.load_w == 500
    assert meter.state.total_wh == 0
    assert meter.entry.digits == "1212"  # each request once


def test_events_can_be_read_in_parts():
    meter, _ = new_meter()
    console = Console(meter, Clock(), dict)
    for _ in range(30):
        meter.enter("123", T0)
    every = console.events()
    found = []
    while True:
        part = console.events(found[-1]["seq"] if found else 0, 7)
        if not part:
            break
        assert len(part) <= 7
        found += part
    assert found == every


def test_a_commit_does_not_copy_the_parts_of_the_record():
    meter, store = new_meter()
    kept = []
    save = store.save

    def saving(parts):
        kept.append(parts[:-1])
        save(parts)

    store.save = saving
    meter.set_load_steps([[i, i] for i in range(STEPS)], T0)
    meter.set_load(5, T0)
    assert len(kept[0]) == 4
    for i in range(4):
        assert kept[0][i] is kept[1][i]
    meter.set_load_steps([[i, 7 * i] for i in range(STEPS)], T0)
    assert again(store).state.load_steps == meter.state.load_steps
