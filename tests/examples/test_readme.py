"""The README is short, and its session, its test and its commands work."""

from pathlib import Path

from tests.examples.docs import ROOT, blocks, run_doc, session

README = ROOT / "README.md"
MOST_LINES = 150


def test_the_readme_is_short() -> None:
    lines = README.read_text("utf-8").splitlines()
    assert len(lines) <= MOST_LINES
    (shown,) = (block for block in blocks(README.read_text("utf-8")) if block.kind == "console")
    assert shown.text.count("\n") <= 12, "the session"


def test_the_readme_starts_with_the_two_commands() -> None:
    first = blocks(README.read_text("utf-8"))[0]
    assert [line.split("#")[0].strip() for line in first.text.splitlines()] == [
        "make run",
        "make test",
    ]


def test_the_readme_works_as_written(wheel_venv: Path, tmp_path: Path) -> None:
    done = run_doc(README, wheel_venv, tmp_path / "empty")
    (shown,) = (block for block in blocks(README.read_text("utf-8")) if block.kind == "console")
    steps = [step.text.split()[1] for step, _ in session(shown)]
    assert steps == ["new", "vend", "enter", "load", "enter", "explain"]
    assert sum("jeton vend home credit" in block.text for block, _ in done) == 1
