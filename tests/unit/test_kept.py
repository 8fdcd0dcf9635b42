"""The table of what a rollback restores: no row without need, and what is missing is found."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "both"))

from test_rollback import ACTIONS, broken, left

from jeton import commit

EACH = [(row[0], name) for row in commit.KEPT for name in row[1:]]


@pytest.mark.parametrize(("owner", "name"), EACH, ids=[".".join(one) for one in EACH])
def test_each_is_missed_where_the_table_has_it_not(
    owner: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        tuple(one for one in row if row[0] != owner or one != name or one is row[0])
        for row in commit.KEPT
    ]
    monkeypatch.setattr(commit, "KEPT", tuple(rows))
    found = [one for action in ACTIONS.values() for one in left(action)]
    found += left(ACTIONS["provision"], broken)
    assert found, "no action changes it, or nothing would be amiss"


def test_owners_are_in_the_row_of_the_meter_which_comes_first() -> None:
    first = commit.KEPT[0]
    assert first[0] == ""
    assert {row[0] for row in commit.KEPT[1:]} < set(first[1:])
