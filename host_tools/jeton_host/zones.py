"""Time zones of meters: the names that people write, as numbers of the meter's record.

A zone is minutes east of UTC and, where clocks change, a rule of eight numbers: month, week
(5: the last), weekday (0: Monday) and quarter of an hour of the standard time, for the beginning
and for the end of daylight saving time (firmware/jeton/summer.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from jeton import summer
from jeton_host import clock
from jeton_host.errors import JetonError

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_ZERO = timedelta(0)
_HOUR = timedelta(hours=1)
_QUARTER = timedelta(minutes=15)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?", re.ASCII | re.IGNORECASE)
_DATE = r"M([0-9]{1,2})\.([1-5])\.([0-6])(?:/([0-9]{1,2})(?::([0-9]{2}))?)?"
RULE = re.compile(f"{_DATE},{_DATE}", re.ASCII)
_YEARS = 10  # a rule must hold in this year and in the ten after it


@dataclass(frozen=True, slots=True)
class Zone:
    """The time zone of a meter: minutes east of UTC, and the eight numbers of its rule or None."""

    minutes: int
    dst: tuple[int, ...] | None = None

    def config(self) -> dict[str, object]:
        """Return its values in the configuration of a meter."""
        return {"zone_min": self.minutes, "dst": None if self.dst is None else list(self.dst)}


def rule_of(text: object) -> list[int]:
    """Return the eight numbers of a POSIX rule such as "M3.5.0/2,M10.5.0/3"; JetonError.

    Its times are local, the second one in daylight saving time (POSIX.1-2017 8.3); without one it
    is 2:00.
    """
    found = RULE.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise JetonError(f"{text!r} is no rule: write for example M3.5.0/2,M10.5.0/3")
    rule: list[int] = []
    for at in (0, 5):
        month, week, weekday, hour, minute = found.groups()[at : at + 5]
        quarter, rest = divmod(60 * int(hour or 2) + int(minute or 0) - 12 * at, 15)
        if not 1 <= int(month) <= 12 or rest or not 0 <= quarter < 96:
            raise JetonError(f"{text!r} is no rule of months 1 to 12 and quarters of an hour")
        rule += [int(month), int(week), (int(weekday) + 6) % 7, quarter]
    if rule[0] == rule[4]:
        raise JetonError(f"{text!r} begins and ends in one month")
    return rule


def zone_of(text: str) -> Zone:
    """Return a zone from "+01:00", "UTC" or a name such as Europe/Paris; JetonError if unknown.

    JetonError too for a zone whose clock does not change by one rule in the years to come.
    """
    if text.upper() in ("UTC", "GMT", "Z"):
        return Zone(0)
    if found := _OFFSET.fullmatch(text):
        minutes = 60 * int(found[2]) + int(found[3] or 0)
        minutes = -minutes if found[1] == "-" else minutes
        if not -720 <= minutes <= 840 or minutes % 15 or int(found[3] or 0) > 59:
            raise JetonError(
                f"the time zone {text} is not valid: give -12:00 to +14:00 in quarters of an hour"
            )
        return Zone(minutes)
    try:
        named = ZoneInfo(text)
    except (ValueError, OSError, LookupError):
        raise JetonError(
            f"there is no time zone {text[:40]!r}: give an offset such as +01:00, or a name such "
            "as Africa/Douala"
        ) from None
    return _named(text, named)


def _named(text: str, named: ZoneInfo) -> Zone:
    year = clock.now().year
    offsets = [named.utcoffset(datetime(year, month, 15)) or _ZERO for month in range(1, 13)]
    standard = min(offsets)
    changes = list(_changes(named, year, standard))
    minutes, rest = divmod(standard, timedelta(minutes=1))
    if not rest and not changes:
        return Zone(minutes)
    for rule in _rules(changes[:2]):
        found = Zone(minutes, rule)
        if not rest and _holds(found, named, year):
            return found
    raise JetonError(
        f"the clock of {text} does not change by one rule of months: give its offset, for example "
        f"{_offset_name(max(offsets, key=offsets.count) // timedelta(minutes=1))}"
    )


def _offset_name(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def _changes(named: ZoneInfo, year: int, standard: timedelta) -> Iterator[tuple[datetime, bool]]:
    """Yield each change of the offset in 11 years: its standard time, and whether DST begins."""
    at = datetime(year, 1, 1, tzinfo=UTC)
    before = at.astimezone(named).utcoffset()
    while at.year <= year + _YEARS:
        at += timedelta(days=1)
        offset = at.astimezone(named).utcoffset()
        if offset != before:
            changed = at
            while (changed - _QUARTER).astimezone(named).utcoffset() == offset:
                changed -= _QUARTER
            yield (changed + standard).replace(tzinfo=None), offset != standard
            before = offset


def _rules(changes: list[tuple[datetime, bool]]) -> Iterator[tuple[int, ...]]:
    """Yield the rules that two changes may follow: the week counts from either end of a month."""
    if len(changes) < 2 or changes[0][1] == changes[1][1]:
        return
    first, last = sorted(changes, key=lambda change: not change[1])
    for week in _weeks(first[0]):
        for other in _weeks(last[0]):
            yield (*_date_of(first[0], week), *_date_of(last[0], other))


def _weeks(at: datetime) -> list[int]:
    week = (at.day - 1) // 7 + 1
    return [5, week] if (at + timedelta(days=7)).month != at.month and week < 5 else [week]


def _date_of(at: datetime, week: int) -> tuple[int, ...]:
    return at.month, week, at.weekday(), at.hour * 4 + at.minute // 15


def _holds(found: Zone, named: ZoneInfo, year: int) -> bool:
    """Return whether a zone agrees with a named one at each hour of 11 years."""
    assert found.dst is not None
    at, rule = datetime(year, 1, 1, tzinfo=UTC), bytes(found.dst)
    while at.year <= year + _YEARS:
        seconds = int((at - _EPOCH).total_seconds()) + 60 * found.minutes
        summer_s, until = summer.rule(b"\0" + rule, seconds)
        if at.astimezone(named).utcoffset() != timedelta(minutes=found.minutes, seconds=summer_s):
            return False
        at += max(_HOUR, min(timedelta(days=5), timedelta(seconds=until - seconds)))
    return True
