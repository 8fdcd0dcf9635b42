"""Meters behave as the public pages of their makers and utilities say.

Each test names its source. What no page says is "assumed" in the profile.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jeton_host.firmware import profiles
from jeton_host.meter import Meter
from jeton_host.vending.pos import PointOfSale

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def board() -> Iterator[Meter]:
    with Meter.open("virtual") as meter:
        yield meter


@pytest.fixture
def pos(tmp_path: Path) -> PointOfSale:
    pos = PointOfSale(tmp_path / "pos.sqlite")
    pos.add_meter("home")
    return pos


def become(board: Meter, pos: PointOfSale, profile: str, **config: Any) -> Meter:
    """Set the board up as a meter of this profile whose clock stops."""
    found = pos.config_for("home", at=AT)
    board.provision(found | {"profile": profile, "credit_wh": 500_000} | config)
    board.set_rate(0)
    return board


def lines(meter: Meter) -> list[str]:
    return [line.strip() for line in meter.display().lines]


def test_clou_opens_on_tamper_and_closes_after_the_token(board: Meter, pos: PointOfSale) -> None:
    """metering.clouglobal.com, "Clear Tamper Token": the relay opens; the token closes it."""
    meter = become(board, pos, "clou")
    status = meter.set_tamper()
    assert (status.switch, status.switch_reason) == ("open", "tamper")
    assert lines(meter)[0] == "OPEN"
    # Credit does not close it.
    meter.enter(pos.credit("home", "10", at=AT).token)
    assert meter.status().switch == "open"
    assert meter.enter(pos.clear_tamper("home", at=AT).token).good
    assert meter.status().switch == "closed"


def test_clou_has_a_word_for_each_alarm(board: Meter, pos: PointOfSale) -> None:
    """clouglobal.com, "Error Codes of STS Prepayment Meters": OPEN, DISTU, OVER PO, CUR-UNB."""
    meter = become(board, pos, "clou")
    assert meter.set_tamper(magnet=True).tamper
    assert lines(meter)[0] == "DISTU"
    meter.set_tamper()  # the first cause stays
    assert lines(meter)[0] == "DISTU"
    meter = become(board, pos, "clou")
    meter.enter(pos.power_limit("home", 1000, at=AT).token)
    meter.set_load(2000)
    meter.advance(60)
    assert "OVER PO" in shown(meter)
    meter = become(board, pos, "clou")
    meter.enter(pos.unbalance_limit("home", 100, at=AT).token)
    meter.set_phases(1000, 100, 100)
    meter.advance(60)
    assert "CUR-UNB" in shown(meter)


def shown(meter: Meter) -> set[str]:
    """Return all first lines of the idle screen, whose alarms alternate."""
    found = set()
    for _ in range(8):
        found.add(lines(meter)[0])
        meter.advance(2)
    return found


def test_clou_shows_reject_and_the_seconds_left(board: Meter, pos: PointOfSale) -> None:
    """metering.clouglobal.com, "STS Token": Reject-n; after the third, REJECT and the seconds."""
    meter = become(board, pos, "clou")
    for n in (1, 2, 3):
        assert meter.enter("1" * 20).name == "CRCError"
        assert lines(meter)[0] == f"Reject-{n}"
    meter.advance(4)
    assert lines(meter)[0] == "REJECT 6 s"


def test_clou_asks_for_the_code_that_is_missing(board: Meter, pos: PointOfSale) -> None:
    """metering.clouglobal.com, "Key Change Token": PLS_1St and PLS_2nd name the missing token."""
    before = pos.config_for("home", at=AT)
    first, second = (section.token for section in pos.key_change("home", krn=2, at=AT)[:2])
    for token, words in ((first, "PLS_2nd"), (second, "PLS_1St")):
        meter = become(board, pos, "clou", decoder_key=before["decoder_key"])
        meter.enter(token)
        assert lines(meter)[0] == words
        meter.advance(500)  # of the 10 min
        assert lines(meter)[0] == words


def test_landis_gyr_locks_the_keypad_while_it_shows_a_result(
    board: Meter, pos: PointOfSale
) -> None:
    """Landis+Gyr Cashpower Gemini HMI user guide, p. 16: a complete token locks the keypad."""
    token = pos.credit("home", "10", at=AT).token
    bounced = token[:5] + token[4:]
    meter = become(board, pos, "landis_gyr")
    result = meter.press(bounced).result
    assert result is not None
    assert result.name == "CRCError"
    assert lines(meter) == [":-(", "Keys locked"]
    for _ in range(5):  # five wrong tokens would lock it for an hour
        meter.advance(5)
        result = meter.press(token).result
        assert result is not None
        assert result.name in ("Accept", "UsedError")
    status = meter.status()
    assert (status.credit_wh, status.lock_until) == (510_000, None)


def test_landis_gyr_is_off_while_tampered(board: Meter, pos: PointOfSale) -> None:
    """Landis+Gyr Cashpower Sabre Mk5 user guide, p. 9 and 16: sad face, supply disconnected."""
    meter = become(board, pos, "landis_gyr")
    assert meter.set_tamper().switch == "open"
    assert ":-(" in shown(meter)
    assert meter.enter(pos.clear_tamper("home", at=AT).token).good
    assert meter.status().switch == "closed"


@pytest.mark.parametrize(
    ("profile", "keys"),
    [
        ("hexing", "804#"),  # KPLC; sapeople.com, "Lost your prepaid meter number?"
        ("landis_gyr", "i000"),  # the same page
        ("conlog", "#100#"),  # the same page
    ],
)
def test_a_short_code_shows_the_meter_number(
    board: Meter, pos: PointOfSale, profile: str, keys: str
) -> None:
    meter = become(board, pos, profile)
    meter.press(keys)
    assert pos.meter("home").drn in lines(meter)


def test_itron_shows_tampering_and_negative_credit(board: Meter, pos: PointOfSale) -> None:
    """Itron EM512 user guide: code 08 (p. 12); the next token pays negative credit (p. 11)."""
    meter = become(board, pos, "itron", credit_wh=1000)
    meter.press("08#")
    assert lines(meter) == ["Tampered", "no"]
    meter.consume(1500)
    assert meter.status().credit_wh == -500
    meter.enter(pos.credit("home", "1", at=AT).token)
    assert meter.status().credit_wh == 500
    meter.set_tamper()
    meter.press("08#")
    assert lines(meter) == ["Tampered", "yes"]


def test_conlog_refuses_tokens_in_tamper_status(board: Meter, pos: PointOfSale) -> None:
    """Conlog BEC23 technical manual, p. 23: tamper status is a reason for AAAAAAA."""
    meter = become(board, pos, "conlog")
    meter.set_tamper()
    assert not meter.enter(pos.credit("home", "10", at=AT).token).good
    assert lines(meter)[0] == "AAAAAAA"
    assert meter.enter(pos.clear_tamper("home", at=AT).token).good
    assert meter.enter(pos.credit("home", "10", at=AT).token).good


def test_conlog_takes_a_token_after_a_hash_too_many(board: Meter, pos: PointOfSale) -> None:
    """#078# is a code of the Conlog BEC62 (technical manual, p. 47): the same key begins it."""
    meter = become(board, pos, "conlog")
    result = meter.press("#" + pos.credit("home", "10", at=AT).token + "#").result
    assert result is not None
    assert result.good
    assert meter.press("#999#").result is None
    assert lines(meter) == ["Unknown code", "999"]


