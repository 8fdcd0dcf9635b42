"""Arabic as displays of cells show it; the forms are those of the Unicode charts."""

import pytest

from jeton_host.firmware.arabic import shaped, visual


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("ب", "ﺏ"),  # alone
        ("ببب", "ﺑﺒﺐ"),  # first, middle, last
        ("دار", "ﺩﺍﺭ"),  # letters that do not reach the next
        ("سلام", "ﺳﻼﻡ"),  # lam and alef are one, joined before
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
