"""The commands about meters, as programs of their own where that matters."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from client import Client
from rich.console import Console
from typer.testing import CliRunner

from host_tools import cli_meters, meters
from host_tools.draw import panel
from host_tools.errors import JetonError
from host_tools.vending.pos import PointOfSale

# The command as it is installed, but without what else it offers.
_PROGRAM = (
    "import sys, typer\n"
    "from host_tools import cli_meters\n"
    "from host_tools.errors import JetonError\n"
    "app = typer.Typer()\n"
    "cli_meters.register(app)\n"
    "try:\n    app()\n"
    "except JetonError as error:\n    sys.exit(f'jeton: {error}')\n"
)

app = typer.Typer()
cli_meters.register(app)


def jeton(*arguments: str, keys: str | None = None) -> str:
    """Run a command that is to succeed; return what it printed."""
    result = CliRunner().invoke(app, list(arguments), input=keys)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*arguments: str) -> str:
    """Run a command that is to be refused; return its one line."""
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, JetonError), (result.output, result.exception)
    assert result.stdout == ""
    assert "\n" not in str(result.exception)
    return str(result.exception)


@contextmanager
def served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().rstrip("\n")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def demo() -> str:
    jeton("new", "demo", "--credit", "2", "--display", "4x20")
    return "demo"


def _status(name: str = "demo") -> dict[str, Any]:
    return dict(json.loads(jeton("status", name, "--json")))


def test_new_and_list() -> None:
    assert "no meters yet" in jeton("list")
    said = jeton(
        "new", "lome", "--profile", "ceet", "--bdt", "93", "--credit", "12.5", "--krn", "1"
    )
    assert re.fullmatch(
        r"lome: meter 00\d{9}, EA07, SGC 201457, TI 01, KRN 1, base date 93, profile ceet, "
        r"12\.50 kWh\n",
        said,
    )
    about = json.loads(jeton("new", "two", "--json", "--ea", "11", "--clock", "2024-11-24T00:01"))
    assert (about["name"], about["ea"], about["port"]) == ("two", 11, None)
    assert "decoder_key" not in about
    assert [meter["name"] for meter in json.loads(jeton("list", "--json"))] == ["lome", "two"]
    assert re.fullmatch(r"lome  00\d{9}  ceet  off\ntwo  00\d{9}  generic  off\n", jeton("list"))
    assert _status("two")["clock"].startswith("2024-11-24T00:01:")
    assert [record.name for record in PointOfSale().meters()] == ["lome", "two"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("bad/name",),
        ("virtual",),
        ("x", "--drn", "00000000011"),
        ("x", "--ea", "9"),
        ("x", "--sgc", "12"),
        ("x", "--ti", "100"),
        ("x", "--krn", "0"),
        ("x", "--bdt", "99"),
        ("x", "--ken", "256"),
        ("x", "--credit", "-1"),
        ("x", "--credit", "a lot"),
        ("x", "--credit", "99999999999"),
        ("x", "--clock", "yesterday"),
        ("x", "--clock", "1993-01-01"),
        ("x", "--profile", "nobody"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(arguments: tuple[str, ...]) -> None:
    refused("new", *arguments)
    assert json.loads(jeton("list", "--json")) == []
    assert PointOfSale().meters() == []


def test_a_name_is_used_once(demo: str) -> None:
    assert "there is a meter demo already" in refused("new", demo)
    jeton("delete", demo)
    assert "no meters yet" in jeton("list")
    jeton("new", demo)


def test_a_token_and_its_replay(demo: str) -> None:
    token = PointOfSale().credit(demo, "1.5").token
    grouped = "-".join(token[i : i + 4] for i in range(0, 20, 4))
    said = jeton("enter", demo, grouped)
    assert said.startswith("Accept, TransferCredit:Electricity, 1.50 kWh\n")
    assert "┏" in said
    before = _status()
    assert before["credit_wh"] == 3500
    assert refused("enter", demo, token).startswith("refused, UsedError")
    result = CliRunner().invoke(app, ["enter", demo, token, "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["name"] == "UsedError"
    after = _status()
    assert (after["credit_wh"], after["tid_newest"]) == (3500, before["tid_newest"])


@pytest.mark.parametrize(
    "token", ["", "1", "letters", "9" * 20, "1" * 40, "1" * 60, "²" * 20, "1" * 10000]
)
def test_what_is_no_token(demo: str, token: str) -> None:
    assert refused("enter", demo, token).startswith("refused, ")
    assert _status()["credit_wh"] == 2000


def test_load_and_time(demo: str) -> None:
    assert "load 500 W" in jeton("load", demo, "500")
    assert json.loads(jeton("advance", demo, "2h", "--json"))["credit_wh"] == 1000
    assert "0.75 kWh left, 1.25 kWh used" in jeton("advance", demo, "1800")
    said = jeton("status", demo)
    assert "0.75 kWh" in said
    assert "KRN 1" in said
    assert "is not a time span" in refused("advance", demo, "soon")
    assert CliRunner().invoke(app, ["load", demo, "-5"]).exit_code == 2
    assert _status()["credit_wh"] == 750


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("90s", 90),
        ("15min", 900),
        ("15m", 900),
        ("2h", 7200),
        ("30d", 2592000),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1H 30", 3630),
    ],
)
def test_spans(text: str, seconds: int) -> None:
    assert cli_meters.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "h", "2x", "1.5h", "1e3", "²h"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(JetonError, match="is not a time span"):
        cli_meters.duration(text)


def test_unknown_meters_and_ports() -> None:
    for command in (["enter", "nobody", "1"], ["status", "nobody"], ["run", "nobody"]):
        assert "there is no meter 'nobody'" in refused(*command)
    for command in (["serve", "nobody"], ["delete", "nobody"]):
        assert "there is no meter 'nobody'" in refused(*command)
    assert "does not exist" in refused("status", "/dev/ttyNONE0")


def test_run_by_hand(demo: str) -> None:
    token = PointOfSale().credit(demo, "1").token
    keys = f"{token[:10]} {token[10:]}\n{token}\nload 100\nadvance 1h\nnonsense\nstatus\nquit\n"
    said = jeton("run", demo, keys=keys)
    assert "Accept, TransferCredit:Electricity, 1.00 kWh" in said
    assert "refused, UsedError" in said
    assert "are not keys of a meter" in said
    assert said.count("┏") == 7
    assert _status()["credit_wh"] == 2900
    lines = jeton("run", demo, "--json", keys="12*\nstatus\n").splitlines()
    assert [sorted(json.loads(line))[0] for line in lines] == ["display", "advance_debt_wh"]


def test_serve(demo: str, tmp_path: Path) -> None:
    link = tmp_path / "port"
    with served(demo, "--link", str(link)) as (process, first):
        assert first == str(link)
        assert jeton("list").rstrip().endswith(f"runs at {link}")
        assert _status()["credit_wh"] == 2000
        with Client(first) as client:
            client.raw()
            assert client.run("print(meter)")[1] == b""
        assert "runs already, at" in refused("serve", demo)
        assert "stop that first" in refused("delete", demo)
        assert refused("enter", demo, "1").startswith("refused, FormatError")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not link.is_symlink()
    assert json.loads(jeton("list", "--json"))[0]["port"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_serve_without_a_link_ends_by_signal(demo: str, number: int) -> None:
    with served(demo, "--json") as (process, first):
        port = json.loads(first)["port"]
        assert os.path.exists(port)
        process.send_signal(number)
        assert process.wait(10) == 0


def test_a_served_meter_that_was_killed_can_be_used_again(demo: str) -> None:
    with served(demo) as (process, _):
        process.kill()
        process.wait()
    deadline = time.monotonic() + 5
    while meters.find(demo).port() is not None:  # the interpreter holds the flash for a moment
        assert time.monotonic() < deadline
    assert _status()["credit_wh"] == 2000


def test_a_link_that_cannot_be_made(demo: str, tmp_path: Path) -> None:
    assert "cannot be made" in refused("serve", demo, "--link", str(tmp_path / "no" / "port"))
    assert _status()["credit_wh"] == 2000


def test_every_command_explains_itself_with_an_example() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert "Example" in (command.callback.__doc__ or ""), command.name
        assert "jeton" in jeton(str(command.name), "--help")


def test_the_display_is_drawn_as_it_is() -> None:
    console = Console(width=60, force_terminal=False, record=True)
    console.print(panel(["Crédit  12.5 kWh", "much too long a line for it"], 3, 16, title="lome"))
    lines = console.export_text().splitlines()
    assert "lome" in lines[0]
    assert lines[1:4] == [
        "┃  Crédit  12.5 kWh  ┃",
        "┃  much too long a   ┃",
        "┃                    ┃",
    ]


def test_several_tokens_in_one_call() -> None:
    jeton("new", "lome", "--profile", "ceet")
    pos = PointOfSale()
    codes = [issued.token for issued in pos.key_change("lome", krn=2)]
    purchase = pos.credit("lome", "15").token
    groups = [purchase[i : i + 4] for i in range(0, 20, 4)]
    # One token in its groups; under the new key, which the meter does not have yet.
    assert "CRCError" in refused("enter", "lome", *groups)
    # Half a change does not outlive the call, and the command says so.
    half = CliRunner().invoke(app, ["enter", "lome", codes[0]])
    assert half.exit_code == 0
    assert "key all its codes in one call" in half.stderr
    assert "NotReady" in refused("enter", "lome", codes[1])
    told = json.loads(jeton("enter", "lome", *codes, purchase, "--json"))
    assert [token["name"] for token in told] == ["1stKCT", "Accept", "Accept"]
    again = CliRunner().invoke(app, ["enter", "lome", purchase, "00000000000201328896"])
    assert again.exit_code == 1
    assert "refused, UsedError" in again.stderr
    assert "Accept, InitiateMeterTest/Display" in again.stdout


def test_a_profile_there_is_not() -> None:
    assert "there are: ceet, " in refused("new", "home", "--profile", "nobody")
    assert json.loads(jeton("list", "--json")) == []


def test_time_and_energy_outlive_every_kind_of_exit() -> None:
    jeton("new", "home", "--credit", "5", "--clock", "2026-01-01 00:00")
    jeton("load", "home", "100")
    for _ in range(6):
        jeton("advance", "home", "5min")
    now = json.loads(jeton("status", "home", "--json"))
    assert now["total_wh"] == 50
    assert now["clock"].startswith("2026-01-01T00:30")
    jeton("run", "home", keys="advance 3min\nquit\n")
    with served("home") as (process, port):
        with Client(port) as client:
            client.raw()
            assert client.run("meter.advance(180)") == (b"", b"")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    now = json.loads(jeton("status", "home", "--json"))
    assert now["total_wh"] == 60
    assert now["clock"].startswith("2026-01-01T00:36")
