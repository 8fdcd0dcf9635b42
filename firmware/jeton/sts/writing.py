"""The parts of `digits` that a running meter seldom needs: import them from there."""

# As in digits.py: the place of bits 28 and 27, which move to 65 and 64.
_HOLE = 3 << 27
# Zero of the digits of other scripts: Arabic-Indic, Persian, full width.
_ZEROS = (0x660, 0x6F0, 0xFF10)
# Spaces, dashes, dots and marks without a width outside the block General Punctuation.
_SEPARATORS = (
    " -.\t\n\r\v\f\x85\xa0\xad\xb7\u058a\u05be\u061c\u1680\u1806\u180e\u2212\u2e3a\u2e3b"
    "\u3000\u301c\u3030\ufe31\ufe32\ufe58\ufe63\ufeff\uff0d\uff0e"
)


def unify(text):
    """Return `text` without separators, and with digits 0 to 9 (see `digits.clean`)."""
    kept = []
    for c in text:
        code = ord(c)
        # In the block General Punctuation, all but daggers, bullets, quotes and the like.
        if c in _SEPARATORS or 0x2000 <= code < 0x2016 or 0x2024 <= code < 0x2030:
            continue
        if 0x205F <= code < 0x2070:
            continue
        if code > 0x7F:
            for zero in _ZEROS:
                if zero <= code < zero + 10:
                    c = chr(48 + code - zero)
        kept.append(c)
    return "".join(kept)


def join(cls, block):
    """Return the 20 digits of a token from its class (0 to 3) and its block of 8 bytes."""
    number = int.from_bytes(block, "big")
    high = (number >> 27) & 3
    return "%020d" % ((high << 64) | (number & ~_HOLE) | (cls << 27))


def luhn_ok(number):
    """Return whether the last digit of `number` is its Luhn check digit (DRN, PAN)."""
    total = 0
    for i, c in enumerate(reversed(number)):
        digit = ord(c) - 48
        if i & 1:
            digit = 2 * digit - 9 if digit > 4 else 2 * digit
        total += digit
    return total % 10 == 0
