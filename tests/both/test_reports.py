"""Tests of reports: faults wait for the utility in order, each once, also over power cuts."""

import json

from both_support import T0, again, new_meter, raises
from drivers.clock import Clock
from jeton import events, reading, reports
from jeton import state as states
from jeton.console import Console

T = 800_000_000


def numbers(state):
    return [report["seq"] for report in reports.pending(state)]


def test_reports_wait_until_they_are_acknowledged():
    state = states.State()
    assert reports.pending(state) == []
    events.record(state, T, events.TRIP, 2, 0, 9000)
    events.record(state, T + 1, events.POWER_UP)
    events.record(state, T + 2, events.TAMPER, value=1)
    expected = [
        {"seq": 1, "time": T, "kind": "trip", "power_w": 9000, "trips": 2},
        {"seq": 2, "time": T + 2, "kind": "tamper", "on": True},
    ]
    assert reports.pending(state) == expected
    # Reading removes nothing: the client may not have received the answer.
    assert reports.pending(state) == expected
    assert reports.acknowledge(state, 1, T) == 1
    assert reports.pending(state) == expected[1:]
    # The answer to an acknowledgement was lost, and the client sends it again later.
    assert reports.acknowledge(state, 1, T) == 1
    assert reports.acknowledge(state, 2, T) == 0
    assert reports.acknowledge(state, 1, T) == 0
    assert reports.pending(state) == []
    assert reports.acknowledge(state, 0, T) == 0


def test_numbers_never_repeat_and_survive_a_power_cut():
    state = states.State()
    for i in range(5):
        events.record(state, T + i, events.UNBALANCE, value=i)
    reports.acknowledge(state, 3, T)
    state = reading.unpack(state.pack())
    assert numbers(state) == [4, 5]
    reports.acknowledge(state, 5, T)
    events.record(state, T + 9, events.LOCKED_OUT, 3, 0, 10)
    assert reports.pending(state) == [
        {"seq": 6, "time": T + 9, "kind": "locked_out", "wrong": 3, "seconds": 10}
    ]


def test_a_full_queue_keeps_the_first_reports_and_counts_the_lost_ones():
    state = states.State()
    slots = events.REPORT_SLOTS
    for i in range(slots + 7):
        events.record(state, T + i, events.TRIP, 1, 0, i)
    assert numbers(state) == list(range(1, slots + 1))
    assert [r["power_w"] for r in reports.pending(state)] == list(range(slots))
    seen = reports.pending(state)
    reports.acknowledge(state, 2, T + 100)
    # Lost reports have no number but are counted; reports already read do not change.
    assert reports.pending(state)[:-1] == seen[2:]
    assert reports.pending(state)[-1] == {
        "seq": slots + 1,
        "time": T + 100,
        "kind": "lost",
        "count": 7,
    }
    reports.acknowledge(state, 2, T + 200)
    assert len(reports.pending(state)) == slots - 1


def test_each_report_reaches_a_reader_once_despite_failures():
    """The reader loses the line before or after its acknowledgement, and the meter restarts."""
    state = states.State()
    read, order, last, seed = [], [], 0, 12345
    for i in range(200):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        chance = seed >> 16
        if chance & 3:
            events.record(state, T + i, events.TRIP, 0, 0, i)
        if chance & 4:
            for report in reports.pending(state):
                if report["seq"] > last:
                    last = report["seq"]
                    read.append(report["power_w"] if report["kind"] == "trip" else None)
                    order.append(last)
            if chance & 8:
                reports.acknowledge(state, last, T + i)
        if chance & 16:
            state = reading.unpack(state.pack())
    for report in reports.pending(state):
        if report["seq"] > last:
            order.append(report["seq"])
            read.append(report["power_w"] if report["kind"] == "trip" else None)
    assert order == list(range(1, state.report_seq + 1))
    values = [value for value in read if value is not None]
    assert values == sorted(values)
    assert len(set(values)) == len(values)


def test_a_report_that_does_not_exist_cannot_be_acknowledged():
    state = states.State()
    events.record(state, T, events.TAMPER, value=1)
    for seq in (2, -1, True, None, "1", 1.0):
        assert "acknowledge" in raises(ValueError, reports.acknowledge, state, seq, T)
    assert numbers(state) == [1]


def test_each_kind_of_event_has_a_name():
    state = states.State()
    for kind in range(1, events.LOST + 1):
        events.record(state, T, kind, 1, events.NO_TOKEN, kind)
    found = reports.since(state, 0, ("a", "b"))
    assert len(found) == events.LOST
    assert len({event["kind"] for event in found}) == events.LOST
    assert [event["seq"] for event in found] == list(range(1, events.LOST + 1))
    names = [event["kind"] for event in found]
    for kind, name in (
        (events.TOKEN, "token"),
        (events.TAMPER, "tamper"),
        (events.POWER_DOWN, "power_down"),
        (events.EMERGENCY, "emergency"),
        (events.LOCKED_OUT, "locked_out"),
        (events.UNBALANCE, "unbalance"),
        (events.LOST, "lost"),
    ):
        assert names[kind - 1] == name
    for i in range(250):
        events.record(state, T + i, events.LOW_CREDIT, value=-i)
    found = reports.since(state, 0, ())
    assert [len(found), found[0]["seq"], found[-1]["credit_wh"]] == [
        events.SLOTS,
        events.LOST + 151,
        -249,
    ]
    assert reports.since(state, events.LOST + 249, ()) == found[-1:]


def console(meter, now):
    clock = Clock()
    clock.rate = 0
    clock.set(now)
    return Console(meter, clock, dict)


def call(rig, *request):
    return json.loads(rig.rpc(json.dumps(list(request))))


def test_a_report_survives_a_power_cut_until_it_is_acknowledged():
    meter, store = new_meter(credit_wh=50000)
    rig = console(meter, T0)
    assert call(rig, "reports")["ok"] == []
    call(rig, "tamper", True)
    fault = {"seq": 1, "time": T0, "kind": "tamper", "on": True}
    assert call(rig, "reports")["ok"] == [fault]
    rig = console(again(store), T0)
    assert call(rig, "reports")["ok"] == [fault]
    assert "acknowledge" in call(rig, "acknowledge", 2)["error"]
    assert call(rig, "acknowledge", 1)["ok"] == 0
    # An acknowledged report does not come back.
    rig = console(again(store), T0)
    assert call(rig, "reports")["ok"] == []
    assert call(rig, "acknowledge", 1)["ok"] == 0
