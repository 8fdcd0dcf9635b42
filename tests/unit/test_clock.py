"""Tests that the clock of the host tools follows $JETON_CLOCK_OFFSET."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jeton_host import JetonError, PointOfSale, clock
from tests.conftest import NOW


def test_tests_run_at_one_moment() -> None:
    assert NOW <= clock.now() < NOW + timedelta(hours=12)


def test_without_an_offset_it_is_the_clock_of_the_computer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for offset in (None, "", "0"):
        monkeypatch.delenv(clock.OFFSET_VARIABLE)
        if offset is not None:
            monkeypatch.setenv(clock.OFFSET_VARIABLE, offset)
        before = datetime.now(UTC)
        assert before <= clock.now() <= datetime.now(UTC)
        monkeypatch.setenv(clock.OFFSET_VARIABLE, "0")


def test_issued_tokens_have_the_shifted_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pos = PointOfSale(tmp_path / "pos.sqlite")
    pos.add_meter("home")
    offset = datetime(2024, 11, 24, 20, tzinfo=UTC) - datetime.now(UTC)
    monkeypatch.setenv(clock.OFFSET_VARIABLE, f"{offset.total_seconds():.0f}")
    issued = pos.credit("home", 1).issued
    assert issued is not None
    assert (issued.year, issued.month, issued.day) == (2024, 11, 24)


@pytest.mark.parametrize("offset", ["tomorrow", "1.5", "9" * 30, "99999999999999"])
def test_an_invalid_offset_is_an_error(monkeypatch: pytest.MonkeyPatch, offset: str) -> None:
    monkeypatch.setenv(clock.OFFSET_VARIABLE, offset)
    with pytest.raises(JetonError, match=r"^\$JETON_CLOCK_OFFSET is .* whole number of seconds"):
        clock.now()
