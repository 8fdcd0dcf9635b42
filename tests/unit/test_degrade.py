"""Tests of characters that the output cannot encode: text gets similar ones, JSON escapes."""

import io
import json
import os
import subprocess
import sys

import pytest

from jeton_host.terminal import degrade


@pytest.mark.parametrize(
    ("as_json", "expected"),
    [(False, "é | . ?".encode("latin-1")), (True, "é \\u2502 \\u2026 ".encode("latin-1"))],
)
def test_missing_characters_are_replaced(
    monkeypatch: pytest.MonkeyPatch, as_json: bool, expected: bytes
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    degrade.use(as_json=as_json)
    print("é │ … \u202dﻥ\u202c", end="", flush=True)
    found: bytes = sys.stdout.buffer.getvalue()  # type: ignore[attr-defined]
    assert found.startswith(expected)


def jeton(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "jeton_host", *arguments],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    return done.stdout


def test_help_and_profiles_work_in_ascii() -> None:
    assert "enter" in jeton("--help")
    assert "ONEE, Morocco" in jeton("profile", "show", "onee")
    arabic = json.loads(jeton("profile", "show", "somelec", "--json"))["languages"]
    assert "ar" in arabic
