"""Credit and load over time: the points a drill has seen, and their table and plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from host_tools.link import Status

_ROWS = 14
_TICKS = 6
_CREDIT_ROWS, _LOAD_ROWS = 11, 9
_NARROWEST, _WIDEST = 40, 100


@dataclass(frozen=True, slots=True)
class Point:
    """What a meter, or a street of them, was like at one moment."""

    at: datetime
    credit_wh: int
    total_wh: int
    switch: str

    @classmethod
    def of(cls, status: Status) -> Self:
        """Return the point of a meter's status."""
        return cls(status.clock, status.credit_wh, status.total_wh, status.switch)

    def as_dict(self) -> dict[str, Any]:
        """Return it for --json."""
        return {
            "time": self.at.isoformat(),
            "credit_wh": self.credit_wh,
            "total_wh": self.total_wh,
            "switch": self.switch,
        }


def mean_w(before: Point, after: Point) -> float:
    """Return the mean W that flowed between two points; 0 where no time passed."""
    seconds = (after.at - before.at).total_seconds()
    return (after.total_wh - before.total_wh) * 3600 / seconds if seconds else 0.0


def rows(points: Sequence[Point]) -> list[tuple[str, str, str, str, str]]:
    """Return some points for a table: time, credit and index in kWh, mean W since, switch.

    The first, the last, the first after each of the greatest rises of credit, and some between.
    """
    last = len(points) - 1
    rises = [i for i in range(1, last) if points[i].credit_wh > points[i - 1].credit_wh]
    rises.sort(key=lambda i: points[i - 1].credit_wh - points[i].credit_wh)
    chosen = {0, last, *rises[: _ROWS // 2]}
    for n in range(1, _ROWS):
        if len(chosen) < _ROWS:
            chosen.add(n * last // _ROWS)
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


def drawn(points: Sequence[Point], width: int, *, colour: bool) -> str:
    """Return the plot, credit above load, as lines for a terminal of `width` columns."""
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
    return "\n".join(
        (
            _curve("credit, kWh", hours, credit, ticks, (width, _CREDIT_ROWS), colour),
            _curve(
                "load, W (mean)",
                [x for x, _ in steps],
                [y for _, y in steps],
                ticks,
                (width, _LOAD_ROWS),
                colour,
            ),
        )
    )


def _ticks(start: datetime, end: datetime) -> list[tuple[float, str]]:
    """Return places on the axis, hours from the start, and what stands there."""
    span = end - start
    form = "%d %b" if span > timedelta(days=2) else "%H:%M"
    found = []
    for n in range(_TICKS + 1):
        at = span * n / _TICKS
        found.append((at.total_seconds() / 3600, f"{start + at:{form}}"))
    return found


def _curve(
    title: str,
    xs: list[float],
    ys: list[float],
    ticks: list[tuple[float, str]],
    size: tuple[int, int],
    colour: bool,
) -> str:
    import plotext  # it has one figure for the whole process, so it is cleared here

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(*size)
    plotext.title(title)
    plotext.plot(xs or [0.0], ys or [0.0], marker="braille", color="cyan" if colour else "default")
    plotext.ylim(min([0.0, *ys]), max([0.1, *ys]))
    plotext.yfrequency(4)
    plotext.xlim(ticks[0][0], max(ticks[-1][0], 0.01))
    plotext.xticks([x for x, _ in ticks], [label for _, label in ticks])
    text: str = plotext.build()
    plotext.clear_figure()
    if not colour:
        text = str(plotext.uncolorize(text))
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())
