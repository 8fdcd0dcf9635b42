"""A conformance sheet as Markdown, HTML and JSON, all of one `Sheet`."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from jeton.sts.digits import grouped
from jeton_host.conformance.run import Row, Sheet
from jeton_host.errors import BoardError

NAME = "conformance"

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


def _codes(row: Row) -> list[str]:
    return [grouped(k.token) if k.token.isdigit() else k.token for k in row.keyed]


def _remark(row: Row) -> str:
    """Return what is wrong with a row, where its results do not say it already."""
    return "" if row.wrong == f"{row.result} and not {row.expected}" else row.wrong


def _times(row: Row) -> list[str]:
    return ["" if k.ms is None else f"{k.ms:.1f}" for k in row.keyed]


def _groups(sheet: Sheet) -> Iterator[tuple[str, list[Row]]]:
    """Give the rows of the matrix by key state, those with a past apart, in the sheet's order."""
    groups: dict[str, list[Row]] = {}
    for row in sheet.rows:
        if row.part == "matrix":
            title = row.key if row.store == "fresh store" else f"{row.key}: {row.store}"
            groups.setdefault(title, []).append(row)
    yield from groups.items()


# Markdown


def _plain(text: str) -> str:
    """Return text for a cell of a table in Markdown."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _md_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _md_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _md_row(head)
    yield "|" + "---|" * len(head)
    for row in rows:
        yield _md_row(row)
    yield ""


def _md_cells(row: Row, *first: str) -> list[str]:
    results = [k.result for k in row.keyed]
    if _remark(row):
        results.append(f"**{_plain(_remark(row))}**")
    parts = (_codes(row), results, [k.expected for k in row.keyed], _times(row))
    lists = ["<br>".join(map(str, part)) for part in parts]
    sign = "ok" if row.good else "**FAILED**"
    return [*map(_plain, first), *lists, row.clause, sign]


def markdown(sheet: Sheet) -> str:
    """Return the sheet as Markdown: failures first."""
    lines = [f"# Conformance of {_plain(sheet.head['board'])}", "", f"**{_verdict(sheet)}**", ""]
    lines += _md_table(("", ""), [(k, _plain(v)) for k, v in sheet.head.items()])
    lines += _md_table(("summary", ""), _counts(sheet))
    lines += [_METHOD, ""]
    if sheet.failed:
        lines += ["## Not as expected", ""]
        lines += _md_table(
            ("what", "key", "store", *_COLUMNS, ""),
            (_md_cells(row, row.kind, row.key, row.store) for row in sheet.failed),
        )
    lines += ["## Published vectors", ""]
    lines += _md_table(
        ("source", "vectors"), [(_plain(k), str(v)) for k, v in sheet.provenance.items()]
    )
    lines += _md_table(
        ("vector", "where", *_COLUMNS, ""),
        (_md_cells(row, row.kind, row.where) for row in sheet.rows if row.part == "vector"),
    )
    lines += ["## Token kind, key state, store state", ""]
    for title, rows in _groups(sheet):
        lines += [f"### {_plain(title)}", ""]
        lines += _md_table(("token", *("digits", *_COLUMNS[1:]), ""),
                           (_md_cells(row, row.kind) for row in rows))  # fmt: skip
    return "\n".join(lines)


# HTML

_STYLE = Path(__file__).with_name("conformance.css")

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


def _table(head: Sequence[str], body: Iterable[str], kind: str = "") -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{cells}</tr></thead>\n<tbody>'
        + "\n".join(body)
        + "</tbody></table></div>"
    )


def _lines(parts: Iterable[str], wrong: str = "") -> str:
    said = [escape(part) for part in parts]
    if wrong:
        said.append(f'<span class="wrong">{escape(wrong)}</span>')
    return "<br>".join(said)


def _html_row(row: Row, *first: str) -> str:
    return (
        ("<tr>" if row.good else '<tr class="bad">')
        + "".join(f"<td>{escape(text)}</td>" for text in first)
        + f'<td class="code">{_lines(_codes(row))}</td>'
        + f"<td>{_lines((k.result for k in row.keyed), _remark(row))}</td>"
        + f"<td>{_lines(k.expected for k in row.keyed)}</td>"
        + f'<td class="ms">{_lines(_times(row))}</td>'
        + f'<td class="clause">{escape(row.clause)}</td>'
        + ('<td class="ok">ok</td></tr>' if row.good else '<td class="no">FAILED</td></tr>')
    )


def _cell(row: Row | None) -> str:
    """Return one cell of an overview: what the last token came to."""
    if row is None:
        return '<td class="n"></td>'
    if not row.good:
        return f'<td class="f" title="{escape(row.wrong)}">✗</td>'
    result = row.result
    kind = "a" if result == "Accept" else "s" if result.endswith("KCT") else "r"
    short = _SHORT.get(result, result.removesuffix("Error"))
    return f'<td class="{kind}" title="{escape(f"{row.kind}: {result}")}">{escape(short)}</td>'


def _grid(rows: Iterable[Row], column: Callable[[Row], str]) -> str:
    """Return an overview: a kind of token a line, in it a cell for each state."""
    found: dict[str, dict[str, Row]] = {}
    columns: dict[str, None] = {}
    for row in rows:
        name = column(row)
        columns.setdefault(name)
        there = found.setdefault(row.kind, {})
        if name not in there or there[name].good:  # a failure is not hidden by what follows
            there[name] = row
    head = "".join(f"<th><div>{escape(name)}</div></th>" for name in columns)
    body = "\n".join(
        f'<tr><th class="row">{escape(kind)}</th>'
        + "".join(_cell(cells.get(name)) for name in columns)
        + "</tr>"
        for kind, cells in found.items()
    )
    return (
        f'<div class="scroll"><table class="grid"><thead><tr><th></th>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _overviews(sheet: Sheet) -> Iterator[str]:
    matrix = [row for row in sheet.rows if row.part == "matrix"]
    fresh = [row for row in matrix if row.store == "fresh store"]
    wide = {row.kind for row in fresh if row.key.startswith("default key")}
    yield "<h2>Overview: kinds of token and key states, fresh store</h2>"
    yield _grid((row for row in fresh if row.kind in wide), lambda row: row.key)
    key = "unique key (DUTK), EA07"
    yield "<h2>Overview: kinds of token and store states, unique key</h2>"
    stores = [row for row in matrix if row.key == key and row.kind in wide]
    yield _grid(stores, lambda row: row.store)
    yield (
        '<p class="legend"><span class="a">✓ accepted</span> '
        '<span class="s">a section of a key change</span> '
        '<span class="r">refused, as it must be</span> '
        '<span class="f">✗ not as expected</span></p>'
    )


def html(sheet: Sheet) -> str:
    """Return the sheet as one HTML page that needs nothing else, and can be printed."""
    head = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in sheet.head.items()
    )
    cards = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in _counts(sheet)
    )
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Conformance of {escape(sheet.head['board'])}, "
        f"{escape(sheet.head['date'])}</title>",
        f"<style>{_STYLE.read_text()}</style></head><body>",
        f"<h1>STS conformance of {escape(sheet.head['board'])}</h1>",
        f'<div class="verdict{"" if sheet.good else " bad"}">{escape(_verdict(sheet))}</div>',
        f'<div class="cards">{cards}</div>',
        f'<table class="head"><tbody>{head}</tbody></table>',
        f"<p>{escape(_METHOD)}</p>",
    ]
    if sheet.failed:
        parts += [
            "<h2>Not as expected</h2>",
            _table(
                ("what", "key", "store", *_COLUMNS, ""),
                (_html_row(row, row.kind, row.key, row.store) for row in sheet.failed),
            ),
        ]
    parts += _overviews(sheet)
    parts += [
        "<h2>Published vectors</h2>",
        _table(
            ("source", "vectors"),
            (
                f"<tr><td>{escape(source)}</td><td>{count}</td></tr>"
                for source, count in sheet.provenance.items()
            ),
        ),
        _table(
            ("vector", "where", *_COLUMNS, ""),
            (_html_row(row, row.kind, row.where) for row in sheet.rows if row.part == "vector"),
        ),
        "<h2>Token kind, key state, store state</h2>",
    ]
    for title, rows in _groups(sheet):
        parts.append(f"<h3>{escape(title)}</h3>")
        parts.append(
            _table(("kind", *_COLUMNS, ""), (_html_row(row, row.kind) for row in rows), "rows")
        )
    parts.append(
        f"<footer>Made by Jeton {escape(sheet.head['Jeton'])}, {escape(sheet.head['date'])}: "
        "jeton conformance. The expected results stand in jeton_host.conformance.cases."
        "</footer></body></html>"
    )
    return "\n".join(parts) + "\n"
