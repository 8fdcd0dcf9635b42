"""Tests of `explain` with the records of the point of sale."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from jeton_host.errors import VendingError
from jeton_host.vending import keys, tokens
from jeton_host.vending.explain import Explanation, explain
from jeton_host.vending.guesses import neighbours
from jeton_host.vending.pos import PointOfSale

NOW = datetime(2026, 4, 1, 12, 0)
CEET = datetime(2024, 11, 20, 10, 0)


@pytest.fixture
def pos(tmp_path: Path) -> PointOfSale:
    return PointOfSale(tmp_path / "pos.sqlite", keys=keys.load_keys())


def ask(pos: PointOfSale, token: str, meter: str | None = "home", **options: Any) -> Explanation:
    found = explain(token, pos=pos, meter=meter, **({"now": NOW} | options))
    assert "\n" not in found.summary
    assert found.as_dict()["summary"] == found.summary
    return found


def key_of(pos: PointOfSale, **options: Any) -> bytes:
    meter = pos.meter("home")
    values: dict[str, Any] = {
        "dkga": 4, "ea": 7, "pan": meter.pan, "kt": 2, "sgc": "201457", "ti": 1, "krn": 1,
        "bdt": "14",
    }  # fmt: skip
    return pos.keys.derive(keys.KeyParameters(**(values | options)))


def credit(key: bytes, ea: int = 7, number: int = 6441840) -> str:
    fields = {"rnd": 5, "tid": number, "amount": 125}
    return tokens.encode(0, 0, fields, key=key, ea=ea)


def test_a_good_token_is_explained(pos: PointOfSale) -> None:
    pos.add_meter("home")
    issued = pos.credit("home", "12.5", at=NOW)
    found = ask(pos, issued.token)
    assert (found.result, found.cause) == ("Accept", "none")
    assert "12.5 kWh" in found.summary
    assert "2026-04-01 12:00" in found.summary
    assert ask(pos, issued.grouped, None).meter == "home"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "20 digits"),
        ("12", "20 digits"),
        ("12x", "0 to 9"),
        ("1" * 19 + "x", "0 to 9"),
        ("9" * 20, "larger"),
    ],
)
def test_a_malformed_token_is_a_format_error(pos: PointOfSale, text: str, says: str) -> None:
    found = ask(pos, text, None)
    assert (found.result, found.cause) == ("FormatError", "not-a-token")
    assert says in found.summary


def test_each_of_two_tokens_is_explained(pos: PointOfSale) -> None:
    pos.add_meter("home")
    two = pos.credit("home", 1, at=NOW).token + pos.credit("home", 2, at=NOW).token
    found = ask(pos, two)
    assert "40 digits are 2 tokens" in found.summary
    assert len(found.details) == 2
    assert "2.0 kWh" in found.details[1]


@pytest.mark.parametrize(
    ("state", "result"), [("Used", "UsedError"), ("Old", "OldError"), ("Valid", "Accept")]
)
def test_a_live_meter_reports_used_and_old_tokens(
    pos: PointOfSale, state: str, result: str
) -> None:
    pos.add_meter("home")
    issued = pos.credit("home", 1, at=NOW)
    assert ask(pos, issued.token, tid_state=lambda _: state).result == result


def test_a_status_shows_used_and_old_tokens(pos: PointOfSale) -> None:
    pos.add_meter("home")
    issued = pos.credit("home", 1, at=NOW)
    assert issued.tid
    assert ask(pos, issued.token, status={"tid_oldest": issued.tid + 1}).cause == "old"
    assert ask(pos, issued.token, status={"tid_newest": issued.tid}).cause == "used"
    assert ask(pos, issued.token, status={"tid_newest": issued.tid - 1}).summary.endswith(
        "the meter accepts it."
    )


def test_a_token_older_than_the_meter_is_old(pos: PointOfSale) -> None:
    pos.add_meter("home", made=NOW.date())
    before = pos.credit("home", 1, at=datetime(2026, 3, 1))
    first = pos.credit("home", 1, at=datetime(2026, 4, 1))
    start = first.tid
    assert before.tid is not None
    assert start is not None
    bare: dict[str, Any] = {}
    store = {"tid_oldest": start, "tid_newest": start + 5000}
    for live in (bare, {"status": store, "tid_state": lambda _: "Old"}):
        found = ask(pos, before.token, **live)
        assert (found.result, found.cause) == ("OldError", "old")
        assert "before the meter's date of manufacture, 2026-04-01" in found.summary
        assert "50 tokens" not in found.summary
    found = ask(pos, first.token)
    assert (found.result, found.cause) == ("UsedError", "used")
    assert "the one that the meter was set up with, of 2026-04-01 00:00 UTC" in found.summary
    assert "entered before" not in found.summary


def test_a_token_older_than_the_first_identifier_is_explained(pos: PointOfSale) -> None:
    pos.add_meter("home")
    issued = pos.credit("home", 1, at=NOW)
    assert issued.tid is not None
    live = {"tid_oldest": issued.tid + 60, "tid_newest": issued.tid + 60}
    said = ask(pos, issued.token, status=live, tid_state=lambda _: "Old").summary
    assert "before the one that the meter was set up with, of 2026-04-01 13:00 UTC" in said
    live["tid_newest"] += 1
    said = ask(pos, issued.token, status=live, tid_state=lambda _: "Old").summary
    assert "older than the 50 tokens that the meter remembers" in said


def test_expired_and_default_keys_are_reported(pos: PointOfSale) -> None:
    pos.add_meter("home", ken=97)
    expired = credit(key_of(pos), number=98 << 16)
    assert ask(pos, expired).result == "KeyExpiredError"
    pos.add_meter("shop", kt=1)
    key = pos.decoder_key(pos.meter("shop"))
    assert ask(pos, credit(key), "shop").result == "DDTKError"


@pytest.mark.parametrize(
    ("cls", "sub", "fields", "result"),
    [
        (0, 1, {"rnd": 0, "tid": 6441840, "amount": 1}, "FunctionError"),
        (0, 4, {"se": 0, "tid": 6441840, "amount": 1}, "FunctionError"),
        (2, 1, {"rnd": 0, "tid": 6441840, "register": 99}, "RangeError"),
        (2, 1, {"rnd": 0, "tid": 6441840, "register": 1}, "FunctionError"),
        (2, 1, {"rnd": 0, "tid": 6441840, "register": 0xFFFF}, "Accept"),
        (2, 7, {"rnd": 0, "tid": 6441840, "wmfactor": 1}, "FunctionError"),
        (2, 11, {"value": 1}, "FunctionError"),
        (2, 3, {"kenho": 15, "krn": 2, "ro": 0, "kct3": 0, "kt": 0, "nkho": 0}, "1stKCT"),
        (2, 3, {"kenho": 15, "krn": 0, "ro": 0, "kct3": 0, "kt": 2, "nkho": 0}, "RangeError"),
        (2, 4, {"kenlo": 15, "ti": 100, "nklo": 0}, "RangeError"),
        (2, 4, {"kenlo": 15, "ti": 99, "nklo": 0}, "2ndKCT"),
        (2, 9, {"sgcho": 0, "nkmo1": 0}, "FunctionError"),
    ],
)
def test_a_token_that_the_meter_would_refuse_has_that_result(
    pos: PointOfSale, cls: int, sub: int, fields: dict[str, int], result: str
) -> None:
    pos.add_meter("home")
    token = tokens.encode(cls, sub, fields, key=key_of(pos))
    assert ask(pos, token).result == result


def test_a_token_of_the_previous_or_next_key_is_explained(pos: PointOfSale) -> None:
    pos.add_meter("home", bdt="93")
    drawer = pos.credit("home", 3, at=CEET)
    change = pos.key_change("home", krn=2, bdt="14", at=CEET)
    new = pos.credit("home", 7, at=CEET)
    changed = {"krn": 2, "kt": 2, "ti": 1, "sgc": "201457", "bdt": None}
    found = ask(pos, drawer.token, status=changed)
    assert (found.result, found.cause) == ("CRCError", "previous-key")
    assert "KRN 1, base date 93" in found.summary
    assert "likely" not in found.summary
    assert ask(pos, change[0].token, status=changed).cause == "previous-key"
    assert ask(pos, new.token, status=changed).cause == "none"
    # The meter still has its old key.
    status = {"krn": 1, "kt": 2, "ti": 1, "sgc": "201457"}
    found = ask(pos, new.token, status=status)
    assert found.cause == "next-key"
    assert change[0].grouped in found.summary
    assert change[1].grouped in found.summary
    assert ask(pos, drawer.token, status=status).cause == "none"
    assert ask(pos, change[0].token, status=status).result == "1stKCT"


def test_a_token_of_another_meter_is_found(pos: PointOfSale) -> None:
    pos.add_meter("home")
    pos.add_meter("other")
    token = pos.credit("other", 1, at=NOW).token
    found = ask(pos, token)
    assert found.cause == "other-meter"
    assert pos.meter("other").drn in found.summary


@pytest.mark.parametrize("place", range(20))
def test_one_wrong_digit_is_found(pos: PointOfSale, place: int) -> None:
    pos.add_meter("home")
    token = pos.credit("home", "12.5", at=NOW, rnd=5).token
    wrong = token[:place] + str((int(token[place]) + 3) % 10) + token[place + 1 :]
    for meter in ("home", None):
        found = ask(pos, wrong, meter)
        said = found.summary + " ".join(found.details)
        assert "typing error" in said, wrong
        assert " ".join(token[i : i + 4] for i in range(0, 20, 4)) in said


def test_a_typing_error_in_an_unknown_token_is_found(pos: PointOfSale) -> None:
    pos.add_meter("home")
    token = credit(key_of(pos))
    place = next(i for i in range(19) if token[i] != token[i + 1])
    wrong = token[:place] + token[place + 1] + token[place] + token[place + 2 :]
    found = ask(pos, wrong)
    assert "likely a typing error" in found.summary
    assert f"digits {place + 1} and {place + 2} swapped" in found.summary


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"krn": 3}, "KRN 3"),
        ({"ti": 42}, "tariff index 42"),
        ({"bdt": "93"}, "base date 93"),
        ({"kt": 1}, "key type 1"),
        ({"sgc": "123456"}, "SGC 123456"),
        ({"krn": 2, "ti": 7}, "KRN 2 and tariff index 07"),
        ({"krn": 2, "bdt": "93"}, "KRN 2 and base date 93"),
        ({"dkga": 2}, "DKGA02 and EA07"),
        ({"ea": 11}, "DKGA04 and EA11"),
    ],
)
def test_a_different_key_parameter_is_found(
    pos: PointOfSale, changed: dict[str, Any], says: str
) -> None:
    pos.add_meter("home")
    pos.add_meter("else", sgc="123456")
    number = 16000000 if changed.get("bdt") == "93" else 6441840
    token = credit(key_of(pos, **changed), changed.get("ea", 7), number)
    found = ask(pos, token)
    assert found.cause == "key", found
    assert says in found.summary
    assert "likely" in found.summary


def test_an_unknown_token_has_no_cause(pos: PointOfSale) -> None:
    assert "jeton new" in ask(pos, "70630503470028726114", None).summary
    pos.add_meter("home")
    found = ask(pos, "70630503470028726114", None)
    assert found.cause == "unknown"
    assert ask(pos, "70630503470028726114").result == "CRCError"
    with pytest.raises(VendingError, match="absent"):
        ask(pos, "70630503470028726114", "absent")


def test_class_1_tokens_are_explained(pos: PointOfSale) -> None:
    pos.add_meter("home", mfr_code=12)
    assert "all tests" in ask(pos, "56493153725450313471", None).summary
    assert ask(pos, "00000000000150997584").result == "Accept"
    wrong = ask(pos, "00000000000150997585")
    assert wrong.result == "CRCError"
    assert "0000 0000 0001 5099 7584" in wrong.summary
    own = tokens.encode(1, 0, {"control": 1, "mfr_code": 12})
    other = tokens.encode(1, 0, {"control": 1, "mfr_code": 13})
    assert ask(pos, own).result == "Accept"
    assert ask(pos, other).result == "MfrCodeError"
    assert ask(pos, tokens.encode(1, 2, {"control": 1, "mfr_code": 0})).result == "FunctionError"


def test_class_3_is_reserved(pos: PointOfSale) -> None:
    assert ask(pos, "73786976294838206463", None).cause == "reserved"


def test_no_part_of_a_key_is_shown(pos: PointOfSale) -> None:
    pos.add_meter("home")
    change = pos.key_change("home", krn=2, sgc="123456", at=NOW)
    new = pos.decoder_key(pos.meter("home"))
    for section in change:
        answer = str(ask(pos, section.token, status={"krn": 1}).as_dict())
        assert "nk" not in answer
        for part in (new[:4], new[4:]):
            assert str(int.from_bytes(part, "big")) not in answer


def test_neighbours_are_all_tokens_one_typing_error_away() -> None:
    near = dict(neighbours("00000000000150997584"))
    assert len(near) == 178 + 8  # 8 and 9 at the front are too large
    assert "73786976294838206464" not in dict(neighbours("73786976294838206463"))
