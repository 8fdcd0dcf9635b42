"""The 20 digits of a token and the 66 bits that they encode (IEC 62055-41 6.4.2 to 6.4.4)."""

DIGITS = 20
LIMIT = 1 << 66
# The class takes the place of bits 28 and 27 of the block; those two bits move to 65 and 64.
_HOLE = 3 << 27
_BLOCK = (1 << 64) - 1


def clean(text):
    """Return `text` without what people and programs write between digits, with digits 0 to 9.

    Removed are spaces, tabs, line ends, dots, hyphens and dashes of every kind, and characters
    without a width. Digits of other scripts become 0 to 9. All other characters stay.
    """
    text = text.replace(" ", "").replace("-", "")
    return text if is_digits(text) else __getattr__("unify")(text)


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


def grouped(digits, separator=" "):
    """Return digits in groups of four from the left, as tokens are printed."""
    return separator.join([digits[i : i + 4] for i in range(0, len(digits), 4)])


def __getattr__(name):
    """Load `join`, `luhn_ok` and `unify` when they are needed: they would use heap."""
    from . import writing

    return getattr(writing, name)
