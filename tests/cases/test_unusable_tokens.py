"""A token that its meter can never use is not issued by mistake.

Source: IEC 62055-41, TransferCredit and class 2 tokens: an electricity meter that counts kWh
answers FunctionError to water, gas, time and currency credit and to a water meter factor.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jeton.sts.tokens import layout
from jeton_host import VendServer
from jeton_host.checking import check as checking
from jeton_host.checking import rows as check_rows
from jeton_host.cli import vending as cli_vending
from jeton_host.errors import UnusableError
from jeton_host.screen.desk import Desk
from jeton_host.vending import tokens
from jeton_host.vending.functions import refusal
from jeton_host.vending.issued_csv import issued_csv
from jeton_host.vending.pos import PointOfSale

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
Issue = Callable[..., Any]

UNUSABLE: dict[str, tuple[str, Issue]] = {
    "water": ("FunctionError", lambda pos, **how: pos.credit("m", 5, kind="water", **how)),
    "gas": ("FunctionError", lambda pos, **how: pos.credit("m", 5, kind="gas", **how)),
    "time": ("FunctionError", lambda pos, **how: pos.credit("m", 5, kind="time", **how)),
    "currency": ("FunctionError", lambda pos, **how: pos.currency("m", 1500, **how)),
    "a deduction": ("FunctionError", lambda pos, **how: pos.currency("m", -3, **how)),
    "currency for water": (
        "FunctionError",
        lambda pos, **how: pos.currency("m", 5, kind="water", **how),
    ),
    "water factor": ("FunctionError", lambda pos, **how: pos.water_factor("m", 10, **how)),
    "extended set": ("FunctionError", lambda pos, **how: pos.extended_write("m", 1, 5, **how)),
    "register": ("FunctionError", lambda pos, **how: pos.clear_credit("m", "water", **how)),
    "money register": ("FunctionError", lambda pos, **how: pos.clear_credit("m", 4, **how)),
    "test 12": ("FunctionError", lambda pos, **how: pos.test("m", [3, 12], **how)),
    "test 20": ("FunctionError", lambda pos, **how: pos.test("m", [20], **how)),
    "another maker": ("MfrCodeError", lambda pos, **how: pos.test("m", [3], mfr_code=9, **how)),
}


@pytest.fixture
def pos() -> PointOfSale:
    found = PointOfSale()
    found.add_meter("m")
    return found


@pytest.mark.parametrize("name", UNUSABLE)
def test_it_is_refused_by_the_point_of_sale(pos: PointOfSale, name: str) -> None:
    result, issue = UNUSABLE[name]
    with pytest.raises(UnusableError, match=rf"\({result}\); to issue it anyway, give anyway"):
        issue(pos, at=AT)
    assert pos.issued() == []
    assert len(issue(pos, at=AT, anyway=True).token) == 20


def test_the_export_expects_the_answer_of_the_meter(pos: PointOfSale) -> None:
    for _, issue in UNUSABLE.values():
        issue(pos, at=AT, anyway=True)
    pos.credit("m", 5, at=AT)
    text = issued_csv(pos.issued(), {"m": pos.meter("m")})
    rows = check_rows.read(text.encode()).rows
    assert [row.result for row in rows] == [*(result for result, _ in UNUSABLE.values()), None]
    found = checking.check(rows, pos=PointOfSale("none.sqlite"), at=AT)
    assert [checked.problem for checked in found if not checked.as_expected] == []


def test_the_rule_is_that_of_the_meter(meter: Any, meter_pos: Any) -> None:
    """Each kind of token of each class, entered into the meter."""
    record, pos = meter_pos.record, meter_pos.pos
    key = pos.decoder_key(record)
    fields = {
        0: {"rnd": 1, "amount": 5, "se": 0},
        1: {"control": 4, "mfr_code": 0},
        2: {"rnd": 1, "mpl": 1, "register": 0, "rate": 1, "pad": 0, "mppul": 1, "wmfactor": 1,
            "value": 5},
    }  # fmt: skip
    tid = 6_500_000
    for cls in (0, 1, 2):
        for sub in range(16):
            if cls == 2 and sub in (3, 4, 8, 9):
                continue
            names = [part for part, _ in layout(cls, sub, record.ea)[1]]
            for number in (0, 1, 7, 9, 0xFFFF) if (cls, sub) == (2, 1) else (0,):
                tid += 2
                given = fields[cls] | {"tid": tid, "register": number}
                values = {name: given.get(name, 0) for name in names}
                token = tokens.encode(cls, sub, values, key=key, ea=record.ea)
                said = refusal(record, tokens.decode(token, key=key, ea=record.ea))
                assert meter.enter(token).name == (said[0] if said else "Accept"), (cls, sub)
    for number in range(1, 21):
        token = pos.test(record.name, [number], anyway=True).token
        said = refusal(record, tokens.decode(token))
        assert meter.enter(token).name == (said[0] if said else "Accept"), number


def test_a_default_key_takes_no_credit(pos: PointOfSale) -> None:
    pos.add_meter("new", kt=1)
    with pytest.raises(UnusableError, match="vend a key change with kt 2 first"):
        pos.credit("new", 5, at=AT)
    issued = pos.credit("new", 5, at=AT, anyway=True)
    text = issued_csv([issued], {"new": pos.meter("new")})
    assert check_rows.read(text.encode()).rows[0].result == "DDTKError"


def test_the_command_names_its_option(pos: PointOfSale) -> None:
    app = typer.Typer()
    cli_vending.register(app)
    runner = CliRunner()
    for arguments in (
        ("currency", "1500"), ("credit", "5", "--kind", "water"), ("water-factor", "10"),
        ("extended", "1", "5"), ("clear-credit", "water"), ("test", "12"),
    ):  # fmt: skip
        done = runner.invoke(app, ["vend", "m", *arguments])
        assert isinstance(done.exception, UnusableError)
        assert str(done.exception).endswith("to issue it anyway, give --anyway")
        assert runner.invoke(app, ["vend", "m", *arguments, "--anyway"]).exit_code == 0


def test_the_service_names_its_field(pos: PointOfSale) -> None:
    with VendServer(pos.path) as server:

        def order(body: dict[str, Any]) -> Any:
            request = urllib.request.Request(
                f"{server.url}/meters/m/management",
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)

        for body in ({"kind": "clear-credit", "value": "water"}, {"kind": "test", "value": [12]}):
            with pytest.raises(urllib.error.HTTPError) as caught:
                order(body)
            error = json.load(caught.value)["error"]
            assert caught.value.code == 422
            assert error.endswith('to issue it anyway, send "anyway": true')
            assert len(order(body | {"anyway": True})["token"]) == 20
        with urllib.request.urlopen(f"{server.url}/tokens.csv", timeout=20) as answer:
            rows = check_rows.read(answer.read()).rows
        assert [row.result for row in rows] == ["FunctionError"] * 2


def test_fixtures_and_the_desk_of_the_screen_refuse_it(meter_pos: Any, pos: PointOfSale) -> None:
    with pytest.raises(UnusableError):
        meter_pos.currency(1500)
    assert meter_pos.currency(1500, anyway=True).token
    with pytest.raises(UnusableError):
        Desk(pos, "m").test("12")
