"""Tests of the point of sale: meters, tokens, identifiers, key changes, its file."""

import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jeton.sts import tokens as layouts
from jeton_host.errors import VendingError
from jeton_host.vending import keys, tid, tokens
from jeton_host.vending.pos import PointOfSale

NOON = datetime(2026, 4, 1, 12, 0)
ANYWAY = {"anyway": True}  # the meter refuses the token
CEET = datetime(2024, 11, 20, 10, 0)


@pytest.fixture
def pos(tmp_path: Path) -> PointOfSale:
    return PointOfSale(tmp_path / "pos.sqlite", keys=keys.load_keys())


def read(pos: PointOfSale, name: str, token: str) -> tokens.Decoded:
    meter = pos.meter(name)
    return tokens.decode(token, key=pos.decoder_key(meter), ea=meter.ea, tables=meter.tables)


# -- meters


def test_reading_creates_no_file(pos: PointOfSale) -> None:
    assert pos.meters() == []
    assert pos.issued() == []
    with pytest.raises(VendingError, match="jeton new"):
        pos.meter("home")
    assert not pos.path.exists()


def test_a_new_meter_has_sensible_defaults(pos: PointOfSale) -> None:
    meter = pos.add_meter("home")
    assert meter == pos.meter("home")
    assert (meter.ea, meter.kct, meter.profile, meter.mfr_code) == (7, 3, "generic", 0)
    key = meter.key
    assert (key.dkga, key.kt, key.sgc, key.ti, key.krn, key.ken, key.bdt) == (
        4, 2, "201457", 1, 1, 255, "14",
    )  # fmt: skip
    assert stat.S_IMODE(os.stat(pos.path).st_mode) == 0o600
    assert pos.add_meter("next").drn != meter.drn
    pos.remove_meter("next")
    assert pos.add_meter("after").drn not in (meter.drn, "00000000026")


def test_config_for_returns_the_configuration_for_a_board(pos: PointOfSale) -> None:
    pos.add_meter("home", drn="00000000000", made=date(2020, 1, 2), profile="ceet")
    assert pos.config_for("home", at=datetime(2026, 4, 1)) == {
        "drn": "00000000000",
        "ea": 7,
        "tables": "certified",
        "kt": 2,
        "sgc": "201457",
        "ti": 1,
        "krn": 1,
        "ken": 255,
        "decoder_key": "87f3ecbb2e46b48f",
        "bdt": "14",
        "kct": 2,
        "mfr_code": 0,
        "profile": "ceet",
        "tid0": tid.tid_of(datetime(2020, 1, 2), "14"),
        "credit_wh": 0,
        "clock": 828316800,
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"drn": "12345678904"}, "check digit"),
        ({"ea": 9}, "EA09"),
        ({"dkga": 2, "ea": 11}, "02 with 07"),
        ({"dkga": 1}, "withdrawn"),
        ({"kt": 3}, "magnetic"),
        ({"kt": 7}, "key type 7"),
        ({"krn": 0}, "1 to 9"),
        ({"ti": -1}, "tariff index"),
        ({"sgc": "1"}, "6 digits"),
        ({"ken": 256}, "0 to 255"),
        ({"bdt": "00"}, "93, 14 or 35"),
        ({"kct": 4}, "2 or 3"),
        ({"ea": 11, "kct": 2}, "supports 4"),
        ({"tables": "mine"}, "certified or sample"),
        ({"made": date(2013, 1, 1)}, "before"),
        ({"made": date(2025, 1, 1), "bdt": "93"}, "after the range"),
        ({"decoder_key": bytes(7)}, "8 bytes"),
        ({"mfr_code": 65536}, "maker code"),
    ],
)
def test_wrong_meters_are_refused(pos: PointOfSale, options: dict[str, Any], says: str) -> None:
    with pytest.raises(VendingError, match=says):
        pos.add_meter("home", **options)
    assert pos.meters() == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "-x", "x" * 65, "a b"])
