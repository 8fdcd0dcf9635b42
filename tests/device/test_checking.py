"""check-tokens: issued tokens are entered into the firmware on virtual boards."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jeton_host import clock
from jeton_host.checking import check as checking
from jeton_host.checking import rows as check_rows
from jeton_host.checking.check import Checked
from jeton_host.checking.rows import TokenRow
from jeton_host.cli import checking as cli_checking
from jeton_host.errors import BoardError, JetonError
from jeton_host.vending.issued_csv import issued_csv
from jeton_host.vending.pan import make_drn
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued, describe_meter

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UNKNOWN = "2234 5678 9012 3456 7891"  # under no key at all

app = typer.Typer()
cli_checking.register(app)


def rows(*cells: tuple[Any, ...]) -> list[TokenRow]:
    """Return rows of (meter, token, expected…), numbered from line 2."""
    text = "meter;token;expected\n"
    text += "".join(";".join(map(str, (*row, "", "")[:3])) + "\n" for row in cells)
    return list(check_rows.read(text.encode()).rows)


def check(pos: PointOfSale, *cells: tuple[Any, ...], **options: Any) -> list[Checked]:
    return checking.check(rows(*cells), pos=pos, at=AT, **options)


def names(found: list[Checked]) -> list[str | None]:
    return [checked.result for checked in found]


@pytest.fixture
def pos(tmp_path: Path) -> PointOfSale:
    return PointOfSale(tmp_path / "pos.sqlite")


@pytest.fixture
def drn(pos: PointOfSale) -> str:
    return pos.add_meter("home").drn


def test_a_purchase_closes_the_switch(pos: PointOfSale, drn: str) -> None:
    first, second = pos.credit("home", "12.5", at=AT), pos.credit("home", 3, at=AT)
    found = check(pos, ("home", first.token, 12.5), (drn, second.grouped, 3))
    assert names(found) == ["Accept", "Accept"]
    assert all(checked.as_expected for checked in found)
    assert [(c.credited_wh, c.credit_wh, c.switch) for c in found] == [
        (12_500, 12_500, "closed"),
        (3_000, 15_500, "closed"),
    ]
    assert found[0].drn == found[1].drn == drn


def test_the_switch_stays_open_without_credit(pos: PointOfSale, drn: str) -> None:
    (found,) = check(pos, (drn, UNKNOWN, "CRCError"))
    assert found.as_expected
    assert (found.switch, found.credit_wh) == ("open", 0)


def test_a_difference_of_one_wh_is_reported(pos: PointOfSale, drn: str) -> None:
    token = pos.credit("home", "12.5", at=AT).token
    (found,) = check(pos, (drn, token, "12.501"))
    assert not found.as_expected
    assert found.problem == "expected 12.501 kWh, got Accept, 12.5 kWh"


def test_without_an_expectation_a_token_must_be_accepted(pos: PointOfSale, drn: str) -> None:
    token = pos.credit("home", 1, at=AT).token
    good, bad = check(pos, (drn, token), (drn, token))
    assert good.as_expected
    assert not bad.as_expected
    assert bad.result == "UsedError"


def test_a_repeated_token_is_reported_with_its_first_line(pos: PointOfSale, drn: str) -> None:
    token = pos.credit("home", 1, at=AT).token
    first, again = check(pos, (drn, token, 1), (drn, token, "UsedError"))
    assert first.as_expected
    assert again.as_expected
    assert (again.cause, again.why) == ("used", "it was entered before, line 2")


@pytest.mark.parametrize("ea", [7, 11])
def test_a_key_change_among_the_rows_is_applied(pos: PointOfSale, ea: int) -> None:
    pos.add_meter("m", ea=ea)
    before = pos.credit("m", 1, at=AT)
    lost = pos.credit("m", 1, at=AT)
    change = pos.key_change("m", krn=2, at=AT)
    after = pos.credit("m", 2, at=AT)
    sections = [(("m", section.token)) for section in change]
    found = check(pos, ("m", before.token, 1), *sections, ("m", after.token, 2), ("m", lost.token))
    assert names(found)[0] == "Accept"
    assert names(found)[-3:] == ["Accept", "Accept", "CRCError"]
    assert found[-1].cause == "previous-key"


def test_tokens_under_the_old_key_are_found_after_a_key_change(pos: PointOfSale, drn: str) -> None:
    """The key change was entered before: the virtual meter starts with the present key."""
    (old,) = pos.keys_of("home")
    pos.key_change("home", krn=2, at=AT)
    (found,) = check(pos, (drn, pos.credit("home", 5, at=AT, key=old).token, 5))
    assert (found.result, found.cause) == ("CRCError", "previous-key")


def test_the_old_key_is_found_from_the_file_alone(pos: PointOfSale, tmp_path: Path) -> None:
    """The point of sale has no such meter: columns and key change tokens give the keys."""
    pos.add_meter("m", sgc="123456", ti=7)
    (old,) = pos.keys_of("m")
    pos.credit("m", 1, at=AT)
    pos.key_change("m", krn=2, ti=8, at=AT)
    pos.credit("m", 2, at=AT)
    pos.credit("m", 3, at=AT, key=old)
    text = issued_csv(pos.issued(), {"m": pos.meter("m")})
    other = PointOfSale(tmp_path / "other.sqlite")
    found = checking.check(check_rows.read(text.encode()).rows, pos=other, at=AT)
    assert names(found) == ["Accept", "1stKCT", "Accept", "Accept", "CRCError"]
    assert [checked.as_expected for checked in found] == [True, True, True, True, False]
    assert found[-1].cause == "previous-key"
    assert not other.path.exists()


def test_a_rollover_is_found_from_the_file_alone(pos: PointOfSale, tmp_path: Path) -> None:
    pos.add_meter("m", bdt="93", krn=1, ea=11)
    early = datetime(2024, 1, 1, tzinfo=UTC)
    pos.credit("m", 1, at=early)
    pos.key_change("m", krn=2, bdt="14", at=early)
    pos.credit("m", 2, at=AT)
    text = issued_csv(pos.issued(), {"m": pos.meter("m")})
    token = pos.issued()[0].token
    found = checking.check(
        [*check_rows.read(text.encode()).rows, TokenRow(99, make_drn(1), token)],
        pos=PointOfSale(tmp_path / "other.sqlite"),
        at=AT,
    )
    assert all(checked.as_expected for checked in found[:-1])
    assert (found[-1].result, found[-1].cause) == ("CRCError", "previous-key")


def test_unknown_meters_are_set_up_by_columns_and_options(pos: PointOfSale) -> None:
    def token(number: int, **setup: Any) -> tuple[str, str]:
        other = PointOfSale(pos.path.with_name(f"{number}.sqlite"))
        record = other.add_meter("m", drn=make_drn(number), **setup)
        return record.pan, other.credit("m", 1, at=AT).token

    by_option, by_column = token(5, sgc="123456"), token(6, sgc="123456", krn=2)
    text = "meter,token,kWh,krn\n{},{},1,\n{},{},1,2\n".format(*by_option, *by_column)
    found = checking.check(
        check_rows.read(text.encode()).rows, pos=pos, setup={"sgc": "123456"}, at=AT
    )
    assert [checked.problem for checked in found if not checked.as_expected] == []
    assert [checked.drn for checked in found] == [make_drn(5), make_drn(6)]


def test_an_option_applies_to_known_and_unknown_meters(
    pos: PointOfSale, drn: str, tmp_path: Path
) -> None:
    """One file gives the same results with and without a record at the point of sale."""
    record = pos.meter("home")
    token = pos.credit("home", 1, at=AT).token
    bare = PointOfSale(tmp_path / "bare.sqlite")
    for setup in ({"krn": 2}, {"sgc": "123456"}, {"bdt": "93"}):
        (here,) = check(pos, (record.drn, token), setup=setup)
        (there,) = check(bare, (record.drn, token), setup=setup)
        assert not here.as_expected
        assert here.result == there.result
    assert check(pos, (record.drn, token), setup={"krn": 1})[0].as_expected


@pytest.mark.parametrize(
    "setup", [{"sgc": "abc"}, {"krn": 0}, {"ea": 9}, {"profile": "no"}, {"ea": 7, "kct": 4}]
)
def test_a_bad_option_is_refused_before_any_row(pos: PointOfSale, setup: dict[str, Any]) -> None:
    with pytest.raises(JetonError):
        check(pos, (make_drn(1), UNKNOWN), setup=setup)


def test_an_option_may_require_a_column(pos: PointOfSale) -> None:
    text = f"meter,token,ea\n{make_drn(1)},{UNKNOWN},11\n"
    (found,) = checking.check(
        check_rows.read(text.encode()).rows,
        pos=pos,
        at=AT,
        setup={"kct": 4, "made": date(1994, 1, 1), "bdt": "93"},
    )
    assert found.result == "CRCError"


def test_a_token_for_another_meter_of_the_file_is_explained(pos: PointOfSale, drn: str) -> None:
    pos.add_meter("other")
    token = pos.credit("other", 1, at=AT).token
    mine, theirs = check(pos, (drn, token, 1), ("other", token, 1))
    assert (mine.result, mine.cause) == ("CRCError", "other-meter")
    assert "other" in mine.why
    assert theirs.as_expected


def test_a_typing_error_is_found_in_a_file(pos: PointOfSale) -> None:
    (found,) = check(pos, ("000-0000000-0", "7063 0503 4700 2872 6115", 0.1))
    assert (found.result, found.cause) == ("CRCError", "typing")


def test_the_lockout_after_wrong_tokens_is_waited_out(pos: PointOfSale, drn: str) -> None:
    token = pos.credit("home", 1, at=AT).token
    wrong = [(drn, UNKNOWN, "CRCError")] * 5
    found = check(pos, *wrong, (drn, token, 1))
    assert all(checked.as_expected for checked in found)
    locked = check(pos, *wrong[:3], (drn, token, "LockOut"))
    assert locked[-1].as_expected
    assert locked[-1].cause == "lock-out"


def test_wrong_rows_are_reported_with_the_others(pos: PointOfSale, drn: str) -> None:
    pos.add_meter("expired", ken=0)
    found = check(
        pos,
        ("12345678904", UNKNOWN),
        ("absent", UNKNOWN),
        ("18", UNKNOWN),
        (drn, "1234", "FormatError"),
        (drn, "7.06305E+19", 1),
        (drn, "x" * 5000, 1),
        (drn, "३" * 20, 1),
        (drn, "00000000000150997584", "Accept"),
        ("600727000000000008", UNKNOWN),
        ("1e9", UNKNOWN),
    )
    assert [checked.row.line for checked in found] == list(range(2, 12))
    assert "check digit" in found[0].why
    assert "has no meter 'absent'" in found[1].why
    assert "leading zeros" in check(pos, ("18000000", UNKNOWN))[0].why
    assert found[3].as_expected
    assert "a spreadsheet has rounded it" in found[4].why
    assert names(found)[4:7] == ["FormatError"] * 3
    assert found[7].as_expected
    assert all(checked.why and "\n" not in checked.problem for checked in found[8:])


def test_a_meter_is_set_up_only_once(pos: PointOfSale) -> None:
    text = f"meter,token,krn\n{make_drn(1)},{UNKNOWN},1\n{make_drn(1)},{UNKNOWN},2\n"
    first, second = checking.check(check_rows.read(text.encode()).rows, pos=pos, at=AT)
    assert first.result == "CRCError"
    assert second.result is None
    assert "krn is 2 here and 1 in line 2" in second.why.replace("'", "")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("krn", "0", "key revision number"),
        ("ea", "9", "EA09"),
        ("sgc", "1457", "6 digits"),
        ("ti", "1e9", "tariff index"),
        ("kt", "x", "a whole number"),
        ("bdt", "12", "base date"),
        ("profile", "../x", "profile"),
        ("made", "yesterday", "not a date"),
        ("sgc", "999999", "no vending key"),
    ],
)
def test_an_impossible_set_up_is_refused(
    pos: PointOfSale, column: str, value: str, said: str
) -> None:
    from jeton_host.vending.keys import VendingKey, VendingKeys

    key = VendingKey(4, bytes(20), sgc="201457")
    limited = PointOfSale(pos.path, keys=VendingKeys([key]))
    text = f"meter,token,{column}\n{make_drn(1)},{UNKNOWN},{value}\n"
    (found,) = checking.check(check_rows.read(text.encode()).rows, pos=limited, at=AT)
    assert found.result is None
    assert said in found.why


def test_the_number_of_explained_wrong_tokens_is_limited(pos: PointOfSale, drn: str) -> None:
    wrong = [(drn, UNKNOWN, "CRCError"), (drn, UNKNOWN, 1)]
    found = check(pos, *wrong, searches=1)
    assert [checked.cause for checked in found] == ["unknown", "unknown"]  # the same token
    wrong[0] = (drn, UNKNOWN.replace("7891", "7892"), "CRCError")
    found = check(pos, *wrong, searches=1)
    assert [checked.cause for checked in found] == ["wait", "unknown"]  # unexpected results first


def test_many_meters_are_checked_on_several_boards(pos: PointOfSale) -> None:
    cells = []
    for number in range(1, 31):
        record = describe_meter("m", drn=make_drn(number))
        for minute in (1, 2):
            token = _credit(pos, record, 5_000_000 + minute)
            cells.append((record.drn, token, 0.5))
    ticks: list[int] = []
    found = check(pos, *cells, jobs=2, tick=ticks.append)
    assert sum(ticks) == 60
    assert [checked.row.line for checked in found] == list(range(2, 62))
    assert {checked.credit_wh for checked in found[1::2]} == {1000}


def _credit(pos: PointOfSale, record: Any, tid: int) -> str:
    from jeton_host.vending.tokens import encode

    return encode(0, 0, {"rnd": 1, "tid": tid, "amount": 5}, key=pos.decoder_key(record))


def test_a_meter_may_have_more_rows_than_one_batch(pos: PointOfSale, drn: str) -> None:
    record = pos.meter("home")
    tokens = [_credit(pos, record, 5_000_000 + number) for number in range(95)]
    found = check(pos, *((drn, token, 0.5) for token in tokens))
    assert found[-1].credit_wh == 95 * 500


def test_a_board_that_fails_is_replaced(
    pos: PointOfSale, drn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = []
    run = checking._Board._run

    def failing(self: Any, source: str) -> list[str]:
        if not died:
            died.append(1)
            raise BoardError("the board has died")
        return run(self, source)

    monkeypatch.setattr(checking._Board, "_run", failing)
    (found,) = check(pos, (drn, pos.credit("home", 1, at=AT).token, 1))
    assert found.as_expected
    assert died


def test_a_meter_that_crashes_every_board_is_reported_and_the_others_continue(
    pos: PointOfSale, drn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = pos.add_meter("other").drn
    run = checking._Board._run

    def failing(self: Any, source: str) -> list[str]:
        if other in source:
            raise BoardError("the board has died")
        return run(self, source)

    monkeypatch.setattr(checking._Board, "_run", failing)
    good, bad = check(
        pos, (drn, pos.credit("home", 1, at=AT).token, 1), (other, UNKNOWN, "CRCError")
    )
    assert good.as_expected
    assert (bad.result, bad.why) == (None, "the board has died")


def test_one_error_is_reported_if_no_board_starts(
    pos: PointOfSale, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self) -> None:
            raise BoardError("there is no MicroPython")

    monkeypatch.setattr(checking, "_Board", Broken)
    with pytest.raises(BoardError, match="no MicroPython"):
        check(pos, (make_drn(1), UNKNOWN), jobs=2)


# The command


@pytest.fixture
def sheet(drn: str, pos: PointOfSale, tmp_path: Path) -> Path:
    good = pos.credit("home", 1, at=AT)
    file = tmp_path / "issued.csv"
    file.write_text(
        f"meter;token;expected;remark\n{drn};{good.grouped};1;\n{drn};{good.token};\x1b]0;\n"
        f"=1+1;{UNKNOWN};;\n[b]x;&<\x00>;;\n"
    )
    return file


def run(*arguments: str, text: bytes | None = None) -> Any:
    return CliRunner().invoke(app, ["check", *arguments][1:], input=text)


def test_the_command_prints_each_row_and_a_summary(
    sheet: Path, pos: PointOfSale, tmp_path: Path
) -> None:
    report = tmp_path / "report.xml"
    began = clock.now().replace(microsecond=0)
    done = run(str(sheet), "--pos", str(pos.path), "--at", "2026-03-01", "--junit", str(report))
    assert done.exit_code == 1, done.output
    assert "line 3: 00000000018" in done.stdout
    assert "line 4: =1+1" in done.stdout
    assert "[b]x" in done.stdout
    assert "4 rows, 1 meter" in done.stdout
    assert "remark" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\x00" not in done.stdout
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("4", "3")
    cases = suite.findall("testcase")
    assert [case.find("failure") is None for case in cases] == [True, False, False, False]
    assert cases[0].get("classname") == "00000000018"
    assert began <= datetime.fromisoformat(suite.get("timestamp", "")) <= clock.now()
    seconds = float(suite.get("time", ""))
    assert seconds > 0
    assert ET.parse(report).getroot().get("time") == suite.get("time")
    times = [float(case.get("time", "")) for case in cases]
    assert all(time > 0 for time in times)
    assert sum(times) == pytest.approx(seconds, abs=0.002)


def test_a_report_can_be_read_as_an_input_file(
    sheet: Path, pos: PointOfSale, tmp_path: Path
) -> None:
    there, link = tmp_path / "there.xml", tmp_path / "report.xml"
    link.symlink_to(there)
    run(str(sheet), "--pos", str(pos.path), "--junit", str(link))
    plain = tmp_path / "plain"
    plain.write_text("")
    assert link.is_symlink()
    assert there.stat().st_mode == plain.stat().st_mode
    assert ET.parse(there).getroot().tag == "testsuites"


def test_a_report_can_go_to_standard_output(pos: PointOfSale, drn: str, tmp_path: Path) -> None:
    file, out = tmp_path / "issued.csv", tmp_path / "out"
    file.write_text(f"meter,token\nhome,{pos.credit('home', 1).token}\n")
    command = [sys.executable, "-m", "jeton_host", "check-tokens", str(file)]
    with out.open("wb") as stdout:
        done = subprocess.run(
            [*command, "--pos", str(pos.path), "--junit", "/dev/stdout"], stdout=stdout
        )
    said = out.read_text()
    assert done.returncode == 0
    assert "</testsuites>" in said
    assert "all as expected" in said


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (b"", []),
        (b"meter,token\n", []),
        (b"meter,token\n1,\xff\n", []),
        (b"meter,token\n1,2\n", ["--sgc", "abc"]),
    ],
)
def test_a_report_lists_errors_of_the_whole_file(
    tmp_path: Path, data: bytes, options: list[str]
) -> None:
    report = tmp_path / "report.xml"
    report.write_text("<testsuites/>")
    done = run("-", "--junit", str(report), *options, text=data)
    assert isinstance(done.exception, JetonError)
    suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == str(done.exception)
    assert float(suite.get("time", "")) >= 0
    assert datetime.fromisoformat(suite.get("timestamp", "")).tzinfo == UTC


def test_the_command_prints_json(sheet: Path, pos: PointOfSale) -> None:
    done = run(str(sheet), "--pos", str(pos.path), "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (found["rows"], found["as_expected"], found["otherwise"], found["meters"]) == (
        4,
        1,
        3,
        1,
    )
    assert found["results"][0]["credited_wh"] == 1000
    assert found["results"][0]["switch"] == "closed"


def test_rows_from_standard_input_are_checked(pos: PointOfSale, drn: str) -> None:
    row = {"meter": "home", "token": pos.credit("home", 2).token, "expected": 2}
    done = run("-", "--pos", str(pos.path), text=json.dumps(row).encode())
    assert done.exit_code == 0, done.output
    assert "all as expected" in done.stdout
    bare = {"meter": "home", "token": pos.credit("home", 2).token}
    done = run("-", "--pos", str(pos.path), text=json.dumps(bare).encode())
    assert "1 row without an expected result: accepted." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.csv"], "cannot be read"),
        (["."], "cannot be read"),
        (["-", "--pos", "nothing.sqlite"], "no point of sale"),
        (["-", "--junit", "nowhere/report.xml"], "no folder"),
        (["-", "--column", "token"], "NAME=HEADER"),
        (["-", "--column", "x=y"], "no column 'x'"),
        (["-", "--at", "soon"], "not a time"),
        (["-", "--made", "soon"], "not a date"),
        (["-", "--keys", "nothing.json"], "cannot be read"),
        (["-"], "empty"),
    ],
)
def test_wrong_uses_of_the_command_are_refused(arguments: list[str], said: str) -> None:
    text = None if arguments == ["-"] else f"meter,token\n{make_drn(1)},1\n".encode()
    done = run(*arguments, text=text)
    assert isinstance(done.exception, JetonError), (done.output, done.exception)
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


def test_the_program_has_no_bar_without_a_terminal_and_a_useful_status(
    pos: PointOfSale, drn: str, tmp_path: Path
) -> None:
    """Without a terminal no progress bar is drawn; a script can use the exit status."""
    file = tmp_path / "issued.csv"
    file.write_text(f"meter,token,kWh\nhome,{pos.credit('home', 1).token},2\n")
    command = [sys.executable, "-m", "jeton_host", "check-tokens", str(file)]
    done = subprocess.run(
        [*command, "--pos", str(pos.path)], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert "expected 2 kWh, got Accept, 1 kWh" in done.stdout


def test_a_described_meter_gives_the_results_of_a_registered_one(pos: PointOfSale) -> None:
    registered = pos.add_meter("m", sgc="123456", ti=3, krn=2, ea=11)
    described = describe_meter("m", drn=registered.drn, sgc="123456", ti=3, krn=2, ea=11)
    assert described.as_dict() == registered.as_dict()
    assert pos.decoder_key(described) == pos.decoder_key(registered)
    issued: Issued = pos.credit("m", 1)
    assert issued.key.krn == 2
