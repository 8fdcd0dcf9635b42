"""Runs the guide for testers of a vending system as written, in an empty folder."""

from pathlib import Path

import pytest

from tests.examples.docs import ROOT, blocks, run_doc

HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "guides" / "vending-system.md"


@pytest.mark.parametrize("block", blocks(PAGE.read_text("utf-8")), ids=lambda b: f"{b.line}")
def test_the_examples_of_the_page_equal_the_files_in_this_folder(block) -> None:
    file = HERE / block.name
    if block.kind == "python" and block.name and file.exists():
        assert block.text == file.read_text("utf-8")


def test_the_page_works_as_written(wheel_venv: Path, tmp_path: Path) -> None:
    done = run_doc(PAGE, wheel_venv, tmp_path / "empty")
    assert len(done) == sum(block.kind == "sh" for block in blocks(PAGE.read_text("utf-8")))
