"""Tests of the firmware with every published vector for a meter (tests/vectors/README.md).

Only the vending side derives decoder keys and the TIDs of dates; its tests use those vectors.
"""

import json

from both_support import ROOT, encrypt, encrypt_ea11
from jeton.sts import crc, digits, ea07, ea11, keys, tokens
from jeton.sts.decoder import decode
from jeton.sts.results import TokenResult


def vectors(*kinds):
    """Yield (id, inputs, expected) one at a time: a small heap cannot hold the whole file."""
    found = 0
    with open(ROOT + "/tests/vectors/sts.jsonl") as file:
        for line in file:
            row = json.loads(line)
            if row["kind"] in kinds:
                found += 1
                yield row["id"], row["inputs"], row["expected"]
    assert found, kinds


def check(name, twenty, key, cls, sub, fields):
    """Decode `twenty` to `fields`, and encode `fields` to `twenty`."""
    ea = 7 if len(key) == 8 else 11
    result, token, _ = decode(twenty, keys.cipher(ea, key), ea)
    assert result == TokenResult.ACCEPT, name
    assert (token.cls, token.sub) == (cls, sub), name
    for field, value in fields.items():
        assert token.fields[field] == value, (name, field)
    block = tokens.pack(cls, sub, token.fields, ea)
    assert digits.join(cls, block if cls == 1 else encrypt(key, block)) == twenty, name
    return token


def test_credit_tokens_agree_with_the_vectors():
    for name, given, twenty in vectors("credit"):
        key = bytes.fromhex(given["decoder_key"])
        fields = {"rnd": given["rnd"], "tid": given["tid"], "amount": given["amount_code"]}
        assert tokens.amount_code(given["units"]) == given["amount_code"], name
        check(name, twenty, key, 0, given["subclass"], fields)


def test_currency_tokens_agree_with_the_vectors():
    for name, given, twenty in vectors("currency"):
        key = bytes.fromhex(given["decoder_key"])
        se, amount = tokens.currency_code(int(given["amount"]) * 100000)
        assert (se, amount) == (given["se"], given["amount_code"]), name
        fields = {"se": se, "tid": given["tid"], "amount": amount}
        check(name, twenty, key, 0, given["subclass"], fields)


def test_class_1_tokens_agree_with_the_vectors():
    for name, given, twenty in vectors("class1"):
        fields = {"control": given["control"], "mfr_code": given["mfr"]}
        check(name, twenty, bytes(8), 1, given["subclass"], fields)


def test_class_2_tokens_agree_with_the_vectors():
    for name, given, twenty in vectors("class2"):
        key = bytes.fromhex(given["decoder_key"])
        token = check(name, twenty, key, 2, given["subclass"], {"tid": given["tid"]})
        value = token.fields[tokens.layout(2, given["subclass"])[1][2][0]]
        assert value == given["value"], name
        if given["watts"] is not None:
            assert tokens.amount_code(given["watts"]) == value, name


def test_fields_of_tokens_agree_with_the_vectors():
    names = {"amount_code": "amount", "three": "kct3", "value": "mppul"}
    for name, given, twenty in vectors("fields"):
        listed = given["fields"]
        fields = {}
        for field, value in listed.items():
            if field not in ("class", "subclass", "name", "units", "watts"):
                fields[names.get(field, field)] = value
        key = bytes.fromhex(given["decoder_key"])
        token = check(name, twenty, key, listed["class"], listed["subclass"], fields)
        assert token.name == listed["name"]


def test_key_change_sets_agree_with_the_vectors():
    for name, given, codes in vectors("key_change_set"):
        old, new = given["old"], given["new"]
        ea = old["ea"]
        decrypt = keys.cipher(ea, bytes.fromhex(given["old_decoder_key"]))
        change = keys.KeyChange(ea, 4 if ea == 11 else 2 + given["three"])
        result = None
        for code in codes:
            status, token, _ = decode(code, decrypt, ea)
            assert status == TokenResult.ACCEPT, name
            block = tokens.pack(2, token.sub, token.fields, ea)
            encrypted = encrypt(bytes.fromhex(given["old_decoder_key"]), block)
            assert digits.join(2, encrypted) == code, name
            result = change.add({3: 1, 4: 2, 8: 3, 9: 4}[token.sub], token.fields, 0)
        assert result == TokenResult.ACCEPT, name
        made = change.combine(old["kt"])
        assert made["key"].hex() == given["new_decoder_key"], name
        assert (made["krn"], made["ti"]) == (new["krn"], int(new["ti"])), name
        assert (made["ken"], made["ro"]) == (given["ken"], given["ro"]), name
        if len(codes) > 2:
            assert made["sgc"] == int(new["sgc"]), name


def test_ciphers_agree_with_the_vectors():
    for name, given, expected in vectors("cipher"):
        key = bytes.fromhex(given["key"])
        block = bytes.fromhex(given["block"])
        if given.get("alg") == "MISTY1":
            assert encrypt_ea11(key, block).hex() == expected, name
            assert ea11.decrypt(key, bytes.fromhex(expected)) == block, name
        elif given.get("tables") == "sample":
            encrypted = encrypt(key, block, ea07.SAMPLE)
            assert "%x" % int(digits.join(given["cls"], encrypted)) == expected, name
            assert ea07.decrypt(key, encrypted, ea07.SAMPLE) == block, name


def test_checksums_and_check_digits_agree_with_the_vectors():
    for name, given, expected in vectors("crc"):
        assert "%04x" % crc.crc16(bytes.fromhex(given["data"])) == expected, name
    for name, given, expected in vectors("luhn"):
        assert digits.luhn_ok(given["digits"]) == expected, name
