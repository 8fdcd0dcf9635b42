"""`explain` says what the meter does, also after what another system did.

Sources: IEC 62055-41 7.3.7 to 7.3.10 (a key change carries KRN, KT, TI, KEN and perhaps the SGC,
but never the base date; its sections may arrive in any order). STS Association, TID rollover
guideline: base dates 1993, 2014 and 2035. Help pages of utilities: customers key in two codes as
one number, mix the codes of two slips, and read digits of the SGC in the wrong order.
"""

import json
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jeton.meter import Meter
from jeton.sts.results import NAMES
from jeton_host.client.answers import Snapshot
from jeton_host.errors import VendingError
from jeton_host.meter import Meter as Board
from jeton_host.vending.explain import Explanation, Receipt, explain
from jeton_host.vending.guesses import neighbours
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.service.server import VendServer
from tests.in_process import Store, started
from tests.in_process import snapshot as snapshot_at
from tests.in_process import status as status_at

CLOCK = 783_000_000

AT = datetime(2024, 8, 10, 12, tzinfo=UTC)


@pytest.fixture
def desk(tmp_path: Path) -> PointOfSale:
    return PointOfSale(tmp_path / "desk.sqlite")


@pytest.fixture
def elsewhere(tmp_path: Path) -> PointOfSale:
    """Return the point of sale of another system."""
    return PointOfSale(tmp_path / "elsewhere.sqlite")


def both(desk: PointOfSale, elsewhere: PointOfSale, **options: Any) -> Meter:
    """Register one meter at both points of sale; return it."""
    drn = desk.add_meter("e", **options).drn
    elsewhere.add_meter("e", drn=drn, **options)
    return new(desk)


def new(desk: PointOfSale) -> Meter:
    meter = started(Store())
    meter.provision(desk.config_for("e") | {"clock": CLOCK}, CLOCK)
    return meter


def enter(meter: Meter, *entries: str) -> str:
    for entry in entries:
        outcome = meter.enter(entry, CLOCK)
    return NAMES[outcome.result]


def status(meter: Meter) -> dict[str, Any]:
    return status_at(meter, CLOCK)


def snapshot(meter: Meter) -> Snapshot:
    return snapshot_at(meter, CLOCK)


