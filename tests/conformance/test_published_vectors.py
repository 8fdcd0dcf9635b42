"""Tests of the vending code with every published vector: encode, then decode, in CPython."""

import json
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jeton.sts import crc, digits
from jeton.sts import tokens as layouts
from jeton_host.vending import ciphers, keychange, keys, pan, tid, tokens

VECTORS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "vectors" / "sts.jsonl").read_text().splitlines()
]
FIELD = {0: "mpl", 1: "register", 2: "rate", 6: "mppul", 7: "wmfactor"}


def with_vectors(*kinds: str) -> Any:
    rows = [v for v in VECTORS if v["kind"] in kinds]
    assert rows, kinds
    return pytest.mark.parametrize("vector", rows, ids=[v["id"] for v in rows])


def decoder_key_of(key: dict[str, Any]) -> bytes:
    parameters = keys.KeyParameters(
        dkga=key["dkga"],
        ea=key.get("ea", 7),
        pan=key["pan"],
        kt=key["kt"],
        sgc=key["sgc"],
        ti=int(key["ti"]),
        krn=key["krn"],
        bdt=key.get("bdt", "93"),
    )
    return keys.derive(bytes.fromhex(key["vk"]), parameters)


def check_encode_and_decode(
    token: str, key: str | None, ea: int, cls: int, sub: int, fields: dict[str, int]
) -> None:
    raw_key = bytes.fromhex(key) if key else None
    assert tokens.encode(cls, sub, fields, key=raw_key, ea=ea) == token
    decoded = tokens.decode(token, key=raw_key, ea=ea)
    assert decoded.authentic
    assert (decoded.cls, decoded.sub) == (cls, sub)
    assert decoded.fields == fields


def ea_of(inputs: dict[str, Any]) -> int:
    key = inputs.get("key")
    if key:
        assert decoder_key_of(key).hex() == inputs["decoder_key"]
        if inputs.get("issue"):
            moment = datetime.fromisoformat(inputs["issue"])
            assert tid.token_tid(moment, key["bdt"]) == inputs["tid"]
    return 7 if len(inputs["decoder_key"]) == 16 else 11


def test_every_kind_of_vector_has_a_test() -> None:
    run = {"cipher", "crc", "luhn", "tid", "dkga02", "dkga04", "credit", "currency", "class1"}
    run |= {"class2", "fields", "key_change_set"}
    assert set(Counter(v["kind"] for v in VECTORS)) == run


@with_vectors("cipher")
def test_ciphers_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    inputs = vector["inputs"]
    key, block = bytes.fromhex(inputs["key"]), bytes.fromhex(inputs["block"])
    if inputs.get("alg") == "DES":
        from Crypto.Cipher import DES

        assert DES.new(key, DES.MODE_ECB).encrypt(block).hex() == vector["expected"]
        return
    ea = 11 if inputs.get("alg") == "MISTY1" else 7
    tables = inputs.get("tables", "certified")
    crypt = ciphers.encrypt(ea, key, block, tables)
    assert ciphers.decrypt(ea, key, crypt, tables) == block
    if "cls" in inputs:
        token = digits.join(inputs["cls"], crypt)
        assert int(token) == int(vector["expected"], 16)
        assert digits.split(token) == (inputs["cls"], crypt)
    else:
        assert crypt.hex() == vector["expected"]


@with_vectors("crc")
def test_checksums_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    value = crc.crc16(bytes.fromhex(vector["inputs"]["data"]))
    assert f"{value:04x}" == vector["expected"]


@with_vectors("luhn")
def test_luhn_check_digits_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    assert pan.luhn_valid(vector["inputs"]["digits"]) is vector["expected"]


@with_vectors("tid")
def test_token_identifiers_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    moment = datetime.fromisoformat(vector["inputs"]["issue"])
    bdt = vector["inputs"]["bdt"]
    assert tid.token_tid(moment, bdt) == vector["expected"]
    assert tid.tid_time(vector["expected"], bdt) == tid.utc(moment)


