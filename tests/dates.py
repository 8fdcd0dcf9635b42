"""Runs the suite at moments and in time zones at which a test may trip over the date.

`make dates`, or `python -m tests.dates tests/device`. It takes `faketime`: what is started
believes that it is then, and its clock goes on; monotonic clocks are what they are, so nothing
waits longer. The interpreters of virtual boards have no such clock: a meter keeps its own time.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

# The end of a year, a leap day, a month's end, and years past what 31 bits of seconds and the TIDs
# of an old base date hold. Yaounde is an hour ahead of UTC, Kathmandu 5:45.
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
    """Run the suite at each moment; return 0 where all went well."""
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
    print("failed at: " + "; ".join(bad) if bad else f"well at all {len(MOMENTS)} moments")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