def by_http(desk: PointOfSale, **question: Any) -> Any:
    with VendServer(desk.path) as server:
        body = json.dumps(question | {"meter": "e"}).encode()
        request = urllib.request.Request(
            f"{server.url}/explain", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


def ask(desk: PointOfSale, token: str, **live: Any) -> Explanation:
    return explain(token, pos=desk, meter="e", now=AT, **live)


def said(found: Explanation) -> str:
    return " ".join((found.summary, *found.details))


@pytest.mark.parametrize("bdt", ["14", "35"])
@pytest.mark.parametrize("ea", [7, 11])
def test_a_token_after_a_rollover_made_elsewhere_is_accepted(
    desk: PointOfSale, elsewhere: PointOfSale, ea: int, bdt: str
) -> None:
    at = AT if bdt == "14" else datetime(2036, 1, 1, tzinfo=UTC)
    meter = both(desk, elsewhere, ea=ea, bdt="93" if bdt == "14" else "14")
    for section in elsewhere.key_change("e", krn=2, bdt=bdt, at=at):
        enter(meter, section.token)
    token = elsewhere.credit("e", 7, at=at).token
    by_status = explain(token, pos=desk, meter="e", status=status(meter), now=at)
    exact = explain(token, pos=desk, meter="e", snapshot=snapshot(meter), now=at)
    assert by_status.result == exact.result == "Accept"
    assert f"base date {bdt}" in said(by_status)
    assert "tried the base dates" in said(by_status)
    if bdt == "14":  # the clock of the service is before 2036
        answer = by_http(desk, token=token, status=status(meter))
        assert answer["result"] == "Accept"
    # Without the meter it is not known whether the rollover was done.
    offline = explain(token, pos=desk, meter="e", now=at)
    assert offline.result is None
    assert f"base date {bdt}" in said(offline)
    assert enter(meter, token) == "Accept"


def test_a_wrong_token_after_that_names_what_was_tried(
    desk: PointOfSale, elsewhere: PointOfSale
) -> None:
    meter = both(desk, elsewhere, bdt="93")
    for section in elsewhere.key_change("e", krn=2, bdt="14", at=AT):
        enter(meter, section.token)
    found = ask(desk, "70630503470028726114", status=status(meter))
    assert found.result == "CRCError"
    assert "tried the base dates 14, 35, 93 with KRN 2" in said(found)
    assert "Tried: 1 known key of this meter" in said(found)


def test_a_meter_with_an_underivable_key_is_explained_from_its_record(
    desk: PointOfSale, elsewhere: PointOfSale
) -> None:
    meter = both(desk, elsewhere)
    for section in elsewhere.key_change("e", krn=2, decoder_key=bytes(range(8)), at=AT):
        enter(meter, section.token)
    token = elsewhere.credit("e", 7, at=AT).token
    found = ask(desk, token, snapshot=snapshot(meter))
    assert found.result == "Accept"
    assert "available vending keys do not derive" in said(found)
    assert bytes(range(8)).hex() not in str(found.as_dict()) + repr(snapshot(meter))


def test_mixed_halves_of_two_key_changes_give_neither_key(
    desk: PointOfSale, elsewhere: PointOfSale
) -> None:
    meter = both(desk, elsewhere)
    one = desk.key_change("e", krn=2, at=AT)
    # The slip of a second key change that was never entered.
    back = desk.key_change("e", krn=1, at=AT)
    two = desk.key_change("e", krn=3, at=AT)
    assert back[0].token != two[0].token
    token = desk.credit("e", 7, at=AT).token
    assert enter(meter, one[0].token) == "1stKCT"
    before = ask(desk, two[1].token, snapshot=snapshot(meter))
    assert before.result == "Accept"
    assert "the resulting key is neither of these two keys" in before.summary
    assert enter(meter, two[1].token) == "Accept"
    after = ask(desk, token, snapshot=snapshot(meter))
    assert after.result == "CRCError" == enter(meter, token)
    assert "the resulting key is neither of these two keys" in said(after)
    assert "section 1 of DUTK, SGC 201457, TI 01, KRN 2" in said(after)
    assert "section 2 of DUTK, SGC 201457, TI 01, KRN 3" in said(after)


def test_mixed_halves_are_seen_in_a_status(desk: PointOfSale) -> None:
    """The KRN is of one key change, the tariff index of the other."""
    desk.add_meter("e")
    one = desk.key_change("e", krn=2, ti=2, at=AT)
    desk.key_change("e", krn=1, ti=1, at=AT)
    two = desk.key_change("e", krn=3, ti=3, at=AT)
    token = desk.credit("e", 7, at=AT).token
    config = desk.config_for("e", key=desk.keys_of("e")[-1])
    meter = started(Store())
    meter.provision(config | {"clock": CLOCK}, CLOCK)
    assert enter(meter, one[0].token, two[1].token) == "Accept"
    found = ask(desk, token, status=status(meter))
    assert found.result == "CRCError" == enter(meter, token)
    assert "the resulting key is neither of these two keys" in said(found)


@pytest.mark.parametrize("profile", ["generic", "ceet"])
@pytest.mark.parametrize("credits", [0, 1])
def test_a_set_of_four_in_one_go(desk: PointOfSale, profile: str, credits: int) -> None:
    """80 digits are the set, 100 digits the set and a purchase."""
    desk.add_meter("e", ea=11, profile=profile)
    meter = new(desk)
    issued = [section.token for section in desk.key_change("e", krn=2, at=AT)]
    issued += [desk.credit("e", 7, at=AT).token for _ in range(credits)]
    entry = "".join(issued)
    for live in ({"snapshot": snapshot(meter)}, {"status": status(meter)}):
        found = ask(desk, entry, **live)
        assert [one.result for one in found.tokens] == [
            "1stKCT", "2ndKCT", "3rdKCT", *["Accept"] * (1 + credits),
        ]  # fmt: skip
        assert len([line for line in found.details if line[:4].isdigit()]) == 4 + credits
        assert f"{20 * (4 + credits)} digits are {4 + credits} tokens" in found.summary
        assert found.result == ("Accept" if profile == "generic" else "FormatError")
    assert enter(meter, entry) == found.result


def test_two_tokens_in_one_go_are_those_of_the_meter(desk: PointOfSale) -> None:
    """The second one is used when it is reached."""
    desk.add_meter("e")
    meter = new(desk)
    token = desk.credit("e", 7, at=AT).token
    found = ask(desk, token * 2, snapshot=snapshot(meter))
    assert (found.result, found.cause) == ("UsedError", "used")
    assert [one.result for one in found.tokens] == ["Accept", "UsedError"]
    assert enter(meter, token * 2) == "UsedError"


def test_a_receipt_finds_a_key_two_steps_away(desk: PointOfSale, elsewhere: PointOfSale) -> None:
    """Three parameters differ: without the receipt this key is not tried."""
    meter = both(desk, elsewhere)
    elsewhere.remove_meter("e")
    elsewhere.add_meter("e", drn=desk.meter("e").drn, sgc="123456", krn=4, ti=7)
    token = elsewhere.credit("e", 7, at=AT).token
    live = {"snapshot": snapshot(meter)}
    assert ask(desk, token, **live).cause == "unknown"
    for sgc in ("123456", "132456", "123459"):  # right, swapped, mistyped
        found = ask(desk, token, receipt=Receipt(sgc, 4, 7), **live)
        assert (found.result, found.cause) == ("CRCError", "key")
        assert "SGC 123456" in found.summary
        assert "likely" in found.summary or sgc != "123456"
        assert f"The receipt says SGC {sgc} (the meter has 201457)" in said(found)
    answer = by_http(desk, token=token, status=status(meter), sgc="123456", krn=4, ti=7)
    assert answer["cause"] == "key"


@pytest.mark.parametrize("sgc", ["201475", "021457", "201459"])
def test_swapped_and_mistyped_digits_of_the_sgc_are_tried(
    desk: PointOfSale, elsewhere: PointOfSale, sgc: str
) -> None:
    """The meter was registered with a wrong SGC."""
    meter = both(desk, elsewhere)
    elsewhere.remove_meter("e")
    elsewhere.add_meter("e", drn=desk.meter("e").drn, sgc=sgc)
    found = ask(desk, elsewhere.credit("e", 7, at=AT).token, snapshot=snapshot(meter))
    assert (found.result, found.cause) == ("CRCError", "key")
    assert f"SGC {sgc} (digit" in found.summary
    assert "likely" in found.summary


@pytest.mark.parametrize(
    "given", [{"sgc": "2014"}, {"krn": 0}, {"ti": 100}, {"bdt": "15"}]
)  # fmt: skip
def test_a_wrong_receipt_is_one_error(given: dict[str, Any]) -> None:
    with pytest.raises(VendingError):
        Receipt(**given)


def test_guesses_are_possible_and_say_how_sure_they_are(desk: PointOfSale) -> None:
    """Of 40 mistyped tokens, no guess has more than was ever sold, or another kind of token."""
    desk.add_meter("e", made=datetime(2024, 1, 1).date())
    meter = new(desk)
    token = desk.credit("e", 7, at=AT).token
    for wrong, _ in list(neighbours(token))[::5]:
        found = ask(desk, wrong, snapshot=snapshot(meter))
        assert found.summary.startswith("Meter e refuses it (CRCError): likely a typing error")
        assert found.result == "CRCError"
        for guess in found.as_dict()["guesses"]:
            assert guess["certainty"] in ("certain", "likely", "possible")
            assert "m³" not in guess["text"]
            assert "water" not in guess["text"]


def test_the_board_gives_the_same_snapshot(tmp_path: Path, desk: PointOfSale) -> None:
    desk.add_meter("e", profile="ceet")
    sections = desk.key_change("e", krn=2, at=AT)
    config = desk.config_for("e", key=desk.keys_of("e")[1], at=AT)
    with Board.open("virtual", config=config) as board:
        board.enter(sections[0].token)
        taken = board.snapshot()
        assert taken is not None
        found = ask(desk, sections[1].token, snapshot=taken)
        assert found.result == "Accept"
        key = desk.decoder_key(desk.meter("e"), desk.keys_of("e")[1]).hex()
        assert key not in repr(taken) + "".join(board.transcript.lines(10_000))
        assert board.status().missing == (2,)
        assert board.enter(sections[1].token).name == "Accept"