@with_vectors("dkga02", "dkga04")
def test_decoder_keys_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    assert (
        decoder_key_of({"dkga": int(vector["kind"][-2:])} | vector["inputs"]).hex()
        == vector["expected"]
    )


@with_vectors("credit")
def test_credit_tokens_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    v = vector["inputs"]
    assert layouts.amount_code(v["units"]) == v["amount_code"]
    fields = {"rnd": v["rnd"], "tid": v["tid"], "amount": v["amount_code"]}
    check_encode_and_decode(
        vector["expected"], v["decoder_key"], ea_of(v), 0, v["subclass"], fields
    )


@with_vectors("currency")
def test_currency_tokens_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    v = vector["inputs"]
    units = tokens.units_up(Decimal(v["amount"]), tokens.UNITS_PER_CURRENCY)
    assert layouts.currency_code(units) == (v["se"], v["amount_code"])
    fields = {"se": v["se"], "tid": v["tid"], "amount": v["amount_code"]}
    check_encode_and_decode(
        vector["expected"], v["decoder_key"], ea_of(v), 0, v["subclass"], fields
    )


@with_vectors("class1")
def test_class_1_tokens_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    v = vector["inputs"]
    fields = {"control": v["control"], "mfr_code": v["mfr"]}
    check_encode_and_decode(vector["expected"], None, 7, 1, v["subclass"], fields)
    decoded = tokens.decode(vector["expected"])
    assert tokens.tests_of(decoded) == [v["test_number"]]


@with_vectors("class2")
def test_class_2_tokens_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    v = vector["inputs"]
    if v["watts"] is not None:
        assert layouts.amount_code(v["watts"]) == v["value"]
    name = FIELD.get(v["subclass"], "pad" if v["subclass"] == 5 else "value")
    fields = {"rnd": v["rnd"], "tid": v["tid"], name: v["value"] or 0}
    check_encode_and_decode(
        vector["expected"], v["decoder_key"], ea_of(v), 2, v["subclass"], fields
    )


@with_vectors("fields")
def test_fields_of_tokens_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    v = vector["inputs"]
    given = dict(v["fields"])
    cls, sub, name = given.pop("class"), given.pop("subclass"), given.pop("name")
    if "units" in given:
        assert layouts.amount_value(given["amount_code"]) == given.pop("units")
    if "watts" in given:
        assert layouts.amount_value(given["value"]) == given.pop("watts")
    renamed = {"amount_code": "amount", "three": "kct3", "value": FIELD.get(sub, "value")}
    fields = {renamed.get(key, key): value for key, value in given.items()}
    check_encode_and_decode(vector["expected"], v["decoder_key"], v["ea"], cls, sub, fields)
    assert (
        tokens.decode(vector["expected"], key=bytes.fromhex(v["decoder_key"]), ea=v["ea"]).name
        == name
    )
    assert decoder_key_of(v["key"]).hex() == v["decoder_key"]


@with_vectors("key_change_set")
def test_key_change_sets_agree_with_the_vectors(vector: dict[str, Any]) -> None:
    v = vector["inputs"]
    old, new, ea = v["old"], v["new"], v["old"]["ea"]
    assert decoder_key_of(old).hex() == v["old_decoder_key"]
    assert decoder_key_of(new).hex() == v["new_decoder_key"]
    old_key = bytes.fromhex(v["old_decoder_key"])
    sections = keychange.key_change_set(
        old_key,
        bytes.fromhex(v["new_decoder_key"]),
        ea=ea,
        kt=new["kt"],
        sgc=new["sgc"],
        ti=int(new["ti"]),
        krn=new["krn"],
        ken=v["ken"],
        ro=bool(v["ro"]),
        three=bool(v["three"]),
    )
    assert [section.token for section in sections] == vector["expected"]
    assert v["ro"] == (old["bdt"] != new["bdt"])
    for section in sections:
        decoded = tokens.decode(section.token, key=old_key, ea=ea)
        assert decoded.authentic
        check_encode_and_decode(
            section.token, old_key.hex(), ea, 2, section.sub, dict(decoded.fields)
        )
