"""A power limit of 0 W has one meaning: no limit.

Source: a training meter that showed "0 W" after such a token and let a load of 5 kW run. Makers'
manuals (Landis+Gyr Cashpower Sabre, Conlog BEC62, CLOU) describe the power limit token and do not
say what 0 does.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jeton_host.meter import Meter
from jeton_host.vending.pos import PointOfSale


@pytest.fixture(scope="module")
def meter() -> Iterator[Meter]:
    with Meter.open("virtual") as one:
        yield one


@pytest.mark.parametrize("what", ["power_limit", "unbalance_limit"])
def test_a_limit_of_0_ends_the_limit_everywhere(tmp_path: Path, meter: Meter, what: str) -> None:
    pos = PointOfSale(tmp_path / "pos.sqlite")
    pos.add_meter("home")
    meter.provision(pos.config_for("home") | {"credit_wh": 50_000})
    name = {"power_limit": "max_power_limit_w", "unbalance_limit": "phase_unbalance_limit_w"}[what]
    limit = getattr(pos, what)
    shown = meter.enter(limit("home", 2000).token).display
    assert "2000 W" in "".join(shown)
    zero = limit("home", 0)
    assert zero.what.startswith("end of the maximum")
    shown = meter.enter(zero.token).display
    assert "W" not in "".join(shown).split()
    assert "no" in "".join(shown).split()
    assert getattr(meter.status(), name) == 0
    meter.set_phases(0, 0, 5000)
    assert meter.advance(3600).switch == "closed"
    number = 7 if what == "power_limit" else 11
    assert "no" in "".join(meter.enter(pos.test("home", [number]).token).display).split()
