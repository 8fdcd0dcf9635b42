"""Rescue: what is read of a damaged store, and that a meter set up anew has no credit invented."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from client import Client
from typer.testing import CliRunner

from host_tools import cli_locked, cli_meters, meters, rescue
from host_tools.errors import JetonError
from host_tools.interpreter import BLOCK
from host_tools.link import Meter, TokenResult
from host_tools.vending.pos import PointOfSale
from host_tools.virtual import VirtualBoard

app = typer.Typer()
for commands in (cli_meters, cli_locked):
    commands.register(app)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, JetonError), (result.output, result.exception)
    assert result.stdout == ""
    assert "\n" not in str(result.exception)
    return str(result.exception)


class Home:
    """A meter that is kept, with 8 kWh: two tokens were bought, the older one is not used yet."""

    def __init__(self) -> None:
        run("new", "home", "--credit", "2", "--display", "4x20")
        self.pos = PointOfSale()
        self.older, self.used = (self.pos.credit("home", kwh).token for kwh in (3, 7))
        with Meter.open("home") as meter:
            assert meter.enter(self.used).good
            meter.set_load(1000)
            assert meter.advance(3600).credit_wh == 8000
        self.meter = meters.find("home")
        self.flash = self.meter.flash

    def doing(self, source: str) -> None:
        """Run source on its board, and take the power away."""
        with VirtualBoard(self.flash) as board:
            with Client(board.path) as client:
                client.raw()
                assert client.run(source)[1] == b""
            board.power_cut()

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run("rescue", "home", "--json"))
        return found

    def enter(self, *tokens: str) -> list[TokenResult]:
        with Meter.open("home") as meter:
            return [meter.enter(token).result for token in tokens]


@pytest.fixture
def home() -> Home:
    return Home()


BOTH = ("/meter.bin", "/meter.bin.d/copy")


def poke(at: int, octets: bytes, names: tuple[str, ...] = BOTH) -> str:
    """Return a program that writes octets into the record and its copy."""
    return (
        f"for name in {names}:\n with open(name, 'r+b') as file:\n"
        f"  file.seek({at})\n  file.write({octets!r})\n"
    )


def test_an_intact_meter(home: Home) -> None:
    before = home.flash.read_bytes()
    found = home.report()
    assert home.flash.read_bytes() == before
    copy, second = found["copies"]
    assert (second["name"], second["intact"]) == ("meter.bin.d/copy", True)
    assert second["values"] == copy["values"]
    assert (copy["name"], copy["intact"], copy["wrong"]) == ("meter.bin", True, None)
    assert copy["tick"] == "counted"
    assert found["file_system"] is None
    assert found["credit_wh"] == 8000
    values = copy["values"]
    with Meter.open("home") as meter:
        status = meter.status()
    for name in ("drn", "ea", "krn", "sgc", "ti", "total_wh", "tid_newest", "tid_oldest", "bdt"):
        assert values[name] == getattr(status, name), name
    assert values["display"] == [4, 20, 0]
    assert values["locked"] is False
    assert "meter.bin: intact" in run("rescue", "home")
    assert "8.00 kWh left" in run("rescue", str(home.flash))


def test_no_key_is_read_out(home: Home, tmp_path: Path) -> None:
    with Meter.open("home") as meter:
        meter.lock("open sesame")
    state = rescue.look(home.flash).intact
    key, lock = state.decoder_key.rstrip(b"\0"), state.lock
    assert any(key)
    assert any(lock)
    export = tmp_path / "home.json"
    said = run("rescue", "home", "--json", "--export", str(export))
    for text in (said, export.read_text(), run("rescue", "home")):
        for secret in (key, lock[:16], lock[16:48]):
            assert secret.hex() not in text.lower()
            assert str(list(secret))[1:-1] not in text
            assert repr(secret)[2:-1] not in text
    assert json.loads(export.read_text())["copies"][0]["values"]["locked"] is True


def test_an_intact_meter_keeps_credit_and_used_tokens(home: Home) -> None:
    before = home.flash.read_bytes()
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 8000
    kept = Path(said["kept"])
    assert kept.read_bytes() == before
    assert home.enter(home.used, home.older) == [TokenResult.USED, TokenResult.ACCEPT]
    with Meter.open("home") as meter:
        assert meter.status().credit_wh == 11000
        assert meter.display().rows == 4
        assert meter.enter(home.pos.credit("home", 1).token).good
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert (said["credit_wh"], Path(said["kept"]) == kept) == (12000, False)


def newer(home: Home) -> str:
    return poke(4, b"\x63\x00")


def broken(home: Home) -> str:
    return poke(700, b"\xa5\xa5")


def cut_short(home: Home) -> str:
    return (
        f"for name in {BOTH}:\n"
        " with open(name, 'rb') as file: octets = file.read(900)\n"
        " with open(name, 'wb') as file: file.write(octets)\n"
    )


def gone(home: Home) -> str:
    return f"import os\nfor name in {BOTH}: os.rename(name, name + '.bad')\n"


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (newer, "it is of version 99, which this Jeton does not know, and whole"),
        (broken, "the meter record is damaged: its checksum is wrong"),
        (cut_short, "the meter record is damaged: its checksum is wrong"),
    ],
)
def test_a_record_that_is_not_intact(
    home: Home, damage: Callable[[Home], str], wrong: str
) -> None:
    home.doing(damage(home))
    found = home.report()
    first = found["copies"][0]
    assert (first["name"], first["intact"], first["wrong"]) == ("meter.bin", False, wrong)
    assert first["values"]["drn"] == home.meter.about["drn"]
    assert found["credit_wh"] is None
    assert "set up anew it has no credit" in run("rescue", "home")
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 0
    # Which tokens were used nobody knows: none of those that were sold is taken.
    assert home.enter(home.used, home.older) == [TokenResult.USED, TokenResult.OLD]
    assert home.enter(home.pos.credit("home", 1).token) == [TokenResult.ACCEPT]
    assert home.report()["credit_wh"] == 1000


def test_one_damaged_record_of_two(home: Home) -> None:
    home.doing(poke(700, b"\xa5\xa5", BOTH[:1]))
    found = home.report()
    assert [copy["intact"] for copy in found["copies"]] == [False, True]
    assert found["credit_wh"] == 8000
    # Older firmware left its record where newer has one of its own: that one knows more.
    home.doing(poke(4, b"\x63\x00", BOTH[:1]))
    found = home.report()
    assert [copy["intact"] for copy in found["copies"]] == [False, True]
    assert found["credit_wh"] is None


def test_a_record_that_was_set_aside_gives_no_credit(home: Home) -> None:
    home.doing(gone(home))
    found = home.report()
    assert [copy["name"] for copy in found["copies"]] == ["meter.bin.bad", "meter.bin.d/copy.bad"]
    assert found["copies"][0]["intact"]
    assert found["credit_wh"] is None
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 0
    with Meter.open("home") as meter:
        assert meter.display().rows == 4


def test_a_file_system_that_cannot_be_mounted(home: Home) -> None:
    image = bytearray(home.flash.read_bytes())
    image[: 2 * BLOCK] = b"\xff" * 2 * BLOCK
    home.flash.write_bytes(image)
    found = home.report()
    assert found["file_system"] == "it cannot be mounted"
    assert found["copies"][0]["name"] == "remains 1"
    assert not any(copy["intact"] for copy in found["copies"])
    assert found["copies"][0]["values"]["drn"] == home.meter.about["drn"]
    assert found["credit_wh"] is None
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 0
    assert not any(result is TokenResult.ACCEPT for result in home.enter(home.used, home.older))


def test_a_flash_of_which_nothing_is_left(home: Home) -> None:
    home.flash.write_bytes(b"\xff" * home.flash.stat().st_size)
    assert "holds no meter: its file system: it cannot be mounted" in refused("rescue", "home")
    home.flash.write_bytes(b"")
    assert refused("rescue", "home").endswith("is empty")
    home.flash.unlink()
    assert refused("rescue", "home").endswith("cannot be read: No such file or directory")


def test_a_full_store(home: Home) -> None:
    home.doing(
        "for size in (16, 1):\n"
        " try:\n"
        "  for number in range(1000):\n"
        "   with open('/filler%d.%d' % (size, number), 'wb') as file:\n"
        "    for _ in range(size): file.write(bytes(4096))\n"
        " except OSError: pass\n"
    )
    found = home.report()
    assert found["file_system"] == "it is full"
    assert found["credit_wh"] == 8000
    run("rescue", "home", "--provision")
    assert home.report()["file_system"] is None
    assert home.enter(home.older) == [TokenResult.ACCEPT]


def test_what_is_owed_is_no_credit(home: Home) -> None:
    with Meter.open("home") as meter:
        assert meter.grant(5000).credit_wh == 13000
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 8000
    with Meter.open("home") as meter:
        meter.grant(5000)
        meter.consume(10_000)
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 0


def test_every_bit_pattern_is_answered(home: Home) -> None:
    """Damage of many kinds: never a traceback, never credit from what is not intact."""
    octets = home.flash.read_bytes()
    record = octets.find(b"JTON")
    for at in range(record, record + 4096, 61):
        image = bytearray(octets)
        image[at : at + 7] = bytes(255 - octet for octet in image[at : at + 7])
        copy = rescue._read_copy("meter.bin", bytes(image[record : record + 3500]))
        assert not copy.intact
        copy.as_dict()


def test_refusals(home: Home, tmp_path: Path) -> None:
    assert "there is no meter 'other'" in refused("rescue", "other")
    assert "Is a directory" in refused("rescue", str(tmp_path))
    file = tmp_path / "noise"
    file.write_bytes(bytes(range(256)) * 400)
    assert "holds no meter" in refused("rescue", str(file))
    assert "cannot be written" in refused("rescue", "home", "--export", "/proc/none/x.json")
    with meters.NamedBoard(home.meter):
        assert refused("rescue", "home") == "meter home runs: stop that first"
        assert "runs: stop that first" in refused("rescue", str(home.flash))
    other = tmp_path / "flash.img"
    with VirtualBoard(other) as board, Meter.open(board.path) as meter:
        meter.provision(meters.make_config() | {"drn": "00000000042"})
    assert "has no meter 00000000042" in refused("rescue", str(other), "--provision")
    home.flash.write_bytes(other.read_bytes())
    assert "is that of meter 00000000042, but" in refused("rescue", "home", "--provision")
    home.pos.remove_meter("home")
    assert "nobody knows its key" in refused("rescue", "home", "--provision")


def test_a_flash_by_its_path(home: Home, tmp_path: Path) -> None:
    flash = tmp_path / "copy.img"
    flash.write_bytes(home.flash.read_bytes())
    said = json.loads(run("rescue", str(flash), "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 8000
    with VirtualBoard(flash) as board, Meter.open(board.path) as meter:
        assert meter.enter(home.used).result is TokenResult.USED