def test_an_unknown_short_code_is_no_wrong_token(board: Meter, pos: PointOfSale) -> None:
    """A short code that a meter does not have is not a token with too few digits."""
    for name in profiles.shipped():
        codes = profiles.load(name)["codes"]
        meter = become(board, pos, name)
        end = "" if codes["digits"] == 3 else "#"
        pressed = meter.press(codes["start"] + "999" + end)
        assert pressed.result is None, name
        words = profiles.words(profiles.load(name), meter.language())
        assert lines(meter) == [words["no_code"], "999"], name
        assert meter.status().result == 0, name


def test_ceet_asks_for_code_2_for_two_minutes(board: Meter, pos: PointOfSale) -> None:
    """CEET's notice of 2024: code 2 within two minutes of code 1."""
    before = pos.config_for("home", at=AT)
    first, second = (section.token for section in pos.key_change("home", krn=2, at=AT)[:2])
    meter = become(board, pos, "ceet", decoder_key=before["decoder_key"])
    meter.enter(first)
    meter.advance(120)
    assert lines(meter)[0] == "ENTRER CODE 2"
    meter.advance(1)
    assert lines(meter)[0].startswith("CREDIT")
    # Code 1 keyed in again restarts the two minutes.
    meter.enter(first)
    meter.advance(100)
    meter.enter(first)
    meter.advance(119)
    assert lines(meter)[0] == "ENTRER CODE 2"
    assert meter.enter(second).good
