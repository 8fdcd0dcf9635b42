"""Credit and load over time: points, and their table and plot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from jeton_host.client.answers import Status
from jeton_host.terminal.degrade import degraded

_ROWS, _RISES = 14, 4  # rows of the table; of these, rows with the greatest rises of credit
_TICKS = 6  # marks on the time axis
_LABEL = 7  # columns left of the axis, the same in both plots
_CREDIT_ROWS, _LOAD_ROWS = 7, 5  # rows of each plot
_AROUND = 4  # lines of a plot around its rows: title, frame, time axis
_DOTS = 4  # dots of a Braille character, from its bottom to its top
_STEPS = (1, 2, 5)  # a row is one of these times a power of ten
_NARROWEST, _WIDEST = 40, 100  # columns of a plot


@dataclass(frozen=True, slots=True)
class Point:
    """Credit, index and switch of a meter, or of a street of meters, at one time."""

    at: datetime
    credit_wh: int
    total_wh: int
    switch: str

    @classmethod
    def of(cls, status: Status) -> Self:
        """Return the point for a status."""
        return cls(status.clock, status.credit_wh, status.total_wh, status.switch)

    def as_dict(self) -> dict[str, Any]:
        """Return the point for --json."""
        return {
            "time": self.at.isoformat(),
            "credit_wh": self.credit_wh,
            "total_wh": self.total_wh,
            "switch": self.switch,
        }


def mean_w(before: Point, after: Point) -> float:
    """Return the mean load between two points, W; 0 if they have the same time."""
    seconds = (after.at - before.at).total_seconds()
    return (after.total_wh - before.total_wh) * 3600 / seconds if seconds else 0.0


def rows(points: Sequence[Point]) -> list[tuple[str, str, str, str, str]]:
    """Return rows of a table: time, credit and index in kWh, mean W since the last row, switch.

    The rows are the first and the last point, points at equal distances in time, the points after
    the greatest rises of credit, and the point with the lowest credit.
    """
    last = len(points) - 1
    rises = [i for i in range(1, last) if points[i].credit_wh > points[i - 1].credit_wh]
    rises.sort(key=lambda i: points[i - 1].credit_wh - points[i].credit_wh)
    lowest = min(range(last + 1), key=lambda i: points[i].credit_wh)
    chosen = {0, last, lowest, *rises[:_RISES]}
    start, span = points[0].at, points[-1].at - points[0].at
    for n in range(1, _ROWS - _RISES):
        until = start + span * n / (_ROWS - _RISES)
        chosen.add(max(i for i in range(last + 1) if points[i].at <= until))
    found = []
    before = points[0]
    for i in sorted(chosen):
        point = points[i]
        if i and point == before:
            continue
        found.append(
            (
                f"{point.at:%d %b %H:%M}",
                f"{point.credit_wh / 1000:.2f}",
                f"{point.total_wh / 1000:.2f}",
                f"{mean_w(before, point):.0f}" if point.at > before.at else "",
                point.switch,
            )
        )
        before = point
    return found


def drawn(points: Sequence[Point], width: int, *, colour: bool, plain: bool = False) -> str:
    """Return the plots of credit and load as lines for a terminal of `width` columns.

    `plain`: use ASCII only.
    """
    start, end = points[0].at, points[-1].at
    hours = [(point.at - start).total_seconds() / 3600 for point in points]
    ticks = _ticks(start, end)
    steps: list[tuple[float, float]] = []
    for i in range(1, len(points)):
        if hours[i] > hours[i - 1]:
            watts = mean_w(points[i - 1], points[i])
            steps += [(hours[i - 1], watts), (hours[i], watts)]
    credit = [point.credit_wh / 1000 for point in points]
    width = max(_NARROWEST, min(width, _WIDEST))
    marker = "*" if plain else "braille"
    text = "\n".join(
        (
            _curve("credit, kWh", hours, credit, ticks, (width, _CREDIT_ROWS), colour, marker),
            _curve(
                "load, W (mean)",
                [x for x, _ in steps],
                [y for _, y in steps],
                ticks,
                (width, _LOAD_ROWS),
                colour,
                marker,
            ),
        )
    )
    return degraded(text) if plain else text


def _ticks(start: datetime, end: datetime) -> list[tuple[float, str]]:
    """Return marks of the time axis: position in hours from the start, and label."""
    span = end - start
    if span <= timedelta(days=2):
        places = [start + span * n / _TICKS for n in range(_TICKS + 1)]
        return [((at - start).total_seconds() / 3600, f"{at:%H:%M}") for at in places]
    step = timedelta(days=-(-span.days // _TICKS))
    at = datetime(start.year, start.month, start.day, tzinfo=start.tzinfo)
    found = []
    while at <= end:
        if at >= start:
            found.append(((at - start).total_seconds() / 3600, f"{at:%d %b}"))
        at += step
    return found


def scale(low: float, high: float, rows: int) -> tuple[float, float]:
    """Return the value of the lowest row and the step from row to row: round numbers.

    Zero is a row, so that no value of 0 or more is drawn below it.
    """
    power = math.floor(math.log10((high - low) / (rows - 1)))
    for step in (n * 10.0**more for more in (power, power + 1) for n in _STEPS):
        below = math.floor(low / step)
        if (below + rows - 1) * step >= high:
            return below * step, step
    raise AssertionError((low, high, rows))


def _curve(
    title: str,
    xs: list[float],
    ys: list[float],
    ticks: list[tuple[float, str]],
    size: tuple[int, int],
    colour: bool,
    marker: str,
) -> str:
    import plotext  # has one figure for the whole process: clear it before and after

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(size[0], size[1] + _AROUND)
    plotext.title(title)
    plotext.plot(xs or [0.0], ys or [0.0], marker=marker, color="cyan" if colour else "default")
    rows, dots = size[1], 1 if marker == "*" else _DOTS
    bottom, step = scale(min([0.0, *ys]), max([0.1, *ys]), rows)
    # A value of a mark is drawn in the middle of the row of the mark.
    low = bottom - dots // 2 * step / dots
    plotext.ylim(low, low + (rows * dots - 1) * step / dots)
    zero = round(-bottom / step)
    marks = sorted({0, *range(zero % 2, rows, 2)})
    heights = [round((row - zero) * step, 9) for row in marks]
    digits = max(0, -math.floor(math.log10(step)))
    plotext.yticks(heights, [f"{height:{_LABEL}.{digits}f}" for height in heights])
    plotext.xlim(0, max([0.01, *xs]))
    plotext.xticks([x for x, _ in ticks], [label for _, label in ticks])
    text: str = plotext.build()
    plotext.clear_figure()
    if not colour:
        text = str(plotext.uncolorize(text))
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())
