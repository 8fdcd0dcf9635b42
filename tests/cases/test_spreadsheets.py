"""What spreadsheets and programs do to tokens, meter numbers and amounts is said, or survived.

Sources: Microsoft support, article 269370: Excel keeps 15 digits and replaces the others by zeros;
a cell in the format General shows a longer number like 7.06305E+19 and no leading zeros; where
dates are written 12.5, it is 12 May. ECMAScript, Number: whole numbers are exact up to 2^53.
"""

import csv
import io
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jeton_host import VendServer, token_text
from jeton_host.checking import check as checking
from jeton_host.checking import rows as check_rows
from jeton_host.checking.check import Checked
from jeton_host.cli import checking as cli_checking
from jeton_host.cli.tokens import key_in, tokens_of
from jeton_host.errors import VendingError
from jeton_host.vending import tokens
from jeton_host.vending.explain import explain
from jeton_host.vending.issued_csv import issued_csv
from jeton_host.vending.pan import check_drn, padded
from jeton_host.vending.pos import PointOfSale

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOFFICE = shutil.which("soffice")
command = typer.Typer()
cli_checking.register(command)


@pytest.fixture
def pos(tmp_path: Path) -> PointOfSale:
    found = PointOfSale(tmp_path / "pos.sqlite")
    found.add_meter("home")
    return found


def issued(pos: PointOfSale, *, zero: bool = False) -> str:
    """Return a token that was issued; `zero`: one that begins with 0."""
    while True:
        token = pos.credit("home", "12.5", at=AT).token
        if zero == (token[0] == "0") and not token.endswith("00"):
            return token


def grouped(token: str) -> str:
    return " ".join(token[at : at + 4] for at in range(0, 20, 4))


def scientific(token: str, digits: int) -> str:
    return f"{int(token):.{digits - 1}E}"