def test_wrong_names_are_refused(pos: PointOfSale, name: str) -> None:
    with pytest.raises(VendingError, match="name"):
        pos.add_meter(name)


def test_a_name_or_number_can_be_used_once(pos: PointOfSale) -> None:
    pos.add_meter("home", drn="00000000000")
    with pytest.raises(VendingError, match="already"):
        pos.add_meter("home")
    with pytest.raises(VendingError, match="meter home already has the meter number"):
        pos.add_meter("other", drn="00000000000")


# -- tokens


def test_the_example_of_the_standard_is_reproduced(pos: PointOfSale) -> None:
    pos.add_meter("home", drn="00000000000")
    issued = pos.credit("home", "0.1", at=datetime(2014, 3, 1, 13, 0), rnd=5)
    assert issued.token == "70630503470028726114"
    assert issued.grouped == "7063 0503 4700 2872 6114"
    assert issued.tid == 85740
    pos.add_meter("eleven", drn="11111111115", ea=11)
    assert pos.meter("eleven").kct == 4


@pytest.mark.parametrize(
    ("amount", "code", "what", "rounded"),
    [
        ("12.5", 125, "12.5 kWh", ""),
        ("12.500", 125, "12.5 kWh", ""),
        ("0.01", 1, "0.1 kWh", "0.01 kWh"),
        ("12.51", 126, "12.6 kWh", "12.51 kWh"),
        (Decimal("2000.01"), 16746, "2000.4 kWh", "2000.01 kWh"),
        ("1638.4", 16384, "1638.4 kWh", ""),
        ("1638.5", 16385, "1639.4 kWh", "1638.5 kWh"),
        (5, 50, "5.0 kWh", ""),
        ("1820162.4", 0xFFFF, "1820162.4 kWh", ""),
    ],
)
def test_credit_is_coded_and_rounded_up(
    pos: PointOfSale, amount: Any, code: int, what: str, rounded: str
) -> None:
    pos.add_meter("home")
    issued = pos.credit("home", amount, at=NOON)
    assert issued.fields["amount"] == code
    assert issued.what == f"credit of {what}"
    assert issued.rounded == rounded
    assert issued.as_dict()["rounded_from"] == (rounded or None)
    assert issued.summary == f"credit of {what}" + (f" ({rounded} rounded up)" if rounded else "")
    assert read(pos, "home", issued.token).fields == issued.fields


@pytest.mark.parametrize(
    "amount",
    [
        "-5",
        "0",
        "-0",
        "0.0",
        "1820162.41",
        "1e5",
        "nan",
        "inf",
        "",
        "12,5",
        "x",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "9" * 99,
        1.5,
    ],
)
def test_wrong_amounts_are_refused_and_change_nothing(pos: PointOfSale, amount: Any) -> None:
    pos.add_meter("home")
    with pytest.raises(VendingError) as caught:
        pos.credit("home", amount, at=NOON)
    assert "\n" not in str(caught.value)
    assert pos.issued() == []


def test_a_rounded_value_is_described(pos: PointOfSale) -> None:
    pos.add_meter("home")
    for issued, summary in (
        (pos.power_limit("home", 5000), "maximum power limit of 5000 W"),
        (
            pos.power_limit("home", "20001"),
            "maximum power limit of 20004 W (20001 W rounded up)",
        ),
        (
            pos.unbalance_limit("home", 16385),
            "maximum phase power unbalance limit of 16394 W (16385 W rounded up)",
        ),
        (
            pos.currency("home", "0.5", anyway=True),
            "credit of 0.50004 for electricity (0.5 rounded up)",
        ),
        (pos.currency("home", "0.1", anyway=True), "credit of 0.1 for electricity"),
    ):
        assert issued.summary == summary


