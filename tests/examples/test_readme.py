"""The document for those who test a vending system: word for word, from an empty folder."""

import socket
from pathlib import Path

import pytest

from tests.examples.docs import blocks, run_doc

HERE = Path(__file__).parent
README = HERE / "README.md"


@pytest.mark.parametrize("block", blocks(README.read_text("utf-8")), ids=lambda b: f"{b.line}")
def test_what_it_shows_are_the_examples(block) -> None:
    file = HERE / block.name
    if block.kind == "python" and block.name and file.exists():
        assert block.text == file.read_text("utf-8")


def test_it_is_done_word_for_word(wheel_venv: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    done = run_doc(README, wheel_venv, tmp_path / "empty", replace={"8765": port})
    assert len(done) == sum(block.kind == "sh" for block in blocks(README.read_text("utf-8")))
