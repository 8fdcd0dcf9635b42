"""Every kind of change, cut at every operation in every mode: old or new, and it goes on."""

import pytest

from tests.power_cut import laboratory

MODES = {"nothing", "prefix", "random", "all", "garbage", "metastable", "late", "double"}
PROFILES = {"generic, all kept", "landis_gyr", "clou", "somelec"}
NOT_OF_ALL = {
    "first provisioning",
    "key change, a start between",
    "credit token, debts",
    "advance",
    "emergency credit",
}


@pytest.mark.device
def test_five_thousand_cuts() -> None:
    found = laboratory.finish(laboratory.start("cuts", 1, 5000), 900)
    rows = found["rows"]
    assert found["failures"] == []
    assert laboratory.total(rows, "cuts") >= 5000
    for name in laboratory.BAD:
        assert laboratory.total(rows, name) == 0
    kinds = laboratory.values(rows, "kind")
    assert len(kinds) == 35
    for kind in kinds:
        mine = [row for row in rows if row["kind"] == kind]
        assert set(laboratory.values(mine, "mode")) == MODES, kind
        assert set(laboratory.values(mine, "profile")) == PROFILES or kind in NOT_OF_ALL, kind
        for name in laboratory.GOOD:
            possible = name == "old" or "flash full" not in kind
            assert bool(laboratory.total(mine, name)) == possible, (kind, name)
    # Where a meter told that all is done although its power failed, that was looked for.
    assert laboratory.total(rows, "told") > 100
    assert laboratory.total(rows, "told", kind="credit token")


@pytest.mark.device
def test_the_control_fails() -> None:
    """A laboratory that sees nothing would pass every store."""
    rows = laboratory.finish(laboratory.start("unsafe", 1, 100), 300)["rows"]
    assert laboratory.total(rows, "neither") > laboratory.total(rows, "cuts") // 2


@pytest.mark.device
def test_a_store_that_hides_its_failures_loses_what_was_told() -> None:
    rows = laboratory.finish(laboratory.start("silent", 1, 100), 300)["rows"]
    assert laboratory.total(rows, "lost") > 5
    assert laboratory.total(rows, "neither") == laboratory.total(rows, "doubled") == 0


@pytest.mark.device
def test_one_bit_takes_no_token_and_invents_no_credit_but_that_of_ticks() -> None:
    found = laboratory.finish(laboratory.start("flips", 1, 127), 300)
    rows = found["rows"]
    assert laboratory.total(rows, "cuts") > 2000
    for name in ("neither", "old", "no record", "told"):
        assert laboratory.total(rows, name) == 0, name
    assert laboratory.total(rows, "new") > laboratory.total(rows, "cuts") // 2
    # A damaged tick gives back what was used since the record was last written whole, no more.
    assert 0 < found["lost_wh"] <= found["ticks_wh"] == 18_000
