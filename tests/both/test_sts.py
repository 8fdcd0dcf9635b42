"""Tests of the arithmetic of the standard: digits, checksum, ciphers, layouts, identifiers."""

from both_support import (
    KEY,
    KEY11,
    credit,
    encrypt,
    encrypt_ea07,
    encrypt_ea11,
    raises,
    token,
)
from jeton.sts import crc, digits, ea07, ea11, keys, tids, tokens
from jeton.sts.decoder import decode
from jeton.sts.results import NAMES, TokenResult


def numbers(seed, count):
    """Return `count` pseudo-random blocks of 8 bytes, the same in every interpreter."""
    state = seed
    found = []
    for _ in range(count):
        block = []
        for _ in range(8):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            block.append(state >> 16 & 255)
        found.append(bytes(block))
    return found


def test_the_example_of_the_standard_is_reproduced():
    block = tokens.pack(0, 0, {"rnd": 5, "tid": 85740, "amount": 1})
    assert block.hex() == "05014eec00013188"
    assert digits.join(0, encrypt(KEY, block)) == "70630503470028726114"
    assert digits.join(0, encrypt(KEY11, block)) == "58625789986991357486"


def test_sample_tables_and_real_tables_differ():
    key, plain = bytes.fromhex("0abc12def3456789"), bytes.fromhex("0b19eb230100c207")
    sample = encrypt_ea07(key, plain, ea07.SAMPLE)
    assert "%x" % int(digits.join(0, sample)) == "2c45ed1618406df95"
    assert digits.join(0, encrypt_ea07(key, plain)) == "29054347139309851356"
    assert keys.cipher(7, key, True)(sample) == plain


def test_misty1_agrees_with_the_vectors_of_the_rfc():
    key = bytes.fromhex("00112233445566778899aabbccddeeff")
    for plain, cipher in (
        ("0123456789abcdef", "8b1da5f56ab3d07c"),
        ("fedcba9876543210", "04b68240b13be95d"),
    ):
        assert encrypt_ea11(key, bytes.fromhex(plain)).hex() == cipher
        assert ea11.decrypt(key, bytes.fromhex(cipher)).hex() == plain


def test_the_viper_code_agrees_with_the_plain_code():
    # CPython runs the viper source as ordinary Python, a chip as native code.
    blocks = numbers(7, 40)
    for i in range(0, 38):
        key, block = blocks[i], blocks[i + 1]
        for tables in (ea07.CERTIFIED, ea07.SAMPLE):
            plain = ea07.decrypt_plain(key, block, tables)
            assert ea07._decrypt_viper(key, block, tables) == plain
            assert encrypt_ea07(key, plain, tables) == block
        ek = ea11.schedule(key + blocks[i + 2])
        plain = ea11.decrypt_plain(ek, block)
        assert ea11._decrypt_viper(ek, block) == plain
        assert encrypt_ea11(key + blocks[i + 2], plain) == block


def test_digits_hold_any_class_and_block():
    for block in numbers(3, 50):
        for cls in range(4):
            twenty = digits.join(cls, block)
            assert len(twenty) == 20
            assert digits.split(twenty) == (cls, block)
    assert digits.split("73786976294838206463")[1] == b"\xff" * 8
    assert "20 digits" in raises(ValueError, digits.split, "1" * 19)
    assert "larger" in raises(ValueError, digits.split, "73786976294838206464")
    assert "0 to 9" in raises(ValueError, digits.split, "1234567890123456789x")
    # str.isdigit accepts digits of other scripts; no keypad has them.
    assert "0 to 9" in raises(ValueError, digits.split, "\u0661" * 20)
    assert digits.clean(" 7063-0503 4700") == "706305034700"


def test_checksums_are_correct():
    assert crc.crc16(bytes.fromhex("00004a2d900ff2")) == 0x0FFA
    assert crc.crc16(b"123456789") == 0x374B
    # CRC_C includes one more byte.
    block = tokens.pack(0, 4, {"se": 0, "tid": 1, "amount": 1})
    assert int.from_bytes(block[6:], "big") == crc.crc16(b"\0" + block[:6] + b"\x01")


def test_every_layout_is_44_bits_and_round_trips():
    for cls in range(4):
        for sub in range(16):
            for ea in (7, 11):
                name, places = tokens.layout(cls, sub, ea)
                assert sum([bits for _, bits in places]) == 44, name
                for fill in (0, 1):
                    fields = {}
                    for field, bits in places:
                        fields[field] = (1 << bits) - 1 if fill else bits & 1
                    block = tokens.pack(cls, sub, fields, ea)
                    assert tokens.unpack(cls, block, ea) == (sub, name, fields, True)


