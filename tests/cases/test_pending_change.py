"""A meter that cannot take a key change yet gets tokens for the key that it still has.

Source: Itron EM512, by its manual a tampered meter takes only clear-tamper and clear-credit. Its
codes of a key change were refused, and the clear-tamper token of a vending system that used the
new key by then was refused too (CRCError): nothing led out of that.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from jeton_host.errors import VendingError
from jeton_host.meter import Meter
from jeton_host.vending.explain import explain
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.service.server import VendServer


@pytest.fixture
def pos(tmp_path: Path) -> PointOfSale:
    found = PointOfSale(tmp_path / "pos.sqlite")
    found.add_meter("home", profile="itron")
    return found


@pytest.fixture(scope="module")
def board() -> Any:
    with Meter.open("virtual") as meter:
        yield meter


def test_a_tampered_meter_with_a_pending_key_change_has_a_way_out(
    board: Meter, pos: PointOfSale
) -> None:
    board.provision(pos.config_for("home"))
    codes = [section.token for section in pos.key_change("home", krn=2)]
    board.set_tamper()
    refused = board.enter(codes[0])
    assert refused.name == "NotReady"
    # It says why, on its display too.
    assert "tampered" in refused.message
    assert refused.display[1].strip() == "Tampered"

    status = board.status().as_dict()
    said = explain(codes[0], pos=pos, meter="home", status=status)
    assert "`jeton vend home clear-tamper --krn 1`" in said.details[-1]
    later = pos.clear_tamper("home")
    said = explain(later.token, pos=pos, meter="home", status=status)
    assert (said.result, said.cause) == ("CRCError", "next-key")
    assert "`jeton vend home clear-tamper --krn 1`" in said.details[-1]

    assert board.enter(pos.clear_tamper("home", krn=1).token).name == "Accept"
    assert [board.enter(code).name for code in codes] == ["1stKCT", "Accept"]
    assert board.enter(later.token).name == "Accept"
    assert board.enter(pos.credit("home", "5").token).name == "Accept"


@pytest.mark.parametrize(
    "issue",
    [
        lambda pos: pos.credit("home", "5", krn=1),
        lambda pos: pos.currency("home", "5", krn=1, anyway=True),
        lambda pos: pos.power_limit("home", 500, krn=1),
        lambda pos: pos.unbalance_limit("home", 500, krn=1),
        lambda pos: pos.clear_credit("home", krn=1),
        lambda pos: pos.clear_tamper("home", krn=1),
        lambda pos: pos.tariff("home", 3, krn=1),
        lambda pos: pos.water_factor("home", 3, krn=1, anyway=True),
        lambda pos: pos.extended_write("home", 1, 3, krn=1, anyway=True),
        lambda pos: pos.tariff("home", 3, key=pos.keys_of("home")[1]),
    ],
)
def test_every_token_can_be_issued_for_the_present_key(
    pos: PointOfSale, issue: Callable[[PointOfSale], Any]
) -> None:
    pos.key_change("home", krn=2)
    assert issue(pos).key.krn == 1
    assert pos.meter("home").key.krn == 2
    tids = {issue(pos).tid, pos.tariff("home", 1).tid, issue(pos).tid}
    assert len(tids) == 3


def test_a_krn_that_several_keys_have_is_that_of_the_present_key(pos: PointOfSale) -> None:
    pos.key_change("home", ti=2)
    assert pos.credit("home", 5).key.ti == 2
    assert pos.credit("home", 5, krn=1).key.ti == 1
    pos.entered("home")
    assert pos.credit("home", 5, krn=1).key.ti == 2


def test_an_unknown_krn_is_refused_with_the_known_ones(pos: PointOfSale) -> None:
    pos.key_change("home", krn=2)
    with pytest.raises(VendingError, match="no key with KRN 7; it has KRN 2, 1"):
        pos.credit("home", 5, krn=7)
    with pytest.raises(VendingError, match="give key or krn"):
        pos.credit("home", 5, krn=1, key=pos.keys_of("home")[0])


# The state "change pending"


def test_a_change_is_pending_until_its_codes_are_entered(pos: PointOfSale) -> None:
    assert not pos.meter("home").pending
    first = [section.token for section in pos.key_change("home", krn=2)]
    second = [section.token for section in pos.key_change("home", krn=3)]
    record = pos.meter("home")
    assert (record.pending, record.present.krn, record.key.krn) == (True, 1, 3)
    assert record.as_dict()["pending_from"]["krn"] == 1
    record = pos.entered("home", first)
    assert (record.pending, record.present.krn) == (True, 2)
    with pytest.raises(VendingError, match="not a complete key change"):
        pos.entered("home", second[:1])
    assert not pos.entered("home", second[::-1]).pending
    assert pos.meter("home").as_dict()["pending_from"] is None


@pytest.mark.parametrize(
    ("meter", "change"),
    [
        ({"ea": 11}, {"krn": 2}),
        ({"profile": "generic"}, {"krn": 2, "sgc": "201458"}),
        ({}, {"krn": 2, "sgc": "201458"}),  # two codes, which do not contain the SGC
        ({"bdt": "93"}, {"krn": 2, "bdt": "14"}),
        ({"dkga": 2, "bdt": "93"}, {"krn": 2, "bdt": "14"}),
        ({}, {"ken": 200}),  # the decoder key stays
        ({"kt": 1}, {"kt": 2}),
        ({}, {"kt": 1}),
    ],
    ids=str,
)
def test_the_codes_of_a_change_lead_to_its_key(
    tmp_path: Path, meter: dict[str, Any], change: dict[str, Any]
) -> None:
    pos = PointOfSale(tmp_path / "pos.sqlite")
    pos.add_meter("m", **({"profile": "itron"} | meter))
    codes = [section.token for section in pos.key_change("m", **change)]
    assert pos.entered("m", codes).present == pos.keys_of("m")[0]
    assert not pos.meter("m").pending


def test_a_key_of_another_system_is_noted_from_its_codes_or_from_what_the_meter_shows(
    board: Meter, pos: PointOfSale, tmp_path: Path
) -> None:
    board.provision(pos.config_for("home"))
    other = PointOfSale(tmp_path / "other.sqlite")
    other.add_meter("m", drn=pos.meter("home").drn, profile="itron")
    codes = [section.token for section in other.key_change("m", krn=5)]
    assert [board.enter(code).name for code in codes] == ["1stKCT", "Accept"]
    token = pos.credit("home", 5).token
    assert board.enter(token).name == "CRCError"
    said = explain(token, pos=pos, meter="home", status=board.status().as_dict())
    assert "`jeton vend home entered --krn 5`" in said.details[-1]
    for how in ({"codes": codes}, {"krn": 5}):
        record = pos.entered("home", **how)  # type: ignore[arg-type]
        assert (record.key.krn, record.key.given, record.pending) == (5, None, False)
        assert board.enter(pos.credit("home", 5).token).name == "Accept"
    assert len(pos.keys_of("home")) == 2


def test_the_key_from_codes_of_two_changes_is_noted_too(
    board: Meter, pos: PointOfSale, tmp_path: Path
) -> None:
    """Code 1 of one set and code 2 of another are a key that no vending key gives."""
    board.provision(pos.config_for("home"))
    other = PointOfSale(tmp_path / "other.sqlite")
    other.add_meter("m", drn=pos.meter("home").drn, profile="itron")
    one = pos.key_change("home", krn=2)[0].token
    two = other.key_change("m", krn=5)[1].token
    assert [board.enter(code).name for code in (one, two)] == ["1stKCT", "Accept"]
    assert board.enter(pos.credit("home", 5).token).name == "CRCError"
    record = pos.entered("home", [one, two])
    assert record.key.given is not None
    assert board.enter(pos.credit("home", 5).token).name == "Accept"
    codes = [section.token for section in pos.key_change("home", krn=6)]
    assert [board.enter(code).name for code in codes] == ["1stKCT", "Accept"]


def test_a_file_of_the_earlier_format_is_read(pos: PointOfSale) -> None:
    pos.key_change("home", krn=2)
    with sqlite3.connect(pos.path) as db:
        db.execute("ALTER TABLE meters DROP COLUMN present")
        db.execute("PRAGMA user_version = 1")
    db.close()
    again = PointOfSale(pos.path)
    assert again.meter("home").pending  # the earlier format did not know it
    assert not again.entered("home").pending


# HTTP and the command line


def test_the_service_issues_for_the_present_key(pos: PointOfSale) -> None:
    with VendServer(pos.path) as server:

        def post(path: str, **order: Any) -> requests.Response:
            return requests.post(f"{server.url}/meters/{path}", json=order, timeout=30)

        changed = post("home/key-change", krn=2).json()
        shown = requests.get(f"{server.url}/meters/home", timeout=30).json()
        assert shown["pending_from"]["krn"] == 1
        sold = post("home/purchases", kwh=5, krn=1)
        assert (sold.status_code, sold.json()["krn"]) == (201, 1)
        for kind, value in (("clear-tamper", None), ("power-limit", 500), ("tariff", 1)):
            assert post("home/management", kind=kind, value=value, krn=1).json()["krn"] == 1
        assert post("home/purchases", kwh=5, krn=7).status_code == 422
        done = post("home/key-change/entered", tokens=changed["tokens"])
        assert (done.status_code, done.json()["pending_from"]) == (200, None)
        assert post("none/key-change/entered").status_code == 404


def run(*words: str) -> str:
    command = [sys.executable, "-m", "jeton_host", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_command_line_leads_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JETON_HOME", str(tmp_path))
    run("new", "home", "--profile", "itron")
    run("tamper", "home")
    codes = json.loads(run("vend", "home", "key-change", "--krn", "2", "--json"))["tokens"]
    said = run("vend", "home", "clear-tamper")
    assert "A key change is pending: enter its codes before this token" in said
    assert "`--krn 1` issues for the key that the meter still has" in said
    said = json.loads(run("vend", "home", "clear-tamper", "--krn", "1", "--json"))
    assert (said["krn"], said["pending_from"]["krn"]) == (1, 1)
    listed = json.loads(run("vend", "home", "keys", "--json"))["keys"]
    assert [(one["krn"], one["pending"], one["codes"]) for one in listed] == [
        (2, True, codes),
        (1, False, []),
    ]
    entered = run("enter", "home", *said["tokens"], *codes)
    assert "refused" not in entered
    # `enter` has noted it at the point of sale.
    assert "pending" not in run("vend", "home", "keys")
    assert "has DUTK" in run("vend", "home", "entered")
