"""Rescue: reading a damaged store, and provisioning again without inventing credit."""

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer
from client import Client
from typer.testing import CliRunner

from jeton_host.cli import life, tokens
from jeton_host.cli import locked as cli_locked
from jeton_host.cli import meters as cli_meters
from jeton_host.client.answers import TokenResult
from jeton_host.errors import JetonError
from jeton_host.firmware.interpreter import BLOCK
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.meters import rescue
from jeton_host.vending.pos import PointOfSale
from jeton_host.virtual.board import VirtualBoard

pytestmark = pytest.mark.virtual_only

app = typer.Typer()
for commands in (cli_meters, life, tokens, cli_locked):
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


NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)  # one hour later is still the same day


class Home:
    """A named meter with 8 kWh: two tokens were bought, the older one is not used yet."""

    def __init__(self) -> None:
        run("new", "home", "--credit", "2", "--display", "4x20")
        self.pos = PointOfSale()
        self.older, self.used = (self.pos.credit("home", kwh).token for kwh in (3, 7))
        with Meter.open("home") as meter:
            meter.clock(NOON)
            assert meter.enter(self.used).good
            meter.set_load(1000)
            assert meter.advance(3600).credit_wh == 8000
        self.meter = meters.find("home")
        self.flash = self.meter.flash

    def run_source(self, source: str) -> None:
        """Run source on its board, then cut the power."""
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


BOTH = ("/meter/record", "/meter.copy/record")


def poke(at: int, data: bytes, names: tuple[str, ...] = BOTH) -> str:
    """Return a program that writes bytes into the record and its copy."""
    return (
        f"for name in {names}:\n with open(name, 'r+b') as file:\n"
        f"  file.seek({at})\n  file.write({data!r})\n"
    )


def test_an_intact_meter_is_read_completely(home: Home) -> None:
    before = home.flash.read_bytes()
    found = home.report()
    assert home.flash.read_bytes() == before
    copy, second = found["copies"]
    assert (second["name"], second["intact"]) == ("meter.copy/record", True)
    assert second["values"] == copy["values"]
    assert (copy["name"], copy["intact"], copy["wrong"]) == ("meter/record", True, None)
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
    assert "meter/record: intact" in run("rescue", "home")
    assert "8.00 kWh left" in run("rescue", str(home.flash))


def test_no_key_is_printed(home: Home, tmp_path: Path) -> None:
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
        " with open(name, 'rb') as file: data = file.read(900)\n"
        " with open(name, 'wb') as file: file.write(data)\n"
    )


def gone(home: Home) -> str:
    return f"import os\nfor name in {BOTH}: os.rename(name, name + '.bad')\n"


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (newer, "it has version 99, newer than this Jeton supports, and is intact"),
        (broken, "the meter record is damaged: its checksum is wrong"),
        (cut_short, "the meter record is damaged: its checksum is wrong"),
    ],
)
def test_a_record_that_is_not_intact(
    home: Home, damage: Callable[[Home], str], wrong: str
) -> None:
    home.run_source(damage(home))
    found = home.report()
    first = found["copies"][0]
    assert (first["name"], first["intact"], first["wrong"]) == ("meter/record", False, wrong)
    assert first["values"]["drn"] == home.meter.about["drn"]
    assert found["credit_wh"] is None
    assert "set up again, the meter has no credit" in run("rescue", "home")
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 0
    # The used tokens are unknown, so all tokens sold until now are refused.
    assert home.enter(home.used, home.older) == [TokenResult.USED, TokenResult.OLD]
    assert home.enter(home.pos.credit("home", 1).token) == [TokenResult.ACCEPT]
    assert home.report()["credit_wh"] == 1000


def test_the_intact_record_of_two_is_used(home: Home) -> None:
    home.run_source(poke(700, b"\xa5\xa5", BOTH[:1]))
    found = home.report()
    assert [copy["intact"] for copy in found["copies"]] == [False, True]
    assert found["credit_wh"] == 8000
    # Older and newer firmware each wrote a record: the newer record is used.
    home.run_source(poke(4, b"\x63\x00", BOTH[:1]))
    found = home.report()
    assert [copy["intact"] for copy in found["copies"]] == [False, True]
    assert found["credit_wh"] is None


