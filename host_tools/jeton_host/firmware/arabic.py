"""Arabic text for displays with cells: letters in their joined forms, in the order of cells.

The host prepares each message file, so that a board only copies cells and needs no table.
"""

import re
import unicodedata

# Text that keeps its direction from left to right: numbers, Latin words, the {} of a value, and
# sequences of them.
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
    """Return the letters of a word; lam and alef together are one, as they are written."""
    found: list[str] = []
    for letter in word:
        if found and found[-1] == "\u0644" and "\u0644" + letter in _FORMS:
            found[-1] += letter
        else:
            found.append(letter)
    return found


def shaped(text: str) -> str:
    """Return the text with each letter in the form for its neighbours, in reading order."""
    letters = _letters_of(text)
    forms = [_FORMS.get(letter, {}) for letter in letters]
    result = []
    for at, letter in enumerate(letters):
        own = forms[at]
        # A letter joins the next one if it has an initial form, and the one before if a final one.
        joins_before = "final" in own and at > 0 and "initial" in forms[at - 1]
        joins_next = "initial" in own and at + 1 < len(forms) and "final" in forms[at + 1]
        kind = ("isolated", "initial", "final", "medial")[joins_next + 2 * joins_before]
        result.append(own.get(kind, letter))
    return "".join(result)


def visual(text: str) -> str:
    """Return the cells, from left to right, of a line that is read from right to left.

    Numbers, Latin words and the {} of a message keep their direction.
    """
    cells: list[str] = []
    at = 0
    for match in _LEFT_TO_RIGHT.finditer(text):
        cells += [text[at : match.start()], match.group()]
        at = match.end()
    cells.append(text[at:])
    # Items with odd numbers keep their direction.
    return "".join(
        part if n % 2 else shaped(part)[::-1].translate(_MIRRORED)
        for n, part in reversed(list(enumerate(cells)))
    )
