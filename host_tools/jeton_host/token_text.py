"""The text of a token as people and programs write it: one rule for every place.

`jeton.sts.digits.clean` removes spaces, dashes, dots and invisible characters, and converts the
digits of other scripts. This module also finds tokens inside other text, such as an SMS, a receipt
or a cell of a table.
"""

import re

from jeton.sts import digits
from jeton_host.errors import WrongValueError

_LINE_ENDS = "\n\r\v\f\x85\u2028\u2029"
_INVISIBLE = re.compile("[\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_WHOLE = re.compile(r"(?<!\d)\d{20}(?!\d)")
_GROUPS = re.compile(r"(?<!\d)\d{4}(?: +\d{4})*(?!\d)")


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