def test_a_record_renamed_as_damaged_gives_no_credit(home: Home) -> None:
    home.run_source(gone(home))
    found = home.report()
    names = [copy["name"] for copy in found["copies"]]
    assert names == ["meter/record.bad", "meter.copy/record.bad"]
    assert found["copies"][0]["intact"]
    assert found["credit_wh"] is None
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 0
    with Meter.open("home") as meter:
        assert meter.display().rows == 4


def test_records_are_found_without_a_file_system(home: Home) -> None:
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


def test_an_erased_flash_gives_no_record(home: Home) -> None:
    home.flash.write_bytes(b"\xff" * home.flash.stat().st_size)
    assert "contains no meter; its file system: it cannot be mounted" in refused("rescue", "home")
    home.flash.write_bytes(b"")
    assert refused("rescue", "home").endswith("is empty")
    home.flash.unlink()
    assert refused("rescue", "home").endswith("cannot be read: No such file or directory")


def test_a_full_store_is_read(home: Home) -> None:
    home.run_source(
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


def test_debt_is_not_counted_as_credit(home: Home) -> None:
    with Meter.open("home") as meter:
        assert meter.grant(5000).credit_wh == 13000
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 8000
    with Meter.open("home") as meter:
        meter.grant(5000)
        meter.consume(10_000)
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 0


AT = datetime(2024, 11, 1, 12, tzinfo=UTC)
ROLLOVER = {"krn": 2, "bdt": "14"}


class Sales:
    """A meter from 2024 and its point of sale; either may lack tokens or keys of the other.

    `accepted`: the credit tokens that the meter has accepted.
    """

    def __init__(self, *options: str) -> None:
        run("new", "old", "--clock", "2024-11-01T12:00", *options)
        self.pos = PointOfSale()
        self.accepted: list[str] = []

    def change(self, *, entered: bool = True, **changes: Any) -> list[str]:
        # Until 0.2.0 a point of sale issued changes back to any earlier key.
        with mock.patch.object(PointOfSale, "_check_used_tokens"):
            codes = [one.token for one in self.pos.key_change("old", at=AT, **changes)]
        if entered:
            self.enter(*codes)
        return codes

    def sell(self, *, entered: bool = True) -> str:
        token = self.pos.credit("old", "12.5", at=AT).token
        if entered:
            assert self.enter(token) == [TokenResult.ACCEPT]
            self.accepted.append(token)
        return token

    def enter(self, *tokens: str) -> list[TokenResult]:
        with Meter.open("old") as meter:
            return [meter.enter(token).result for token in tokens]

    @contextlib.contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Vend at another point of sale: afterwards, this one has no record of it."""
        path = self.pos.path
        before = path.read_bytes()
        yield
        path.write_bytes(before)

    def rescue(self) -> dict[str, Any]:
        """Provision the meter again: its credit is the same and used tokens stay used."""
        before = self.credit_wh
        said: dict[str, Any] = json.loads(run("rescue", "old", "--provision", "--json"))
        assert said["provisioned"]["credit_wh"] == before == self.credit_wh
        self.check_used_tokens_are_refused()
        return dict(said["provisioned"])

    def check_used_tokens_are_refused(self) -> None:
        before = self.credit_wh
        assert TokenResult.ACCEPT not in self.enter(*self.accepted)
        assert self.credit_wh == before

    @property
    def credit_wh(self) -> int:
        with Meter.open("old") as meter:
            return meter.status().credit_wh


@pytest.mark.parametrize(
    ("options", "first", "changes"),
    [
        ((), False, []),
        (("--bdt", "93"), False, [ROLLOVER]),
        (("--bdt", "93"), True, [ROLLOVER]),
        (("--bdt", "93", "--ea", "11"), False, [ROLLOVER]),
        (("--bdt", "93", "--made", "2024-10-01"), False, [ROLLOVER, {"krn": 3}]),
        ((), True, [{"krn": 2}]),
        ((), True, [{"krn": 2}, {"krn": 1}]),
        ((), True, [{"ken": 200}]),
        ((), True, [{"sgc": "123456", "three": False}]),
        (("--bdt", "93", "--dkga", "2"), False, [ROLLOVER, {"krn": 1}]),
    ],
)
def test_used_tokens_stay_used_after_key_changes(
    options: tuple[str, ...], first: bool, changes: list[dict[str, Any]]
) -> None:
    """The record has the latest key of the point of sale: credit and used tokens are kept."""
    sales = Sales(*options)
    if first:
        sales.sell()
    for change in changes:
        sales.change(**change)
    unused = sales.sell(entered=False)
    sales.sell()
    said = sales.rescue()
    assert not said["key_pending"]
    assert "tokens_until_tid" not in said["not_carried"]
    assert sales.enter(unused) == [TokenResult.ACCEPT]
    assert sales.enter(unused) == [TokenResult.USED]
    sales.sell()
    sales.rescue()


@pytest.mark.parametrize(
    ("options", "change"),
    [((), {"krn": 2}), ((), {"ken": 200}), (("--bdt", "93"), ROLLOVER)],
)
def test_a_pending_key_change_stays_pending(
    options: tuple[str, ...], change: dict[str, Any]
) -> None:
    """The point of sale has a later key: the record's key and its unused tokens stay valid."""
    sales = Sales(*options)
    sales.sell()
    unused = sales.sell(entered=False)
    codes = sales.change(entered=False, **change)
    sales.enter(codes[0])
    new = sales.sell(entered=False)
    said = sales.rescue()
    assert said["key_pending"]
    assert said["key"]["krn"] == 1
    assert sales.enter(unused) == [TokenResult.ACCEPT]
    sales.accepted.append(unused)
    assert "see `jeton vend old history`" in run("rescue", "old", "--provision")
    sales.check_used_tokens_are_refused()
    assert sales.enter(*codes)[-1] is TokenResult.ACCEPT
    assert sales.enter(new) == [TokenResult.ACCEPT]
    sales.accepted.append(new)
    assert not sales.rescue()["key_pending"]


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ((), [{"krn": 2}]),
        (("--bdt", "93"), [ROLLOVER]),
        ((), [{"krn": 2}, {"krn": 3}]),
        ((), [{"sgc": "123456"}]),
    ],
)
def test_a_key_unknown_to_the_point_of_sale_makes_old_tokens_unusable(
    options: tuple[str, ...], changes: list[dict[str, Any]]
) -> None:
    """The meter's key is later or from another point of sale: used tokens are unknown."""
    sales = Sales(*options)
    sales.sell()
    unused = sales.sell(entered=False)
    with sales.elsewhere():
        for change in changes:
            sales.change(**change)
            sales.sell()
    with Meter.open("old") as meter:
        newest = meter.status().tid_newest
    said = sales.rescue()
    assert not said["key_pending"]
    assert said["key"]["krn"] == 1
    assert said["not_carried"]["tokens_until_tid"] >= (newest if not options else 1 << 23)
    assert sales.enter(unused) == [TokenResult.OLD]
    if not options:  # base date 1993 has ended
        later = sales.pos.credit("old", 1, at=datetime(2040, 1, 1)).token
        assert sales.enter(later, later) == [TokenResult.ACCEPT, TokenResult.USED]


