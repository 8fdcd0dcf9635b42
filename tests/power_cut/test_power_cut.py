"""Tests that a power cut in any change leaves the old or the new state, and a working meter."""

import pytest

from tests.power_cut import laboratory

MODES = {"nothing", "prefix", "random", "all", "garbage", "metastable", "late", "double"}
PROFILES = {"generic, all kept", "landis_gyr", "clou", "somelec"}
NOT_IN_ALL_PROFILES = {
    "first provisioning",
    "key change, a start between",
    "credit token, debts",
    "advance",
    "emergency credit",
}


@pytest.mark.device
def test_5000_power_cuts_lose_and_double_nothing() -> None:
    found = laboratory.finish(laboratory.start("cuts", 1, 5000), 900)
    rows = found["rows"]
    assert found["failures"] == []
    assert laboratory.total(rows, "cuts") >= 5000
    for name in laboratory.BAD:
        assert laboratory.total(rows, name) == 0
    kinds = laboratory.values(rows, "kind")
    assert len(kinds) == 36
    for kind in kinds:
        mine = [row for row in rows if row["kind"] == kind]
        assert set(laboratory.values(mine, "mode")) == MODES, kind
        assert (
            set(laboratory.values(mine, "profile")) == PROFILES or kind in NOT_IN_ALL_PROFILES
        ), kind
        for name in laboratory.GOOD:
            possible = name == "old" or "flash full" not in kind
            assert bool(laboratory.total(mine, name)) == possible, (kind, name)
    # Cuts after which the meter still reported success: the change must then be kept.
    assert laboratory.total(rows, "reported") > 100
    assert laboratory.total(rows, "reported", kind="credit token")


@pytest.mark.device
def test_an_unsafe_store_fails() -> None:
    """This checks that the laboratory finds faults."""
    rows = laboratory.finish(laboratory.start("unsafe", 1, 100), 300)["rows"]
    assert laboratory.total(rows, "neither") > laboratory.total(rows, "cuts") // 2


@pytest.mark.device
def test_a_store_that_hides_failed_saves_loses_reported_changes() -> None:
    rows = laboratory.finish(laboratory.start("silent", 1, 100), 300)["rows"]
    assert laboratory.total(rows, "lost") > 5
    assert laboratory.total(rows, "neither") == laboratory.total(rows, "doubled") == 0


@pytest.mark.device
def test_one_changed_bit_loses_no_token_and_at_most_the_consumption_of_ticks() -> None:
    found = laboratory.finish(laboratory.start("flips", 1, 127), 300)
    rows = found["rows"]
    assert laboratory.total(rows, "cuts") > 2000
    for name in ("neither", "old", "no record", "fault reported"):
        assert laboratory.total(rows, name) == 0, name
    assert laboratory.total(rows, "new") > laboratory.total(rows, "cuts") // 2
    # A damaged tick loses at most the consumption since the record was last saved in full.
    assert 0 < found["lost_wh"] <= found["ticks_wh"] == 18_000


@pytest.mark.device
def test_the_save_after_a_failed_or_an_interrupted_one_is_complete() -> None:
    found = laboratory.finish(laboratory.failing(), 300)
    assert found["wrong"] == []
    assert found["failures"] > 20
    assert found["interrupts"] == 6
