"""Runs the tests at dates and in time zones that can make a test fail.

`make dates`, or `python -m tests.dates tests/device`. It needs the command `faketime`, which
shifts the wall clock of the processes that it starts. Monotonic clocks are not changed, so waits
do not become longer. The interpreters of virtual boards are not affected: a meter has its own
clock.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

# The end of a year, a leap day, the end of a month, a date after the TIDs of base date 1993 end
# (2024), a date after 31 bits of seconds (2038) and the TIDs of base date 2014 (2045) end.
# Douala is 1 h ahead of UTC, Kathmandu 5:45 h.
MOMENTS = (
    ("2026-12-31 23:30", "Africa/Douala"),
    ("2028-02-29 23:30", "Asia/Kathmandu"),
    ("2027-04-30 23:30", "Asia/Kathmandu"),
    ("2037-06-15 12:00", "Africa/Douala"),
    ("2045-12-31 23:30", "Asia/Kathmandu"),
)
_PYTHON = Path(__file__).parent / "faked"  # sitecustomize


def command(faketime: str, moment: str, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs pytest at a moment (UTC)."""
    then = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    offset = round((then - datetime.now(UTC)).total_seconds())
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return [faketime, "-f", f"{offset:+d}s", *pytest]


def environment(zone: str) -> dict[str, str]:
    """Return the environment of a run in a time zone."""
    path = os.pathsep.join(filter(None, (str(_PYTHON), os.environ.get("PYTHONPATH"))))
    return os.environ | {
        "TZ": zone, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "PYTHONPATH": path,
    }  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run the tests at each moment; return 0 if they passed at all moments, else 1."""
    faketime = shutil.which("faketime")
    if faketime is None:
        print("dates: there is no `faketime`: install it (apt-get install faketime)")
        return 1
    bad = []
    for moment, zone in MOMENTS:
        print(f"{moment} UTC, in {zone}", flush=True)
        done = subprocess.run(
            command(faketime, moment, arguments), env=environment(zone), check=False
        )
        if done.returncode:
            bad.append(f"{moment} UTC, in {zone}")
    print("failed at: " + "; ".join(bad) if bad else f"passed at all {len(MOMENTS)} moments")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
