"""The 20 digits of a token and the 66 bits that they encode (IEC 62055-41 6.4.2 to 6.4.4)."""

DIGITS = 20
LIMIT = 1 << 66
# The class takes the place of bits 28 and 27 of the block; those two bits move to 65 and 64.
_HOLE = 3 << 27
_BLOCK = (1 << 64) - 1


# Zero of the digits of other scripts: Arabic-Indic, Persian, full width.
_ZEROS = (0x660, 0x6F0, 0xFF10)
# Spaces, dashes, dots and marks without a width outside the block General Punctuation.
_SEPARATORS = (
    " -.\t\n\r\v\f\x85\xa0\xad\xb7\u058a\u05be\u061c\u1680\u1806\u180e\u2212\u2e3a\u2e3b"
    "\u3000\u301c\u3030\ufe31\ufe32\ufe58\ufe63\ufeff\uff0d\uff0e"
)


def clean(text):
    """Return `text` without what people and programs write between digits, with digits 0 to 9.

    Removed are spaces, tabs, line ends, dots, hyphens and dashes of every kind, and characters
    without a width. Digits of other scripts become 0 to 9. All other characters stay.
    """
    if is_digits(text):
        return text
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


def is_digits(text):
    """Return whether `text` has at least one character and only the characters 0 to 9."""
    for c in text:
        if not "0" <= c <= "9":
            return False
    return len(text) > 0


def split(digits):
    """Return (class, block) of a token of 20 digits; the block is 8 bytes as transmitted.

    Raise ValueError with one line for people if `digits` is not a token.
    """
    if digits and not is_digits(digits):
        raise ValueError("a token is made of the digits 0 to 9 only")
    if len(digits) != DIGITS:
        raise ValueError("a token has 20 digits, this has %d" % len(digits))
    number = int(digits)
    if number >= LIMIT:
        raise ValueError("no token is larger than 73786976294838206463")
    high = number >> 64
    block = (number & _BLOCK & ~_HOLE) | (high << 27)
    return (number >> 27) & 3, block.to_bytes(8, "big")


def join(cls, block):
    """Return the 20 digits of a token from its class (0 to 3) and its block of 8 bytes."""
    number = int.from_bytes(block, "big")
    high = (number >> 27) & 3
    return "%020d" % ((high << 64) | (number & ~_HOLE) | (cls << 27))


def grouped(digits, separator=" "):
    """Return digits in groups of four from the left, as tokens are printed."""
    return separator.join([digits[i : i + 4] for i in range(0, len(digits), 4)])


def luhn_ok(number):
    """Return whether the last digit of `number` is its Luhn check digit (DRN, PAN)."""
    total = 0
    for i, c in enumerate(reversed(number)):
        digit = ord(c) - 48
        if i & 1:
            digit = 2 * digit - 9 if digit > 4 else 2 * digit
        total += digit
    return total % 10 == 0
