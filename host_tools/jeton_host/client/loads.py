"""Load profiles as steps of (seconds, W), from a CSV file or generated for a household."""

import csv
import random
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from jeton_host.client.answers import moment, seconds_of
from jeton_host.errors import JetonError

DAY_S = 86400
WEEK_S = 7 * DAY_S
_MOST_W = 0xFFFFFFFF
_LONGEST = 60  # characters of a line in a message
_CLOCK = re.compile(r"([0-9]{1,3}):([0-9]{2})(?::([0-9]{2}))?")

Steps = list[tuple[int, int]]


def _seconds(text: str) -> tuple[int, bool]:
    """Return a time in seconds, and whether it is a date (else it counts from the beginning)."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text), False
    if found := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        if minutes > 59 or seconds > 59:
            raise ValueError(text)
        return hours * 3600 + minutes * 60 + seconds, False
    return seconds_of(datetime.fromisoformat(text)), True


def _is_time(text: str) -> bool:
    try:
        _seconds(text)
    except (ValueError, OverflowError):
        return False
    return True


def _rows(path: Path, text: str, delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(text.splitlines(), delimiter=delimiter)
    except csv.Error as error:
        raise JetonError(f"{path} cannot be read: {error}") from None


def from_csv(path: Path) -> tuple[Steps, datetime | None]:
    """Return the steps of a CSV file, and the time of the first step if the file has dates.

    Each line contains a time and a load in W; the times ascend. A time is a number of seconds,
    HH:MM or HH:MM:SS (more than 24 h is allowed), or ISO 8601. Seconds of ISO times count from the
    first one. A first line that does not begin with a time is the heading. Columns are separated
    by commas, or by semicolons; then numbers such as 100,5 are allowed. JetonError gives the
    number of a wrong line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            text = file.read()
    except OSError as error:
        raise JetonError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise JetonError(f"{path} cannot be read: it is not text in UTF-8") from None
    delimiter = ";" if text.partition("\n")[0].count(";") else ","
    steps: Steps = []
    base: int | None = None
    first: datetime | None = None
    for number, row in enumerate(_rows(path, text, delimiter), 1):
        if not row or row[0].lstrip().startswith("#"):
            continue
        if number == 1 and not _is_time(row[0]):
            continue
        try:
            seconds, dated = _seconds(row[0])
            watts = round(float(row[1].replace(",", ".") if delimiter == ";" else row[1]))
            if not 0 <= watts <= _MOST_W:
                raise ValueError(row[1])
        except (ValueError, IndexError, OverflowError):
            raise JetonError(
                f"{path}, line {number}: {delimiter.join(row)[:_LONGEST]!r} is not a time and a "
                "load in W"
            ) from None
        if base is None:
            base = seconds if dated else 0
            first = moment(seconds) if dated else None
        seconds -= base
        if steps and seconds <= steps[-1][0]:
            raise JetonError(f"{path}, line {number}: times must ascend")
        steps.append((seconds, watts))
    if not steps:
        raise JetonError(f"{path} has no line with a time and a load in W")
    return steps, first


# Appliances of a small household: W, shortest and longest use in minutes, first and last hour of
# the day in which a use begins, uses per day, days per week. Assumed values, which result in a
# plausible 5 to 8 kWh per day.
_APPLIANCES = (
    (9, 60, 300, 18, 19, 1, 7),  # lamps in the evening
    (40, 30, 60, 5, 6, 1, 7),  # and in the morning
    (90, 90, 240, 18, 20, 1, 7),  # television
    (1800, 4, 9, 6, 8, 1, 7),  # kettle
    (1800, 4, 9, 15, 20, 2, 7),
    (1200, 15, 40, 11, 13, 1, 6),  # cooker
    (1200, 20, 50, 18, 20, 1, 7),
    (1000, 20, 45, 8, 17, 1, 3),  # iron
    (750, 15, 30, 7, 18, 2, 7),  # water pump
    (65, 120, 480, 12, 21, 2, 7),  # fan
    (400, 45, 70, 9, 16, 1, 3),  # washing machine
)
_LAMPS = 8
_STANDBY_W = 25
_FRIDGE_W = 55  # average: a cycle of the compressor is shorter than a step


def household(seed: int) -> Steps:
    """Return the steps of a household for a week from Monday 00:00.

    The same seed gives the same week.
    """
    random_ = random.Random(seed)  # noqa: S311 - must be repeatable, is not secret
    changes: dict[int, int] = {0: _STANDBY_W + _FRIDGE_W}
    for watts, shortest, longest, first, last, times, days in _APPLIANCES:
        for day in sorted(random_.sample(range(7), days)):
            for _ in range(times):
                begin = day * 1440 + random_.randrange(first * 60, last * 60 + 60)
                end = begin + random_.randint(shortest, longest)
                used = watts * random_.randint(3, _LAMPS) if watts < 10 else watts
                changes[begin] = changes.get(begin, 0) + used
                changes[end % 10080] = changes.get(end % 10080, 0) - used
                if end >= 10080:  # in use over the end of the week: it is on at the beginning
                    changes[0] += used
    steps: Steps = []
    load_w = 0
    for minute in sorted(changes):
        load_w += changes[minute]
        if not steps or steps[-1][1] != load_w:
            steps.append((minute * 60, load_w))
    return steps


# Name → function that generates its week from a seed.
PROFILES: dict[str, Callable[[int], Steps]] = {"household": household}


def week(name: str, seed: int) -> Steps:
    """Return the week of a named load profile; JetonError if there is none of this name."""
    if name not in PROFILES:
        raise JetonError(f"there is no load profile {name!r}; there are: {', '.join(PROFILES)}")
    return PROFILES[name](seed)


def monday(when: datetime) -> datetime:
    """Return Monday 00:00 of the week of a time."""
    day = when.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def energy_wh(steps: Sequence[tuple[int, int]], end_s: int) -> float:
    """Return the energy of steps up to `end_s` in Wh, with the switch always closed."""
    total = 0
    for i, (seconds, watts) in enumerate(steps):
        until = steps[i + 1][0] if i + 1 < len(steps) else end_s
        total += max(0, min(until, end_s) - seconds) * watts
    return total / 3600
