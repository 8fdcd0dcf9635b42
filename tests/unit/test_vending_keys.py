"""Tests of meter numbers, token identifiers, key derivation, files of keys, ciphers."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jeton.sts import ea07, ea11
from jeton_host.errors import VendingError
from jeton_host.vending import ciphers, keys, pan, tid

VK2 = bytes.fromhex("abababababababab")
VK4 = bytes.fromhex("abababababababab949494949494949401234567")
PAN = "600727000000000009"


def parameters(**changed: Any) -> keys.KeyParameters:
    values: dict[str, Any] = {
        "dkga": 4, "ea": 7, "pan": PAN, "kt": 2, "sgc": "201457", "ti": 1, "krn": 1, "bdt": "14",
    }  # fmt: skip
    return keys.KeyParameters(**(values | changed))


# -- numbers of meters


@given(st.integers(0, 99), st.integers(0, 10**8 - 1))
def test_a_drn_of_11_digits_has_a_pan(maker: int, serial: int) -> None:
    drn = pan.make_drn(serial, maker=maker)
    assert pan.split_pan(pan.meter_pan(drn)) == ("600727", drn)


@given(st.integers(0, 9999), st.integers(0, 10**8 - 1))
def test_a_drn_of_13_digits_has_a_pan(maker: int, serial: int) -> None:
    drn = pan.make_drn(serial, maker=maker, digits=13)
    assert pan.split_pan(pan.meter_pan(drn)) == ("0000", drn)


@given(st.integers(0, 10**8 - 1), st.integers(0, 10), st.integers(1, 9))
def test_a_wrong_digit_is_detected(serial: int, place: int, off: int) -> None:
    drn = pan.make_drn(serial)
    wrong = drn[:place] + str((int(drn[place]) + off) % 10) + drn[place + 1 :]
    with pytest.raises(VendingError, match="check digit"):
        pan.check_drn(wrong)


@pytest.mark.parametrize("drn", ["12345678904", "11111111113", "", "1234", "1234567890x", "١٢٣"])
def test_wrong_meter_numbers_are_refused(drn: str) -> None:
    with pytest.raises(VendingError) as caught:
        pan.check_drn(drn)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["600727000000000000", "123", "999999000000000009", "x" * 18])
def test_wrong_pans_are_refused(wrong: str) -> None:
    with pytest.raises(VendingError):
        pan.split_pan(wrong)


def test_published_pans_are_reproduced() -> None:
    assert pan.meter_pan("00000000000") == PAN
    assert pan.meter_pan("0100000000008") == "000001000000000082"
    assert pan.meter_pan("000-0000 0000") == PAN


# -- token identifiers


@given(st.sampled_from(sorted(tid.BASE_DATES)), st.integers(0, tid.TID_MAX))
def test_each_tid_has_its_minute(bdt: str, number: int) -> None:
    moment = tid.tid_time(number, bdt)
    assert tid.tid_of(moment, bdt) == number
    assert tid.tid_of(moment.replace(tzinfo=None) + timedelta(seconds=59), bdt) == number
    reserved = (moment.hour, moment.minute) == (0, 1)
    assert tid.token_tid(moment, bdt) == number + reserved


def test_a_tid_is_computed_in_utc() -> None:
    lome_noon = datetime.fromisoformat("2026-04-01T12:00+02:00")
    assert tid.tid_of(lome_noon, "14") == tid.tid_of(datetime(2026, 4, 1, 10), "14")


@pytest.mark.parametrize(
    ("moment", "bdt", "says"),
    [
        (datetime(2024, 11, 24, 20, 16), "93", "key-change --bdt 14"),
        (datetime(2045, 11, 24, 20, 16), "14", "key-change --bdt 35"),
        (datetime(2046, 1, 1), "93", "key-change --bdt 35"),
        (datetime(2013, 12, 31, 23, 59), "14", "2014-01-01 to 2045-11-24 20:15"),
        (datetime(2014, 1, 1, 0, 0, tzinfo=UTC), "15", "93, 14 or 35"),
        (datetime(2070, 1, 1), "35", "after the range"),
    ],
)
def test_dates_out_of_range_are_refused(moment: datetime, bdt: str, says: str) -> None:
    with pytest.raises(VendingError, match=says):
        tid.tid_of(moment, bdt)


# -- derivation


def test_the_examples_of_the_standard_are_reproduced() -> None:
    assert keys.derive(VK4, parameters()).hex() == "87f3ecbb2e46b48f"
    assert keys.derive(VK4, parameters(ea=11)).hex() == "929bd3a415c9420a05ec5ee9f3ce91c3"
    assert keys.derive(VK2, parameters(dkga=2, sgc="123456")).hex() == "e653341f9d5bf36f"


def test_parity_of_a_des_vending_key_is_set() -> None:
    even = bytes(byte ^ 1 for byte in VK2)
    assert keys.derive(even, parameters(dkga=2)) == keys.derive(VK2, parameters(dkga=2))
    half = b"\xaa" + VK2[1:]
    assert keys.derive(half, parameters(dkga=2)) == keys.derive(VK2, parameters(dkga=2))


def test_a_common_key_is_the_same_for_all_meters_under_dkga02() -> None:
    one = keys.derive(VK2, parameters(dkga=2, kt=3))
    other = keys.derive(VK2, parameters(dkga=2, kt=3, pan=pan.meter_pan("11111111115")))
    assert one == other
    assert one != keys.derive(VK2, parameters(dkga=2, kt=2))


def test_dkga02_accepts_13_digit_numbers() -> None:
    p = parameters(dkga=2, pan="000001000000000082")
    x = 0x0000100000000008 ^ int("2201457011FFFFFF", 16)
    from Crypto.Cipher import DES

    crypt = int.from_bytes(DES.new(VK2, DES.MODE_ECB).encrypt(x.to_bytes(8, "big")), "big")
    assert int.from_bytes(keys.derive(VK2, p), "big") == crypt ^ x ^ int.from_bytes(VK2, "big")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"dkga": 1}, "DKGA01 is withdrawn"),
        ({"dkga": 3}, "DKGA03 is withdrawn"),
        ({"dkga": 5}, "use 2 or 4"),
        ({"ea": 9}, "EA09"),
        ({"ea": 8}, "EA 8"),
        ({"dkga": 2, "ea": 11}, "02 with 07"),
        ({"kt": 4}, "key type 4"),
        ({"sgc": "12345"}, "6 digits"),
        ({"sgc": "12345٣"}, "6 digits"),
        ({"ti": 100}, "tariff index"),
        ({"krn": 0}, "1 to 9"),
        ({"krn": 10}, "1 to 9"),
        ({"bdt": "15"}, "93, 14 or 35"),
        ({"pan": "600727000000000008"}, "check digit"),
        ({"kt": 0}, "DITK"),
    ],
)
def test_wrong_parameters_are_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(VendingError, match=says):
        keys.derive(VK4, parameters(**changed))


@pytest.mark.parametrize(("vk", "dkga"), [(VK4, 2), (VK2, 4), (b"", 2), (VK4[:16], 4)])
def test_a_vending_key_of_wrong_length_is_refused(vk: bytes, dkga: int) -> None:
    with pytest.raises(VendingError, match="bytes") as caught:
        keys.derive(vk, parameters(dkga=dkga))
    assert "abab" not in str(caught.value)


# -- files of vending keys


def test_only_published_test_keys_ship() -> None:
    shipped = [(key.dkga, key.value, key.test) for key in keys.load_keys()]
    assert shipped == [(2, VK2, True), (4, VK4, True)]


def test_keys_are_never_shown() -> None:
    found = keys.load_keys()
    text = repr(found) + str(found) + "".join(map(repr, found))
    assert "ab" not in text.replace("VendingKeys", "").lower()
    assert "\\xab" not in text


def test_the_most_specific_key_is_used(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    entries = [
        {"dkga": 4, "vk": "11" * 20},
        {"dkga": 4, "vk": "22" * 20, "sgc": "123456"},
        {"dkga": 4, "vk": "33" * 20, "sgc": "123456", "krn": 2, "name": "second revision"},
        {"dkga": 4, "vk": "44" * 20, "kt": 1},
    ]
    path.write_text(json.dumps({"keys": entries}))
    found = keys.load_keys(path)
    assert found.find(4, 2, "123456", 2).value == b"\x33" * 20
    assert found.find(4, 2, "123456", 1).value == b"\x22" * 20
    assert found.find(4, 2, "654321", 1).value == b"\x11" * 20
    assert found.find(4, 1, "654321", 1).value == b"\x44" * 20
    assert found.find(2, 2, "123456", 1).test
    assert found.supply_groups == {"123456"}


def test_a_missing_vending_key_is_an_error() -> None:
    with pytest.raises(VendingError, match="JETON_KEYS"):
        keys.VendingKeys([]).find(4, 2, "123456", 1)


def test_the_environment_can_name_the_file_of_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [{"dkga": 2, "vk": "0123456789ABCDEF"}]}))
    monkeypatch.setenv(keys.KEYS_VARIABLE, str(path))
    assert not keys.load_keys().find(2, 2, "123456", 1).test


@pytest.mark.parametrize(
    "text",
    [
        "secret5ecret",
        "[]",
        "{}",
        '{"keys": 1}',
        '{"keys": [1]}',
        '{"keys": [{"dkga": 2}]}',
        '{"keys": [{"dkga": 2, "vk": "5ec2e7"}]}',
        '{"keys": [{"dkga": 2, "vk": "5ec2e75ec2e75ex!"}]}',
        '{"keys": [{"dkga": true, "vk": "5ec2e75ec2e75ec2"}]}',
        '{"keys": [{"dkga": 3, "vk": "5ec2e75ec2e75ec2"}]}',
        '{"keys": [{"dkga": 2, "vk": "5ec2e75ec2e75ec2", "5ec2": 1}]}',
        '{"keys": [{"dkga": 2, "vk": "5ec2e75ec2e75ec2", "sgc": 5}]}',
        '{"keys": [{"dkga": 2, "vk": "5ec2e75ec2e75ec2", "krn": 0}]}',
        "[" * 100_000,
    ],
)
def test_a_bad_file_of_keys_is_one_line_of_error_without_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(VendingError) as caught:
        keys.load_keys(path)
    message = str(caught.value)
    assert "keys.json" in message
    assert "\n" not in message
    assert "5ec" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_missing_file_of_keys_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VendingError, match="No such file"):
        keys.load_keys(tmp_path / "none.json")
    with pytest.raises(VendingError, match="cannot be read"):
        keys.load_keys(tmp_path)


# -- ciphers


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8))
def test_ea07_agrees_with_the_firmware(key: bytes, block: bytes) -> None:
    for name, tables in ciphers.TABLES.items():
        crypt = ciphers.encrypt(7, key, block, name)
        assert ea07.decrypt(key, crypt, tables) == block
        assert ciphers.decrypt(7, key, block, name) == ea07.decrypt(key, block, tables)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8))
def test_ea11_agrees_with_the_firmware(key: bytes, block: bytes) -> None:
    crypt = ciphers.encrypt(11, key, block)
    assert ea11.decrypt(key, crypt) == block == ciphers.decrypt(11, key, crypt)


@pytest.mark.parametrize(("ea", "length"), [(7, 16), (11, 8), (7, 0), (9, 8), (1, 8)])
def test_wrong_keys_and_algorithms_are_refused(ea: int, length: int) -> None:
    with pytest.raises(VendingError):
        ciphers.encrypt(ea, os.urandom(length), bytes(8))


def test_unknown_tables_are_refused() -> None:
    with pytest.raises(VendingError, match="certified or sample"):
        ciphers.encrypt(7, bytes(8), bytes(8), "other")