@pytest.mark.parametrize("watts", [-5, "", "x", "²", "5 kW", "1e3", 5.5, 18201625, "9" * 99])
def test_a_wrong_limit_is_refused(pos: PointOfSale, watts: Any) -> None:
    pos.add_meter("home")
    for issue, what in (
        (pos.power_limit, "power limit"),
        (pos.unbalance_limit, "phase unbalance limit"),
    ):
        with pytest.raises(VendingError) as caught:
            issue("home", watts)
        said = str(caught.value)
        assert said.startswith(f"a {what} of ")
        assert said.endswith(" is not valid: give a whole number of W, 0 to 18201624")
        assert len(said) < 120
    assert pos.issued() == []


@pytest.mark.parametrize("ea", [7, 11])
def test_each_token_has_the_right_fields(pos: PointOfSale, ea: int) -> None:
    pos.add_meter("home", ea=ea)
    calls: list[
        tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], tuple[int, int, dict]]
    ] = [
        (pos.credit, ("3",), {"kind": "electricity"}, (0, 0, {"amount": 30})),
        (pos.credit, ("3",), {"kind": "water"} | ANYWAY, (0, 1, {"amount": 30})),
        (pos.credit, ("3",), {"kind": "gas"} | ANYWAY, (0, 2, {"amount": 30})),
        (pos.credit, ("3",), {"kind": "time"} | ANYWAY, (0, 3, {"amount": 30})),
        (pos.currency, ("1",), ANYWAY, (0, 4, {"se": 0, "amount": 24746})),
        (
            pos.currency,
            ("-180224",),
            {"kind": "time"} | ANYWAY,
            (0, 7, {"se": 9, "amount": 48969}),
        ),
        (pos.power_limit, (180223,), {}, (2, 0, {"mpl": 32768})),
        (pos.clear_credit, ("all",), {}, (2, 1, {"register": 0xFFFF})),
        (pos.clear_credit, (3,), ANYWAY, (2, 1, {"register": 3})),
        (pos.tariff, (7,), {}, (2, 2, {"rate": 7})),
        (pos.clear_tamper, (), {}, (2, 5, {"pad": 0})),
        (pos.unbalance_limit, (100,), {}, (2, 6, {"mppul": 100})),
        (pos.water_factor, (9,), ANYWAY, (2, 7, {"wmfactor": 9})),
        (pos.extended_write, (63, 1), ANYWAY, (2, 10, {"value": 63 << 10 | 1})),
    ]
    for number, (call, given, options, (cls, sub, fields)) in enumerate(calls):
        issued = call("home", *given, at=NOON, **options)
        decoded = read(pos, "home", issued.token)
        assert (decoded.cls, decoded.sub) == (cls, sub)
        assert decoded.tid == tid.tid_of(NOON, "14") + number
        rest = {k: v for k, v in decoded.fields.items() if k not in ("rnd", "tid")}
        assert rest == fields
        assert ("rnd" in decoded.fields) == (not (cls == 0 and sub >= 4))


def test_test_tokens_need_no_key(pos: PointOfSale) -> None:
    pos.add_meter("home")
    assert pos.test("home", [0]).token == "56493153725450313471"
    assert pos.test("home", [0], four_digits=True).token == "02305843005052951967"
    assert pos.test("home", [1]).token == "00000000000150997584"
    both = tokens.decode(pos.test("home", [4, 5, 18]).token)
    assert tokens.tests_of(both) == [4, 5, 18]
    for wrong in ([], [37], [-1]):
        with pytest.raises(VendingError):
            pos.test("home", wrong)
    with pytest.raises(VendingError, match="maker code"):
        pos.test("home", [1], mfr_code=256)


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("power_limit", -1),
        ("power_limit", layouts.MAX_AMOUNT + 1),
        ("unbalance_limit", -1),
        ("tariff", 65536),
        ("water_factor", -1),
        ("clear_credit", 8),
        ("clear_credit", "-1"),
        ("clear_credit", "rent"),
        ("currency", "0"),
        ("currency", "9" * 50),
    ],
)
def test_wrong_values_are_refused(pos: PointOfSale, method: str, given: Any) -> None:
    pos.add_meter("home")
    with pytest.raises(VendingError):
        getattr(pos, method)("home", given, at=NOON)
    assert pos.issued() == []


