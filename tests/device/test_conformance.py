"""`jeton conformance`: a whole run, equal sheets in all formats, and faulty meters."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from command import jeton, ran, refused, result_of

from jeton_host.client.answers import TokenResult
from jeton_host.conformance import cases as conformance_cases
from jeton_host.conformance import run as conformance
from jeton_host.conformance.cases import ConformanceCase, Settings, Step
from jeton_host.conformance.run import Run, Sheet
from jeton_host.conformance.sheet import html, json_text, markdown
from jeton_host.errors import BoardError
from jeton_host.firmware import profiles
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.meters.named import make_config
from jeton_host.virtual.board import VirtualBoard

VECTORS = Path(__file__).parents[1] / "vectors" / "sts.jsonl"
GENERIC = Settings.of(profiles.load("generic"))


class Tables(HTMLParser):
    """The rows of a page's tables, as texts; `classes` are the CSS classes of the rows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.classes: list[str] = []
        self.loaded: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.loaded += [value for key in ("src", "href") if (value := names.get(key))]
        if tag not in ("meta", "br"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.classes.append(names.get("class") or "")
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and "table" in self._open:
            self.rows[-1][-1] += data.strip("\n")


def md_rows(text: str) -> list[list[str]]:
    return [
        re.split(r"(?<!\\)\|", line.strip().strip("|"))
        for line in text.splitlines()
        if line.startswith("|") and not line.startswith("|--")
    ]


def few(
    wanted: Callable[[ConformanceCase], bool],
) -> Callable[[Settings], Iterator[ConformanceCase]]:
    """Return a matrix with only some of its rows."""
    return lambda settings: filter(wanted, conformance_cases.matrix(settings))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit a run to a few rows, for tests that do not depend on the rows."""
    monkeypatch.setattr(
        conformance,
        "matrix",
        few(
            lambda case: (
                (case.kind == "credit, electricity" or case.kind.startswith("key change, whole"))
                and case.key.endswith("EA07")
                and not any(step.do == "restart" for step in case.before)
            )
        ),
    )
    rows = conformance.vectors()[::9]
    monkeypatch.setattr(conformance, "vectors", lambda: rows)


def test_a_whole_run_passes_on_a_virtual_board(tmp_path: Path) -> None:
    said = ran("conformance", "--out", str(tmp_path / "sheet"))
    assert (said.status, said.err) == (0, ""), said
    found = json.loads((tmp_path / "sheet" / "conformance.json").read_text())
    rows, summary = found["rows"], found["summary"]
    assert summary["ok"]
    assert summary["rows"] == len(rows) == summary["as_expected"]
    assert f"{len(rows)} of {len(rows)} rows as expected" in said.out
    ids = [json.loads(line)["id"] for line in VECTORS.read_text().splitlines()]
    assert [row["kind"].split(" ", 1)[1] for row in rows if row["part"] == "vector"] == ids
    assert sum(found["vectors_by_source"].values()) == len(ids)
    # The rows cover every key state, store state, token class and result of a meter.
    assert {state.name for state in conformance_cases.KEY_STATES} <= {row["key"] for row in rows}
    assert {store.name for store in conformance_cases.STORES} <= {row["store"] for row in rows}
    results = {keyed["result"] for row in rows for keyed in row["tokens"]}
    assert {r.standard_name for r in TokenResult} - results == {"NotReady"}
    assert all(keyed["ms"] > 0 for row in rows for keyed in row["tokens"] if keyed["ms"])
    head = found["head"]
    assert (head["board"], head["is this Jeton's"], head["profile"]) == (
        "virtual",
        "yes",
        "generic",
    )
    # The page and the text have the same rows.
    page = Tables((tmp_path / "sheet" / "conformance.html").read_text())
    assert page.loaded == [], "it needs nothing else"
    assert sum(row[-1:] == ["ok"] for row in page.rows) == len(rows)
    text = md_rows((tmp_path / "sheet" / "conformance.md").read_text())
    assert sum(row[-1].strip() == "ok" for row in text) == len(rows)
    assert {len(row) for row in text if row[-1].strip() == "ok"} == {7, 8}
    assert ["firmware hash", head["firmware hash"]] in page.rows
    assert "machine" not in head, "a virtual board has none, but the words of a compiler"


@pytest.mark.parametrize("profile", ["ceet", "itron", "landis_gyr"])
def test_behaviour_left_to_the_maker_follows_the_profile(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = {s.name for s in (conformance_cases.LOCKED, conformance_cases.TAMPERED)}
    monkeypatch.setattr(
        conformance,
        "matrix",
        few(
            lambda case: (
                (case.store in stores and case.key.endswith("EA07"))
                or "left to the maker" in case.clause
                or (case.kind.startswith("key change") and case.key.endswith(", EA07"))
            )
        ),
    )
    with Meter.open("virtual") as meter:
        sheet = Run(meter, profile).sheet()
    assert sheet.good, [(row.kind, row.key, row.store, row.wrong) for row in sheet.failed]
    results = {keyed.result for row in sheet.rows for keyed in row.keyed}
    assert ("NotReady" in results) == (profile in ("ceet", "itron"))
    assert ("LockOut" in results) == (profile == "landis_gyr")


def falsified(case: ConformanceCase) -> ConformanceCase:
    step = replace(case.steps[0], expected=TokenResult.OLD)
    return replace(case, kind="credit <b>&| falsified", steps=(step,), changes={})


def test_an_unexpected_result_fails_the_run(
    small: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cases = list(conformance.matrix(GENERIC))
    cases.append(falsified(cases[0]))
    cases.append(replace(cases[0], kind="another amount", changes={"credit_wh": 600}))
    cases.append(replace(cases[0], kind="another token", read={"subclass": 4}))
    monkeypatch.setattr(conformance, "matrix", lambda settings: iter(cases))
    said = ran("conformance", "--out", str(tmp_path))
    assert said.status == 1
    assert said.err == f"jeton: 3 of {len(cases) + 9} rows are not as expected\n"
    assert "FAILED  credit <b>&| falsified (unique key (DUTK), EA07, fresh store): " in said.out
    assert "Accept, expected OldError" in said.out
    found = json.loads((tmp_path / "conformance.json").read_text())
    wrong = [row["wrong"] for row in found["rows"]]
    assert [bool(text) for text in wrong[:4]] == [True, True, True, False], "failures come first"
    assert wrong[0] == "Accept, expected OldError"
    assert "credit_wh is 500, expected 600" in wrong[1]
    assert "subclass is 0, expected 4" in wrong[2]
    page = (tmp_path / "conformance.html").read_text()
    tables = Tables(page)
    assert page.index("Not as expected") < page.index("Overview") < page.index("Published vectors")
    bad = [row for row, kind in zip(tables.rows, tables.classes, strict=True) if kind == "bad"]
    assert bad[0][0] == "credit <b>&| falsified"
    assert [row[-1] for row in bad] == ["FAILED"] * 6, "among the failures, and in their place"
    text = (tmp_path / "conformance.md").read_text()
    assert "3 of" in text.splitlines()[2]
    assert text.index("## Not as expected") < text.index("## Published vectors")
    assert "**credit_wh is 500, expected 600**" in text
    (first, *_) = [row for row in md_rows(text) if "falsified" in row[0]]
    assert len(first) == 9
    repeated = ran("conformance", "--json")
    assert (repeated.status, repeated.json["summary"]["failed"]) == (1, 3)


FORGETFUL = """
from jeton.sts.tids import TidStore
TidStore.add = lambda self, tid: None
"""


def test_firmware_that_loses_used_tokens_is_found(small: None) -> None:
    with Meter.open("virtual") as meter:
        meter.run(FORGETFUL)
        sheet = Run(meter).sheet()
    assert not sheet.good
    wrong = {(row.store, row.wrong) for row in sheet.failed}
    assert ("the same token before", "Accept, expected UsedError") in wrong
    assert any("tid_newest is" in said for _, said in wrong), "also where it is accepted"


def test_a_disconnected_board_ends_the_run(small: None) -> None:
    with VirtualBoard() as board, Meter(board.path, timeout=1) as meter:
        run = Run(meter)
        with pytest.raises(BoardError, match=r"does not answer|is gone|no power"):
            run.sheet(lambda done: board.power_cut() if done == 3 else None)


def test_an_error_of_the_board_fails_its_row(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = list(conformance.matrix(GENERIC))[:3]
    cases[1] = replace(cases[1], config=dict(cases[1].config) | {"ti": 100})
    monkeypatch.setattr(conformance, "matrix", lambda settings: iter(cases))
    with Meter.open("virtual") as meter:
        sheet = Run(meter).sheet()
    (row,) = sheet.failed
    assert "ti must be" in row.wrong
    assert (row.result, row.keyed) == ("", ())
    assert "ti must be" in html(sheet)
    assert "ti must be" in markdown(sheet)
    assert json.loads(json_text(sheet))["rows"][0]["tokens"] == []


def test_a_board_on_a_port_is_tested_and_left_unchanged(small: None) -> None:
    with VirtualBoard() as board:
        found = result_of("conformance", "--meter", board.path)
        assert found["summary"]["ok"]
        assert found["head"]["port"] == board.path
        with Meter(board.path) as meter:
            status = meter.status()
            assert not status.provisioned, "it is left as it was found"
            assert status.rate == 1
            meter.provision(make_config() | {"credit_wh": 5000})
        line = refused("conformance", "--meter", board.path)
        assert "there is meter 00000000" in line
        assert "--erase-meter" in line
        with Meter(board.path) as meter:
            assert meter.status().credit_wh == 5000
        assert result_of("conformance", "--meter", board.path, "--erase-meter")["summary"]["ok"]
        with Meter(board.path) as meter:
            assert not meter.status().provisioned
            meter.reset()
            assert not meter.status().provisioned, "no store is left on the flash"
            meter.provision(make_config())
            meter.lock("a code that is long")
        assert "is locked" in refused("conformance", "--meter", board.path, "--erase-meter")


def test_a_kept_meter_is_tested_on_a_copy(small: None) -> None:
    jeton("new", "home", "--profile", "ceet", "--credit", "12.5")
    before = meters.find("home").flash.read_bytes()
    found = result_of("conformance", "--meter", "home")
    assert (found["summary"]["ok"], found["head"]["profile"]) == (True, "ceet")
    assert found["head"]["port"] == "a copy of home"
    assert meters.find("home").flash.read_bytes() == before
    with Meter.open("home"):
        assert "runs at" in refused("conformance", "--meter", "home")


def test_an_unwritable_sheet_is_reported_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "sheet", lambda *_: pytest.fail("it runs"))
    (tmp_path / "file").write_text("")
    for option, where in (
        ("--html", "file/a"),
        ("--html", "nowhere/a.html"),
        ("--markdown", "."),
        ("--out", "file"),
        ("--out", "nowhere/sheet"),
    ):
        assert "cannot be written" in refused("conformance", option, str(tmp_path / where)), where
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_every_row_is_unique_and_complete() -> None:
    """The table has no duplicate rows, digits for every token and a clause for every row."""
    cases = list(conformance_cases.matrix(GENERIC))
    keys = [(case.kind, case.key, case.store) for case in cases]
    assert len(set(keys)) == len(keys)
    assert all(case.clause for case in cases)
    assert all(step.token and step.expected is not None for case in cases for step in case.steps)
    assert all(isinstance(step, Step) for case in cases for step in case.before)


def test_an_empty_run_is_not_good() -> None:
    head: dict[str, Any] = {"board": "virtual", "date": "now", "Jeton": "0"}
    assert not Sheet(head, {}, (), 0.0).good


def test_a_port_that_stops_answering_is_reported_once(
    small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VirtualBoard() as board:
        run_sheet = Run.sheet

        def sheet(run: Run, progress: Callable[[int], object]) -> Sheet:
            return run_sheet(run, lambda done: board.power_cut() if done == 3 else None)

        monkeypatch.setattr(Run, "sheet", sheet)
        monkeypatch.setattr("jeton_host.bench.flashing.PATIENCE", 1.0)
        said = ran("conformance", "--meter", board.path)
        assert (said.status, said.out) == (1, "")
        assert said.err.count("\n") == 1, said.err
        assert board.path in said.err
