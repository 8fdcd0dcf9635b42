"""What stands in a conformance sheet, as text that its pages must not take for their own."""

from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from jeton_host.conformance.run import Keyed, Sheet, SheetRow
from jeton_host.conformance.sheet import html, markdown

NASTY = """a <b>"board"</b> | & 'co' \\ {{ 7 * 7 }}"""


def sheet(*rows: SheetRow) -> Sheet:
    head = {"board": NASTY, "date": "2026-01-01", "Jeton": "1.0"}
    return Sheet(head, {NASTY: 1}, rows, 1.0)


def row(**changed: str) -> SheetRow:
    told = {"part": "matrix", "kind": NASTY, "key": "default key", "store": "fresh store"}
    told |= {"clause": "7.3.5", "where": ""}
    keyed = (Keyed("12345678901234567890", "Accept", "Accept", 1.0),)
    return SheetRow(**(told | changed), keyed=keyed)  # type: ignore[arg-type]


class Seen(HTMLParser):
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


def test_no_text_becomes_a_part_of_the_page() -> None:
    seen = Seen(html(sheet(row(), row(key="unique key (DUTK), EA07", wrong=NASTY))))
    assert f"STS conformance of {NASTY}" in seen.texts
    assert seen.texts.count(NASTY) >= 5  # board, source, kind, what is wrong
    assert f"{NASTY}: Accept" in seen.titles
    assert NASTY in seen.titles  # over the sign of the failure
    assert "49" not in " ".join(seen.texts)
    assert not seen.tags & {"script"}
    assert "<b>" not in markdown(sheet(row())).replace("<br>", "")


def test_no_text_becomes_a_cell() -> None:
    lines = markdown(sheet(row(), row(wrong=NASTY))).splitlines()
    for line in lines:
        if line.startswith("| a &lt;b>"):
            assert line.replace("\\\\", "").count("\\|") in (1, 2), line
    assert sum(line.startswith("| a &lt;b>") for line in lines) == 4


@pytest.mark.parametrize("make", [html, markdown])
def test_a_sheet_without_rows_is_not_as_expected(make: Callable[[Sheet], str]) -> None:
    assert "0 of 0 rows are NOT as expected." in make(sheet())
