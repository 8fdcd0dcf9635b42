"""Tests of loads from CSV files: headings, and errors with their line."""

from pathlib import Path

import pytest

from jeton_host.client.loads import from_csv
from jeton_host.errors import JetonError


@pytest.mark.parametrize("first", ["time,watts", "t,5", "-1,5", "0,100"])
def test_a_first_line_without_a_time_is_a_heading(tmp_path: Path, first: str) -> None:
    path = tmp_path / "load.csv"
    path.write_text(first + "\n60,200\n")
    steps = [(0, 100)] if first == "0,100" else []
    assert from_csv(path) == ([*steps, (60, 200)], None)


@pytest.mark.parametrize("wrong", ["0,-1", "0,oops", "0,nan", "0,1e400", "0", "0,", "00:99,5"])
def test_a_wrong_line_is_named(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "load.csv"
    if wrong != "00:99,5":
        path.write_text(wrong + "\n60,200\n")
        with pytest.raises(JetonError, match="line 1:"):
            from_csv(path)
    path.write_text("time,watts\n" + wrong + "\n60,200\n")
    with pytest.raises(JetonError, match="line 2:"):
        from_csv(path)


def test_a_file_that_is_not_csv_is_one_short_line_of_error(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("0," + "1" * 200_000 + "\n")  # longer than the csv module allows
    with pytest.raises(JetonError, match="cannot be read: field larger"):
        from_csv(path)
    path.write_text("0," + "x" * 100_000 + "\n")
    with pytest.raises(JetonError, match=r"line 1: '0,x+' is not a time") as caught:
        from_csv(path)
    assert len(str(caught.value)) < 200 + len(str(path))
    path.write_bytes(b"\xff\xfe0,1\n")
    with pytest.raises(JetonError, match="not text in UTF-8"):
        from_csv(path)
    with pytest.raises(JetonError, match="cannot be read: Is a directory"):
        from_csv(tmp_path)
