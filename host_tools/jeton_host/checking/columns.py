"""The columns of a file of tokens: what a header means, and the energy in a cell.

Headers and numbers are read as vending systems and spreadsheets of several languages write them.
"""

import re
import unicodedata
from decimal import Decimal

from jeton_host.errors import VendingError

SETUP = ("ea", "dkga", "sgc", "ti", "krn", "kt", "ken", "bdt", "kct", "tables", "profile", "made")
"""Columns with parameters of the meter, named as in PointOfSale.add_meter."""
IGNORE = "ignore"
"""The name for --column of a column that is not to be compared."""

KNOWN = {
    "meter": (
        *("meter", "drn", "pan", "meternumber", "meterno", "meterserialnumber", "metersn"),
        *("compteur", "numerocompteur", "numerodecompteur", "nocompteur", "ncompteur"),
    ),
    "token": (
        *("token", "ststoken", "tokens", "tokenno", "tokennumber", "tokencode"),
        *("jeton", "jetonsts", "codejeton"),
    ),
    "expected": ("expected",),
    "energy": ("expectedkwh", "kwh"),
    "result": ("expectedresult", "result"),
} | {name: (name,) for name in SETUP}

# A header is one of energy if it has a word of one of the first two lines, and no other words than
# these; words of the third line only beside a unit, because they may also mean money.
_UNITS = re.compile(
    "kwh|wh|mwh|unit|units|unite|unites|unidad|unidades|unidade|einheiten|"
    "وحدات|الوحدات|كيلوواط"  # units, the units, kilowatt
)
_ENERGY = re.compile(
    "energy|energie|energia|quantity|quantite|qty|qte|cantidad|quantidade|qtd|menge|"
    "طاقة|الطاقة|كمية|الكمية"  # energy, quantity
)
_MAYBE_MONEY = re.compile("amount|montant|value|valeur|total|credit|valor|monto|betrag")
_OTHER_WORDS = re.compile(
    "expected|of|in|en|de|d|the|number|nb|no|nombre|active|purchased|bought|sold|issued|"
    "token|achete|achetes|achetee|achetees|vendu|vendus|vendue|vendues|attendu|attendue|"
    "attendus|comprado|comprados|comprada|gekauft|net|nette"
)
# A column with such a word has no energy, also if its cells are numbers.
_NOT_ENERGY = re.compile(
    "price|prix|cost|cout|vat|tva|tax|taxe|fee|fees|frais|rate|taux|tariff|tarif|debt|"
    "dette|arrears|balance|solde|change|paid|paye|tendered|currency|fcfa|xaf|xof|usd|eur|"
    "zar|kes|receipt|recu|ticket|reference|ref|id|tid|date|time|heure|jour|day|month|"
    "mois|year|annee|phone|tel|telephone|msisdn|customer|client|account|compte|operator|"
    "vendor|pos|line|row|index|sequence|seq|step|section|krn|sgc|class|subclass"
)
_LONGEST = 8  # digits of a whole number that may still be an amount of energy
_FACTORS = {"w": 1, "k": 1000, "m": 1_000_000}  # beginning of a unit -> Wh

_GAPS = " '\u2019\u066c\xa0\u2009\u202f"
_AMOUNT = re.compile(
    rf"([0-9][0-9.,\u066b{_GAPS}]*) ?(?:(k|m)?(w)h|(?:units?|unit\u00e9s?|unites?|u)?)",
    re.IGNORECASE,
)
_THREES = re.compile(r"[0-9]{1,3}(?:[.,][0-9]{3})+")


def key(header: str) -> str:
    """Return a header without case, accents and separators, to compare it."""
    return re.sub(r"[\W_]+", "", _folded(header))


def energy_rank(header: str) -> int:
    """Return how clearly a header means the energy of a token: 0 not at all, 5 by its name."""
    if key(header) in KNOWN["energy"]:
        return 5 - KNOWN["energy"].index(key(header))
    has = [_has(header, words) for words in (_UNITS, _ENERGY, _MAYBE_MONEY)]
    if not any(has[:2]) or not _only(header, _UNITS, _ENERGY, _MAYBE_MONEY, _OTHER_WORDS):
        return 0
    if not has[0]:
        return 0 if has[2] else 1
    return 3 if _unit(header) else 2


def may_be_energy(header: str, cells: list[str]) -> bool:
    """Return whether a column without a known meaning may contain the energy of the tokens."""
    if _has(header, _NOT_ENERGY):
        return False
    filled = [cell for cell in cells if cell]
    if _has(header, _UNITS) or _has(header, _ENERGY):
        return bool(filled)
    return bool(filled) and all(_is_amount(cell) for cell in filled)


def energy_wh(text: str, *, comma: bool, header: str = "") -> int | None:
    """Return the energy in a cell in Wh; None if it is not an amount of energy.

    `comma`: a single comma is a decimal point. The unit is that of the cell, else that of its
    `header`, else kWh. Raise VendingError for an amount that has two meanings, or that is not a
    whole number of Wh.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        return None
    number = _decimal(match[1].strip().replace("\u066b", ","), comma, text)
    if number is None:
        return None
    energy = number * _FACTORS[(match[2] or match[3] or "").lower() or _unit(header) or "k"]
    if energy != energy.to_integral_value():
        raise VendingError(f"{quoted(text)} kWh is not a whole number of Wh")
    return int(energy)


def _decimal(text: str, comma: bool, shown: str) -> Decimal | None:
    """Return a number that may have thousands separators and a decimal point or comma."""
    if re.search(f"[{_GAPS}]", text):
        gap = next(sign for sign in text if sign in _GAPS)
        whole = re.split("[.,]", text)[0]
        if not re.fullmatch(f"[0-9]{{1,3}}(?:{gap}[0-9]{{3}})+", whole):
            return None
        text = text.replace(gap, "")
    signs = [sign for sign in text if sign in ".,"]
    if len(set(signs)) == 2:  # the last one is the decimal point
        whole, last, part = text.rpartition(signs[-1])
        if last in whole or not _THREES.fullmatch(whole):
            return None
        text = re.sub("[.,]", "", whole) + "." + part
    elif len(signs) > 1:
        if not _THREES.fullmatch(text):
            return None
        text = re.sub("[.,]", "", text)
    elif signs == [","]:
        if not comma and re.fullmatch("[1-9][0-9]{0,2},[0-9]{3}", text):
            raise VendingError(
                f"{quoted(shown)} has two meanings, with a comma for thousands or for decimals; "
                "write a decimal point"
            )
        text = text.replace(",", ".")
    if not re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", text):
        return None
    return Decimal(text)


def _is_amount(cell: str) -> bool:
    if re.fullmatch(rf"[0-9]{{{_LONGEST},}}", cell):
        return False
    try:
        return energy_wh(cell, comma=True) is not None
    except VendingError:
        return True


def _folded(text: str) -> str:
    """Return a text in lower case, without accents."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).casefold()


def _words(header: str) -> list[str]:
    return re.findall(r"[^\W_]+", _folded(header))


def _has(header: str, words: re.Pattern[str]) -> bool:
    return any(words.fullmatch(word) for word in _words(header))


def _only(header: str, *several: re.Pattern[str]) -> bool:
    return all(any(words.fullmatch(word) for words in several) for word in _words(header))


def _unit(header: str) -> str:
    """Return the beginning of the unit in a header: w, k or m; empty if it has none."""
    return next((word[0] for word in _words(header) if word in ("wh", "kwh", "mwh")), "")


def quoted(text: str) -> str:
    """Return a text of the file for a message: quoted, one line, at most 40 characters."""
    return repr(text if len(text) <= 40 else text[:40] + "…")
