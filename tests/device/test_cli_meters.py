"""The commands about meters; run as separate processes where that matters."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from client import Client
from rich.console import Console
from typer.testing import CliRunner

from jeton_host.cli import life, tokens
from jeton_host.cli import meters as cli_meters
from jeton_host.errors import JetonError
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware.interpreter import find
from jeton_host.meters import named as meters
from jeton_host.terminal import parse
from jeton_host.terminal.draw import panel
from jeton_host.vending.pos import PointOfSale

pytestmark = pytest.mark.virtual_only

# The installed command, with only the groups of commands that are tested here.
_PROGRAM = (
    "import sys, typer\n"
    "from jeton_host.cli import life, meters, tokens\n"
    "from jeton_host.errors import JetonError\n"
    "app = typer.Typer()\n"
    "for commands in (meters, life, tokens):\n    commands.register(app)\n"
    "try:\n    app()\n"
    "except JetonError as error:\n    sys.exit(f'jeton: {error}')\n"
)

app = typer.Typer()
for commands in (cli_meters, life, tokens):
    commands.register(app)


def jeton(*arguments: str, keys: str | None = None) -> str:
    """Run a command that must succeed; return what it printed."""
    result = CliRunner().invoke(app, list(arguments), input=keys)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*arguments: str) -> str:
    """Run a command that must be refused; return its one error line."""
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


def test_new_meters_are_listed() -> None:
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
        ("x", "--credit", "1e1000000"),
        ("x", "--credit", "-1e1000000"),
        ("x", "--credit", "nan"),
        ("x", "--credit", "9" * 5000),
        ("x", "--clock", "2013-12-31T23:59"),
        ("x", "--clock", "2045-12-01"),
        ("x", "--clock", "2024-11-24T20:16", "--bdt", "93"),
        ("x", "--made", "soon"),
        ("x", "--made", "2013-12-31"),
        ("x", "--clock", "yesterday"),
        ("x", "--clock", "1993-01-01"),
        ("x", "--profile", "absent"),
    ],
)
def test_a_failed_creation_leaves_no_files(arguments: tuple[str, ...]) -> None:
    refused("new", *arguments)
    assert json.loads(jeton("list", "--json")) == []
    assert PointOfSale().meters() == []


def test_a_name_cannot_be_used_twice(demo: str) -> None:
    assert "there is a meter demo already" in refused("new", demo)
    jeton("delete", demo)
    assert "no meters yet" in jeton("list")
    jeton("new", demo)


def test_a_token_is_accepted_once(demo: str) -> None:
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
def test_invalid_digits_are_refused_as_a_token(demo: str, token: str) -> None:
    assert refused("enter", demo, token).startswith("refused, ")
    assert _status()["credit_wh"] == 2000


def test_a_load_uses_energy_over_time(demo: str) -> None:
    assert "load 500 W" in jeton("load", demo, "500")
    assert json.loads(jeton("advance", demo, "2h", "--json"))["credit_wh"] == 1000
    assert "0.75 kWh left, 1.25 kWh used" in jeton("advance", demo, "1800")
    said = jeton("status", demo)
    assert "0.75 kWh" in said
    assert "KRN 1" in said
    assert "is not a time span" in refused("advance", demo, "soon")
    for power in ("-5", "abc", "²", "1.5", "9" * 5000, ""):
        assert "is not valid: give a whole number of W" in refused("load", demo, power)
    for span in ("-1", "9" * 5000):
        assert "is not a time span" in refused("advance", demo, span)
    assert "must be a whole number from 0 to 4294967295" in refused("load", demo, "99999999999")
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
def test_time_spans_are_parsed(text: str, seconds: int) -> None:
    assert parse.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "h", "2x", "1.5h", "1e3", "²h"])
def test_wrong_time_spans_are_refused(text: str) -> None:
    with pytest.raises(JetonError, match="is not a time span"):
        parse.duration(text)


def test_unknown_meters_and_ports_are_refused() -> None:
    for command in (["enter", "absent", "1"], ["status", "absent"], ["run", "absent"]):
        assert "there is no meter 'absent'" in refused(*command)
    for command in (["serve", "absent"], ["delete", "absent"]):
        assert "there is no meter 'absent'" in refused(*command)
    assert "does not exist" in refused("status", "/dev/ttyNONE0")


def test_run_executes_typed_commands(demo: str) -> None:
    token = PointOfSale().credit(demo, "1").token
    keys = f"{token[:10]} {token[10:]}\n{token}\nload 100\nadvance 1h\nnonsense\nstatus\nquit\n"
    done = CliRunner().invoke(app, ["run", demo], input=keys)
    assert done.exit_code == 1  # one of the commands failed
    said = done.stdout
    assert "Accept, TransferCredit:Electricity, 1.00 kWh" in said
    assert "refused, UsedError" in said
    assert "are not keys of a meter" in said
    assert said.count("┏") == 7
    assert _status()["credit_wh"] == 2900
    lines = jeton("run", demo, "--json", keys="12*\nstatus\n").splitlines()
    assert [sorted(json.loads(line))[0] for line in lines] == ["display", "advance_debt_wh"]


def test_a_served_meter_answers_on_its_port_and_link(demo: str, tmp_path: Path) -> None:
    link = tmp_path / "port"
    with served(demo, "--link", str(link)) as (process, first):
        assert first == str(link)
        assert jeton("list").rstrip().endswith(f"runs at {os.readlink(link)}")
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


def test_a_link_that_cannot_be_created_is_refused(demo: str, tmp_path: Path) -> None:
    assert "cannot be created" in refused("serve", demo, "--link", str(tmp_path / "no" / "port"))
    assert _status()["credit_wh"] == 2000


def test_every_command_has_an_example_in_its_help() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert "Example" in (command.callback.__doc__ or ""), command.name
        assert "jeton" in jeton(str(command.name), "--help")


def test_the_display_is_printed_unchanged() -> None:
    console = Console(width=60, force_terminal=False, record=True)
    console.print(panel(["Crédit  12.5 kWh", "much too long a line for it"], 3, 16, title="lome"))
    lines = console.export_text().splitlines()
    assert "lome" in lines[0]
    assert lines[1:4] == [
        "┃  Crédit  12.5 kWh  ┃",
        "┃  much too long a   ┃",
        "┃                    ┃",
    ]


def test_one_call_may_enter_several_tokens() -> None:
    jeton("new", "lome", "--profile", "ceet")
    pos = PointOfSale()
    codes = [issued.token for issued in pos.key_change("lome", krn=2)]
    purchase = pos.credit("lome", "15").token
    groups = [purchase[i : i + 4] for i in range(0, 20, 4)]
    # One token in groups of digits; its key is new, and the meter does not have it yet.
    assert "CRCError" in refused("enter", "lome", *groups)
    # The first half of a key change is lost after the call, and the command prints this.
    half = CliRunner().invoke(app, ["enter", "lome", codes[0]])
    assert half.exit_code == 0
    assert "give all its codes in one command" in half.stderr
    assert "NotReady" in refused("enter", "lome", codes[1])
    results = json.loads(jeton("enter", "lome", *codes, purchase, "--json"))
    assert [token["name"] for token in results] == ["1stKCT", "Accept", "Accept"]
    again = CliRunner().invoke(app, ["enter", "lome", purchase, "00000000000201328896"])
    assert again.exit_code == 1
    assert "refused, UsedError" in again.stderr
    assert "Accept, InitiateMeterTest/Display" in again.stdout


def test_an_unknown_profile_is_refused() -> None:
    assert "there are: ceet, " in refused("new", "home", "--profile", "absent")
    assert json.loads(jeton("list", "--json")) == []


def test_time_and_energy_are_kept_after_every_kind_of_exit() -> None:
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


def test_a_clock_may_be_at_the_end_of_its_range() -> None:
    jeton("new", "last", "--bdt", "93", "--clock", "2024-11-24T20:15:59")


def test_a_date_of_manufacture_refuses_older_tokens() -> None:
    jeton("new", "home", "--made", "2026-01-31")
    pos = PointOfSale()
    old = pos.credit("home", "1", at=datetime(2026, 1, 30)).token
    fresh = pos.credit("home", "1", at=datetime(2026, 2, 1)).token
    assert "OldError" in refused("enter", "home", old)
    assert "Accept" in jeton("enter", "home", fresh)


def test_events_are_listed(demo: str) -> None:
    refused("enter", demo, "1")
    kinds = [event["kind"] for event in json.loads(jeton("events", demo, "--json"))]
    # The switch of a new meter closes, and its credit is low. Each command that restarts the
    # board is a power cut; two in one second are logged as one.
    assert kinds == [
        "provisioned",
        "switch_closed",
        "low_credit",
        "alarm",
        "power_down",
        "power_up",
        "token",
        "power_down",
        "power_up",
    ]
    jeton("advance", demo, "1m")
    jeton("status", demo)
    lines = jeton("events", demo).splitlines()
    assert len(lines) >= len(kinds) + 2
    assert all("  power_" in line for line in lines[len(kinds) :])
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.fullmatch(rf" +2  {time}  switch_closed  reason credit", lines[1])
    assert re.fullmatch(rf" +7  {time}  token  amount_wh 0, name FormatError, result 6", lines[6])
    last = int(lines[-1].split()[0])
    assert json.loads(jeton("events", demo, "--after", str(last - 1), "--json"))[0]["seq"] == last


def test_a_link_of_a_running_meter_is_not_replaced(demo: str, tmp_path: Path) -> None:
    jeton("new", "two", "--credit", "9")
    link = tmp_path / "port"
    with served(demo, "--link", str(link)) as (process, _):
        assert "is the link of a running board" in refused("serve", "two", "--link", str(link))
        assert _status("two")["credit_wh"] == 9000
        target = os.readlink(link)
        assert _status(demo)["credit_wh"] == 2000
        # Another program has replaced the link: it must not be removed at the end.
        link.unlink()
        link.symlink_to("/dev/pts/99999")
        assert json.loads(jeton("list", "--json"))[0]["port"] == target
        assert _status(demo)["credit_wh"] == 2000
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert os.readlink(link) == "/dev/pts/99999"
    with served("two", "--link", str(link)) as (_, first):  # a dangling link is replaced
        assert first == str(link)
        assert os.readlink(link) != "/dev/pts/99999"


def test_the_link_of_a_killed_meter_is_replaced(demo: str, tmp_path: Path) -> None:
    link = tmp_path / "port"
    for _ in range(2):
        with served(demo, "--link", str(link)) as (_, first):
            assert first == str(link)
            assert link.exists()
    assert link.is_symlink()


# Damaged or incomplete files


def _damage_pos() -> None:
    PointOfSale().path.write_bytes(b"no data base" * 1000)


def test_a_meter_is_kept_if_the_point_of_sale_cannot_delete_it(demo: str) -> None:
    token = PointOfSale().credit(demo, "1").token
    kept = PointOfSale().path.read_bytes()
    _damage_pos()
    assert "not a database" in refused("delete", demo)
    PointOfSale().path.write_bytes(kept)
    assert "Accept" in jeton("enter", demo, token)
    assert _status()["credit_wh"] == 3000
    deleted = json.loads(jeton("delete", demo, "--json"))
    assert deleted["name"] == demo
    assert deleted["deleted"] is True
    assert PointOfSale().meters() == []


def test_a_missing_flash_is_reported(demo: str) -> None:
    folder = meters.find(demo).folder
    (folder / "flash.img").unlink()
    before = sorted(folder.iterdir())
    for command in (["status", demo], ["enter", demo, "1"], ["serve", demo], ["run", demo]):
        assert refused(*command) == "the flash of meter demo is missing"
    assert sorted(folder.iterdir()) == before
    assert "damaged: its flash is missing" in jeton("list")
    assert "its flash is missing: remove the rest of it with `jeton delete demo`" in refused(
        "new", demo
    )
    jeton("delete", demo)
    jeton("new", demo)


def test_a_flash_without_a_meter_is_not_changed(demo: str) -> None:
    flash = meters.find(demo).flash
    empty = firmware_build.build(find()).image.read_bytes()
    # Firmware is older, so an update would change it.
    empty = empty.replace(firmware_build.build(find()).hash.encode(), b"0123456789abcdef")
    flash.write_bytes(empty)
    assert "contains no meter/record: it is damaged" in refused("status", demo)
    assert flash.read_bytes() == empty


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff{"])
def test_a_damaged_description_is_reported(demo: str, content: bytes | None) -> None:
    about = meters.find(demo).folder / "meter.json"
    about.unlink()
    if content is not None:
        about.write_bytes(content)
    assert "damaged: its meter.json" in jeton("list")
    assert "meter.json" in json.loads(jeton("list", "--json"))[0]["damaged"]
    assert _status()["credit_wh"] == 2000
    assert "its meter.json" in refused("new", demo)
    assert _status()["credit_wh"] == 2000
    jeton("delete", demo)
    assert "no meters yet" in jeton("list")
    jeton("new", demo)


_KILLED = (
    "import os, sys\n"
    "from jeton_host.cli import app as cli; from jeton_host.meters import named as meters\n"
    "meters.{where} = lambda *_, **__: os.kill(os.getpid(), {number}) or {rest}\n"
    "sys.argv[1:] = ['new', 'half']\n"
    "cli.main()\n"
)


@pytest.mark.parametrize("where", ["VirtualBoard", "write_atomically"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("then", ["new", "delete"])
def test_an_interrupted_creation_is_cleaned_up(
    where: str, number: int, then: str, jeton_home: Path
) -> None:
    program = _KILLED.format(where=where, number=int(number), rest="__import__('time').sleep(9)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20)
    assert done.stdout == b""
    if number == signal.SIGTERM:
        assert done.returncode == 128 + signal.SIGTERM, done.stderr
        assert list((jeton_home / "meters").iterdir()) == []
        assert PointOfSale().meters() == []
        return
    assert "no meters yet" in jeton("list")
    assert "was never finished" in refused("status", "half")
    if then == "delete":
        jeton("delete", "half")
        assert PointOfSale().meters() == []
        assert list((jeton_home / "meters").iterdir()) == []
    jeton("new", "half")
    assert [folder.name for folder in (jeton_home / "meters").iterdir()] == ["half"]
    assert "Accept" in jeton("enter", "half", PointOfSale().credit("half", "1").token)


def test_a_meter_may_exist_only_at_the_point_of_sale() -> None:
    PointOfSale().add_meter("rig")
    assert "the point of sale has a meter rig" in refused("new", "rig")
    assert [meter.name for meter in PointOfSale().meters()] == ["rig"]
    jeton("delete", "rig")
    jeton("new", "rig")


# The command as a whole


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "jeton_host", *arguments],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        | options,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in (done.stderr or "") + (done.stdout or "")
    return done


def shell(line: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-c", line.replace("jeton", f"{sys.executable} -m jeton_host")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.count("\n") <= 1, done.stderr
    return done


def test_errors_are_json_if_results_are_json(demo: str) -> None:
    for arguments, status in (
        (["status", "absent", "--json"], 1),
        (["load", demo, "-1", "--json"], 1),
        (["events", demo, "--after", "-1", "--json"], 2),
        (["new", "x", "--nonsense", "--json"], 2),
        (["vend", "absent", "credit", "1", "--json"], 1),
    ):
        done = command(*arguments)
        assert done.returncode == status
        assert list(json.loads(done.stdout)) == ["error"]
        assert done.stderr == ""
    done = command("enter", demo, "1", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["name"] == "FormatError"
    assert command("status", demo, "--json").returncode == 0
    assert command("--version").stdout.startswith("jeton ")


def test_closed_or_full_standard_files_are_handled(demo: str) -> None:
    for line, said in (
        ("jeton list >&-", "standard output is closed"),
        ("jeton list --json >&-", "standard output is closed"),
        ("jeton list >/dev/full", "No space left"),
        ("jeton list --json >/dev/full", "No space left"),
    ):
        done = shell(line)
        assert done.returncode == 1
        assert said in done.stderr
    assert shell(f"jeton run {demo} <&-").returncode == 0
    assert shell(f"jeton status {demo} 2>&-").returncode == 0
    assert shell("jeton --help | true; exit ${PIPESTATUS[0]}").returncode in (0, 141)
    busy = f"yes status | head -2000 | jeton run {demo} --json | head -1"
    assert shell(busy + "; exit ${PIPESTATUS[2]}").returncode == 141
    assert "are not keys" in shell(f"printf '\\xff\n' | jeton run {demo}").stdout
    done = shell(f"printf 'load ²\n1\n' | jeton run {demo}")
    assert done.returncode == 1
    assert "is not valid" in done.stdout
    assert "empty name" in shell("jeton run ''").stderr
    assert shell("jeton status $'\\xff'").returncode == 1


@pytest.mark.parametrize("home", ["/etc/passwd", "/dev/null/x", "~nobodyatall/x", "\udcff"])
def test_an_unusable_home_is_refused(home: str, tmp_path: Path) -> None:
    environment = os.environ | {"JETON_HOME": home}
    for arguments in (["list"], ["new", "x"], ["status", "x"], ["vend", "x", "history"]):
        done = command(*arguments, env=environment, cwd=tmp_path)
        nothing_there = arguments == ["list"] and home == "/dev/null/x"
        assert done.returncode == (0 if nothing_there else 1)
        assert (done.stderr + done.stdout).count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_is_printed_on_request(tmp_path: Path) -> None:
    environment = os.environ | {"JETON_HOME": str(tmp_path), "JETON_DEBUG": "1"}
    (tmp_path / "meters").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "jeton_host", "delete", "x"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 1


def test_ctrl_c_at_start_ends_the_command() -> None:
    for delay in (0.06, 0.1, 0.2, 0.4):
        process = subprocess.Popen(
            [sys.executable, "-c", "from jeton_host.cli import app; print(flush=True); app.main()",
             "drill", "ceet"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay - 0.05)
        process.send_signal(signal.SIGINT)
        assert b"Traceback" not in process.communicate(timeout=20)[1]
        assert process.returncode == 130


def test_commands_started_together_wait_for_each_other(demo: str) -> None:
    pos = PointOfSale()
    tokens = [pos.credit(demo, "1").token for _ in range(6)]
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "jeton_host", "enter", demo, token],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for token in tokens
    ]
    for run in runs:
        said, wrong = run.communicate(timeout=30)
        assert run.returncode == 0, said + wrong
        assert wrong in ("", "jeton: waiting for another program to release meter demo\n")
    assert _status()["credit_wh"] == 8000


def test_run_at_a_terminal_ends_with_a_new_line(demo: str) -> None:
    for key in (b"\x04", b"\x03"):
        pid, terminal = pty.fork()
        if not pid:
            os.execv(sys.executable, [sys.executable, "-m", "jeton_host", "run", demo, "--plain"])
        seen = b""
        with contextlib.suppress(OSError):
            while b"keys>" not in seen:
                seen += os.read(terminal, 4096)
            while True:
                # A key sent while the terminal changes its mode is lost: send it again.
                if not select.select([terminal], [], [], 1)[0]:
                    os.write(terminal, key)
                elif more := os.read(terminal, 4096):
                    seen += more
                else:
                    break
        os.close(terminal)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert seen.endswith(b"\r\n"), seen
