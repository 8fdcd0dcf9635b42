"""Tests of the vending commands: `encode`, `decode`, `derive`, `vend`, `explain`."""

import io
import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jeton_host.cli import vending as cli_vending
from jeton_host.errors import VendingError
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.vending import batch
from jeton_host.vending.pos import PointOfSale

KEY = "87f3ecbb2e46b48f"
TOKEN = "70630503470028726114"
FIELDS = {"rnd": 5, "tid": 85740, "amount": 1}
ENCODE = {"class": 0, "subclass": 0, "decoder_key": KEY, "ea": 7, "fields": FIELDS}
DECODE = {"token": TOKEN, "decoder_key": KEY, "ea": 7}
DERIVE = {
    "dkga": 4, "ea": 7, "vk": "abababababababab949494949494949401234567",
    "pan": "600727000000000009", "kt": 2, "sgc": "201457", "ti": "01", "krn": 1, "bdt": "14",
}  # fmt: skip
DECODED = {
    "authentication": "Authentic",
    "class": 0,
    "subclass": 0,
    "name": "TransferCredit:Electricity",
    "fields": FIELDS,
}

app = typer.Typer()
cli_vending.register(app)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JETON_HOME", str(tmp_path))
    monkeypatch.delenv("JETON_KEYS", raising=False)
    return tmp_path


def run(*arguments: str, text: str | bytes | None = None) -> Any:
    return CliRunner().invoke(app, arguments, input=text)


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


# -- batches


@pytest.mark.parametrize(
    ("command", "row", "answer"),
    [
        ("encode", ENCODE, {"token": TOKEN}),
        ("encode", {"class": 1, "subclass": 0, "fields": {"control": 1, "mfr_code": 0}},
         {"token": "00000000000150997584"}),
        ("encode", ENCODE | {"decoder_key": KEY.upper()}, {"token": TOKEN}),
        ("decode", DECODE, DECODED),
        ("decode", {"token": "7063 0503 4700 2872 6114", "decoder_key": KEY}, DECODED),
        ("decode", DECODE | {"decoder_key": "00" * 8}, {"authentication": "CRCError", "class": 0}),
        ("decode", {"token": "00000000000150997584"},
         {"authentication": "Authentic", "class": 1, "subclass": 0,
          "name": "InitiateMeterTest/Display", "fields": {"control": 1, "mfr_code": 0}}),
        ("decode", {"token": "00000000000150997585"}, {"authentication": "CRCError", "class": 1}),
        ("derive", DERIVE, {"decoder_key": KEY}),
        ("derive", DERIVE | {"ti": 1, "bdt": 14}, {"decoder_key": KEY}),
        ("derive", DERIVE | {"ea": 11}, {"decoder_key": "929bd3a415c9420a05ec5ee9f3ce91c3"}),
        ("derive", {"dkga": 2, "vk": "ABABABABABABABAB", "pan": "600727000000000009", "kt": 2,
                    "sgc": "123456", "ti": "01", "krn": 1}, {"decoder_key": "e653341f9d5bf36f"}),
    ],
)  # fmt: skip
def test_one_object_gets_one_answer(
    command: str, row: dict[str, Any], answer: dict[str, Any]
) -> None:
    line = json.dumps(row)
    for result in (run(command, line), run(command, text=line), run(command, "-", text=line)):
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == answer
    many = run(command, "--jsonl", text=f"{line}\r\n\n{line}")
    assert many.exit_code == 0
    assert lines(many.stdout) == [answer, answer]


def test_sample_tables_can_be_selected() -> None:
    fields = {"rnd": 11, "tid": 1698595, "amount": 256}
    row = {"class": 0, "subclass": 0, "decoder_key": "0abc12def3456789", "fields": fields}
    assert batch.encode_row(row) == {"token": "29054347139309851356"}
    sample = batch.encode_row(row | {"tables": "sample"})
    assert int(sample["token"]) == 0x2C45ED1618406DF95
    back = {"token": sample["token"], "decoder_key": "0abc12def3456789", "tables": "sample"}
    assert batch.decode_row(back)["fields"] == fields


