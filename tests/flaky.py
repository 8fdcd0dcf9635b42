"""Runs the tests many times, every second time on a busy machine, and lists the failed tests.

`make flaky`, or `python -m tests.flaky --runs 10 tests/device`. The exit status is 1 if a test
failed in any run, or if a run did not end normally.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from junitparser import Error, Failure, JUnitXml

BUSY = 3  # busy loops per core
# The loop ends when its parent process ends, also when the parent is killed.
_LOOP = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""


@dataclass
class Runs:
    """The results of all runs: per test, the runs in which it failed and the first reason."""

    failed: dict[str, list[int]] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)  # runs without a report

    @property
    def good(self) -> bool:
        """Return whether no test failed in any run."""
        return not self.failed and not self.broken

    def add(self, number: int, report: Path, status: int) -> int:
        """Add the report of a run; return how many tests failed in it."""
        before = sum(map(len, self.failed.values()))
        for test, why in failures(report) if report.exists() else ():
            self.failed.setdefault(test, []).append(number)
            self.why.setdefault(test, why)
        count = sum(map(len, self.failed.values())) - before
        if status and not count:  # pytest itself failed, not a test
            self.broken.append(f"run {number} ended with status {status}")
        return count


def failures(report: Path) -> Iterator[tuple[str, str]]:
    """Yield (test, first line of the reason) of each failed test in a report of pytest."""
    for suite in JUnitXml.fromfile(str(report)):
        for case in suite:
            for result in case.result:
                if isinstance(result, (Failure, Error)):
                    lines = (result.message or "").splitlines()
                    yield f"{case.classname}::{case.name}", lines[0] if lines else ""
                    break


@contextlib.contextmanager
def busy(count: int) -> Iterator[list[int]]:
    """Keep `count` processes busy inside the `with` block; yield their process ids."""
    with contextlib.ExitStack() as stack:
        loops = []
        for _ in range(count):
            loop = subprocess.Popen(
                [sys.executable, "-c", _LOOP, str(os.getpid())], stdout=subprocess.DEVNULL
            )
            stack.callback(loop.wait)
            stack.callback(loop.kill)
            loops.append(loop.pid)
        yield loops


def run(arguments: Sequence[str], report: Path, loops: int) -> int:
    """Run pytest once with this many busy loops beside it; return its exit status."""
    command = [sys.executable, "-m", "pytest", f"--junit-xml={report}", *arguments]
    with busy(loops):
        return subprocess.run(command, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Do all runs and print the results."""
    parser = argparse.ArgumentParser(prog="tests.flaky", description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=10, help="number of runs; every second run has busy loops"
    )
    parser.add_argument("--busy", type=int, default=BUSY, help="busy loops per core in such a run")
    settings, rest = parser.parse_known_args(arguments)
    if settings.runs < 1 or settings.busy < 0:
        parser.error("--runs is 1 or more, --busy 0 or more")
    loops = settings.busy * (os.cpu_count() or 1)
    runs = Runs()
    with tempfile.TemporaryDirectory(prefix="jeton-flaky-") as folder:
        for number in range(1, settings.runs + 1):
            beside = 0 if number % 2 else loops
            print(f"run {number} of {settings.runs}, beside {beside} busy loops", flush=True)
            report = Path(folder) / f"{number}.xml"
            status = run(rest, report, beside)
            count = runs.add(number, report, status)
            print(f"run {number}: {count} failed, exit status {status}", flush=True)
    for test, numbers in sorted(runs.failed.items()):
        print(f"{test}: failed in {len(numbers)} of {settings.runs} (run {numbers})")
        print(f"    {runs.why[test]}")
    for line in runs.broken:
        print(line)
    print(f"{len(runs.failed)} tests failed at least once in {settings.runs} runs")
    return 0 if runs.good else 1


if __name__ == "__main__":
    sys.exit(main())
