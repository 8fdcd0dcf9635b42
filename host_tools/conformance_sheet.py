"""A conformance sheet as Markdown, HTML and JSON, all of one `Sheet`."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from host_tools.conformance import Row, Sheet
from host_tools.errors import BoardError
from jeton.sts.digits import grouped

NAME = "conformance"

_COLUMNS = ("token", "result", "expected", "ms", "clause")


def json_text(sheet: Sheet) -> str:
    """Return the sheet as JSON."""
    return json.dumps(sheet.as_dict(), indent=1, ensure_ascii=False) + "\n"


def write(path: Path, text: str) -> None:
    """Write a sheet; BoardError in one line where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
    "Each row sets the meter up for its key and store state and keys its tokens in over the serial "
    "line. A row is as expected if every token came to the result that the standard demands and of "
    "the meter's registers, key attributes and newest token identifier exactly those changed that "
    "had to. The time is that of a token, from its first octet sent to its result read, the "
    "line and the computer included. Clauses are of IEC 62055-41; “left to the maker” marks "
    "what the standard does not decide: there the meter's profile does. Vectors marked "
    "“computer” are of the vending side: a meter has neither vending key nor calendar. "
    "All keys are published test keys or published examples."
)


def _codes(row: Row) -> list[str]:
    return [grouped(k.token) if k.token.isdigit() else k.token for k in row.keyed]


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
    if row.wrong:
        results.append(f"**{_plain(row.wrong)}**")
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
    lines += ["## Token kind × key state × store state", ""]
    for title, rows in _groups(sheet):
        lines += [f"### {_plain(title)}", ""]
        lines += _md_table(("token", *("digits", *_COLUMNS[1:]), ""),
                           (_md_cells(row, row.kind) for row in rows))  # fmt: skip
    return "\n".join(lines)


# HTML

_STYLE = """
:root { --ink: #1d2733; --soft: #5b6775; --line: #d9dee5; --good: #1a7f4b; --bad: #b3261e;
  --paper: #fff; --tint: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.2rem 2rem 4rem; max-width: 78rem; background: var(--paper);
  color: var(--ink); font: 14px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem;
  padding-bottom: .3rem; border-bottom: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; break-after: avoid; }
p { max-width: 60rem; color: var(--soft); }
.verdict { display: inline-block; margin: .7rem 0 1.3rem; padding: .45rem .9rem; color: #fff;
  border-radius: .35rem; font-weight: 600; font-size: 1.05rem; background: var(--good); }
.verdict.bad { background: var(--bad); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr));
  gap: .6rem; margin: 0 0 1.4rem; }
.card { border: 1px solid var(--line); border-radius: .35rem; padding: .5rem .7rem; }
.card b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .82rem; }
table { border-collapse: collapse; width: 100%; margin: 0 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .28rem .55rem;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; font-size: .82rem; }
thead { display: table-header-group; } tr { break-inside: avoid; }
table.head th { width: 11rem; } table.head td { overflow-wrap: anywhere; }
.code { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace;
  font-size: .86rem; white-space: nowrap; }
.ms { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ok { color: var(--good); } .no { color: var(--bad); font-weight: 700; }
tr.bad td { background: #fdecea; } .clause { color: var(--soft); font-size: .86rem; }
.wrong { color: var(--bad); font-weight: 600; }
table.grid { font-size: .72rem; width: auto; } table.grid td, table.grid th { padding: .16rem .3rem;
  border: 1px solid var(--line); text-align: center; }
table.grid th.row { text-align: left; font-size: .74rem; font-weight: 500; color: var(--ink);
  white-space: nowrap; }
table.grid thead th { vertical-align: bottom; padding: .3rem .1rem; font-size: .72rem; }
table.grid td { min-width: 2rem; }
table.grid thead th div { writing-mode: vertical-rl; transform: rotate(180deg);
  white-space: nowrap; margin: 0 auto; text-align: left; font-weight: 500; }
.a { background: #d8f0e1; color: #0f5c34; } .s { background: #dbe8fb; color: #1c4587; }
.r { background: #fbeecb; color: #6b4a00; } .f { background: #b3261e; color: #fff; }
.n { background: var(--tint); }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .82rem; }
.scroll { overflow-x: auto; }
@page { size: A4 landscape; margin: 12mm; }
@media print { body { padding: 0; max-width: none; font-size: 10px; } .scroll { overflow: visible; }
  h2 { break-after: avoid; } table.grid { font-size: 7px; } table.grid th.row { font-size: 7.5px; }
  .code { font-size: 9px; } body, .verdict, td, th { print-color-adjust: exact;
  -webkit-print-color-adjust: exact; } }
"""

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
        + f"<td>{_lines((k.result for k in row.keyed), row.wrong)}</td>"
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
    yield "<h2>Overview: token kind × key state, fresh store</h2>"
    yield _grid((row for row in fresh if row.kind in wide), lambda row: row.key)
    key = "unique key (DUTK), EA07"
    yield "<h2>Overview: token kind × store state, unique key</h2>"
    stores = [row for row in matrix if row.key == key and row.kind in wide]
    yield _grid(stores, lambda row: row.store)
    yield (
        '<p><span class="a">&nbsp;✓ accepted&nbsp;</span>&ensp;<span class="s">&nbsp;a section of a key '
        'change&nbsp;</span> <span class="r">&nbsp;refused, as it must be&nbsp;</span>&ensp;'
        '<span class="f">&nbsp;✗ not as expected&nbsp;</span></p>'
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
        f"<style>{_STYLE}</style></head><body>",
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
        "<h2>Token kind × key state × store state</h2>",
    ]
    for title, rows in _groups(sheet):
        parts.append(f"<h3>{escape(title)}</h3>")
        parts.append(
            _table(("kind", *_COLUMNS, ""), (_html_row(row, row.kind) for row in rows), "rows")
        )
    parts.append(
        f"<footer>Made by Jeton {escape(sheet.head['Jeton'])}, {escape(sheet.head['date'])}: "
        "jeton conformance. The expected results stand in host_tools/conformance_cases.py."
        "</footer></body></html>"
    )
    return "\n".join(parts) + "\n"