DAMAGES: dict[str, Callable[[str], str]] = {
    "zeros from the 16th digit": lambda token: token[:15] + "00000",
    "zeros, in groups": lambda token: grouped(token[:15] + "00000"),
    "decimals": lambda token: token[:15] + "00000.00",
    "thousands separators": lambda token: f"{int(token[:15] + '00000'):,}",
    "French thousands": lambda token: f"{int(token[:15] + '00000'):,}".replace(",", "\u202f"),
    "a float": lambda token: f"{token}.0",
    "JavaScript": lambda token: str(int(Decimal(repr(float(token))))),
    "17 digits": lambda token: str(int(Decimal(f"{float(token):.17g}"))),
    "a whole float": lambda token: str(int(float(token))),
    "6 digits": lambda token: scientific(token, 6),
    "15 digits": lambda token: scientific(token, 15),
    "decimal comma": lambda token: scientific(token, 6).replace(".", ","),
    "LibreOffice": lambda token: scientific(token, 15).replace("E+", "E+0"),
    "Python": lambda token: repr(float(token)),
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_token_is_recognized_and_found(pos: PointOfSale, how: str) -> None:
    token = issued(pos)
    text = DAMAGES[how](token)
    found = explain(text, pos=pos)
    assert found.result != "Accept"
    assert found.cause in ("damaged", "not-a-token")
    assert "spreadsheet" in found.summary or "program" in found.summary
    assert grouped(token) in found.summary
    assert "for meter home" in found.summary
    assert "\n" not in found.summary


@pytest.mark.parametrize("kept", [20, 15])
def test_lost_zeros_are_recognized(pos: PointOfSale, kept: int) -> None:
    token = issued(pos, zero=True)
    short = token.lstrip("0")
    found = explain(short[:kept].ljust(len(short), "0"), pos=pos)
    assert "may have removed leading zeros" in found.summary
    assert grouped(token) in found.summary


def test_a_token_of_another_desk_is_recognized_without_its_digits(pos: PointOfSale) -> None:
    found = explain("7.06305E+19", pos=pos)
    assert (
        "a spreadsheet has rounded it to 7.06305E+19: format the column as text" in found.summary
    )
    found = explain("70630503470028700000", pos=pos, meter="home")
    assert "15 digits" in " ".join([found.summary, *found.details])
    assert "0000 0000 0001 5099 7584" in explain("150997584", pos=pos).summary


def test_a_token_that_is_whole_is_not_doubted(pos: PointOfSale) -> None:
    key = pos.decoder_key(pos.meter("home"))
    # Its digits end in zeros, or are a whole floating-point number, by chance.
    seen = 0
    for tid in range(6_400_000, 6_404_000):
        token = tokens.encode(0, 0, {"rnd": 1, "tid": tid, "amount": 5}, key=key)
        if token_text.damage(token) is not None:
            seen += 1
            assert explain(token, pos=pos, meter="home").result == "Accept"
    assert seen < 20
    for text in ("1234", "7063 0503 4700 2872 6114", "12e4 5678", "", "x", "2026-03-01"):
        assert token_text.damage(text) is None


@pytest.mark.parametrize(
    "how", ["zeros from the 16th digit", "6 digits", "JavaScript", "decimals"]
)
def test_every_place_says_it(meter: Any, meter_pos: Any, how: str, capsys: Any) -> None:
    token = meter_pos.credit(5).token
    while token.endswith("00") or token[0] == "0":
        token = meter_pos.credit(5).token
    text = DAMAGES[how](token)
    said = [meter.enter(text).message]  # the fixture, and `jeton enter`
    said.append(meter.enter(tokens_of([text])[0]).message)
    if text.isdigit():
        said.append(key_in(meter, text)[0])  # `jeton press`, and the screen
    (found,) = check(meter_pos.pos, f'meter,token,expected\n{meter_pos.drn},"{text}",5\n')
    said.append(found.problem)
    with VendServer(meter_pos.path) as server:
        body = json.dumps({"token": text}).encode()
        request = urllib.request.Request(
            f"{server.url}/explain", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            said.append(json.load(answer)["summary"])
    for line in said:
        assert "spreadsheet" in line or "program" in line
        assert grouped(token) in line
    assert meter.status().credit_wh == 0


def test_decoding_says_it() -> None:
    with pytest.raises(VendingError, match="a spreadsheet has rounded it"):
        tokens.decode("7.06305E+19", key=bytes(8))
    with pytest.raises(VendingError, match="removed leading zeros"):
        tokens.decode("706305034700287261", key=bytes(8))


# -- meter numbers


def check(pos: PointOfSale, text: str, **options: Any) -> list[Checked]:
    return checking.check(check_rows.read(text.encode()).rows, pos=pos, at=AT, **options)


@pytest.mark.parametrize("number", ["18", "018", "6.00727E+17", "600727000000000000"])
def test_a_damaged_meter_number_is_recognized_and_found(pos: PointOfSale, number: str) -> None:
    (found,) = check(pos, f"meter,token\n{number},{issued(pos)}\n")
    assert found.result is None
    assert "spreadsheet" in found.why
    assert "00000000018" in found.why
    assert "home" in found.why


def test_a_number_without_its_zeros_is_named_by_every_command(pos: PointOfSale) -> None:
    for ask in (pos.meter, pos.find_meter, lambda name: pos.credit(name, 5)):
        with pytest.raises(VendingError, match="meter home has the number 00000000018"):
            ask("18")
    with pytest.raises(VendingError, match="it is 00000000018"):
        check_drn("18")
    with VendServer(pos.path) as server, pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/meters/18", timeout=20)
    assert "meter home has the number 00000000018" in json.load(caught.value)["error"]


def test_a_padded_number_is_warned_of(pos: PointOfSale) -> None:
    """Leading zeros do not change the check digit, but a number of 13 digits has another key."""
    token = issued(pos)
    (found,) = check(pos, f"meter,token\n0000000000018,{token}\n")
    assert found.result == "CRCError"
    assert found.warning == padded("0000000000018")
    assert "give the 11 digits" in found.warning
    file = b"meter,token\n0000000000018," + token.encode()
    done = CliRunner().invoke(command, ["-", "--pos", str(pos.path)], input=file)
    assert "Warning: meter number 0000000000018 has 13 digits" in done.stdout
    for number in ("00000000018", "0100000000008"):
        assert not padded(number)


# -- amounts


def summary(pos: PointOfSale, text: str, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        command, ["-", "--pos", str(pos.path), "--at", "2026-03-01", *options], input=text.encode()
    )
    return done.exit_code, done.stdout


@pytest.mark.parametrize(
    "header",
    [
        "Units", "kWh", "UNITS (kWh)", "Amount kWh", "kWh Amount", "Energie", "\u00c9nergie",
        "Unit\u00e9s", "Quantit\u00e9", "Qt\u00e9", "Nombre de kWh", "kWh achet\u00e9s", "Energy",
        "Energy (kWh)", "Units Purchased", "Total Units", "No of Units", "Unidades", "Menge",
        "Quantity kWh", "Montant kWh",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "row", ["{},{},12.5", '{},{},"12,5"', "{},{},12.5 kWh", "{},{},12.50"], ids=str
)
def test_common_names_of_the_energy_are_known(header: str, row: str) -> None:
    (found,) = check_rows.read(f"meter,token,{header}\n{row.format(1, 2)}\n".encode()).rows
    assert (found.energy_wh, found.unread) == (12_500, "")


@pytest.mark.parametrize(
    ("header", "cell", "energy_wh"),
    [
        ("Units", "1 234,5", 1_234_500),
        ("Units", "1.234,5", 1_234_500),
        ("Units", "1\u202f234,50", 1_234_500),
        ("Units", "0,5", 500),
        ("Units", "12,345", 12_345),
        ("Wh", "12500", 12_500),
        ("Energy (Wh)", "12500", 12_500),
        ("Units", "12500 Wh", 12_500),
        ("Energie MWh", "0,0125", 12_500),
        ("Units", "25 units", 25_000),
        ("Unit\u00e9s", "25 unit\u00e9s", 25_000),
    ],
)
def test_amounts_of_a_file_with_semicolons(header: str, cell: str, energy_wh: int) -> None:
    data = f"Compteur;Jeton;{header}\n1;2;{cell}\n".encode()
    assert check_rows.read(data).rows[0].energy_wh == energy_wh


def test_a_wrong_amount_in_a_column_units_is_found(pos: PointOfSale) -> None:
    text = f"Meter No,STS Token,Units\n00000000018,{issued(pos)},12.6\n"
    status, said = summary(pos, text)
    assert status == 1
    assert "expected 12.6 kWh, got Accept, 12.5 kWh" in said


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("Units", "twelve"), ("Units", "12. Mai"), ("Units", '"1,234"'), ("Units", "R 12.50"),
        ("Zukauf", "12.5"), ("Units v2", "12.5"), ("Amount", "12.50"), ("Purchase", "12.5 kWh"),
    ],
)  # fmt: skip
def test_an_amount_that_cannot_be_read_is_not_all_as_expected(
    pos: PointOfSale, header: str, cell: str
) -> None:
    text = f"meter,token,{header}\n00000000018,{issued(pos)},{cell}\n"
    status, said = summary(pos, text)
    assert status == 1
    assert "1 not compared." in said
    assert header in said
    assert "all as expected" not in said
    status, said = summary(pos, text, "--json")
    found = json.loads(said)
    assert (found["as_expected"], found["otherwise"], found["not_compared"]) == (0, 0, 1)
    assert found["results"][0]["cause"] == "not-compared"
    status, said = summary(pos, text, "--column", f"ignore={header}")
    assert (status, "all as expected" in said) == (0, True)


@pytest.mark.parametrize(
    ("header", "cell"),
    [("Receipt", "12345"), ("Unit price", "79.5"), ("Date", "2026-03-01"), ("Customer", "A. B."),
     ("Phone", "0612345678"), ("Reference", "77"), ("Serial", "1234567890")],
)  # fmt: skip
def test_other_columns_do_no_harm(pos: PointOfSale, header: str, cell: str) -> None:
    text = f"meter,token,{header}\n00000000018,{issued(pos)},{cell}\n"
    assert summary(pos, text)[0] == 0
    with_units = f"meter,token,Units,{header}\n00000000018,{issued(pos)},12.5,{cell}\n"
    assert "all as expected" in summary(pos, with_units)[1]


def test_units_of_refused_and_of_management_tokens(pos: PointOfSale) -> None:
    token, limit = issued(pos), pos.power_limit("home", 5000, at=AT).token
    change = [section.token for section in pos.key_change("home", krn=2, at=AT)]
    lines = [f"00000000018,{one},{units},{result}" for one, units, result in (
        (token, 12.5, ""), (token, 12.5, "UsedError"), (limit, 0, ""), (change[0], 0, ""),
        (change[1], "", ""),
    )]  # fmt: skip
    text = "\n".join(["meter,token,Units,expected result", *lines])
    assert [one.problem for one in check(pos, text) if not one.as_expected] == []


# -- the export of the point of sale in a spreadsheet


def spreadsheet(text: str, delimiter: str, cell: Callable[[str], str]) -> str:
    """Open a file and save it again: each cell becomes what the spreadsheet shows."""
    out = io.StringIO(newline="")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter="," if "," in text[:20] else ";")
    csv.writer(out, delimiter=delimiter).writerows([cell(one) for one in row] for row in rows)
    return out.getvalue()