# -- token identifiers


def test_tokens_of_one_minute_have_different_tids_without_the_reserved_one(
    pos: PointOfSale,
) -> None:
    pos.add_meter("home")
    midnight = datetime(2026, 4, 1)
    first = tid.tid_of(midnight, "14")
    got = [pos.credit("home", 1, at=midnight).tid for _ in range(3)]
    assert got == [first, first + 2, first + 3]
    assert pos.credit("home", 1, at=midnight + timedelta(minutes=1)).tid == first + 4
    assert pos.tariff("home", 1, at=midnight).tid == first + 5
    later = midnight + timedelta(minutes=4)
    assert pos.credit("home", 1, at=later).tid == first + 6


def test_before_midnight_the_reserved_minute_is_skipped(pos: PointOfSale) -> None:
    pos.add_meter("home")
    late = datetime(2026, 4, 1, 23, 59)
    first = tid.tid_of(late, "14")
    got = [pos.credit("home", 1, at=late).tid for _ in range(3)]
    assert got == [first, first + 1, first + 3]


def test_each_meter_has_its_own_tids(pos: PointOfSale) -> None:
    pos.add_meter("a")
    pos.add_meter("b")
    assert pos.credit("a", 1, at=NOON).tid == pos.credit("b", 1, at=NOON).tid


def test_tokens_end_with_the_last_minute_of_a_base_date(pos: PointOfSale) -> None:
    pos.add_meter("old", bdt="93")
    last = datetime(2024, 11, 24, 20, 15)
    assert pos.credit("old", 1, at=last).tid == tid.TID_MAX
    with pytest.raises(VendingError, match="no unused TID"):
        pos.credit("old", 1, at=last)
    with pytest.raises(VendingError, match="key-change --bdt 14"):
        pos.credit("old", 1, at=last + timedelta(minutes=1))
    with pytest.raises(VendingError, match="before"):
        pos.credit("old", 1, at=datetime(1992, 12, 31))
    assert len(pos.issued("old")) == 1


def test_an_expired_key_allows_only_a_key_change(pos: PointOfSale) -> None:
    pos.add_meter("home", ken=97)
    last = tid.tid_time((98 << 16) - 1, "14")
    assert pos.credit("home", 1, at=last).tid == (98 << 16) - 1
    for at in (last, last + timedelta(minutes=1), last + timedelta(days=99)):
        with pytest.raises(VendingError, match="expire"):
            pos.credit("home", 1, at=at)
        with pytest.raises(VendingError, match="expire"):
            pos.tariff("home", 1, at=at)
    after = last + timedelta(days=1)
    with pytest.raises(VendingError, match="would have expired"):
        pos.key_change("home", krn=2, at=after)
    assert len(pos.key_change("home", krn=2, ken=255, at=after)) == 2
    assert pos.credit("home", 1, at=after).key.krn == 2


# -- key changes


def test_a_rollover_changes_base_date_and_key(pos: PointOfSale) -> None:
    pos.add_meter("lome", bdt="93", profile="ceet")
    ticket = pos.credit("lome", 5, at=CEET)
    old = pos.decoder_key(pos.meter("lome"))
    first, second = pos.key_change("lome", krn=2, bdt="14", at=CEET)
    one = tokens.decode(first.token, key=old).fields
    two = tokens.decode(second.token, key=old).fields
    assert (one["ro"], one["krn"], one["kct3"], one["kt"]) == (1, 2, 0, 2)
    assert (one["kenho"] << 4 | two["kenlo"], two["ti"]) == (255, 1)
    new = pos.decoder_key(pos.meter("lome"))
    assert one["nkho"] << 32 | two["nklo"] == int.from_bytes(new, "big")
    credit = pos.credit("lome", 5, at=CEET)
    assert read(pos, "lome", credit.token).authentic
    assert not read(pos, "lome", ticket.token).authentic
    assert credit.tid == tid.tid_of(CEET, "14")
    assert [key.krn for key in pos.keys_of("lome")] == [2, 1]
    assert pos.config_for("lome")["krn"] == 2


