"""Every kind of change, cut at every operation in every mode: old or new, and it goes on."""

import pytest

from tests.power_cut import laboratory

MODES = {"nothing", "prefix", "random", "all", "garbage", "metastable", "late", "double"}


@pytest.mark.device
def test_five_thousand_cuts() -> None:
    found = laboratory.finish(laboratory.start("cuts", 1, 5000), 900)
    rows = found["rows"]
    assert found["failures"] == []
    assert laboratory.total(rows, "cuts") >= 5000
    for name in laboratory.BAD:
        assert laboratory.total(rows, name) == 0
    kinds = laboratory.values(rows, "kind")
    assert len(kinds) == 13
    assert set(laboratory.values(rows, "mode")) == MODES
    for kind in kinds:
        for name in laboratory.GOOD:
            assert laboratory.total(rows, name, kind=kind), (kind, name)


@pytest.mark.device
def test_the_control_fails() -> None:
    """A laboratory that sees nothing would pass every store."""
    found = laboratory.finish(laboratory.start("control", 1, 1), 300)
    cuts = laboratory.total(found["rows"], "cuts")
    assert laboratory.total(found["rows"], "neither") > cuts // 2


@pytest.mark.device
def test_one_bit_takes_no_token_and_invents_no_credit() -> None:
    found = laboratory.finish(laboratory.start("flips", 1, 97), 300)
    rows = found["rows"]
    assert laboratory.total(rows, "cuts") > 2000
    for name in ("neither", "old", "no record", "told"):
        assert laboratory.total(rows, name) == 0, name
    assert laboratory.total(rows, "new") > laboratory.total(rows, "cuts") // 2
