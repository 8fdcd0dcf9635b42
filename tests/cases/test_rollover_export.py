"""check-tokens takes a true export with the parameters of the key in each row.

Source: vending systems write SGC, KRN, TI and base date beside each token. After a key change
among the rows they are those of the new key; a base date, and the SGC of a change of two tokens,
are not in the tokens (IEC 62055-41, key change tokens).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jeton_host.checking import check as checking
from jeton_host.checking import rows as check_rows
from jeton_host.checking.check import Checked
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued

BEFORE = datetime(2024, 8, 10, 11, tzinfo=UTC)
AT = datetime(2024, 8, 10, 12, tzinfo=UTC)
NAMES = ("kct", "ea", "dkga", "sgc", "ti", "krn", "kt", "ken", "bdt")


@pytest.fixture
def desk(tmp_path: Path) -> PointOfSale:
    """The vending system that writes the file."""
    return PointOfSale(tmp_path / "desk.sqlite")


def check(tmp_path: Path, lines: Sequence[tuple[str, Issued, dict[str, Any]]]) -> list[Checked]:
    """Check the rows (expected, token, parameters) at a desk that does not know the meter."""
    text = f"meter,token,expected,{','.join(NAMES)}\n"
    for expected, issued, given in lines:
        cells = [issued.drn, issued.token, expected, *(str(given.get(name, "")) for name in NAMES)]
        text += ",".join(cells) + "\n"
    rows = check_rows.read(text.encode()).rows
    return checking.check(rows, pos=PointOfSale(tmp_path / "bare.sqlite"), at=AT)


def problems(found: list[Checked]) -> list[str]:
    return [checked.problem for checked in found if not checked.as_expected]


CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"bdt": "93"}, {"krn": 2, "bdt": "14"}),
    ({"bdt": "93", "ea": 11}, {"krn": 2, "bdt": "14"}),
    ({"bdt": "14"}, {"krn": 2, "bdt": "35"}),
    ({}, {"krn": 3}),
    ({}, {"ti": 7}),
    ({}, {"sgc": "123456", "three": False}),
    ({"kct": 3}, {"sgc": "123456", "krn": 2}),
    ({"ea": 11}, {"sgc": "123456", "ti": 9}),
    ({}, {"ken": 200}),
    ({"kt": 1}, {"kt": 2}),
    ({"dkga": 2, "bdt": "93"}, {"dkga": 4, "krn": 2}),
    ({"dkga": 2, "bdt": "93"}, {"krn": 2, "bdt": "14"}),
]


@pytest.mark.parametrize("labels", ["old", "new"])
@pytest.mark.parametrize(("setup", "change"), CHANGES, ids=str)
def test_each_row_may_have_the_parameters_of_its_key(
    desk: PointOfSale, tmp_path: Path, setup: dict[str, Any], change: dict[str, Any], labels: str
) -> None:
    """`labels`: whether the rows of the key change have those of the old or of the new key."""
    desk.add_meter("m", **setup)
    old = desk.meter("m")
    then = datetime(2036, 1, 1, tzinfo=UTC) if change.get("bdt") == "35" else AT
    before = desk.tariff("m", 3, at=BEFORE)
    sections = desk.key_change("m", at=then, **change)
    new = desk.meter("m")
    after = desk.credit("m", 5, at=then)
    first = {"ea": old.ea, "kct": old.kct} | old.key.as_dict()
    last = {"ea": new.ea, "kct": new.kct} | new.key.as_dict()
    found = check(
        tmp_path,
        [
            ("", before, first),
            *[("", section, first if labels == "old" else last) for section in sections],
            ("5", after, last),
        ],
    )
    assert problems(found) == []


def test_a_rollover_with_krn_and_base_date_in_each_row(desk: PointOfSale, tmp_path: Path) -> None:
    desk.add_meter("d3", bdt="93")
    before = desk.credit("d3", 50, at=BEFORE)
    change = desk.key_change("d3", krn=2, bdt="14", at=AT)
    after = desk.credit("d3", 5, at=AT)
    old, new = {"krn": 1, "bdt": "93"}, {"krn": 2, "bdt": "14"}
    lines = [("50", before, old), *[("", one, old) for one in change], ("5", after, new)]
    assert problems(check(tmp_path, lines)) == []
    # An export with the same parameters in each row, as Jeton writes it.
    assert problems(check(tmp_path, [(text, one, old) for text, one, _ in lines])) == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"krn": 3, "bdt": "14"}, "krn is 3 here and 1 in line 2, but the emulated meter has 2"),
    ({"krn": 2, "bdt": "35"}, "bdt is 35 here and 93 in line 2, but the emulated meter has 14"),
    ({"krn": 2, "ti": 4}, "ti is 4 here, but the emulated meter has 1"),
    ({"krn": 2, "ea": 11}, "ea is 11 here, but the emulated meter has 7: it never changes"),
    ({"krn": 2, "sgc": "123456"}, "sgc is 123456 here, but the emulated meter has 201457"),
    ({"krn": 2, "kt": 0}, "kt is 0 here, but the emulated meter has 2"),
    ({"krn": 2, "dkga": 2}, "dkga is 2 here, but the emulated meter has 4"),
    ({"krn": 12}, "key revision number 12"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=str)
def test_a_row_with_another_key_than_the_meter_is_found(
    desk: PointOfSale, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    desk.add_meter("d3", bdt="93")
    before = desk.credit("d3", 50, at=BEFORE)
    change = desk.key_change("d3", krn=2, bdt="14", at=AT)
    after = desk.credit("d3", 5, at=AT)
    old = {"krn": 1, "bdt": "93"}
    lines = [("50", before, old), *[("", one, old) for one in change], ("5", after, given)]
    found = check(tmp_path, lines)
    assert [checked.as_expected for checked in found] == [True, True, True, False]
    assert said in found[-1].problem


def test_a_row_without_its_key_change_is_not_entered(desk: PointOfSale, tmp_path: Path) -> None:
    desk.add_meter("m")
    before = desk.credit("m", 1, at=AT)
    desk.key_change("m", krn=2, at=AT)
    after = desk.credit("m", 1, at=AT)
    one, two = check(tmp_path, [("1", before, {"krn": 1}), ("1", after, {"krn": 2})])
    assert one.as_expected
    assert two.result is None
    assert two.why == "krn is 2 here and 1 in line 2: a key change needs its tokens as rows"


def test_a_token_under_the_old_key_is_entered_and_explained(
    desk: PointOfSale, tmp_path: Path
) -> None:
    """The vending system missed a key change: that is what the check is for."""
    desk.add_meter("m")
    (old,) = desk.keys_of("m")
    first = desk.credit("m", 1, at=AT)
    lines = [("1", first, {"krn": 1})]
    for krn in (2, 3):
        lines += [("", one, {"krn": krn - 1}) for one in desk.key_change("m", krn=krn, at=AT)]
        lines.append(("1", desk.credit("m", 1, at=AT), {"krn": krn}))
    keys = {key.krn: key for key in desk.keys_of("m")}
    late = [desk.credit("m", 1, at=AT, key=keys[krn]) for krn in (1, 2)]
    assert keys[1] == old
    lines += [("1", one, {"krn": one.key.krn}) for one in late]
    found = check(tmp_path, lines)
    assert [checked.as_expected for checked in found] == [True] * 7 + [False] * 2
    assert [checked.cause for checked in found[-2:]] == ["previous-key"] * 2


def test_the_base_date_in_a_row_dates_the_tokens(desk: PointOfSale, tmp_path: Path) -> None:
    """The tokens of a key change do not contain it, the rows do."""
    desk.add_meter("m", bdt="93")
    before = desk.credit("m", 1, at=BEFORE)
    at = datetime(2036, 1, 1, tzinfo=UTC)
    change = desk.key_change("m", krn=2, bdt="35", at=at)
    after = desk.credit("m", 1, at=at)
    old, new = {"krn": 1, "bdt": "93"}, {"krn": 2, "bdt": "35"}
    lines = [("1", before, old), *[("", one, old) for one in change], ("1", after, new)]
    found = check(tmp_path, [*lines, ("UsedError", after, new)])
    assert problems(found) == []