def test_tokens_sold_elsewhere_in_advance_stay_used() -> None:
    """Their TIDs are in the record, although this point of sale did not sell them."""
    sales = Sales()
    with sales.elsewhere():
        future = sales.pos.credit("old", 3, at=datetime(2044, 1, 1)).token
        assert sales.enter(future) == [TokenResult.ACCEPT]
        sales.accepted.append(future)
        sales.change(krn=2)
    assert "refused, because its key was not one of the point of sale" in run(
        "rescue", "old", "--provision"
    )
    sales.check_used_tokens_are_refused()


def test_without_a_record_a_reused_key_accepts_no_used_token() -> None:
    sales = Sales("--bdt", "93", "--dkga", "2")
    sales.sell()
    sales.change(**ROLLOVER)
    sales.change(krn=1)
    sales.sell()
    flash = meters.find("old").flash
    with VirtualBoard(flash) as board:
        with Client(board.path) as client:
            client.raw()
            assert client.run(poke(700, b"\xa5\xa5"))[1] == b""
        board.power_cut()
    said = json.loads(run("rescue", "old", "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 0
    sales.check_used_tokens_are_refused()


def test_lost_state_is_reported() -> None:
    run("new", "dear", "--profile", "somelec", "--credit", "1")
    pos = PointOfSale()
    with Meter.open("dear") as meter:
        assert meter.enter(pos.power_limit("dear", 5000).token).good
        assert meter.enter(pos.tariff("dear", 7).token).good
        assert meter.consume(9000).credit_wh == -8000
        assert meter.set_tamper().tamper
        reports = len(meter.reports())
    expected = {
        "debt_wh": 8000,
        "tamper": True,
        "max_power_limit_w": 5000,
        "tariff_rate": 7,
        "reports": reports,
        "total_wh": 9000,
    }
    lines = run("rescue", "dear", "--provision")
    for said in (
        "a debt of 8.00 kWh: it is cancelled",
        "the tamper condition: it is cleared",
        "the power limit of 5000 W: `jeton vend dear power-limit 5000`",
        "the tariff rate 7: `jeton vend dear tariff 7`",
        f"{reports} fault reports",
        "the total consumption of 9.00 kWh",
    ):
        assert f"lost: {said}" in lines
    kept = sorted(meters.find("dear").flash.parent.glob("*.before-rescue-*"))[-1]
    meters.find("dear").flash.write_bytes(kept.read_bytes())
    said_json = json.loads(run("rescue", "dear", "--provision", "--json"))["provisioned"]
    assert said_json["not_carried"] == {name: n for name, n in expected.items() if n}
    with Meter.open("dear") as meter:
        status = meter.status()
    assert (status.credit_wh, status.tamper, status.max_power_limit_w) == (0, False, 0)
    assert (
        json.loads(run("rescue", "dear", "--provision", "--json"))["provisioned"]["not_carried"]
        == {}
    )


def test_a_lost_lock_is_reported(home: Home) -> None:
    with Meter.open("home") as meter:
        meter.lock("open sesame")
    before = home.flash.read_bytes()
    assert "lost: the lock with its code: `jeton lock home`" in run(
        "rescue", "home", "--provision"
    )
    home.flash.write_bytes(before)
    said = json.loads(run("rescue", "home", "--provision", "--json"))["provisioned"]
    assert said["not_carried"]["locked"] is True
    with Meter.open("home") as meter:
        assert not meter.locked


def test_the_credit_of_a_damaged_record_is_reported_as_lost(home: Home) -> None:
    home.run_source(broken(home))
    lines = run("rescue", "home", "--provision")
    assert "lost: 8.00 kWh of credit, because no record is intact" in lines
    assert (
        "tokens issued until now and not entered are refused, because it is unknown which" in lines
    )


def test_damage_of_any_bytes_is_handled(home: Home) -> None:
    """With any damage there is no traceback, and a damaged record is never intact."""
    data = home.flash.read_bytes()
    record = data.find(b"JTON")
    for at in range(record, record + 4096, 61):
        image = bytearray(data)
        image[at : at + 7] = bytes(255 - byte for byte in image[at : at + 7])
        copy = rescue._read_copy("meter/record", bytes(image[record : record + 3500]))
        assert not copy.intact
        copy.as_dict()


def test_wrong_uses_are_refused(home: Home, tmp_path: Path) -> None:
    assert "there is no meter 'other'" in refused("rescue", "other")
    assert "Is a directory" in refused("rescue", str(tmp_path))
    file = tmp_path / "noise"
    file.write_bytes(bytes(range(256)) * 400)
    assert "contains no meter" in refused("rescue", str(file))
    assert "cannot be written" in refused("rescue", "home", "--export", "/proc/none/x.json")
    with meters.NamedBoard(home.meter):
        assert refused("rescue", "home") == "meter home runs: stop that first"
        assert "runs: stop that first" in refused("rescue", str(home.flash))
    other = tmp_path / "flash.img"
    with VirtualBoard(other) as board, Meter.open(board.path) as meter:
        meter.provision(meters.make_config() | {"drn": "00000000042"})
    assert "has no meter 00000000042" in refused("rescue", str(other), "--provision")
    home.flash.write_bytes(other.read_bytes())
    assert "belongs to meter 00000000042, but" in refused("rescue", "home", "--provision")
    home.pos.remove_meter("home")
    assert "so its key is not known" in refused("rescue", "home", "--provision")


def test_a_flash_can_be_given_by_its_path(home: Home, tmp_path: Path) -> None:
    flash = tmp_path / "copy.img"
    flash.write_bytes(home.flash.read_bytes())
    said = json.loads(run("rescue", str(flash), "--provision", "--json"))["provisioned"]
    assert said["credit_wh"] == 8000
    with VirtualBoard(flash) as board, Meter.open(board.path) as meter:
        assert meter.enter(home.used).result is TokenResult.USED
