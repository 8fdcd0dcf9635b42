"""Tests that `advance` returns the seconds until the next change: a client can skip them."""

import json

from both_support import T0, new_meter
from drivers.clock import Clock
from jeton.console import Console


def test_an_advance_returns_the_seconds_until_the_next_change():
    meter, _ = new_meter(credit_wh=1000)
    clock = Clock(T0, 0)
    console = Console(meter, clock, dict)

    def call(*request):
        return json.loads(console.rpc(json.dumps(list(request))))["ok"]

    call("load_profile", [[0, 100], [1800, 3000]])
    assert call("advance", 0)["next_s"] == 1800
    assert call("advance", 1000)["next_s"] == 800
    value = call("advance", 800)
    assert (value["load_w"], value["credit_wh"]) == (3000, 950)
    # 950 Wh at 3 kW are 1140 s, unless another change comes first.
    passed = 0
    while value["switch"] == "closed":
        assert 0 < value["next_s"] <= 1140 - passed
        passed += value["next_s"]
        value = call("advance", value["next_s"])
    assert (passed, value["credit_wh"]) == (1140, 0)
