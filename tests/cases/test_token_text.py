"""The text of a token is read by one rule everywhere: on the board, by commands, and by HTTP.

Sources: tokens as they are pasted from SMS, receipts, word processors and right-to-left texts:
no-break and thin spaces, en dashes, direction marks, Arabic-Indic and Persian digits.
"""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from jeton.sts import digits
from jeton_host import token_text
from jeton_host.checking import rows
from jeton_host.cli.tokens import key_in, tokens_of
from jeton_host.errors import WrongValueError
from jeton_host.meter import Meter
from jeton_host.vending import tokens
from jeton_host.vending.explain import explain
from jeton_host.vending.pos import PointOfSale

T = "71981989799069466053"
G = [T[at : at + 4] for at in range(0, 20, 4)]
SHIFT = {zero: {48 + n: zero + n for n in range(10)} for zero in (0x660, 0x6F0, 0xFF10)}

ALONE = {
    "digits": T,
    "spaces": " ".join(G),
    "wide spaces": "  " + "   ".join(G) + " ",
    "hyphens": "-".join(G),
    "dots": ".".join(G),
    "tabs": "\t".join(G),
    "line ends": "\r\n".join(G) + "\r\n",
    "no-break spaces": "\u00a0".join(G),
    "thin spaces": "\u2009".join(G),
    "narrow no-break spaces": "\u202f".join(G),
    "ideographic spaces": "\u3000".join(G),
    "en dashes": "\u2013".join(G),
    "em dashes": " \u2014 ".join(G),
    "non-breaking hyphens": "\u2011".join(G),
    "minus signs": "\u2212".join(G),
    "middle dots": "\u00b7".join(G),
    "soft hyphens": "\u00ad".join(G),
    "zero width spaces": "\u200b".join(G),
    "a byte order mark": "\ufeff" + T,
    "direction marks": "\u202a" + " ".join(G) + "\u202c",
    "isolates": "\u2066" + " ".join(G) + "\u2069",
    "marks of letters": "\u200e" + T + "\u200f",
    "word joiners": "\u2060".join(G),
    "Arabic-Indic digits": T.translate(SHIFT[0x660]),
    "Persian digits": " ".join(G).translate(SHIFT[0x6F0]),
    "full width digits": T.translate(SHIFT[0xFF10]),
}
IN_TEXT = {
    "an SMS": f"Token: {' '.join(G)}\nUnits 25.0 kWh. Meter 00000000018. Thank you",
    "a receipt": f"SGC 201457 KRN 1 TI 01\nAmount 1000.00\n\n  {'-'.join(G)}\nReceipt 20261201",
    "French": f"Votre code\u00a0: {' '.join(G)}, merci.",
    "Arabic": f"\u0631\u0645\u0632 \u202a{' '.join(G)}\u202c \u0634\u0643\u0631\u0627",
    "two lines": f"Token: {' '.join(G[:3])}\n{' '.join(G[3:])} (20 digits)",
}


@pytest.mark.parametrize("name", [*ALONE, *IN_TEXT])
def test_the_token_in_a_text_is_found(name: str) -> None:
    text = (ALONE | IN_TEXT)[name]
    assert token_text.one(text) == T
    if name in ALONE:
        assert digits.clean(text) == T


@pytest.mark.parametrize("name", ALONE)
def test_the_board_reads_a_text_as_the_host_does(meter: Meter, name: str) -> None:
    by_line = meter.rpc("enter", ALONE[name])
    assert by_line["result"] == meter.rpc("enter", T)["result"] != 0


@pytest.fixture
def sold() -> tuple[PointOfSale, str]:
    pos = PointOfSale()
    pos.add_meter("home")
    return pos, pos.credit("home", "5").token


def _written(how: str, token: str) -> str:
    groups = [token[at : at + 4] for at in range(0, 20, 4)]
    text = (ALONE | IN_TEXT)[how]
    plain = text.translate({v: k for shift in SHIFT.values() for k, v in shift.items()})
    for old, new in zip(G, groups, strict=True):
        plain = plain.replace(old, new, 1)
    return plain


PLACES: dict[str, Callable[[PointOfSale, str], Any]] = {
    "decode": lambda pos, text: tokens.split(text) == tokens.split(token_text.one(text)),
    "explain": lambda pos, text: explain(text, pos=pos).result == "Accept",
    "words of a command": lambda pos, text: len(tokens_of([text])[0]) == 20,
    "several words": lambda pos, text: len(tokens_of(text.split())[0]) == 20,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", [*ALONE, *IN_TEXT])
def test_every_place_reads_it(sold: tuple[PointOfSale, str], place: str, how: str) -> None:
    pos, token = sold
    text = _written(how, token)
    assert token_text.one(text) == token
    assert PLACES[place](pos, text)


@pytest.mark.parametrize("how", ["en dashes", "direction marks", "an SMS", "two lines"])
def test_a_meter_and_its_keypad_read_it(meter: Meter, meter_pos: Any, how: str) -> None:
    assert meter.enter(_written(how, meter_pos.credit(5).token)).good
    message, _, good = key_in(meter, _written(how, meter_pos.credit(5).token).replace("\n", " "))
    assert good, message
    assert meter.status().credit_wh == 10_000


def test_several_tokens_in_one_text_are_several(meter: Meter) -> None:
    other = "0" * 19 + "1"
    texts = [f"{T}, {other}", f"{T}\n{other}", f"{' '.join(G)}; {other}", f"1: {T} 2: {other}"]
    for text in texts:
        assert token_text.found_in(text) == [T, other]
        assert tokens_of([text]) == [T, other]
        with pytest.raises(WrongValueError, match="contains 2 tokens"):
            meter.enter(text)
        found = rows.read(f'meter,token\n00000000018,"{text}"\n'.encode()).rows
        assert [row.token for row in found] == [T, other]
        assert not any(row.problem for row in found)


def test_two_tokens_with_one_expected_value_are_not_guessed() -> None:
    data = f'meter,token,kWh\n00000000018,"{T}, {T}",5\n'.encode()
    (row,) = rows.read(data).rows
    assert row.problem == "it has 2 tokens and one expected value: give each token a row"


@pytest.mark.parametrize(
    "text", ["", "abcd", "1234", "meter 01234567890", "7198 1989 7990 6946 6053 1234 x", "2³" * 20]
)
def test_a_text_without_a_token_has_none(text: str) -> None:
    assert token_text.found_in(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1234 5678", "a token has 20 digits, this has 8"),
        (" ".join(G) + " 1", "a token has 20 digits, this has 21"),
        ("\u2013".join(G[:4]), "a token has 20 digits, this has 16"),
        ("x" * 20, "a token is made of the digits 0 to 9 only"),
        ("12e4 5678", "a token is made of the digits 0 to 9 only"),
    ],
)
def test_counts_in_messages_count_digits(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        digits.split(digits.clean(text))


def test_explain_by_http_reads_it(sold: tuple[PointOfSale, str]) -> None:
    from jeton_host import VendServer

    pos, token = sold
    with VendServer(pos.path) as server:
        body = json.dumps({"token": _written("an SMS", token)}).encode()
        request = urllib.request.Request(
            f"{server.url}/explain", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer)["result"] == "Accept"
