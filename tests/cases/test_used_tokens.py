"""A used token is never credited again, whatever key changes the point of sale issues.

Source: IEC 62055-41, key change tokens: RO = 1 sets all stored TIDs of the meter to 0, so the
meter accepts each token of its key again. Therefore a key that a meter had before may not come
back with or after such a change.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jeton_host.errors import VendingError
from jeton_host.meter import Meter
from jeton_host.vending.pos import PointOfSale

BEFORE = datetime(2024, 8, 10, 11, tzinfo=UTC)
AT = datetime(2024, 8, 10, 12, tzinfo=UTC)


@pytest.fixture
def pos(tmp_path: Path) -> PointOfSale:
    return PointOfSale(tmp_path / "pos.sqlite")


def test_a_rollover_back_into_an_earlier_key_is_refused(pos: PointOfSale) -> None:
    """The meter itself follows the standard: there the used token would count again."""
    pos.add_meter("d3", drn="00000000059", bdt="93")
    token = pos.credit("d3", "50", at=BEFORE).token
    with Meter.open("virtual", config=pos.config_for("d3", at=AT)) as meter:
        assert meter.enter(token).good
        for section in pos.key_change("d3", krn=2, bdt="14", at=AT):
            assert meter.enter(section.token).good
        with pytest.raises(VendingError, match="those of this key would work again: give a krn"):
            pos.key_change("d3", krn=1, bdt="93", at=AT)
        assert pos.meter("d3").key.krn == 2
        assert not meter.enter(token).good
        assert meter.status().credit_wh == 50_000


@pytest.mark.parametrize(
    ("changes", "back"),
    [
        # Directly, and after further changes.
        ([{"krn": 2, "bdt": "14"}], {"krn": 1, "bdt": "93"}),
        ([{"krn": 2, "bdt": "14"}, {"krn": 3}], {"krn": 1, "bdt": "93"}),
        ([{"krn": 2}, {"krn": 3, "bdt": "14"}], {"krn": 2, "bdt": "93"}),
        # Through another tariff index, or supply group.
        ([{"ti": 2, "bdt": "14"}], {"ti": 1, "bdt": "93"}),
        ([{"krn": 2, "bdt": "14"}, {"ti": 7}], {"krn": 1, "ti": 1, "bdt": "93"}),
    ],
)
def test_each_way_back_into_an_earlier_key_is_refused(
    pos: PointOfSale, changes: list[dict[str, Any]], back: dict[str, Any]
) -> None:
    pos.add_meter("home", bdt="93")
    for change in changes:
        pos.key_change("home", at=AT, **change)
    with pytest.raises(VendingError, match="would work again"):
        pos.key_change("home", at=AT, **back)
    assert pos.key_change("home", krn=9, bdt="93", at=AT)


def test_a_return_without_rollover_after_a_rollover_is_refused(pos: PointOfSale) -> None:
    """Under DKGA 02 the base date is not part of the key: RO = 0 can bring the old key back."""
    pos.add_meter("old", dkga=2, bdt="93")
    pos.key_change("old", krn=2, bdt="14", at=AT)
    with pytest.raises(VendingError, match="would work again"):
        pos.key_change("old", krn=1, at=AT)
    assert pos.key_change("old", krn=3, at=AT)


def test_a_return_without_any_rollover_is_permitted(pos: PointOfSale) -> None:
    """The meter remembers the used tokens of both keys."""
    pos.add_meter("home")
    pos.key_change("home", krn=2, at=AT)
    assert pos.key_change("home", krn=1, at=AT)
