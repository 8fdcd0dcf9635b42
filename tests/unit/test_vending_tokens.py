"""Tests of encoding and decoding tokens, amounts, key change sets."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jeton.sts import digits
from jeton.sts import tokens as layouts
from jeton_host.errors import VendingError
from jeton_host.vending import keychange, tokens

KEY7 = bytes.fromhex("87f3ecbb2e46b48f")
KEY11 = bytes.fromhex("929bd3a415c9420a05ec5ee9f3ce91c3")
ALL = [(cls, sub, ea) for ea in (7, 11) for cls in (0, 1, 2) for sub in range(16)]


def key_of(ea: int) -> bytes:
    return KEY7 if ea == 7 else KEY11


@pytest.mark.parametrize(("cls", "sub", "ea"), ALL)
@given(data=st.data())
def test_each_token_and_field_is_decoded_as_encoded(
    cls: int, sub: int, ea: int, data: Any
) -> None:
    name, places = layouts.layout(cls, sub, ea)
    assert sum(bits for _, bits in places) == 44
    fields = {field: data.draw(st.integers(0, (1 << bits) - 1)) for field, bits in places}
    key = None if cls == 1 else key_of(ea)
    token = tokens.encode(cls, sub, fields, key=key, ea=ea)
    assert len(token) == 20
    assert int(token) < digits.LIMIT
    decoded = tokens.decode(digits.grouped(token, "-"), key=key, ea=ea)
    assert decoded == tokens.Decoded(tokens.AUTHENTIC, cls, sub, name, fields)
    text = tokens.describe(decoded)
    assert text
    assert "\n" not in text


@pytest.mark.parametrize(("cls", "sub", "ea"), ALL)
def test_a_value_too_large_for_its_field_is_refused(cls: int, sub: int, ea: int) -> None:
    places = layouts.layout(cls, sub, ea)[1]
    least: dict[str, Any] = dict.fromkeys((field for field, _ in places), 0)
    for field, bits in places:
        for wrong in (1 << bits, -1, True, 1.0, "1", None):
            with pytest.raises(VendingError, match=field):
                tokens.encode(cls, sub, least | {field: wrong}, key=key_of(ea), ea=ea)
        if field != "pad":
            fewer = {name: value for name, value in least.items() if name != field}
            with pytest.raises(VendingError, match=field):
                tokens.encode(cls, sub, fewer, key=key_of(ea), ea=ea)
    with pytest.raises(VendingError, match="colour"):
        tokens.encode(cls, sub, least | {"colour": 1}, key=key_of(ea), ea=ea)


def test_the_pad_field_is_optional() -> None:
    fields = {"rnd": 5, "tid": 1}
    token = tokens.encode(2, 5, fields, key=KEY7)
    assert tokens.decode(token, key=KEY7).fields == fields | {"pad": 0}


def test_a_wrong_key_is_a_crc_error() -> None:
    token = tokens.encode(0, 0, {"rnd": 5, "tid": 85740, "amount": 1}, key=KEY7)
    assert token == "70630503470028726114"
    wrong = tokens.decode(token, key=bytes(8))
    assert wrong.as_dict() == {"authentication": "CRCError", "class": 0}


def test_currency_has_its_own_checksum() -> None:
    # The same 50 bits under the plain CRC must not pass as currency.
    fields = {"se": 0, "tid": 85740, "amount": 1}
    block = bytearray(layouts.pack(0, 4, fields))
    value = layouts.token_crc(0, bytes(block), False)
    block[6:] = value.to_bytes(2, "big")
    from jeton_host.vending import ciphers

    token = digits.join(0, ciphers.encrypt(7, KEY7, bytes(block)))
    assert not tokens.decode(token, key=KEY7).authentic


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "20 digits"),
        ("123", "has 3"),
        ("1234567890123456789O", "0 to 9"),
        ("\N{SUPERSCRIPT ONE}" * 20, "0 to 9"),
        ("\N{DEVANAGARI DIGIT ZERO}" * 20, "0 to 9"),
        ("73786976294838206464", "larger"),
        ("9" * 20, "larger"),
        ("1" * 40, "40 digits are 2 tokens"),
        ("1" * 60, "60 digits are 3 tokens"),
    ],
)
def test_a_malformed_token_is_refused(text: str, says: str) -> None:
    with pytest.raises(VendingError, match=says):
        tokens.decode(text, key=KEY7)


def test_class_3_is_reserved() -> None:
    with pytest.raises(VendingError, match="reserved"):
        tokens.decode("73786976294838206463", key=KEY7)
    with pytest.raises(VendingError, match="reserved"):
        tokens.encode(3, 0, {}, key=KEY7)
    with pytest.raises(VendingError, match="class 4"):
        tokens.encode(4, 0, {}, key=KEY7)
    with pytest.raises(VendingError, match="subclass"):
        tokens.encode(0, 16, {}, key=KEY7)


def test_a_key_is_needed_except_for_class_1() -> None:
    with pytest.raises(VendingError, match="decoder key"):
        tokens.encode(0, 0, {"rnd": 0, "tid": 0, "amount": 0})
    with pytest.raises(VendingError, match="decoder key"):
        tokens.decode("70630503470028726114")


@given(st.integers(0, layouts.MAX_AMOUNT))
def test_amounts_are_rounded_up(units: int) -> None:
    code = layouts.amount_code(units)
    assert layouts.amount_value(code) >= units
    assert code == 0 or layouts.amount_value(code - 1) < units


@given(st.integers(-layouts.MAX_CURRENCY, layouts.MAX_CURRENCY))
def test_currency_is_rounded_towards_plus_infinity(units: int) -> None:
    se, amount = layouts.currency_code(units)
    value = layouts.currency_value(se, amount)
    assert value >= units
    if units:
        assert abs(value - units) < 10 ** ((se & 7) << 2 | amount >> 14)


def test_units_of_long_amounts_are_exact() -> None:
    assert tokens.units_up(Decimal("182044444444444444444444442624.00001"), 100_000) == (
        18204444444444444444444444262400001
    )
    assert tokens.units_up(Decimal("12.51"), 10) == 126
    assert tokens.units_up(Decimal("-12.51"), 10) == -125
    assert tokens.money(-18022400001) == "-180224.00001"
    assert tokens.money(100_000) == "1"


# -- key change sets


@given(
    st.sampled_from([(7, False), (7, True), (11, False)]),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 999_999),
    st.integers(0, 99),
    st.integers(1, 9),
    st.integers(0, 255),
    st.booleans(),
    st.sampled_from([0, 1, 2]),
)
def test_a_set_contains_the_whole_key(
    kind: tuple[int, bool], new: bytes, sgc: int, ti: int, krn: int, ken: int, ro: bool, kt: int
) -> None:
    ea, three = kind
    new = new[:8] if ea == 7 else new
    sections = keychange.key_change_set(
        key_of(ea), new, ea=ea, kt=kt, sgc=f"{sgc:06d}", ti=ti, krn=krn, ken=ken, ro=ro,
        three=three,
    )  # fmt: skip
    got: dict[str, int] = {}
    for section in sections:
        decoded = tokens.decode(section.token, key=key_of(ea), ea=ea)
        assert decoded.sub == section.sub
        got |= decoded.fields
    assert (got["krn"], got["kt"], got["ti"], got["ro"]) == (krn, kt, ti, int(ro))
    assert got["kenho"] << 4 | got["kenlo"] == ken
    words = ["nkho", "nkmo2", "nkmo1", "nklo"] if ea == 11 else ["nkho", "nklo"]
    assert b"".join(got[word].to_bytes(4, "big") for word in words) == new
    assert got["kct3"] == int(three)
    if ea == 11:
        assert got["sgcho"] << 12 | got["sgclo"] == sgc
    elif three:
        assert (got["sgc"], got["pad"]) == (sgc, 0)
    assert len(sections) == (4 if ea == 11 else 3 if three else 2)


@pytest.mark.parametrize(
    ("parent", "child", "allowed"),
    [
        (0, 0, True), (0, 1, True), (0, 2, True), (1, 1, True), (1, 2, True), (2, 2, True),
        (2, 1, True), (3, 1, True), (1, 0, False), (2, 0, False), (3, 2, False), (3, 0, False),
        (0, 3, False), (1, 3, False), (2, 3, False), (3, 3, False),
    ],
)  # fmt: skip
def test_only_allowed_changes_of_key_type_are_accepted(
    parent: int, child: int, allowed: bool
) -> None:
    if allowed:
        keychange.check_change(parent, child)
    else:
        with pytest.raises(VendingError):
            keychange.check_change(parent, child)


def test_a_set_of_three_tokens_is_refused_for_ea11() -> None:
    with pytest.raises(VendingError, match="four"):
        keychange.key_change_set(KEY11, KEY11, ea=11, kt=2, sgc="123456", ti=1, krn=1, three=True)
