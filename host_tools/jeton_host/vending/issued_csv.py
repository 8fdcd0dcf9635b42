"""Write issued tokens as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from jeton.sts import tokens as layouts
from jeton.sts.results import NAMES, SECTION
from jeton_host.vending.records import Issued, MeterRecord


def issued_csv(entries: Sequence[Issued], records: Mapping[str, MeterRecord]) -> str:
    """Return tokens as CSV text, oldest first, for `jeton check-tokens`.

    The expected result of each token is that the meter accepts it. The key columns of a meter are
    those of its first token: the key changes are rows of the file.
    """
    out = io.StringIO(newline="")
    sheet = csv.writer(out)
    setup = ("dkga", "sgc", "ti", "krn", "kt", "ken", "bdt")
    sheet.writerow(["meter", "token", "expected kWh", "expected result", "ea", *setup])
    first: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        record = records[entry.meter]
        if entry.meter not in first:
            own = (e.key for e in entries[number:] if e.meter == entry.meter and e.cls != 1)
            first[entry.meter] = next(own, record.key).as_dict()
        kwh, result = "", NAMES[1]
        if (entry.cls, entry.sub) == (0, 0):
            kwh, result = str(layouts.amount_value(entry.fields["amount"]) / 10), ""
        elif entry.section is not None:
            later = (e for e in entries[number + 1 :] if e.meter == entry.meter)
            after = next(later, None)
            if after is not None and after.section and after.key.number == entry.key.number:
                result = NAMES[SECTION[entry.section - 1]]
        row = [entry.drn, entry.token, kwh, result, record.ea]
        sheet.writerow([*row, *(first[entry.meter][name] for name in setup)])
    return out.getvalue()
