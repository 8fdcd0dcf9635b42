"""Tests of reading the rows of a file for `jeton check-tokens`."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jeton.sts import digits
from jeton_host.checking import rows as check_rows
from jeton_host.checking.rows import TokenRow, read
from jeton_host.errors import JetonError

DRN = "00000000018"
TOKEN = "70630503470028726114"


def rows(text: str | bytes, **columns: str) -> list[TokenRow]:
    data = text.encode() if isinstance(text, str) else text
    return list(read(data, columns).rows)


def one(text: str | bytes, **columns: str) -> TokenRow:
    (row,) = rows(text, **columns)
    return row


def error_of(data: bytes, columns: dict[str, str] | None = None) -> str:
    with pytest.raises(JetonError) as caught:
        read(data, columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- files that can be read


def test_a_csv_row_is_read() -> None:
    row = one(f"meter,token,expected kWh\n{DRN},{TOKEN},12.5\n")
    assert (row.line, row.meter, row.token, row.energy_wh) == (2, DRN, TOKEN, 12_500)
    assert row.result is None
    assert not row.problem


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_delimiter_and_line_end_is_read(delimiter: str, end: str) -> None:
    lines = [("Meter No", "STS-Token", "Expected"), (DRN, TOKEN, "1"), ("x", "y", "2")]
    found = rows(end.join(delimiter.join(cells) for cells in lines))
    assert [(row.meter, row.token, row.energy_wh) for row in found] == [
        (DRN, TOKEN, 1000),
        ("x", "y", 2000),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + f"meter;token\n{DRN};{TOKEN}\n".encode(),
        b"\xff\xfe" + f"meter\ttoken\r\n{DRN}\t{TOKEN}\r\n".encode("utf-16-le"),
        b"\xfe\xff" + f"meter,token\n{DRN},{TOKEN}".encode("utf-16-be"),
        f"sep=;\nmeter;token\n{DRN};{TOKEN}\n".encode(),
        f'\n meter , token \n\n"{DRN}", "{TOKEN}"\n,\n'.encode(),
        f'meter,token\n="{DRN}",\'{TOKEN}\n'.encode(),
        json.dumps({"meter": DRN, "token": TOKEN}).encode(),
        json.dumps({"DRN": DRN, "sts_token": TOKEN, "expected": None}).encode() + b"\n\n",
    ],
)
def test_files_from_spreadsheets_are_read(data: bytes) -> None:
    row = one(data)
    assert (row.meter, row.token, row.problem) == (DRN, TOKEN, "")


def test_rows_have_the_line_numbers_of_the_file() -> None:
    found = rows('sep=,\nmeter,token,note\n\na,1,"two\nlines"\nb,2,\n')
    assert [(row.line, row.meter) for row in found] == [(4, "a"), (6, "b")]


@pytest.mark.parametrize("gap", [" ", "-", "\u00a0", "\u2009", "\u2013"])
def test_tokens_may_contain_gaps(gap: str) -> None:
    row = one(f"meter,token\n{DRN},7063{gap}0503{gap}4700{gap}2872{gap}6114")
    assert digits.clean(row.token) == TOKEN


@pytest.mark.parametrize(
    ("expected", "result", "energy_wh"),
    [
        ("", None, None),
        ("0.1", None, 100),
        ("12 kWh", None, 12_000),
        ("12.500", None, 12_500),
        ("0", None, 0),
        ("UsedError", "UsedError", None),
        ("usederror", "UsedError", None),
        ("1stKCT", "1stKCT", None),
    ],
)
def test_the_expected_result_or_energy_is_read(
    expected: str, result: str | None, energy_wh: int | None
) -> None:
    row = one(f"meter,token,expected\nm,1,{expected}")
    assert (row.result, row.energy_wh, row.problem) == (result, energy_wh, "")
    as_json = one(json.dumps({"meter": "m", "token": "1", "expected": expected}))
    assert (as_json.result, as_json.energy_wh) == (result, energy_wh)


def test_result_and_energy_can_both_be_expected() -> None:
    row = one("meter,token,expected kWh,expected result\nm,1,2.5,Accept")
    assert (row.result, row.energy_wh, row.expected) == ("Accept", 2500, "Accept, 2.5 kWh")
    assert "both" in one("meter,token,kWh,expected\nm,1,2.5,3").problem


def test_a_decimal_comma_needs_another_delimiter() -> None:
    assert one("meter;token;kWh\nm;1;12,5").energy_wh == 12_500
    assert one('meter,token,kWh\nm,1,"12,5"').energy_wh == 12_500
    assert "write a decimal point" in one('meter,token,kWh\nm,1,"1,234"').unread


@pytest.mark.parametrize(
    "expected", ["1e9", "-1", "NaN", "inf", "0.0001", "9" * 13, "Acept", "=1+1"]
)
def test_an_invalid_expected_value_is_a_bad_row(expected: str) -> None:
    row = one(f"meter,token,expected\nm,1,{expected}")
    assert row.problem
    assert "\n" not in row.problem


def test_json_numbers_are_allowed_for_values_but_not_for_tokens() -> None:
    assert one('{"meter": "m", "token": "1", "expected": 12.5}').energy_wh == 12_500
    assert one('{"meter": "m", "token": "1", "kwh": 3, "ti": 5}').setup == {"ti": "5"}
    for name in ("meter", "token"):
        assert "in quotes" in one(json.dumps({"meter": "m", "token": "1"} | {name: 5})).problem
    assert "text or a number" in one('{"meter": ["m"], "token": "1"}').problem
    assert one('{"meter": "m", "token": "1", "expected": true}').problem


def test_a_row_can_contain_the_settings_of_its_meter() -> None:
    row = one("drn,token,SGC,KRN,Base Date,bdt\nm,1,123456,2,x,93")
    assert row.setup == {"sgc": "123456", "krn": "2", "bdt": "93"}


def test_columns_can_be_selected_by_name() -> None:
    sheet = read(b"Zaehler,Code,token\nm,1,no", {"meter": "Zaehler", "token": "code"})
    assert (sheet.rows[0].meter, sheet.rows[0].token) == ("m", "1")
    assert list(sheet.unused) == ["token"]
    assert "there is no column" in error_of(b"a\n1", {"nix": "a"})


@pytest.mark.parametrize("delimiter", ";\t|")
def test_the_delimiter_is_found_by_the_columns(delimiter: str) -> None:
    head = delimiter.join(['"Customer, full name"', "meter", "token"])
    row = one(f"{head}\n" + delimiter.join(['"Doe, J, jun."', "m", "1"]))
    assert (row.meter, row.token) == ("m", "1")


# -- files and rows with errors


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\n \n", "empty"),
        (b"meter,token\n", "no row"),
        (b"meter,code\n1,2", "no column token"),
        (b"1,2\n3,4", "no column meter"),
        (b"00000000018,12345678901234567890\n", "no column meter"),
        (b"\0\0\n\0,\0", "no column meter"),
        (b"meter,drn,token\n1,2,3", "two columns contain the meter"),
        (b"meter,token\n1,\xff\n", "line 2 is not UTF-8"),
        (b"\xff\xfem", "not UTF-16"),
        (b'[{"meter": 1}]', "one object a line"),
        (b"meter,token\n" + b'"' + b"x" * 200_000, "is not CSV"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8"),
        (b"PK\x03\x04" + b"x" * 50, "save it as CSV"),
    ],
)
def test_an_unreadable_file_is_one_line_of_error(data: bytes, expected: str) -> None:
    assert expected in error_of(data)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (",1", "no meter"),
        ("m,", "no token"),
        ("m", "no token"),
        ("m,1,2,3", "4 cells"),
        ("m,1\0", "control"),
        ("m\x1b[2J,1", "control"),
    ],
)
def test_a_bad_row_does_not_spoil_the_others(line: str, expected: str) -> None:
    bad, good = rows(f"meter,token\n{line}\nm,2")
    assert expected in bad.problem
    assert bad.line == 2
    assert not good.problem


@pytest.mark.parametrize("line", ["{", '{"meter": 1', '{"meter": NaN, "token": "1"}', "[1]", "x"])
def test_a_bad_line_of_json_does_not_spoil_the_others(line: str) -> None:
    good = '{"meter": "m", "token": "1"}'
    first, bad, last = rows(f"{good}\n{line}\n{good}")
    assert (bad.line, bool(bad.problem)) == (2, True)
    assert not first.problem
    assert not last.problem


def test_files_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_rows, "MAX_ROWS", 3)
    assert "more than 3 rows" in error_of(b"meter,token\n" + b"m,1\n" * 4)
    monkeypatch.setattr(check_rows, "MAX_BYTES", 10)
    assert "too large" in error_of(b"meter,token\nm,1")


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"meter,token,expected\n", b'{"meter": ']))
def test_any_bytes_are_rows_or_one_line_of_error(data: bytes, head: bytes) -> None:
    try:
        found = read(head + data).rows
    except JetonError as error:
        _check_one_line(error)
    else:
        assert all(row.problem or (row.meter and row.token) for row in found)


def _check_one_line(error: JetonError) -> None:
    assert "\n" not in str(error)