def test_a_bad_line_gets_an_error_in_its_place(home: Path) -> None:
    file = home / "in.jsonl"
    bad: list[tuple[bytes, str]] = [
        (b"x", "not JSON"),
        (b"[1]", "object"),
        (b'"text"', "object"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 50_000, "deep"),
        (b'{"token": NaN}', "NaN"),
        (b'{"token": ' + b"9" * 5000 + b"}", "too long"),
        (b'{"token": "1", "token": "2"}', "twice"),
        (b"{}", "token is missing"),
        (b'{"token": 70630503470028726114}', "token must be text"),
        (b'{"token": true}', "token must be text"),
        (b'{"token": "123"}', "20 digits"),
        (b'{"token": "70630503470028726114"}', "decoder key"),
        (b'{"token": "70630503470028726114", "decoder_key": "87f3"}', "8 bytes"),
        (b'{"token": "70630503470028726114", "decoder_key": "zz"}', "hex"),
        (b'{"token": "70630503470028726114", "decoder_key": "87f3ecbb2e46b48f", "ea": 11}', "16"),
        (b'{"token": "70630503470028726114", "decoder_key": "87f3ecbb2e46b48f", "ea": 9}', "EA09"),
        (b'{"token": "70630503470028726114", "decoder_key": "87f3ecbb2e46b48f", "ea": 7.0}', "ea"),
        (
            b'{"token": "70630503470028726114", "decoder_key": "87f3ecbb2e46b48f", "ea": true}',
            "ea",
        ),
        (b'{"token": "70630503470028726114", "decoderkey": "87f3ecbb2e46b48f"}', "decoder_key"),
        (b'{"token": "73786976294838206463"}', "reserved"),
        (b'{"token": "' + b"7" * (1 << 21) + b'"}', "longer"),
    ]
    good = json.dumps(DECODE).encode()
    file.write_bytes(b"".join(line + b"\n" + good + b"\n" for line, _ in bad))
    result = run("decode", "--jsonl", str(file))
    assert result.exit_code == 1
    answers = lines(result.stdout)
    assert answers[1::2] == [DECODED] * len(bad)
    for (_, says), answer in zip(bad, answers[::2], strict=True):
        assert list(answer) == ["error"]
        assert says in answer["error"]
        assert "87f3" not in answer["error"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (ENCODE | {"class": None}, "class is missing"),
        (ENCODE | {"class": True}, "class"),
        (ENCODE | {"class": 3}, "reserved"),
        (ENCODE | {"fields": []}, "object"),
        (ENCODE | {"fields": FIELDS | {"tid": 1 << 24}}, "tid"),
        (ENCODE | {"fields": FIELDS | {"tid": 1.0}}, "tid"),
        (ENCODE | {"fields": FIELDS | {"tid": True}}, "tid"),
        (ENCODE | {"fields": FIELDS | {"colour": 1}}, "colour"),
        (ENCODE | {"fields": {"rnd": 1, "tid": 2}}, "amount"),
        (ENCODE | {"decoder_key": None}, "decoder key"),
        (ENCODE | {"tables": "mine"}, "certified or sample"),
    ],
)
def test_wrong_fields_are_refused(row: dict[str, Any], says: str) -> None:
    with pytest.raises(VendingError, match=says):
        batch.encode_row(row)


@pytest.mark.parametrize("name", sorted(DERIVE))
@pytest.mark.parametrize("wrong", [None, True, 1.5, [], {}, "x", -1, "\ud800"])
def test_wrong_derivations_are_refused(name: str, wrong: Any) -> None:
    line = json.dumps(DERIVE | {name: wrong}).encode()
    answer = batch.answer(line, batch.derive_row)
    assert list(answer) == ["error"], answer
    assert "abab" not in answer["error"]
    assert "\n" not in answer["error"]


@given(st.binary(max_size=200))
def test_any_line_has_an_answer(line: bytes) -> None:
    for row in batch.ROWS.values():
        assert list(batch.answer(line, row)) == ["error"]


