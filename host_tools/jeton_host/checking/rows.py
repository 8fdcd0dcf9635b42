"""Read a file of issued tokens: CSV or JSON lines, one token in each row.

This module must not use meters or keys. An error of the whole file is a JetonError; an error
of one row is in the `problem` of that row, and the other rows are valid.
"""

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from jeton.sts import digits
from jeton.sts.results import NAMES
from jeton_host import token_text
from jeton_host.checking import columns as headers
from jeton_host.checking.columns import IGNORE, KNOWN, SETUP, quoted
from jeton_host.errors import JetonError, VendingError
from jeton_host.vending import batch

MAX_ROWS = 1_000_000
MAX_BYTES = 256 << 20

_RESULTS = {name.casefold(): name for name in NAMES[1:]}
_DELIMITERS = ",;\t|"
_SEP = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
_QUOTED = re.compile(r'="([^"]*)"|\'(.*)', re.DOTALL)
_LABEL = re.compile(r"(?:drn|pan|meter|sgc)[ :#\xa0]+([0-9]+)", re.IGNORECASE)
_HYPHENS = re.compile("[0-9]{4}(?:-[0-9]{4}){4}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_BOMS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\xef\xbb\xbf": "utf-8"}


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One issued token. `line` is the first line of its row in the file, from 1.

    Expected is a `result` (its name in the standard), or `energy_wh`, or both, or nothing.
    `setup`: the parameters of the meter that the row gives. `problem`: why the row is not valid.
    `unread`: which cell may contain the expected energy, but could not be read.
    """

    line: int
    meter: str = ""
    token: str = ""
    result: str | None = None
    energy_wh: int | None = None
    setup: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    unread: str = ""

    @property
    def expected(self) -> str:
        """Return in words what is expected; empty if nothing is."""
        energy = "" if self.energy_wh is None else f"{Decimal(self.energy_wh) / 1000} kWh"
        return ", ".join(part for part in (self.result, energy) if part)


@dataclass(frozen=True, slots=True)
class TokenFile:
    """All rows of a file, in order, and the headers of the columns that are not used."""

    rows: Sequence[TokenRow]
    unused: Sequence[str]


def read(data: bytes, columns: Mapping[str, str] | None = None) -> TokenFile:
    """Return the rows of a file from its bytes.

    `columns`: headers that differ from the usual ones, such as {"token": "STS code"}.
    """
    if len(data) > MAX_BYTES:
        raise JetonError(f"a file of {len(data) >> 20} MiB is too large: split it")
    if data.startswith(b"PK\x03\x04"):
        raise JetonError("this is a spreadsheet file: save it as CSV UTF-8")
    wanted = {headers.key(header): name for name, header in (columns or {}).items()}
    for name in columns or {}:
        if name not in (*KNOWN, IGNORE):
            raise JetonError(f"there is no column {name!r}: use {', '.join((*KNOWN, IGNORE))}")
    text = _text(data)
    if not text.strip():
        raise JetonError("the file is empty: it needs a header and a row for each token")
    if text.lstrip().startswith("["):
        raise JetonError("this is a JSON list: write JSON lines, one object a line")
    cells = _json(text) if text.lstrip().startswith("{") else _csv(text, wanted)
    head: list[str] = []
    place: dict[str, int] = {}
    rows: list[TokenRow] = []
    others = _Others(wanted)
    for number, names, values, comma, problem in cells:
        if names and names != head:
            place = _places(names, wanted, strict=not head)
            head = names
        if len(rows) == MAX_ROWS:
            raise JetonError(f"more than {MAX_ROWS} rows: split the file")
        if problem:
            rows.append(TokenRow(number, problem=problem))
        else:
            found = _one_token_each(_row(number, place, values, comma, head))
            if "energy" not in place:
                free = {at: head[at] for at in range(len(head)) if at not in place.values()}
                others.see(range(len(rows), len(rows) + len(found)), free, values)
            rows += found
    if not rows:
        raise JetonError("there is no row below the header")
    others.mark(rows)
    used = {head[at] for at in place.values()} if head else set()
    ignored = {name for name in head if wanted.get(headers.key(name)) == IGNORE}
    unused = [name for name in head if name not in used and name not in ignored and name]
    return TokenFile(rows, unused)


class _Others:
    """The columns without a known meaning: one of them may contain the energy of the tokens."""

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self._wanted = wanted
        self._cells: dict[str, dict[int, str]] = {}  # header -> row -> cell

    def see(self, rows: Iterable[int], free: Mapping[int, str], values: Sequence[str]) -> None:
        """Add the cells of a row; `free` has the places and headers of such columns."""
        for at, header in free.items():
            ignored = self._wanted.get(headers.key(header)) == IGNORE
            if header and not ignored and at < len(values):
                self._cells.setdefault(header, {}).update(dict.fromkeys(rows, values[at]))

    def mark(self, rows: list[TokenRow]) -> None:
        """Mark the rows in which such a column has a value."""
        for header, cells in self._cells.items():
            if not headers.may_be_energy(header, list(cells.values())):
                continue
            way = (
                f"column {quoted(header)} may contain the energy: give --column energy={header}, "
                f"or --column {IGNORE}={header}"
            )
            for at, cell in cells.items():
                if cell and not rows[at].problem and not rows[at].unread:
                    rows[at] = replace(rows[at], unread=way)


_Cells = Iterator[tuple[int, list[str], list[str], bool, str]]
"""Line, header, cells, whether a comma is a decimal point, problem of the row."""


def _text(data: bytes) -> str:
    encoding = "utf-8"
    for bom, name in _BOMS.items():
        if data.startswith(bom):
            data, encoding = data[len(bom) :], name
            break
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise JetonError(
            f"line {line} is not {encoding.upper()} text: save the file as CSV UTF-8"
        ) from None


def _csv(text: str, wanted: Mapping[str, str]) -> _Cells:
    separator = _SEP.match(text)
    skipped = 0
    if separator:
        delimiter, skipped = separator[1], 1
        text = text[separator.end() :]
    else:
        delimiter = _delimiter(text, wanted)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=False
    )
    header: list[str] = []
    line = 0
    try:
        for cells in reader:
            begins, line = line + 1 + skipped, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [_plain(cell) for cell in cells]
                _places(header, wanted, strict=True)  # check the header even if no row follows
                continue
            problem = ""
            if len(cells) > len(header) and any(cells[len(header) :]):
                problem = f"it has {len(cells)} cells, but the header has {len(header)}"
            yield begins, header, [_plain(cell) for cell in cells], delimiter != ",", problem
    except csv.Error as error:
        raise JetonError(f"line {reader.line_num + skipped} is not CSV: {error}") from None


def _delimiter(text: str, wanted: Mapping[str, str]) -> str:
    """Return the delimiter that gives the required columns, else the most likely delimiter."""
    head = text.lstrip().split("\n", 1)[0][:10_000]
    for delimiter in _DELIMITERS:
        with contextlib.suppress(csv.Error):
            cells = next(csv.reader([head], delimiter=delimiter, skipinitialspace=True))
            if {"meter", "token"} <= {_name(_plain(cell), wanted) for cell in cells}:
                return delimiter
    try:
        return csv.Sniffer().sniff(head, _DELIMITERS).delimiter
    except csv.Error:
        return ","


def _json(text: str) -> _Cells:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = batch.parse(line.encode("utf-8", "surrogatepass"))
            names = [str(name) for name in found]
            values = [_value(name, value) for name, value in found.items()]
        except VendingError as error:
            yield number, [], [], False, str(error)
        else:
            yield number, names, values, False, ""


def _value(name: str, value: Any) -> str:
    """Return a JSON value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VendingError(f"{quoted(name)} must be text or a number")
    if _name(name, {}) in ("meter", "token", "sgc"):
        raise VendingError(
            f"{quoted(name)} must be text, in quotes: a number loses its leading zeros"
        )
    return str(value)


