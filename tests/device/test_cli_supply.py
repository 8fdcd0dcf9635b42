"""The commands for loads, clock, tamper, reconnect, alarm, language and keys."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from command import jeton, ran, refused, result_of

from jeton_host import clock
from jeton_host.cli import app as cli
from jeton_host.client import loads
from jeton_host.vending.pos import PointOfSale

pytestmark = pytest.mark.virtual_only

_DAY = "time,W\n00:00,100\n01:00,2000\n02:00,0\n"  # 2,100 Wh


@pytest.fixture
def home() -> str:
    jeton("new", "home", "--credit", "500", "--clock", "2026-03-02")  # a Monday
    return "home"


@pytest.fixture
def day(tmp_path: Path) -> str:
    path = tmp_path / "day.csv"
    path.write_text(_DAY)
    return str(path)


@contextmanager
def served(name: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "jeton_host", "serve", name],
        stdout=subprocess.PIPE,
        env=os.environ,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield
        process.send_signal(signal.SIGTERM)
        process.wait()
    finally:
        process.kill()
        process.communicate()


def _kinds(name: str) -> list[str]:
    return [event["kind"] for event in result_of("events", name)]


# Loads


def test_a_load_from_a_file_starts_now(home: str, day: str) -> None:
    assert "load 100 W" in jeton("load", home, "--csv", day)
    assert result_of("advance", home, "10h")["total_wh"] == 2100


def test_a_repeated_load_from_a_file_starts_at_midnight(home: str, day: str) -> None:
    jeton("clock", home, "2026-03-02T12:00")
    assert "load 0 W" in jeton("load", home, "--csv", day, "--repeat", "1d")
    assert result_of("advance", home, "2d")["total_wh"] == 4200
    found = result_of("history", home)["days"]
    assert found[-2:] == [{"date": "2026-03-03", "wh": 2100}, {"date": "2026-03-04", "wh": 2100}]


def test_a_load_from_a_file_can_be_applied_at_once(home: str, tmp_path: Path) -> None:
    long = tmp_path / "long.csv"
    long.write_text("".join(f"{minute * 60},{60 * (minute % 3)}\n" for minute in range(601)))
    said = result_of("load", home, "--csv", str(long), "--play")
    assert (said["total_wh"], said["load_w"], said["rate"]) == (600, 0, 1)
    assert said["clock"].startswith("2026-03-02T10:0")
    assert "600 steps" not in refused("load", home, "--csv", str(long))
    assert "has 601 steps, and a meter stores 256: give --play" in refused(
        "load", home, "--csv", str(long)
    )


def test_the_load_of_a_household_depends_on_its_seed(home: str) -> None:
    week = loads.household(7)
    assert f"load {week[0][1]} W" in jeton("load", home, "--profile", "household", "--seed", "7")
    used = result_of("advance", home, "7d")["total_wh"]
    wanted = loads.energy_wh(week, loads.WEEK_S)
    assert wanted - 2 <= used <= wanted + 10
    jeton("load", home, "--profile", "household", "--seed", "1")
    first = result_of("status", home)
    jeton("load", home, "--profile", "household")
    again = result_of("status", home)
    assert first["load_steps"] == again["load_steps"] == len(loads.household(1))


def test_loads_on_three_phases_trip_an_unbalance_limit(home: str) -> None:
    jeton("enter", home, PointOfSale().unbalance_limit(home, 2000).token)
    assert result_of("load", home, "--phases", "1000,1000,4000")["load_w"] == 6000
    assert "switch open (unbalance)" in jeton("advance", home, "40s")
    assert [report["kind"] for report in result_of("reports", home)] == ["unbalance"]
    jeton("new", "even", "--credit", "5")
    jeton("enter", "even", PointOfSale().unbalance_limit("even", 2000).token)
    jeton("load", "even", "--phases", "2000,2000,2000")
    assert "switch closed" in jeton("advance", "even", "40s")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give one load"),
        (("100", "--phases", "1,2,3"), "give one load"),
        (("-1",), "whole number of W"),
        (("1e3",), "whole number of W"),
        (("99999999999",), "from 0 to 4294967295"),
        (("--phases", "1,2"), "is not three loads"),
        (("--phases", ""), "is not three loads"),
        (("--phases", "1,2,-3"), "whole number of W"),
        (("--phases", "1,2," + "9" * 5000), "whole number of W"),
        (("--profile", "villa"), "there are: household"),
        (("--profile", ""), "there are: household"),
        (("100", "--seed", "7"), "--seed needs"),
        (("100", "--play"), "need --csv"),
        (("100", "--repeat", "1d"), "need --csv"),
        (("--csv", ""), "needs the name of a file"),
        (("--csv", "DAY", "--repeat", "1d", "--play"), "exclude each other"),
        (("--csv", "DAY", "--repeat", "0"), "--repeat 0 is not more than 0 s"),
        (("--csv", "DAY", "--repeat", "often"), "not a time span"),
        (("--csv", "DAY", "--repeat", "1h"), "no step at 7200 s"),
        (("--csv", "NONE"), "No such file"),
        (("--csv", "FOLDER"), "directory"),
    ],
)
def test_a_wrong_load_is_refused(
    home: str, day: str, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    paths = {"DAY": day, "NONE": str(tmp_path / "none"), "FOLDER": str(tmp_path)}
    line = refused("load", home, *(paths.get(word, word) for word in arguments))
    assert says in line
    assert "Errno" not in line
    assert result_of("status", home)["load_w"] == 0


# Clock


def test_setting_the_clock_uses_no_energy(home: str) -> None:
    assert jeton("clock", home).startswith("2026-03-02 00:00:")
    jeton("load", home, "10")
    before = result_of("status", home)["total_wh"]
    assert jeton("clock", home, "2026-05-04T23:59") == "2026-05-04 23:59:00 UTC\n"
    assert result_of("clock", home, "2026-05-04T23:59+02:00") == {
        "clock": "2026-05-04T21:59:00+00:00",
        "rate": 1,
    }
    assert result_of("status", home)["total_wh"] == before
    moved = [
        event["moved_s"] for event in result_of("events", home) if event["kind"] == "clock_set"
    ]
    assert 63 * 86400 < moved[0] <= 64 * 86400
    assert -7200 - 60 < moved[1] <= -7200
    began = clock.now().replace(microsecond=0)
    assert datetime.fromisoformat(result_of("clock", home, "now")["clock"]) >= began


@pytest.mark.parametrize("time", ["soon", "1999-12-31T23:59", "2136-12-31", "0001-01-01", ""])
def test_a_wrong_time_is_refused(home: str, time: str) -> None:
    refused("clock", home, time)
    assert jeton("clock", home).startswith("2026-03-02 00:00:")


def test_the_rate_of_a_running_clock_is_set(home: str) -> None:
    assert "the clock of home stops when this command ends" in refused(
        "clock", home, "--rate", "60"
    )
    with served(home):
        assert result_of("clock", home, "2026-05-04T12:00", "--rate", "0") == {
            "clock": "2026-05-04T12:00:00+00:00",
            "rate": 0,
        }
        assert jeton("clock", home) == "2026-05-04 12:00:00 UTC, 0 s a second\n"
        assert result_of("clock", home, "--rate", "3600")["rate"] == 3600
        assert result_of("status", home)["rate"] == 3600
    for wrong in ("-1", "x", "1000001"):
        assert "--rate" in refused("clock", home, "--rate", wrong, status=2)


# Tamper


def test_tamper_acts_by_the_profile(home: str) -> None:
    assert "switch closed" in jeton("tamper", home)  # only logged
    jeton("new", "strict", "--profile", "hexing", "--credit", "5")
    assert jeton("tamper", "strict").startswith("tampered: 5.00 kWh left")
    found = result_of("tamper", "strict")
    assert (found["tamper"], found["switch_reason"]) == (True, "tamper")
    assert _kinds("strict").count("tamper") == 1  # one event, even if it is raised again
    assert "switch open (tamper)" in jeton("status", "strict")
    jeton("enter", "strict", PointOfSale().clear_tamper("strict").token)
    found = result_of("status", "strict")
    assert (found["tamper"], found["switch"]) == (False, "closed")


# Reconnect


def test_a_switch_may_wait_for_a_key() -> None:
    jeton("new", "home", "--profile", "landis_gyr", "--credit", "1", "--clock", "2026-03-02T10:00")
    assert "nothing to reconnect: the switch of home is closed" in refused_reconnect("home")
    jeton("load", "home", "1000")
    assert "switch open (no credit)" in jeton("advance", "home", "2h")
    assert "does not wait for a key: it is open (no credit)" in refused_reconnect("home")
    jeton("enter", "home", PointOfSale().credit("home", "5").token)
    assert "switch open (wait key)" in jeton("status", "home")
    assert "switch closed" in jeton("reconnect", "home")
    found = ran("reconnect", "home", "--json")
    assert (found.status, found.json["done"]) == (1, False)
    assert found.json["status"]["switch_reason"] == "key"


def refused_reconnect(name: str) -> str:
    """Return the line of a refused reconnect; with --json it includes the status."""
    said = ran("reconnect", name)
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1), said
    again = ran("reconnect", name, "--json")
    assert (again.status, again.json["done"]) == (1, False)
    assert again.json["status"]["switch"] in ("open", "closed")
    return said.err


def test_a_tripped_switch_is_reconnected(home: str) -> None:
    def trip(name: str) -> None:
        jeton("enter", name, PointOfSale().power_limit(name, 1000).token)
        jeton("load", name, "1500")
        assert "switch open (over power)" in jeton("advance", name, "40s")

    trip(home)
    assert "it closes at 2026-03-02 00:0" in refused_reconnect(home)
    assert "1 trip of the switch, the switch closes at" in jeton("status", home)
    jeton("new", "clou", "--profile", "clou", "--credit", "5")
    trip("clou")
    jeton("load", "clou", "500")
    assert "switch open (over power)" in jeton("advance", "clou", "1d")  # by key only
    done = result_of("reconnect", "clou")
    assert (done["done"], done["status"]["switch"]) == (True, "closed")


# Alarm


def test_a_muted_alarm_stays_muted_until_credit_exceeds_its_level(home: str) -> None:
    assert jeton("mute", home) == "no alarm is on\n"
    jeton("new", "low", "--credit", "2")
    assert "the low credit alarm sounds" in jeton("status", "low")
    assert jeton("mute", "low") == "the alarm is off\n"
    assert "credit is low" in jeton("status", "low")
    assert result_of("mute", "low")["alarm"] is False
    jeton("enter", "low", PointOfSale().credit("low", "5").token)
    jeton("load", "low", "1000")
    assert result_of("advance", "low", "6h")["alarm"] is True


# Language


def test_the_language_is_shown_and_set(home: str) -> None:
    assert jeton("language", home) == "en  [en, fr, pt]\n"
    assert result_of("language", home, "pt") == {"language": "pt", "languages": ["en", "fr", "pt"]}
    assert "de" in refused("language", home, "de")
    assert jeton("language", home) == "pt  [en, fr, pt]\n"


def test_arabic_requires_a_dot_matrix_display() -> None:
    jeton("new", "letters", "--profile", "somelec")
    assert jeton("language", "letters") == "fr  [fr]\n"
    assert "only: fr" in refused("language", "letters", "ar")
    jeton("new", "dots", "--profile", "somelec", "--graphic")
    assert jeton("language", "dots") == "ar  [ar, fr]\n"


# Keys


def test_short_codes_are_keyed(home: str) -> None:
    assert "500.00 kWh" in jeton("press", home, "07")
    assert "500.00 kWh" in jeton("press", home, "0", "7#")
    jeton("new", "conlog", "--profile", "conlog")
    assert "1 / 2" in jeton("press", "conlog", "#005#")
    assert "1 / 2" in jeton("press", "conlog", "#005")
    jeton("new", "lg", "--profile", "landis_gyr", "--credit", "3")
    assert result_of("press", "lg", "i002")["display"] == ["Credit          ", "3.00 kWh        "]


def test_an_extra_enter_does_not_take_emergency_credit() -> None:
    # On this keypad digit 20 enters by itself, and Enter alone takes what is offered.
    jeton("new", "lg", "--profile", "landis_gyr", "--credit", "0.5")
    said = ran("press", "lg", "12345678901234567890", "--json")
    assert said.json["result"]["name"] == "CRCError"
    jeton("press", "lg", "i002")
    assert result_of("grant", "lg")["emergency_wh"] == 0


def test_a_token_is_entered_by_its_keys(home: str) -> None:
    token = PointOfSale().credit(home, "1.5").token
    said = jeton("press", home, *(token[i : i + 4] for i in range(0, 20, 4)))
    assert "Accept, TransferCredit:Electricity, 1.50 kWh" in said
    assert "+1.5 kWh" in said
    said_again = ran("press", home, token)
    assert (said_again.status, said_again.out) == (1, "")
    assert said_again.err == "jeton: refused, UsedError: it was used already\n"
    found = ran("press", home, token, "--json")
    assert (found.status, found.json["result"]["name"]) == (1, "UsedError")


@pytest.mark.parametrize(("keys", "says"), [("x", "are not keys"), ("i", "no key 'i' on this")])
def test_unknown_keys_are_refused(home: str, keys: str, says: str) -> None:
    assert says in refused("press", home, keys)


# Common to all commands


def _commands() -> list[tuple[str, ...]]:
    """Return the words of every command, except those that need a meter's name."""
    found: list[tuple[str, ...]] = []

    def look(group: Any, words: tuple[str, ...]) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                look(command, (*words, name, *(("home",) if name == "vend" else ())))
            else:
                found.append((*words, name))

    look(typer.main.get_command(cli.application()), ())
    return found


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_a_wrong_use_prints_one_line(words: tuple[str, ...]) -> None:
    assert "'--json'" in refused(*words, "--json=1", status=2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("enter",), "missing argument 'NAME|PORT' (see jeton enter --help)"),
        (("enterr", "x"), "no such command 'enterr'"),
        (("load", "home", "1", "2"), "unexpected extra argument"),
        (("profile", "show"), "missing argument 'NAME' (see jeton profile show --help)"),
        (("--nonsense",), "--nonsense (see jeton --help)"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(*arguments, status=2)


@pytest.mark.parametrize("arguments", [(), ("profile",), ("vend",)])
def test_a_command_group_alone_shows_its_help(arguments: tuple[str, ...]) -> None:
    said = ran(*arguments)
    assert said.status == 2
    assert "Usage: " in said.out
    assert "jeton: " not in said.err
