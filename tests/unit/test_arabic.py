"""Tests of Arabic on displays of cells; the forms are those of the Unicode charts."""

import arabic_reshaper
import pytest

from jeton_host.firmware import profiles
from jeton_host.firmware.arabic import shaped, visual

MESSAGES = {
    words
    for name in profiles.shipped()
    if "ar" in (data := profiles.load(name))["languages"]
    for words in profiles.words(data, "ar").values()
}


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("ب", "ﺏ"),  # alone
        ("ببب", "ﺑﺒﺐ"),  # first, middle, last
        ("دار", "ﺩﺍﺭ"),  # letters that do not join the next one
        ("سلام", "ﺳﻼﻡ"),  # lam and alef are one form, joined to the letter before
        ("لا", "ﻻ"),
        ("الإنذار", "ﺍﻹﻧﺬﺍﺭ"),
        ("شيء", "ﺷﻲﺀ"),  # hamza joins nothing
        ("مقبول", "ﻣﻘﺒﻮﻝ"),
        ("رقم العداد", "ﺭﻗﻢ ﺍﻟﻌﺪﺍﺩ"),  # a blank joins nothing
        ("kWh", "kWh"),
    ],
)
def test_letters_take_their_joined_forms(text: str, forms: str) -> None:
    assert shaped(text) == forms


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("دار", "ﺭﺍﺩ"),
        ("دار 12.50 kWh", "12.50 kWh ﺭﺍﺩ"),
        ("دار {} دور", "ﺭﻭﺩ {} ﺭﺍﺩ"),
        ("{} دار 20", "20 ﺭﺍﺩ {}"),
        ("KRN / دار", "ﺭﺍﺩ / KRN"),
        ("دار -5", "-5 ﺭﺍﺩ"),
        ("(دار)", "(ﺭﺍﺩ)"),
        ("TID 5, 6 kWh", "TID 5, 6 kWh"),
        ("", ""),
    ],
)
def test_cells_are_in_the_order_of_the_display(text: str, cells: str) -> None:
    assert visual(text) == cells


def test_all_shipped_messages_have_the_same_forms_as_in_arabic_reshaper() -> None:
    """Only the tests use that library: it is ten times slower, and each board start shapes all.

    It checks the forms, not the order of the cells, which is Jeton's own: the algorithm of Unicode
    (python-bidi) puts a sign after its number and a unit before it, `5-` and `kWh 12.50`.
    """
    library = arabic_reshaper.ArabicReshaper({"delete_harakat": False})
    assert len(MESSAGES) > 70
    for words in MESSAGES:
        assert shaped(words) == library.reshape(words)
