"""Time zones of meters: offsets, names, rules; and that the meter computes what zoneinfo says."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jeton import summer
from jeton_host.errors import JetonError
from jeton_host.firmware import profiles
from jeton_host.zones import Zone, rule_of, zone_of

_2000 = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("UTC", 0), ("+01:00", 60), ("UTC+1", 60), ("-0330", -210), ("+5:45", 345), ("gmt-5", -300)],
)
def test_an_offset_is_a_zone(text: str, minutes: int) -> None:
    assert zone_of(text) == Zone(minutes)


def test_a_name_is_a_zone() -> None:
    assert zone_of("Africa/Douala") == Zone(60)
    assert zone_of("Europe/Paris") == Zone(60, (3, 5, 6, 8, 10, 5, 6, 8))
    assert zone_of("Europe/Paris").dst == tuple(rule_of("M3.5.0,M10.5.0/3"))


@pytest.mark.parametrize(
    "name", ["Europe/Paris", "Europe/London", "America/New_York", "Africa/Cairo", "Asia/Kolkata"]
)
def test_the_meter_keeps_the_time_of_its_zone(name: str) -> None:
    """EU Directive 2000/84/EC: summer time begins and ends at 1:00 UTC on the last Sundays."""
    zone, named = zone_of(name), ZoneInfo(name)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    while at.year < 2029:
        standard = int((at - _2000).total_seconds()) + 60 * zone.minutes
        added = summer.rule(bytes([0, *zone.dst]), standard)[0] if zone.dst else 0
        assert at.astimezone(named).utcoffset() == timedelta(minutes=zone.minutes, seconds=added)
        at += timedelta(minutes=30)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Africa/Nowhere", "there is no time zone"),
        ("../../etc/passwd", "there is no time zone"),
        ("", "there is no time zone"),
        ("+15", "-12:00 to"),
        ("+01:07", "quarters of an hour"),
        ("+01:75", "quarters of an hour"),
        # Ramadan, a moving date, and half an hour.
        ("Africa/Casablanca", "for example \\+01:00"),
        ("Australia/Lord_Howe", "give its offset"),
    ],
)
def test_what_is_no_zone_of_a_meter_is_refused(text: str, why: str) -> None:
    with pytest.raises(JetonError, match=why):
        zone_of(text)


@pytest.mark.parametrize(
    "text",
    ["", "M3.5.0", "M13.5.0,M10.5.0", "M3.5.0/2:10,M10.5.0", "M3.5.0,M3.1.0", "M3.6.0,M10.5.0", 3],
)
def test_a_wrong_rule_is_refused(text: object) -> None:
    with pytest.raises(JetonError):
        rule_of(text)


def test_a_profile_can_have_a_rule() -> None:
    data = profiles.load("generic")
    data["time"] = {"zone_min": 60, "dst": "M3.5.0/2,M10.5.0/3"}
    assert not list(profiles.problems(data))
    assert b'"dst":[3,5,6,8,10,5,6,8]' in profiles.settings_for_board(data)
    for wrong in ({"zone_min": 61, "dst": None}, {"zone_min": 60, "dst": "CET"}):
        assert list(profiles.problems(data | {"time": wrong}))
