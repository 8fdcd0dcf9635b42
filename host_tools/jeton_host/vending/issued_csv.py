"""Write issued tokens as CSV.

A spreadsheet that opens the file and saves it again changes numbers: it removes leading zeros,
keeps 15 digits, and reads 12.5 as a date where dates are written so. It leaves text alone.
Therefore each such cell is a text in every language:
DRN 00000000018, 7063-0503-4700-2872-6114, SGC 201457, 12.5 kWh.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jeton.sts import digits
from jeton.sts import tokens as layouts
from jeton.sts.results import NAMES, SECTION
from jeton_host.vending.functions import refusal
from jeton_host.vending.records import Issued, MeterRecord
from jeton_host.vending.tokens import AUTHENTIC, Decoded


def issued_csv(entries: Sequence[Issued], records: Mapping[str, MeterRecord]) -> str:
    """Return tokens as CSV text, oldest first, for `jeton check-tokens`.

    The expected result of each token is that the meter accepts it or, for a token that it always
    refuses, such as currency for a meter that counts kWh, its answer. The key columns of a meter
    are those of its first token: the key changes are rows of the file.
    """
    out = io.StringIO(newline="")
    sheet = csv.writer(out)
    setup = ("dkga", "sgc", "ti", "krn", "kt", "ken", "bdt")
    sheet.writerow(["meter", "token", "expected kWh", "expected result", "ea", *setup, "kct"])
    first: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        record = records[entry.meter]
        if entry.meter not in first:
            own = (e.key for e in entries[number:] if e.meter == entry.meter and e.cls != 1)
            first[entry.meter] = next(own, record.key).as_dict()
        kwh, result = "", NAMES[1]
        under = replace(record, key=entry.key)
        decoded = Decoded(AUTHENTIC, entry.cls, entry.sub, entry.name, entry.fields)
        if refused := refusal(under, decoded):
            result = refused[0]
        elif (entry.cls, entry.sub) == (0, 0):
            kwh, result = f"{layouts.amount_value(entry.fields['amount']) / 10} kWh", ""
        elif entry.section is not None:
            later = (e for e in entries[number + 1 :] if e.meter == entry.meter)
            after = next(later, None)
            if after is not None and after.section and after.key.number == entry.key.number:
                result = NAMES[SECTION[entry.section - 1]]
        row = [f"DRN {entry.drn}", digits.grouped(entry.token, "-"), kwh, result, record.ea]
        key = first[entry.meter]
        sheet.writerow([*row, *(_cell(name, key[name]) for name in setup), record.kct])
    return out.getvalue()


def _cell(name: str, value: object) -> str:
    return f"SGC {value}" if name == "sgc" else str(value)