@given(st.lists(st.sampled_from([b"", b"x", json.dumps(DECODE).encode()]), max_size=40))
def test_answers_keep_the_order_of_the_lines_for_any_block_size(rows: list[bytes]) -> None:
    class SmallBlocks(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return super().read1(7)

    sink = io.BytesIO()
    bad = batch.run(SmallBlocks(b"\n".join(rows)), sink, batch.decode_row)
    answers = lines(sink.getvalue().decode())
    kept = [row for row in rows if row]
    assert ["error" in answer for answer in answers] == [row == b"x" for row in kept]
    assert bad == kept.count(b"x")


def test_each_line_is_answered_at_once(home: Path) -> None:
    code = (
        "import typer; from jeton_host.cli import vending as cli_vending; app = typer.Typer();"
        "cli_vending.register(app); app()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "decode", "--jsonl"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ),
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        for _ in range(2):
            process.stdin.write(json.dumps(DECODE).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == DECODED
        process.stdin.close()
        assert process.wait(10) == 0


def test_files_that_cannot_be_read_are_errors(home: Path) -> None:
    for name in ("none.jsonl", str(home)):
        result = run("decode", "--jsonl", name)
        assert isinstance(result.exception, VendingError)
    assert isinstance(run("decode", text="").exception, VendingError)


SECRET = "deadbeefcafef00d"
INLINE = json.dumps({"dkga": 2, "vk": SECRET})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("derive", "--jsonl", INLINE), "without --jsonl"),
        (("encode", "--jsonl", INLINE), "without --jsonl"),
        (("decode", "--jsonl", f"  {INLINE}"), "without --jsonl"),
        (("derive", f"[{INLINE}]"), "one JSON object"),
        (("derive", "--jsonl", f"[{INLINE}]"), "standard input"),
        (("derive", SECRET), "No such file"),
        (("derive", f"/no/such/{SECRET}"), "No such file"),
        (("derive", f"'{INLINE}'"), "one JSON object"),
        (("derive", f"vk: {SECRET}"), "No such file"),
        (("derive", "x" * 5000), "too long"),
        (("derive", "a\0b"), "not a file name"),
        (("derive", "{dkga:", "2,", "vk:", SECRET + "}"), "quotes"),
        (("encode", SECRET, SECRET), "quotes"),
        (("vend", "home", "credit", "1", "--keys", INLINE), "JSON"),
        (("vend", "home", "credit", "1", "--keys", SECRET), "keys file"),
        (("derive", INLINE[:-1]), "not JSON"),
        (("derive", f'{{"{SECRET}": 1}}'), "dkga"),
    ],
)
def test_arguments_that_may_contain_a_key_are_not_shown(
    arguments: tuple[str, ...], says: str
) -> None:
    PointOfSale().add_meter("home")
    result = run(*arguments)
    assert isinstance(result.exception, VendingError), result.output
    message = str(result.exception)
    assert says in message
    assert SECRET not in message + result.output
    assert "\n" not in message
    assert len(message) < 300


def test_a_missing_file_is_named(home: Path) -> None:
    for name in ("none.jsonl", "my files/a+b.json"):
        assert name in str(run("derive", "--jsonl", name).exception)


def test_decode_accepts_a_token_in_groups() -> None:
    result = run("decode", "0000", "0000", "0001", "5099", "7584")
    assert json.loads(result.stdout)["fields"] == {"control": 1, "mfr_code": 0}


@pytest.mark.parametrize("name", ["dkga", "ea", "pan", "kt", "sgc", "ti", "krn", "bdt", "vk"])
@pytest.mark.parametrize("value", [SECRET, "g" + SECRET, int(SECRET, 16), "12345678" * 2])
def test_derive_does_not_show_a_key_in_a_wrong_field(name: str, value: str | int) -> None:
    answer = batch.answer(json.dumps(DERIVE | {name: value}).encode(), batch.derive_row)
    assert list(answer) == ["error"]
    assert str(value) not in answer["error"]
    assert SECRET not in answer["error"]


SECTIONS = {
    3: {"kenho": 15, "krn": 1, "ro": 0, "kct3": 0, "kt": 2, "nkho": 1},
    4: {"kenlo": 15, "ti": 1, "nklo": 1},
    8: {"sgclo": 1, "nkmo2": 1},
    9: {"sgcho": 1, "nkmo1": 1},
}


