"""A conformance sheet as Markdown, HTML and JSON, all of one `Sheet`.

The templates stand beside it; what they need to know of a sheet is worked out here.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jeton.sts.digits import grouped
from jeton_host.conformance.run import Sheet, SheetRow
from jeton_host.errors import BoardError

if TYPE_CHECKING:
    from jinja2 import Environment

NAME = "conformance"
_HERE = Path(__file__).parent

_COLUMNS = ("token", "result", "expected", "ms", "clause")


def json_text(sheet: Sheet) -> str:
    """Return the sheet as JSON."""
    return json.dumps(sheet.as_dict(), indent=1, ensure_ascii=False) + "\n"


def write(path: Path, text: str) -> None:
    """Write a sheet; BoardError in one line where that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BoardError(f"the sheet cannot be written to {path}: {error.strerror}") from None


def _verdict(sheet: Sheet) -> str:
    found = sheet.summary
    if sheet.good:
        return f"All {found['rows']} rows are as expected."
    return f"{found['failed']} of {found['rows']} rows are NOT as expected."


def _counts(sheet: Sheet) -> list[tuple[str, str]]:
    found = sheet.summary
    return [
        ("rows", str(found["rows"])),
        ("as expected", str(found["as_expected"])),
        ("not as expected", str(found["failed"])),
        ("published vectors", str(found["vectors"])),
        ("rows of the matrix", str(found["matrix"])),
        ("tokens timed", str(found["tokens"])),
        ("a token, median", f"{found['median_ms']} ms"),
        ("a token, slowest", f"{found['slowest_ms']} ms"),
        ("whole run", f"{found['seconds']} s"),
    ]


_METHOD = (
    "Each row sets the meter up for its key and store state and keys its tokens in over the "
    "serial line. A row is as expected if every token came to the result that the standard "
    "demands and of the meter's registers, key attributes and newest token identifier exactly "
    "those changed that had to. The time is that of a token, from its first octet sent to its "
    "result read, the line and the computer included. Clauses are of IEC 62055-41; “left to the "
    "maker” marks what the standard does not decide: there the meter's profile does. Vectors "
    "marked “computer” are of the vending side: a meter has neither vending key nor calendar. "
    "All keys are published test keys or published examples."
)


def _codes(row: SheetRow) -> list[str]:
    return [grouped(k.token) if k.token.isdigit() else k.token for k in row.keyed]


def _remark(row: SheetRow) -> str:
    """Return what is wrong with a row, where its results do not say it already."""
    return "" if row.wrong == f"{row.result} and not {row.expected}" else row.wrong


def _times(row: SheetRow) -> list[str]:
    return ["" if k.ms is None else f"{k.ms:.1f}" for k in row.keyed]


def _groups(sheet: Sheet) -> Iterator[tuple[str, list[SheetRow]]]:
    """Give the rows of the matrix by key state, those with a past apart, in the sheet's order."""
    groups: dict[str, list[SheetRow]] = {}
    for row in sheet.rows:
        if row.part == "matrix":
            title = row.key if row.store == "fresh store" else f"{row.key}: {row.store}"
            groups.setdefault(title, []).append(row)
    yield from groups.items()


# Templates


@cache
def _templates() -> "Environment":
    # Imported here: a sheet is written once in a long run, and no other command needs it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    templates = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=select_autoescape(["html.jinja"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["cell"] = _cell
    return templates


def _parts(sheet: Sheet) -> dict[str, Any]:
    """Return what both templates have by name."""
    return {
        "sheet": sheet,
        "verdict": _verdict(sheet),
        "counts": _counts(sheet),
        "method": _METHOD,
        "columns": list(_COLUMNS),
        "vectors": [row for row in sheet.rows if row.part == "vector"],
        "groups": list(_groups(sheet)),
        "codes": _codes,
        "remark": _remark,
        "times": _times,
    }


# Markdown


def _cell(text: str) -> str:
    """Return text for a cell of a table in Markdown."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _results(row: SheetRow) -> list[str]:
    results = [k.result for k in row.keyed]
    if _remark(row):
        results.append(f"**{_cell(_remark(row))}**")
    return results


def markdown(sheet: Sheet) -> str:
    """Return the sheet as Markdown: failures first."""
    template = _templates().get_template("conformance.md.jinja")
    return template.render(_parts(sheet), results=_results)


# HTML

_STYLE = _HERE / "conformance.css"

_SHORT = {
    "Accept": "✓",
    "1stKCT": "1st",
    "2ndKCT": "2nd",
    "3rdKCT": "3rd",
    "4thKCT": "4th",
    "LockOut": "Lock",
    "NotReady": "Wait",
    "KeyExpiredError": "KEN",
    "KeyTypeError": "Type",
    "FunctionError": "Func",
    "OverflowError": "Over",
    "MfrCodeError": "Mfr",
}


def _mood(row: SheetRow) -> str:
    """Return the class of a cell by what the last token came to."""
    return "a" if row.result == "Accept" else "s" if row.result.endswith("KCT") else "r"


def _short(row: SheetRow) -> str:
    return _SHORT.get(row.result, row.result.removesuffix("Error"))


@dataclass(frozen=True)
class _Overview:
    """A kind of token a line, in it a row of the sheet for each state, or None."""

    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[SheetRow | None, ...]], ...]


def _overview(rows: Iterable[SheetRow], column: Callable[[SheetRow], str]) -> _Overview:
    found: dict[str, dict[str, SheetRow]] = {}
    columns: dict[str, None] = {}
    for row in rows:
        name = column(row)
        columns.setdefault(name)
        there = found.setdefault(row.kind, {})
        if name not in there or there[name].good:  # a failure is not hidden by what follows
            there[name] = row
    lines = ((kind, tuple(cells.get(name) for name in columns)) for kind, cells in found.items())
    return _Overview(tuple(columns), tuple(lines))


def html(sheet: Sheet) -> str:
    """Return the sheet as one HTML page that needs nothing else, and can be printed."""
    matrix = [row for row in sheet.rows if row.part == "matrix"]
    fresh = [row for row in matrix if row.store == "fresh store"]
    wide = {row.kind for row in fresh if row.key.startswith("default key")}
    key = "unique key (DUTK), EA07"
    stores = [row for row in matrix if row.key == key and row.kind in wide]
    template = _templates().get_template("conformance.html.jinja")
    return template.render(
        _parts(sheet),
        style=_STYLE.read_text(),
        by_key=_overview((row for row in fresh if row.kind in wide), lambda row: row.key),
        by_store=_overview(stores, lambda row: row.store),
        mood=_mood,
        short=_short,
    )
