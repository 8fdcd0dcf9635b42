"""Tests that texts in a conformance sheet are escaped in its HTML and Markdown pages."""

from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from jeton_host.conformance.run import Keyed, Sheet, SheetRow
from jeton_host.conformance.sheet import html, markdown

MARKUP = """a <b>"board"</b> | & 'co' \\ {{ 7 * 7 }}"""


def sheet(*rows: SheetRow) -> Sheet:
    head = {"board": MARKUP, "date": "2026-01-01", "Jeton": "1.0"}
    return Sheet(head, {MARKUP: 1}, rows, 1.0)


def row(**changed: str) -> SheetRow:
    values = {"part": "matrix", "kind": MARKUP, "key": "default key", "store": "fresh store"}
    values |= {"clause": "7.3.5", "where": ""}
    keyed = (Keyed("12345678901234567890", "Accept", "Accept", 1.0),)
    return SheetRow(**(values | changed), keyed=keyed)  # type: ignore[arg-type]


class ParsedPage(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.titles: list[str | None] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.titles += [value for name, value in attrs if name == "title"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_texts_are_escaped_in_html() -> None:
    page = ParsedPage(html(sheet(row(), row(key="unique key (DUTK), EA07", wrong=MARKUP))))
    assert f"STS conformance of {MARKUP}" in page.texts
    assert page.texts.count(MARKUP) >= 5  # board, source, kind, error
    assert f"{MARKUP}: Accept" in page.titles
    assert MARKUP in page.titles  # title of the failure sign
    assert "49" not in " ".join(page.texts)
    assert not page.tags & {"script"}
    assert "<b>" not in markdown(sheet(row())).replace("<br>", "")


def test_texts_are_escaped_in_markdown() -> None:
    lines = markdown(sheet(row(), row(wrong=MARKUP))).splitlines()
    for line in lines:
        if line.startswith("| a &lt;b>"):
            assert line.replace("\\\\", "").count("\\|") in (1, 2), line
    assert sum(line.startswith("| a &lt;b>") for line in lines) == 4


@pytest.mark.parametrize("make", [html, markdown])
def test_a_sheet_without_rows_is_not_as_expected(make: Callable[[Sheet], str]) -> None:
    assert "0 of 0 rows are NOT as expected." in make(sheet())
