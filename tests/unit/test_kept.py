"""Tests of the table of attributes that a rollback restores: each entry is needed."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "both"))

from test_rollback import ACTIONS, broken, not_restored

from jeton import commit

EACH = [(row[0], name) for row in commit.KEPT for name in row[1:]]


@pytest.mark.parametrize(("owner", "name"), EACH, ids=[".".join(one) for one in EACH])
def test_without_an_entry_some_rollback_is_incomplete(
    owner: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        tuple(one for one in row if row[0] != owner or one != name or one is row[0])
        for row in commit.KEPT
    ]
    monkeypatch.setattr(commit, "KEPT", tuple(rows))
    found = any(not_restored(action) for action in ACTIONS.values())
    found = found or bool(not_restored(ACTIONS["provision"], broken))
    assert found, "no action changes it, or no rollback needs it"


def test_all_owners_are_in_the_first_row_which_is_the_meters() -> None:
    first = commit.KEPT[0]
    assert first[0] == ""
    assert {row[0] for row in commit.KEPT[1:]} < set(first[1:])
