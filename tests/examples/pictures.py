"""Draws pytest's output for a failed test, docs/pictures/failure.svg; run by `make pictures`."""

import io
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from jeton_host.terminal import picture

TEST = """\
def test_an_hour(meter, meter_pos):
    meter.enter(meter_pos.credit("12.5").token)
    meter.set_load(1000)
    meter.advance(3600)
    used_wh = 12_500 - meter.status().credit_wh
    assert used_wh == 900
"""
WIDTH = 110


AT = datetime(2026, 11, 25, 12, tzinfo=UTC)  # the date of the picture
PATH = Path(__file__).parents[2] / "docs" / "pictures" / "failure.svg"


def printed() -> str:
    """Run the test and return the terminal output, without what differs in each run."""
    with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
        path = Path(folder) / "test_hour.py"
        path.write_text(TEST)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--color=yes", "-p", "no:cacheprovider", path.name],
            cwd=folder,
            env=os.environ
            | {"JETON_HOME": f"{folder}/home", "COLUMNS": str(WIDTH)}
            | {"JETON_CLOCK_OFFSET": f"{(AT - datetime.now(UTC)).total_seconds():.0f}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1, done.stdout + done.stderr
    _, line, rest = done.stdout.partition("meters: ")
    output = re.sub(r" at 0x[0-9a-f]+>", " at 0x7f3a5c0d1e50>", (line + rest).rstrip())
    return re.sub(r" in [0-9.]+s", " in 1.20s", output)


def main() -> None:
    """Save the terminal output as a picture."""
    console = Console(record=True, force_terminal=True, width=WIDTH, file=io.StringIO())
    console.print(Text("$ pytest test_hour.py", style="bold cyan"))
    console.print(Text.from_ansi(printed()), no_wrap=True, overflow="ellipsis")
    picture.save(console, PATH, "a test that failed")
    print("docs/pictures/failure.svg")


if __name__ == "__main__":
    main()