def excel(point: str, gaps: str) -> Callable[[str], str]:
    """Return what Excel makes of a cell; `point`: the decimal sign, `gaps`: between thousands."""

    def cell(text: str) -> str:
        if formula := re.fullmatch('="(.*)"', text):
            return formula[1]
        plain = re.sub(f"[{gaps}]", "", text) if gaps else text
        number = plain.replace(point, ".", 1)
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?(E\+?[0-9]+)?", number) and (
            point == "." or "." not in plain
        ):
            value = float(number)
            shown = f"{value:.11g}" if value < 1e11 else f"{value:.5E}"
            return shown.replace(".", point)
        parts = re.fullmatch(r"([0-9]{1,2})[-/. ]([0-9]{1,2})(?:[-/. ][0-9]{1,4})?", text)
        if parts and int(parts[2]) in range(1, 13):
            return f"{parts[1]}. Mai"
        return text

    return cell


CELLS = {
    "English": (",", excel(".", ",")),
    "German": (";", excel(",", ".")),
    "French": (";", excel(",", " \u202f")),
}


def export(pos: PointOfSale) -> str:
    """Return a file with each kind of row: credit, key changes, an SGC with zeros, a refusal."""
    pos.add_meter("three", sgc="000123", kct=3)
    pos.add_meter("other", drn="0100000000008", ea=11, sgc="012345", ti=7, bdt="93")
    for name, at in (("home", AT), ("three", AT), ("other", datetime(2024, 3, 1, tzinfo=UTC))):
        pos.credit(name, "12.5", at=at)
        pos.key_change(name, krn=2, sgc="000456" if name == "three" else None, at=at)
        pos.credit(name, "1820.4", at=at)
        pos.clear_tamper(name, at=at)
        pos.currency(name, 5, at=at, anyway=True)
    return issued_csv(pos.issued(), {meter.name: meter for meter in pos.meters()})