def _plain(cell: str) -> str:
    """Return a cell without what keeps it text in a spreadsheet.

    That is '0012, ="0012", a label before a number (DRN 0012), or hyphens in a token.
    """
    cell = cell.strip()
    marked = _QUOTED.fullmatch(cell)
    cell = cell if marked is None else (marked[1] or marked[2] or "").strip()
    labelled = _LABEL.fullmatch(cell)
    if labelled is not None:
        return labelled[1]
    return cell.replace("-", "") if _HYPHENS.fullmatch(cell) else cell


def _name(header: str, wanted: Mapping[str, str]) -> str | None:
    key = headers.key(header)
    if key in wanted:
        return wanted[key]
    for name, keys in KNOWN.items():
        if key in keys:
            return None if name in wanted.values() else name
    if "energy" not in wanted.values() and headers.energy_rank(header):
        return "energy"
    return None


def _places(header: list[str], wanted: Mapping[str, str], *, strict: bool) -> dict[str, int]:
    found: dict[str, int] = {}
    for place, text in enumerate(header):
        name = _name(text, wanted)
        if name in (None, IGNORE):
            continue
        assert name is not None
        if name in found:
            first = header[found[name]]
            ranks = [headers.energy_rank(one) for one in (first, text)]
            if name == "energy" and headers.key(first) != headers.key(text):
                if ranks[1] > ranks[0]:
                    found[name] = place
                continue
            raise JetonError(f"two columns contain the {name}: {quoted(first)} and {quoted(text)}")
        found[name] = place
    if strict:
        for name in ("meter", "token"):
            if name not in found:
                raise JetonError(
                    f"there is no column {name}: the header has "
                    + (", ".join(quoted(text) for text in header[:12]) or "nothing")
                    + f"; give its header with --column {name}=HEADER"
                )
    return found


