"""Write a conformance sheet as Markdown, HTML or JSON, each from one `Sheet`.

The templates are in the same folder; this module computes the values that they show.
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
    """Write a sheet to a file; raise BoardError if that fails."""
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
    "Each row sets the meter up in its key and store state and enters its tokens over the "
    "serial line. A row is as expected if every token has the result that the standard requires, "
    "and if exactly the right registers, key attributes and newest token identifier of the meter "
    "have changed. The time of a token is measured from the first byte sent to the result read; "
    "it includes the serial line and the computer. Clauses are of IEC 62055-41; “left to the "
    "maker” marks what the standard does not decide: there the meter's profile decides. Vectors "
    "marked “computer” test the vending side, because a meter has neither a vending key nor a "
    "calendar. All keys are published test keys or published examples."
)


def _codes(row: SheetRow) -> list[str]:
    return [grouped(k.token) if k.token.isdigit() else k.token for k in row.keyed]


def _remark(row: SheetRow) -> str:
    """Return what is wrong with a row, unless its results show it already."""
    return "" if row.wrong == f"{row.result}, expected {row.expected}" else row.wrong


def _times(row: SheetRow) -> list[str]:
    return ["" if k.ms is None else f"{k.ms:.1f}" for k in row.keyed]


def _groups(sheet: Sheet) -> Iterator[tuple[str, list[SheetRow]]]:
    """Yield (title, rows) of the matrix, in the order of the sheet.

    There is a group for each key state, and one for each store state that is not fresh.
    """
    groups: dict[str, list[SheetRow]] = {}
    for row in sheet.rows:
        if row.part == "matrix":
            title = row.key if row.store == "fresh store" else f"{row.key}: {row.store}"
            groups.setdefault(title, []).append(row)
    yield from groups.items()


# Templates


@cache
def _templates() -> "Environment":
    # Imported here, because no other command needs it: other commands start faster.
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
    """Return the values and functions for both templates, by name."""
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
    """Return text, escaped for a cell of a Markdown table."""
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


def _cell_class(row: SheetRow) -> str:
    """Return the CSS class of a cell: accepted, section of a key change, or refused."""
    return "a" if row.result == "Accept" else "s" if row.result.endswith("KCT") else "r"


def _short(row: SheetRow) -> str:
    return _SHORT.get(row.result, row.result.removesuffix("Error"))


@dataclass(frozen=True)
class _Overview:
    """A table: a line for each kind of token, a column for each state, a row or None in a cell."""

    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[SheetRow | None, ...]], ...]


def _overview(rows: Iterable[SheetRow], column: Callable[[SheetRow], str]) -> _Overview:
    found: dict[str, dict[str, SheetRow]] = {}
    columns: dict[str, None] = {}
    for row in rows:
        name = column(row)
        columns.setdefault(name)
        cells = found.setdefault(row.kind, {})
        if name not in cells or cells[name].good:  # a later good row must not hide a failure
            cells[name] = row
    lines = ((kind, tuple(cells.get(name) for name in columns)) for kind, cells in found.items())
    return _Overview(tuple(columns), tuple(lines))


def html(sheet: Sheet) -> str:
    """Return the sheet as one HTML page, for the screen and the printer, without other files."""
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
        cell_class=_cell_class,
        short=_short,
    )