@pytest.fixture
def bare(tmp_path: Path) -> PointOfSale:
    """A point of sale that has none of the meters: the file alone describes them."""
    return PointOfSale(tmp_path / "bare.sqlite")


def test_the_model_of_a_spreadsheet_does_what_a_spreadsheet_does() -> None:
    for name, (_, cell) in CELLS.items():
        assert cell("00000000018") == "18"
        assert cell("70630503470028726114").replace(",", ".") == "7.06305E+19"
        assert cell('="00000000018"') == "00000000018"
        assert (cell("12.5") == "12.5") == (name in ("English",))


@pytest.mark.parametrize("name", CELLS)
def test_the_export_survives_a_spreadsheet_twice(
    pos: PointOfSale, bare: PointOfSale, name: str
) -> None:
    text = export(pos)
    delimiter, cell = CELLS[name]
    saved = spreadsheet(spreadsheet(text, delimiter, cell), delimiter, cell)
    rows, again = check_rows.read(text.encode()).rows, check_rows.read(saved.encode()).rows
    assert [(row.meter, row.token, row.setup) for row in rows] == [
        (row.meter, row.token, row.setup) for row in again
    ]
    found = checking.check(again, pos=bare, at=AT)
    assert [one.problem for one in found if not one.as_expected] == []
    assert len(found) == len(pos.issued())
    assert {one.row.energy_wh for one in found} == {None, 12_500, 1_820_400}


@pytest.mark.skipif(SOFFICE is None, reason="needs LibreOffice (Debian: libreoffice-calc-nogui)")
def test_the_export_survives_libreoffice(
    pos: PointOfSale, bare: PointOfSale, tmp_path: Path
) -> None:
    """Opened and saved twice, with German settings, where 12.5 may be a date."""
    file = tmp_path / "issued.csv"
    file.write_text(export(pos) + "00000000018,70630503470028726114,,,,,,,,,,,,\n")
    for number, into in enumerate(("once", "twice")):
        options = ["59" if number else "44", "34", "76", "1", "", "1031", "false", "true"]
        command = [
            str(SOFFICE), "--headless", f"-env:UserInstallation=file://{tmp_path}/office",
            f"--infilter=Text - txt - csv (StarCalc):{','.join(options)}",
            "--convert-to", "csv:Text - txt - csv (StarCalc):59,34,76,1",
            "--outdir", str(tmp_path / into), str(file),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        file = tmp_path / into / "issued.csv"
    *lines, control = file.read_text().splitlines()
    assert control.startswith("18;")  # it does open them as numbers
    assert "7.06305034700287E+" in control
    found = check(bare, "\n".join(lines))
    assert [one.problem for one in found if not one.as_expected] == []
