"""Arabic for displays of cells: letters in their joined forms, in the order of the cells.

Done where a message file is made, so that a board only copies cells: no table, no heap there.
"""

import re
import unicodedata

# What keeps its own direction, left to right: numbers, Latin words, the place of a value, and
# several of them in a row.
_WORD = r"[-+]?[A-Za-z0-9{][A-Za-z0-9{}.,:/+%-]*(?<![.,:/])"
_LEFT_TO_RIGHT = re.compile(rf"{_WORD}(?:,? {_WORD})*")
_MIRRORED = str.maketrans("()[]<>", ")(][><")

_FORMS: dict[str, dict[str, str]] = {}
for _code in range(0xFE80, 0xFEFD):  # Arabic presentation forms B, without the vowel marks
    _kind, *_letters = unicodedata.decomposition(chr(_code)).split()
    _FORMS.setdefault("".join(chr(int(letter, 16)) for letter in _letters), {})[
        _kind.strip("<>")
    ] = chr(_code)


def _letters_of(word: str) -> list[str]:
    """Split into letters, lam and alef together, because they are written as one."""
    found: list[str] = []
    for letter in word:
        if found and found[-1] == "\u0644" and "\u0644" + letter in _FORMS:
            found[-1] += letter
        else:
            found.append(letter)
    return found


def shaped(text: str) -> str:
    """Return the text with each letter in the form its neighbours ask for, still as it is read."""
    letters = _letters_of(text)
    forms = [_FORMS.get(letter, {}) for letter in letters]
    result = []
    for at, letter in enumerate(letters):
        own = forms[at]
        # A letter reaches the next one if it has an initial form, the one before if a final one.
        joins_before = "final" in own and at > 0 and "initial" in forms[at - 1]
        joins_next = "initial" in own and at + 1 < len(forms) and "final" in forms[at + 1]
        kind = ("isolated", "initial", "final", "medial")[joins_next + 2 * joins_before]
        result.append(own.get(kind, letter))
    return "".join(result)


def visual(text: str) -> str:
    """Return the cells from left to right of a line that is read from right to left.

    Numbers and Latin words in it keep their own direction; the {} of a message stays whole.
    """
    cells: list[str] = []
    at = 0
    for match in _LEFT_TO_RIGHT.finditer(text):
        cells += [text[at : match.start()], match.group()]
        at = match.end()
    cells.append(text[at:])
    # Odd places are left to right as they are.
    return "".join(
        part if n % 2 else shaped(part)[::-1].translate(_MIRRORED)
        for n, part in reversed(list(enumerate(cells)))
    )
