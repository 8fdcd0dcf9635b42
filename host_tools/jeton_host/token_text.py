"""The text of a token as people and programs write it: one rule for every place.

`jeton.sts.digits.clean` removes spaces, dashes, dots and invisible characters, and converts the
digits of other scripts. This module also finds tokens inside other text, such as an SMS, a receipt
or a cell of a table, and recognizes numbers that a spreadsheet or a program has changed.
"""

import math
import re
from dataclasses import dataclass

from jeton.sts import digits, tokens
from jeton_host.errors import WrongValueError

_LINE_ENDS = "\n\r\v\f\x85\u2028\u2029"
_INVISIBLE = re.compile("[\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_WHOLE = re.compile(r"(?<!\d)\d{20}(?!\d)")
_GROUPS = re.compile(r"(?<!\d)\d{4}(?: +\d{4})*(?!\d)")

_KEPT = 15  # digits of a number that Excel keeps (Microsoft support, article 269370)
_PRINTED = 17  # digits that programs print of a floating-point number, at most
_EXACT = 1 << 53  # up to this, a floating-point number has every whole number
_SCIENTIFIC = re.compile(r"([0-9])(?:[.,\u066b]([0-9]*))?e\+?([0-9]{1,3})", re.IGNORECASE)
_DECIMALS = re.compile(r"([0-9]{5,})[.,\u066b]0+")
_THOUSANDS = re.compile(
    r"([0-9]{1,3}(?:([.,'\u2019\u066c \xa0\u2009\u202f])[0-9]{3})(?:\2[0-9]{3})+)(?:[.,\u066b]0+)?"
)


@dataclass(frozen=True, slots=True)
class Damage:
    """How a spreadsheet or a program has changed a number.

    `what`: what happened, in words. `low` and `high`: the number was one of these, or between
    them. `certain`: the text cannot be the whole number.
    """

    what: str
    low: int
    high: int
    certain: bool


def found_in(text: str) -> list[str]:
    """Return the tokens in a text: each is 20 digits together, or five groups of four digits."""
    lines = _plain(text)
    found = _on_one_line(lines)
    if not found and "\n" in lines:  # a token may continue on the next line
        found = _on_one_line(lines.replace("\n", " "))
    return found


def one(text: str) -> str:
    """Return the digits of the token that a text is or contains.

    A text that contains no token is returned without its separators.

    Raises:
        WrongValueError: The text contains several tokens.
    """
    plain = digits.clean(text)
    if is_number(text):
        return plain
    found = found_in(text)
    if len(found) > 1:
        raise WrongValueError(
            f"this text contains {len(found)} tokens: {', '.join(found[:3])}: give one at a time"
        )
    return found[0] if found else plain


def is_number(text: str) -> bool:
    """Return whether a text is one number: only digits and separators.

    Some meters accept two tokens as one number of 40 digits; on several lines they are two.
    """
    plain = digits.clean(text)
    one_line = len(plain) <= digits.DIGITS or not any(end in text.strip() for end in _LINE_ENDS)
    return digits.is_digits(plain) and one_line


def damage(text: str, length: int = digits.DIGITS) -> Damage | None:
    """Return how a spreadsheet or a program has changed a number; None if it shows no sign of it.

    `length`: the digits that the number should have. A token with 20 digits may be right although
    it looks changed: use this function only for a token that was refused.
    """
    text = "".join(digits.clean(sign) if sign.isdigit() else sign for sign in text).strip()
    text = _INVISIBLE.sub("", text)
    if re.fullmatch("#{3,}", text):
        return Damage(
            "the column of a spreadsheet was too narrow, so it shows only #: make it wider",
            0, 10**length - 1, True,
        )  # fmt: skip
    if match := _SCIENTIFIC.fullmatch(text.replace(" ", "")):
        return _scientific(text, match, length)
    formatted = "thousands separators" if (match := _THOUSANDS.fullmatch(text)) else ""
    if not match and (match := _DECIMALS.fullmatch(text)):
        formatted = "decimals"
    plain = re.sub("[^0-9]", "", match[1]) if match else digits.clean(text)
    if not digits.is_digits(plain) or len(plain) > length:
        return None
    low, high, what = _rounded(plain)
    if formatted:
        what = [f"a spreadsheet or a program has added {formatted}", *what]
    if len(plain) < length == digits.DIGITS and (low < high or _lost_zeros(plain)):
        what = ["a spreadsheet or a program may have removed leading zeros", *what]
    if not what:
        return None
    return Damage("; ".join(what), low, high, len(plain) != length or bool(formatted))


def _scientific(text: str, match: re.Match[str], length: int) -> Damage | None:
    kept = match[1] + (match[2] or "")
    power = int(match[3]) - len(kept) + 1
    if int(match[3]) >= length or power < 0:
        return None
    value, unit = int(kept) * 10**power, 10**power
    # A floating-point number with all its digits is rounded more than its last digit shows.
    half = max(unit, int(math.ulp(float(value)))) // 2
    return Damage(
        f"a spreadsheet has rounded it to {text}: format the column as text",
        max(0, value - half), value + max(unit - 1, half), True,
    )  # fmt: skip


def _rounded(plain: str) -> tuple[int, int, list[str]]:
    """Return the limits of the number before it was rounded, and what rounded it, if so."""
    value = int(plain)
    zeros = len(plain) - len(plain.rstrip("0"))
    # The 16th digit of the text, or the 16th after its leading zeros.
    lost = max((n for n in (len(plain) - _KEPT, len(str(value)) - _KEPT) if n <= zeros), default=0)
    if value and lost > 0:
        what = f"a spreadsheet keeps {_KEPT} digits, and has replaced the last {lost} by zeros"
        return value - 10**lost // 2, value + 10**lost - 1, [f"{what}: format the column as text"]
    number = float(value)
    printed = len(str(value)) - len(str(value).rstrip("0")) >= max(2, len(str(value)) - _PRINTED)
    if value > _EXACT and (printed or value == int(number)):
        half = int(math.ulp(number)) // 2
        what = "a program has rounded its last digits, as JavaScript does above 2^53"
        return int(number) - half, int(number) + half, [f"{what}: pass it as text"]
    return value, value, []


def _lost_zeros(plain: str) -> bool:
    """Return whether a short number is probably a token without its leading zeros."""
    if len(plain) >= _KEPT:
        return True
    cls, block = digits.split(plain.zfill(digits.DIGITS))
    return cls == 1 and bool(tokens.unpack(cls, block, 7)[3])  # only test tokens have so many


def _plain(text: str) -> str:
    """Return a text with digits 0 to 9, spaces between groups, and line ends as newlines."""
    kept = []
    for sign in _INVISIBLE.sub("", text):
        if sign in _LINE_ENDS:
            kept.append("\n")
        else:
            kept.append(digits.clean(sign) or " ")
    return "".join(kept)


def _on_one_line(text: str) -> list[str]:
    found = [(match.start(), [match[0]]) for match in _WHOLE.finditer(text)]
    for match in _GROUPS.finditer(text):
        groups = match[0].split()
        if len(groups) % 5 == 0:  # else it is not known where a token begins
            tokens = ["".join(groups[at : at + 5]) for at in range(0, len(groups), 5)]
            found.append((match.start(), tokens))
    return [token for _, tokens in sorted(found) for token in tokens]
