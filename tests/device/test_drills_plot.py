"""The table and the plot of a drill: the points they show, for any series."""

from datetime import UTC, datetime, timedelta

import pytest

from jeton_host.drills import plot
from jeton_host.drills.plot import Point, drawn, mean_w, rows

pytestmark = pytest.mark.virtual_only

START = datetime(2025, 3, 3, tzinfo=UTC)


def points(*values: tuple[float, int, int]) -> list[Point]:
    """Return points of (hours, credit in Wh, index in Wh)."""
    return [
        Point(START + timedelta(hours=hours), credit_wh, total_wh, "closed")
        for hours, credit_wh, total_wh in values
    ]


def test_the_mean_load_is_the_energy_divided_by_the_time() -> None:
    one, two, three = points((0, 0, 0), (0.5, 0, 400), (0.5, 9, 400))
    assert mean_w(one, two) == 800
    assert mean_w(two, three) == 0


def test_the_table_has_both_ends_the_greatest_rise_and_an_even_spread() -> None:
    many = points(*((hour, 50_000 - hour, hour) for hour in range(1000)))
    many[501:501] = points((500.5, 90_000, 500))
    found = rows(many)
    times = [row[0] for row in found]
    assert times[0] == "03 Mar 00:00"
    assert times[-1] == "13 Apr 15:00"
    assert "23 Mar 20:30" in times  # 500.5 hours later
    assert len(found) <= 15
    months = [time[3:6] for time in times]
    assert months.count("Mar") > 5
    assert months.count("Apr") > 2
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "series",
    [
        points((0, 5000, 0)),
        points((0, 5000, 0), (0, 6000, 0)),
        points((0, -5000, 0), (1, -6000, 1000)),
        points((0, 0, 0), (1, 0, 0)),
        points((0, 5000, 0), (24 * 400, 0, 5000)),
    ],
    ids=["one", "one moment", "debt", "nothing", "a year"],
)
@pytest.mark.parametrize("colour", [False, True])
def test_any_series_can_be_drawn(series: list[Point], colour: bool) -> None:
    plot = drawn(series, 60, colour=colour)
    assert "credit, kWh" in plot
    assert "load, W (mean)" in plot
    assert ("\x1b" in plot) == colour
    if not colour:
        assert max(len(line) for line in plot.splitlines()) <= 60
    assert rows(series)


HEIGHTS = "⣀⠤⠒⠉"  # lines of dots, from the bottom of a row to its top


@pytest.mark.parametrize("highest", [100, 900, 4_999, 5_000, 38_000, 585_270, 5_000_000])
@pytest.mark.parametrize("plain", [False, True])
def test_nothing_of_a_credit_is_drawn_below_zero(highest: int, plain: bool) -> None:
    """The mark of zero is in the middle of its row; a credit of 0 is there or above."""
    series = points((0, highest, 0), (1, 0, 0), (50, 0, 0), (51, highest // 2, 0))
    plot = drawn(series, 60, colour=False, plain=plain)
    (zero,) = [
        line
        for line in plot.split("load, W")[0].splitlines()
        if line.split("┤+"[plain])[0].strip() in ("0", "0.0", "0.00")
    ]
    if plain:
        assert zero.count("*") > 40
    else:
        assert zero.count("⠒") > 40
        assert not set(zero) & set("⣀⠤⡀⢀⡄⢠⣠⣄")


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0.1), (0, 585), (-20, 80), (-6, 0.1), (0, 6192), (-1, 1), (-500, 3)]
)
@pytest.mark.parametrize("rows_of", [5, 7])
def test_the_scale_has_round_steps_and_a_row_for_zero(
    low: float, high: float, rows_of: int
) -> None:
    bottom, step = plot.scale(low, high, rows_of)
    assert bottom <= low
    assert bottom + (rows_of - 1) * step >= high
    assert f"{step:.0e}"[0] in "125"
    assert abs(bottom / step - round(bottom / step)) < 1e-9
    assert (rows_of - 1) * step <= 5.5 * (high - low)


def test_the_axis_spans_the_lowest_to_the_highest_value() -> None:
    plot = drawn(points((0, 80_000, 0), (48, -20_000, 96_000)), 60, colour=False)
    lines = plot.splitlines()
    assert any(line.strip().startswith("80┤") for line in lines)
    assert any(line.strip().startswith("-20┤") for line in lines)
    assert any(line.strip().startswith("2000┤") for line in lines)


def test_a_plain_plot_uses_only_ascii() -> None:
    plot = drawn(points((0, 80_000, 0), (48, -20_000, 96_000)), 60, colour=False, plain=True)
    assert plot.isascii()
    assert "?" not in plot
    assert max(len(line) for line in plot.splitlines()) <= 60
    assert plot.count("*") > 50


def test_the_table_has_the_lowest_point() -> None:
    many = points(*((hour, 50_000 - hour, hour) for hour in range(100)))
    many[37:37] = points((36.5, -7_000, 36))
    assert "-7.00" in [row[1] for row in rows(many)]