def test_tids_continue_if_the_base_date_stays(pos: PointOfSale) -> None:
    pos.add_meter("home")
    first = pos.credit("home", 1, at=NOON).tid
    sections = pos.key_change("home", krn=2, at=NOON)
    assert (
        tokens.decode(
            sections[0].token, key=pos.decoder_key(pos.meter("home"), pos.keys_of("home")[1])
        ).fields["ro"]
        == 0
    )
    assert first is not None
    assert pos.credit("home", 1, at=NOON).tid == first + 1


@pytest.mark.parametrize(
    ("options", "change", "count"),
    [
        ({}, {"sgc": "123456"}, 3),
        ({}, {"ti": 2}, 2),
        ({"kct": 2}, {"sgc": "123456"}, 2),
        ({}, {"ti": 2, "three": True}, 3),
        ({}, {"sgc": "123456", "three": False}, 2),
        ({"ea": 11}, {"sgc": "123456"}, 4),
        ({"kt": 1}, {"kt": 2}, 2),
        ({"kt": 0}, {"kt": 2}, 2),
        ({"dkga": 2}, {"dkga": 4, "krn": 2}, 2),
    ],
)
def test_a_key_change_has_the_right_number_of_tokens(
    pos: PointOfSale, options: dict[str, Any], change: dict[str, Any], count: int
) -> None:
    pos.add_meter("home", **options)
    sections = pos.key_change("home", at=NOON, **change)
    assert [section.section for section in sections] == list(range(1, count + 1))
    shown = str([section.as_dict() for section in sections])
    assert "nkho" not in shown
    assert read(pos, "home", pos.credit("home", 1, at=NOON).token).authentic


@pytest.mark.parametrize(
    ("options", "change", "says"),
    [
        ({}, {}, "must change something"),
        ({}, {"kt": 3}, "magnetic"),
        ({}, {"kt": 0}, "may not be changed"),
        ({}, {"krn": 10}, "1 to 9"),
        ({}, {"ti": 100}, "tariff"),
        ({}, {"sgc": "x"}, "6 digits"),
        ({}, {"ken": 300}, "0 to 255"),
        ({}, {"bdt": "35"}, "before"),
        ({}, {"bdt": "93"}, "after the range"),
        ({}, {"bdt": "40"}, "93, 14 or 35"),
        ({}, {"krn": 2, "ken": 1}, "would have expired"),
        ({"kct": 2}, {"ti": 2, "three": True}, "2 tokens only"),
        ({"ea": 11}, {"ti": 2, "three": True}, "four"),
        ({"dkga": 2, "bdt": "93"}, {"bdt": "14"}, "another krn"),
        ({"ea": 11}, {"dkga": 2}, "02 with 07"),
        ({}, {"decoder_key": bytes(3)}, "8 bytes"),
        ({}, {"krn": 1}, "already has the key DUTK, SGC 201457, TI 01, KRN 1, base date 14"),
        ({}, {"krn": 1, "bdt": "14", "ti": 1, "sgc": "201457", "ken": 255}, "already"),
        ({}, {"krn": 1, "three": False}, "already"),
        ({"decoder_key": bytes(8)}, {"decoder_key": bytes(8)}, "already"),
    ],
)
def test_wrong_key_changes_are_refused_and_change_nothing(
    pos: PointOfSale, options: dict[str, Any], change: dict[str, Any], says: str
) -> None:
    before = pos.add_meter("home", **options)
    with pytest.raises(VendingError, match=says):
        pos.key_change("home", at=NOON, **change)
    assert pos.meter("home") == before
    assert pos.issued() == []