@pytest.mark.parametrize(
    ("sub", "name"), [(sub, name) for sub, fields in SECTIONS.items() for name in fields]
)
@pytest.mark.parametrize("value", [0xDEADBEEFCAFE, -0xDEADBEEF, "3735928559", 3735928559.5])
def test_encode_does_not_show_a_refused_value(sub: int, name: str, value: Any) -> None:
    key = KEY * 2
    row = {"class": 2, "subclass": sub, "ea": 11, "decoder_key": key}
    for fields in (SECTIONS[sub] | {name: value}, SECTIONS[sub] | {f"{value}" * 2: 1}):
        answer = batch.answer(json.dumps(row | {"fields": fields}).encode(), batch.encode_row)
        assert list(answer) == ["error"]
        error = answer["error"]
        assert str(value).strip("-") not in error
        assert name in error
        assert key not in error
    with pytest.raises(VendingError, match=f"{name} must be .*0 to"):
        batch.encode_row(row | {"fields": SECTIONS[sub] | {name: 1 << 44}})


@pytest.mark.parametrize("name", ["class", "subclass", "ea", "tables", "decoder_key"])
@pytest.mark.parametrize("value", [SECRET, "g" + SECRET, int(SECRET, 16)])
def test_encode_does_not_show_a_key_in_a_wrong_field(name: str, value: str | int) -> None:
    if (name, value) == ("decoder_key", SECRET):
        return
    answer = batch.answer(json.dumps(ENCODE | {name: value}).encode(), batch.encode_row)
    assert list(answer) == ["error"]
    assert str(value) not in answer["error"]
    answer = batch.answer(json.dumps(DECODE | {name: value}).encode(), batch.decode_row)
    assert str(value) not in str(answer)


# -- vend