def _row(
    number: int,
    place: Mapping[str, int],
    values: list[str],
    comma: bool,
    head: Sequence[str],
) -> TokenRow:
    def cell(name: str) -> str:
        at = place.get(name)
        return values[at] if at is not None and at < len(values) else ""

    row = TokenRow(number, cell("meter"), cell("token"))
    texts = [cell(name) for name in place if name != "token"]
    if not token_text.is_number(row.token) and not token_text.found_in(row.token):
        texts.append(digits.clean(row.token))  # a line end may be between groups of digits
    if any(map(_CONTROL.search, texts)):
        return replace(row, problem="it contains control characters")
    row = replace(row, setup={name: cell(name) for name in SETUP if cell(name)})
    for name in ("meter", "token"):
        if not cell(name):
            return replace(row, problem=f"it has no {name}")
    try:
        for name in ("expected", "energy", "result"):
            if name in place:
                row = _expect(row, name, cell(name), comma, head[place[name]])
    except VendingError as error:
        return replace(row, problem=str(error))
    return row


def _one_token_each(row: TokenRow) -> list[TokenRow]:
    """Return a row for each token of a cell that has several, or text around one."""
    if row.problem or token_text.is_number(row.token):
        return [row]
    found = token_text.found_in(row.token)
    if len(found) > 1 and row.expected:
        why = f"it has {len(found)} tokens and one expected value: give each token a row"
        return [replace(row, problem=why)]
    return [replace(row, token=token) for token in found] or [row]


def _expect(row: TokenRow, name: str, text: str, comma: bool, header: str) -> TokenRow:
    """Return the row with the expected result or energy of a cell added."""
    if not text:
        return row
    if result := _RESULTS.get(text.casefold()):
        if row.result not in (None, result):
            raise VendingError(f"it expects both {row.result} and {result}")
        return replace(row, result=result)
    wrong = f"{quoted(text)} is neither kWh like 12.5 nor a result like Accept or UsedError"
    try:
        energy_wh = headers.energy_wh(text, comma=comma, header=header)
    except VendingError as error:
        energy_wh, wrong = None, str(error)
    if energy_wh is None:
        if name == "energy":
            return replace(row, unread=f"column {quoted(header)}: {wrong}")
        raise VendingError(wrong)
    if row.energy_wh not in (None, energy_wh):
        raise VendingError(f"it expects both {row.expected} and {text}")
    return replace(row, energy_wh=energy_wh)
