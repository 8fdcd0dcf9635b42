"""Tests that an action whose save fails leaves all attributes of the meter unchanged."""

import gc
from binascii import crc32

from both_support import (
    KEY,
    NEW,
    T0,
    configuration,
    credit,
    key_change,
    new_meter,
    profiles,
    token,
)
from jeton import commit
from jeton.meter import Meter

# Attributes that a rollback does not restore: the ports; buffers that each save fills again; the
# note that a save is due, and its error; the snapshot itself.
LASTS = ("_storage", "_profiles", "_record", "_tick", "_unsaved", "store_error", "_before")
# Rings are written before their counts; the rollback restores only the counts (events.SPARE).
RINGS = ("events", "reports", "history")
SECTIONS = key_change(three=True)
AHEAD_S = 3 * 3600


class Fails(BaseException):
    """An exception that no code on the way handles, like MemoryError or Ctrl-C."""


def comparable(value):
    """Return a copy of a value that can be compared later."""
    if isinstance(value, (bytes, bytearray)):
        return crc32(value)  # a small heap cannot hold a second copy
    if isinstance(value, dict):
        return sorted([(name, repr(value[name])) for name in value])
    if isinstance(value, (list, tuple)):
        return [comparable(one) for one in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return id(value)


def attributes(meter):
    """Return owner -> attribute -> value, for the meter and all objects in it."""
    owners = {"": meter}
    for name in meter.__dict__:
        part = meter.__dict__[name]
        if hasattr(part, "__dict__") and name not in LASTS + ("profile",) and not callable(part):
            owners[name] = part
    found = {}
    for owner in owners:
        found[owner] = values = {}
        for name in owners[owner].__dict__:
            if (owner or name not in LASTS) and not (owner == "state" and name in RINGS):
                # A rollback replaces the record by a copy, and restores the same other objects.
                value = owners[owner].__dict__[name]
                values[name] = comparable(value) if owner or name != "state" else None
    # The lock-out must use the meter's record.
    if meter.lockout:
        found["lockout"]["state"] = meter.lockout.state is meter.state
    return found


def differences(before, after):
    """Return (owner, attribute) of each change; ("lockout", "state") if it lost the record."""
    found = []
    for owner in set(before) | set(after):
        was, now = before.get(owner, {}), after.get(owner, {})
        for name in set(was) | set(now):
            if name not in was or name not in now or was[name] != now[name]:
                found.append((owner, name))
    if not before.get("lockout", {}).get("state", True):
        found.append(("lockout", "state"))  # an earlier rollback separated the two
    return found


def busy(**config):
    """Return (meter, store) of a meter with a value in each of its attributes."""
    changes = {
        "credit.advance_share": 50,
        "credit.emergency_wh": 500,
        "key_change.window_s": 7200,
        "key_change.ordered": False,
        "supply.limit_delay_s": 10,
        "supply.reconnect_s": 60,
        "lockout.after": 5,
    }
    meter, store = new_meter(changes=changes, credit_wh=2500, kct=3, **config)
    meter.enter(token(2, 0, {"rnd": 1, "tid": 2000, "mpl": 900}), T0)
    meter.set_load_steps([[i * 600, 500 + 70 * i] for i in range(2)], T0, None, 1200)
    for section in SECTIONS[:2]:
        meter.enter(section, T0)
    meter.process(T0 + 60)
    meter.save(T0 + 60)
    return meter, store


def broken():
    """Return (meter, store) of a meter whose record is damaged."""
    store = new_meter()[1]
    store.record = store.record[:-1]
    gc.collect()
    meter = Meter(store, profiles)
    meter.start()
    assert meter.fault
    return meter, store


NOW = T0 + 60
ACTIONS = {
    "credit": lambda meter: meter.enter(credit(3000), NOW),
    "wrong token": lambda meter: meter.enter(credit(3000, key=NEW), NOW),
    "key change": lambda meter: meter.enter(SECTIONS[2], NOW),
    "limit": lambda meter: meter.enter(token(2, 0, {"rnd": 1, "tid": 4000, "mpl": 1}), NOW),
    "clear credit": lambda meter: meter.enter(
        token(2, 1, {"rnd": 1, "tid": 4000, "register": 0}), NOW
    ),
    "load": lambda meter: meter.set_load(20_000, NOW),
    "steps": lambda meter: meter.set_load_steps([[0, 300], [60, 400]], NOW),
    "energy": lambda meter: meter.use_energy(700, NOW),
    "all the energy": lambda meter: meter.use_energy(5000, NOW),
    "grant": lambda meter: meter.grant(700, NOW),
    "language": lambda meter: meter.set_language("fr", NOW),
    "tamper": lambda meter: meter.set_tamper(True, NOW),
    "clock": lambda meter: meter.clock_set(NOW, NOW + 5000),
    "clock back": lambda meter: meter.clock_set(NOW, NOW - 86400),
    "provision": lambda meter: meter.provision(configuration(KEY, tid0=7, credit_wh=9), NOW + 9),
    "time": lambda meter: meter.process(NOW + AHEAD_S),
}


def not_restored(action, make=busy):
    """Make an action fail in each of its saves; return the attributes that are not restored."""
    found = []
    for fails_at in range(9):
        gc.collect()  # a small heap holds only one meter
        wrong = not_restored_at(fails_at, action, make)
        if wrong is None:
            assert fails_at, "nothing was saved"
            return found
        found += wrong
    raise AssertionError("the action never stops saving")


def not_restored_at(fails_at, action, make):
    """Make an action fail in save number `fails_at`; return None if it has fewer saves."""
    meter, store = make()
    before = attributes(meter)
    holds, calls = store.holds, [0]

    def failing(*arguments):
        calls[0] += 1
        if calls[0] > fails_at:
            raise Fails
        return holds(*arguments)

    store.holds = failing
    try:
        action(meter)
    except Fails:
        if meter._before:  # the next action rolls back a failed advance of time
            commit.undo(meter)
        return differences(before, attributes(meter))
    return None


def test_a_failed_action_changes_no_attribute():
    for name in ACTIONS:
        assert not_restored(ACTIONS[name]) == [], name


def test_a_failed_provisioning_keeps_the_fault():
    assert not_restored(ACTIONS["provision"], broken) == []


def test_each_action_changes_an_attribute():
    for name in ACTIONS:
        gc.collect()
        meter, _ = busy()
        before = attributes(meter)
        ACTIONS[name](meter)
        assert attributes(meter) != before, name