def test_a_credit_token_is_printed_in_five_groups(home: Path) -> None:
    PointOfSale().add_meter("home", drn="00000000000")
    result = run("vend", "home", "credit", "12.5", "--at", "2026-04-01 07:20")
    assert result.exit_code == 0, result.output
    first = result.stdout.splitlines()[0]
    assert [len(group) for group in first.split(" ")] == [4] * 5
    assert "12.5 kWh" in result.stdout
    again = run("vend", "home", "credit", "12.5", "--at", "2026-04-01T09:20+02:00", "--json")
    issued = json.loads(again.stdout)
    assert issued["tid"] == 6441561
    assert issued["tokens"] == [issued["token"]]
    decoded = batch.decode_row({"token": issued["token"], "decoder_key": KEY, "ea": 7})
    assert decoded["fields"]["amount"] == 125


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("power-limit", "5000"), "SetMaximumPowerLimit"),
        (("unbalance-limit", "5000"), "SetMaximumPhasePowerUnbalanceLimit"),
        (("clear-credit",), "ClearCredit"),
        (("clear-credit", "all"), "ClearCredit"),
        (("clear-tamper",), "ClearTamperCondition"),
        (("tariff", "3"), "SetTariffRate"),
        (("water-factor", "3", "--anyway"), "SetWaterMeterFactor"),
        (("extended", "3", "4", "--anyway"), "ExtendedTokenSetWrite"),
        (("test", "4", "5"), "InitiateMeterTest/Display"),
        (("test",), "InitiateMeterTest/Display"),
        (("currency", "-3.5", "--anyway"), "TransferCredit:ElectricityCurrency"),
        (("credit", "3", "--kind", "water", "--anyway"), "TransferCredit:Water"),
    ],
)
def test_each_kind_of_token_can_be_vended(arguments: tuple[str, ...], name: str) -> None:
    PointOfSale().add_meter("home")
    result = run("vend", "home", *arguments, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["name"] == name
    assert run("vend", "home", *arguments).exit_code == 0
    assert len(json.loads(run("vend", "home", "history", "--json").stdout)["issued"]) == 2
    assert len(run("vend", "home", "history").stdout.splitlines()) == 2


def test_a_key_change_prints_its_tokens() -> None:
    pos = PointOfSale()
    pos.add_meter("lome", bdt="93")
    result = run(
        "vend", "lome", "key-change", "--krn", "2", "--bdt", "14", "--at", "2024-11-20", "--json"
    )
    assert result.exit_code == 0, result.output
    change = json.loads(result.stdout)
    assert len(change["tokens"]) == 2
    assert (change["from"]["bdt"], change["to"]["bdt"], change["to"]["krn"]) == ("93", "14", 2)
    plain = run("vend", "lome", "key-change", "--sgc", "123456", "--three")
    assert len(plain.stdout.splitlines()) == 4
    assert pos.meter("lome").key.sgc == "123456"


@pytest.mark.parametrize(
    "arguments",
    [
        ("credit", "-5"),
        ("credit", "abc"),
        ("credit", "1820162.5"),
        ("credit", "5", "--at", "tomorrow"),
        ("credit", "5", "--at", "2013-12-31"),
        ("credit", "5", "--at", "2045-11-25"),
        ("credit", "5", "--at", "0001-01-01T00:00+14:00"),
        ("credit", "5", "--kind", "steam"),
        ("credit", "5", "--keys", "/does/not/exist"),
        ("power-limit", "-1"),
        ("power-limit", "many"),
        ("power-limit", "1" * 5000),
        ("clear-credit", "9"),
        ("tariff", "65536"),
        ("test", "99"),
        ("key-change",),
        ("key-change", "--krn", "x"),
        ("key-change", "--bdt", "00"),
    ],
)
def test_a_refused_order_is_one_line_and_changes_nothing(arguments: tuple[str, ...]) -> None:
    pos = PointOfSale()
    before = pos.add_meter("home")
    result = run("vend", "home", *arguments)
    assert isinstance(result.exception, VendingError), result.output
    assert "\n" not in str(result.exception)
    assert pos.issued() == []
    assert pos.meter("home") == before
    unknown = run("vend", "absent", *arguments)
    assert isinstance(unknown.exception, VendingError)


# -- explain


def test_explain_prints_the_meaning_of_a_token() -> None:
    pos = PointOfSale()
    pos.add_meter("home")
    token = pos.credit("home", 5).grouped
    assert "5.0 kWh" in run("explain", *token.split()).stdout
    found = json.loads(run("explain", token, "--meter", "home", "--json").stdout)
    assert (found["result"], found["meter"]) == ("Accept", "home")
    assert isinstance(run("explain", "123").exception, VendingError)
    assert isinstance(run("explain", token, "--meter", "x").exception, VendingError)
    two = run("explain", token.replace(" ", "") * 2)
    assert two.exit_code == 1
    assert "40 digits are 2 tokens" in two.stdout


class RunningMeter:
    """A test double of a running meter."""

    def __init__(self, status: dict[str, Any], events: list[dict[str, Any]]):
        self.values, self.log = status, events

    def __enter__(self) -> "RunningMeter":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def status(self) -> Any:
        return SimpleNamespace(as_dict=lambda: self.values)

    def events(self) -> list[Any]:
        return [SimpleNamespace(as_dict=lambda entry=entry: entry) for entry in self.log]

    def rpc(self, verb: str, number: int) -> str:
        assert verb == "tid"
        return "UsedError" if number % 1440 == 5 else "Accept"


def test_explain_asks_a_running_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    pos = PointOfSale()
    pos.add_meter("home")
    old = pos.credit("home", 5, at=datetime(2026, 4, 1, 0, 5)).token
    pos.key_change("home", dkga=2, at=datetime(2026, 4, 1, 1))
    status = {"provisioned": True, "krn": 1, "kt": 2, "ti": 1, "sgc": "201457", "bdt": "14"}
    log = [{"seq": 1, "kind": "provisioned"}]
    monkeypatch.setattr(meters, "all_meters", lambda: [SimpleNamespace(name="home")])
    monkeypatch.setattr(Meter, "open", lambda name: RunningMeter(status, log))

    def ask() -> Any:
        return json.loads(run("explain", old, "--meter", "home", "--json").stdout)

    assert ask()["result"] == "UsedError"
    log.append({"seq": 2, "kind": "key_changed"})
    assert ask()["cause"] == "previous-key"
    status |= {"provisioned": False, "fault": "the flash is damaged"}
    found = ask()
    assert found["cause"] == "key-change"
    assert "the flash is damaged" in found["details"][-1]


def test_a_rounded_amount_is_shown_and_a_wrong_limit_refused() -> None:
    PointOfSale().add_meter("home")
    done = run("vend", "home", "credit", "0.01")
    assert "Credit of 0.1 kWh (0.01 kWh rounded up) for meter home" in done.output
    done = run("vend", "home", "credit", "0.01", "--json")
    assert json.loads(done.output)["rounded_from"] == "0.01 kWh"
    done = run("vend", "home", "credit", "0.2")
    assert "rounded" not in done.output
    done = run("vend", "home", "power-limit", "-5")
    assert str(done.exception) == (
        "a power limit of '-5' is not valid: give a whole number of W, 0 to 18201624"
    )