def test_a_key_change_to_the_same_key_can_change_ken_or_sgc(pos: PointOfSale) -> None:
    pos.add_meter("home")
    assert len(pos.key_change("home", ken=200, at=NOON)) == 2
    # Two tokens contain no SGC; a set of three tokens to the same key sets it.
    assert len(pos.key_change("home", krn=1, three=True, at=NOON)) == 3
    two = pos.key_change("home", krn=2, at=NOON)
    with pytest.raises(VendingError, match="jeton vend home history"):
        pos.key_change("home", krn=2, at=NOON)
    # The pending change is still listed, and can be reverted.
    assert [one.token for one in pos.issued("home")[-2:]] == [one.token for one in two]
    assert len(pos.key_change("home", krn=1, at=NOON)) == 2


def test_a_default_key_sells_no_credit(pos: PointOfSale) -> None:
    pos.add_meter("home", kt=1)
    with pytest.raises(VendingError, match="DDTK"):
        pos.credit("home", 1, at=NOON)
    assert pos.tariff("home", 1, at=NOON).tid is not None


def test_an_initial_key_is_generated_and_never_shown(pos: PointOfSale) -> None:
    meter = pos.add_meter("home", kt=0)
    key = pos.decoder_key(meter)
    assert len(key) == 8
    assert key != pos.decoder_key(pos.add_meter("other", kt=0))
    assert key.hex() not in repr(meter) + str(meter.as_dict())
    assert repr(key) not in repr(meter)
    given = pos.add_meter("third", decoder_key=bytes.fromhex("0abc12def3456789"))
    assert pos.decoder_key(given).hex() == "0abc12def3456789"


# -- the file


def test_issued_tokens_are_kept_in_the_file(pos: PointOfSale) -> None:
    pos.add_meter("home")
    first = pos.credit("home", 1, at=NOON)
    pos.key_change("home", krn=2, at=NOON)
    pos.credit("home", 2, at=NOON)
    again = PointOfSale(pos.path, keys=keys.load_keys())
    listed = again.issued("home")
    assert [entry.key.krn for entry in listed] == [1, 1, 1, 2]
    assert again.issued(token=first.grouped)[0].token == first.token
    assert listed[0].issued == NOON.replace(tzinfo=UTC)
    with pytest.raises(VendingError):
        again.issued("absent")


@pytest.mark.parametrize("content", [b"not a database at all" * 99, b"SQLite format 3\0junk" * 99])
def test_a_file_that_is_not_a_database_is_an_error_and_not_changed(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "pos.sqlite"
    path.write_bytes(content)
    pos = PointOfSale(path)
    for call in (pos.meters, lambda: pos.add_meter("home")):
        with pytest.raises(VendingError, match=r"pos\.sqlite"):
            call()
    assert path.read_bytes() == content


def test_a_folder_and_a_file_of_a_newer_version_are_errors(tmp_path: Path) -> None:
    with pytest.raises(VendingError):
        PointOfSale(tmp_path).add_meter("home")
    path = tmp_path / "pos.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(VendingError, match="newer"):
        PointOfSale(path).meters()


def test_a_token_is_returned_only_after_it_is_written(
    pos: PointOfSale, monkeypatch: pytest.MonkeyPatch
) -> None:
    pos.add_meter("home")

    def crash(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("jeton_host.vending.pos.issued_of_row", crash)
    with pytest.raises(KeyboardInterrupt):
        pos.credit("home", 1, at=NOON)
    monkeypatch.undo()
    assert pos.issued() == []
    assert pos.credit("home", 1, at=NOON).tid == tid.tid_of(NOON, "14")


def _sell(path: str, count: int) -> list[int | None]:
    pos = PointOfSale(path)
    return [pos.credit("home", 1, at=NOON).tid for _ in range(count)]


def test_processes_never_issue_the_same_tid(pos: PointOfSale) -> None:
    pos.add_meter("home")
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        sold = pool.starmap(_sell, [(str(pos.path), 12)] * 4)
    got = [number for part in sold for number in part]
    assert len(set(got)) == 48