def test_pack_names_a_wrong_field():
    assert "needs the field tid" in raises(ValueError, tokens.pack, 0, 0, {"rnd": 1, "amount": 1})
    message = raises(ValueError, tokens.pack, 0, 0, {"rnd": 16, "tid": 1, "amount": 1})
    assert "rnd must be 0 to 15, not 16" in message
    message = raises(ValueError, tokens.pack, 0, 0, {"rnd": 1, "tid": 1, "amount": 1, "x": 1})
    assert "no field x" in message


def test_amounts_are_coded_and_rounded_up():
    for units, code in (
        (0, 0),
        (16383, 16383),
        (16384, 16384),
        (16385, 16385),
        (180214, 0x7FFF),
        (180215, 0x8000),
        (180224, 0x8000),
        (1818624, 0xC000),
        (18201624, 0xFFFF),
    ):
        assert tokens.amount_code(units) == code, units
    for code in range(0, 65536, 7):
        assert tokens.amount_code(tokens.amount_value(code)) == code
        assert (
            tokens.amount_value(tokens.amount_code(tokens.amount_value(code) + 1))
            > (tokens.amount_value(code))
            or code == 65535
        )
    raises(ValueError, tokens.amount_code, -1)
    raises(ValueError, tokens.amount_code, 18201625)


def test_currency_amounts_are_coded():
    assert tokens.currency_code(-18022400000) == (9, 48969)
    for units in (0, 1, 16384, 10**9, 10**20, tokens.MAX_CURRENCY):
        se, amount = tokens.currency_code(units)
        assert se < 8
        assert tokens.currency_value(se, amount) >= units
        if units:
            # Negative amounts are also rounded towards plus infinity: less is deducted.
            se, amount = tokens.currency_code(-units)
            assert se >= 8
            assert -units <= tokens.currency_value(se, amount) <= 0
    raises(ValueError, tokens.currency_code, tokens.MAX_CURRENCY + 1)


def test_the_store_keeps_50_identifiers():
    store = tids.TidStore()
    store.fill(500)
    assert store.check(500) == TokenResult.USED
    assert store.check(499) == TokenResult.OLD
    for tid in (600, 550, 700):
        assert store.check(tid) == TokenResult.ACCEPT
        store.add(tid)
        assert store.check(tid) == TokenResult.USED
    assert (store.oldest, store.newest) == (500, 700)
    assert store.check(650) == TokenResult.ACCEPT
    for tid in range(1000, 1050):
        store.add(tid)
    assert (store.oldest, store.newest) == (1000, 1049)
    assert store.check(700) == TokenResult.OLD
    store.add(16777215)
    assert (store.oldest, store.newest) == (1001, 16777215)
    assert len(store.data) == 150


def test_an_expired_key_is_checked_first():
    store = tids.TidStore()
    store.fill(5)
    assert store.check(0x10000, 0) == TokenResult.KEY_EXPIRED
    assert store.check(0xFFFF, 0) == TokenResult.ACCEPT
    assert store.check(0xFFFFFF, 255) == TokenResult.ACCEPT
    store.add(0x20000)
    assert store.check(0x20000, 1) == TokenResult.KEY_EXPIRED


def test_the_decoder_returns_a_result_for_each_error():
    decrypt = keys.cipher(7, KEY)
    result, found, _ = decode("7063-0503 4700 2872 6114", decrypt, 7)
    assert result == TokenResult.ACCEPT
    assert found.fields == {"rnd": 5, "tid": 85740, "amount": 1}
    assert decode("70630503470028726115", decrypt, 7)[0] == TokenResult.CRC
    assert decode("7063050347002872611", decrypt, 7)[0] == TokenResult.FORMAT
    assert decode("99999999999999999999", decrypt, 7)[0] == TokenResult.FORMAT
    other = token(1, 0, {"control": 1, "mfr_code": 12})
    assert decode(other, decrypt, 7)[0] == TokenResult.MFR_CODE
    assert decode(other, decrypt, 7, 12)[0] == TokenResult.ACCEPT
    assert decode(credit(5, key=KEY11), keys.cipher(11, KEY11), 11)[0] == TokenResult.ACCEPT


def test_keys_of_the_wrong_length_are_refused():
    assert "8 bytes" in raises(ValueError, keys.cipher, 7, KEY11)
    assert "16 bytes" in raises(ValueError, keys.cipher, 11, KEY)
    assert "EA" in raises(ValueError, keys.cipher, 9, KEY)


def test_results_have_their_names():
    assert NAMES[TokenResult.ACCEPT] == "Accept"
    assert NAMES[TokenResult.KCT4] == "4thKCT"
    assert len(NAMES) == 19
