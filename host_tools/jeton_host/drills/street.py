"""A street of meters: the homes, and the checks of what their meters have recorded."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from jeton_host.client import loads
from jeton_host.client.answers import EnterResult, Status
from jeton_host.drills.plot import Point
from jeton_host.drills.stage import week_wh
from jeton_host.meter import Meter

_WORKERS = 4
_T = TypeVar("_T")
Keyed = tuple[str, EnterResult, int]  # a token, its result, the loan before it in Wh


@dataclass(slots=True)
class Home:
    """One home of the street: its meter, its purchases and their results."""

    name: str
    meter: Meter
    start: datetime
    steps: loads.Steps  # its load for a week, from `start`
    credit_wh: int
    borrows: bool
    payments: list[tuple[datetime, int]]  # time, kWh
    points: list[Point] = field(default_factory=list)
    borrowed: datetime | None = None
    loan_display: str = ""
    paid: dict[str, str] = field(default_factory=dict)  # token: time of payment, oldest first
    keyed: list[Keyed] = field(default_factory=list)
    cut_kept: bool = False  # whether a power cut changed nothing
    rest: EnterResult | None = None  # result of the digits entered after the power cut


def in_parallel(street: Sequence[Home], do: Callable[[Home], _T]) -> list[_T]:
    """Call a function for all homes in parallel; each board is a separate process."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(do, street))


def discrepancy(home: Home, status: Status) -> str | None:
    """Return a difference in the ledger, or between index and load; None if there is none."""
    ledger = home.meter.ledger()
    in_wh = ledger.initial_wh + ledger.tokens_wh + ledger.emergency_wh
    out_wh = ledger.charged_wh + ledger.recovered_wh
    if in_wh - out_wh != ledger.credit_wh or ledger.initial_wh != home.credit_wh:
        return f"the ledger does not add up: {ledger.as_dict()}"
    used_wh = sum(
        _until_wh(home, end) - _until_wh(home, begin)
        for begin, end in spans(home, status.clock, lit=True)
    )
    if abs(used_wh - status.total_wh) > 2:
        return f"its load was {used_wh:.0f} Wh, its index says {status.total_wh} Wh"
    return None


def _until_wh(home: Home, moment: datetime) -> float:
    return week_wh(home.steps, int((moment - home.start).total_seconds()))


def spans(home: Home, end: datetime, *, lit: bool) -> list[tuple[datetime, datetime]]:
    """Return the time spans in which the supply was on, or off, from the meter's log."""
    found = []
    on, since = True, home.start
    for event in home.meter.events():
        if event.kind in ("switch_opened", "switch_closed") and event.time >= home.start:
            if on == lit and event.time > since:
                found.append((since, event.time))
            on, since = event.kind == "switch_closed", event.time
    if on == lit and end > since:
        found.append((since, end))
    return found


def dark_h_of(home: Home, end: datetime) -> float:
    """Return the hours without supply, from the meter's log."""
    dark = sum((b - a for a, b in spans(home, end, lit=False)), timedelta())
    return dark.total_seconds() / 3600


def seen_as_logged(home: Home, end: datetime) -> bool:
    """Return whether the switch in each point agrees with the meter's log."""
    dark = spans(home, end, lit=False)
    turns = {moment for span in dark for moment in span}
    return all(
        (point.switch == "open") == any(a < point.at < b for a, b in dark)
        for point in home.points
        if point.at not in turns and point.at < end
    )


def sum_of(street: list[Home]) -> list[Point]:
    """Return the sum of credit and index of the street at the time of each point."""
    found = []
    at = dict.fromkeys((home.name for home in street), 0)
    for moment in sorted({point.at for home in street for point in home.points}):
        for home in street:
            last = len(home.points) - 1
            while at[home.name] < last and home.points[at[home.name] + 1].at <= moment:
                at[home.name] += 1
        now = [home.points[at[home.name]] for home in street]
        dark = sum(point.switch == "open" for point in now)
        switch = f"{dark} of {len(street)} dark" if dark else "closed"
        credit_wh, total_wh = sum(p.credit_wh for p in now), sum(p.total_wh for p in now)
        found.append(Point(moment, credit_wh, total_wh, switch))
    return found
