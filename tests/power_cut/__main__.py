"""Runs the power-cut laboratory and prints tables: `make soak`; exit status 1 if a cut failed."""

import argparse
import os
import sys
import time

from rich.console import Console
from rich.table import Table

from tests.power_cut import laboratory

CUTS = 100_000
COLUMNS = ("cuts", "old", "new", "neither", "doubled", "lost", "reported")


def main() -> int:
    """Run all processes, add up their counts, print the tables; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.power_cut", description=__doc__)
    parser.add_argument("cuts", nargs="?", type=int, default=CUTS, help="default: %(default)s")
    parser.add_argument(
        "--kind", action="append", default=[], help="test only this kind of change; repeatable"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the random numbers; default: %(default)s"
    )
    wanted = parser.parse_args()
    count = os.cpu_count() or 1
    started = time.monotonic()
    running = [
        laboratory.start("cuts", wanted.seed + i, -(-wanted.cuts // count), *wanted.kind)
        for i in range(count)
    ]
    found = [laboratory.finish(process) for process in running]
    bits = laboratory.finish(laboratory.start("flips", wanted.seed, 31))
    minutes = (time.monotonic() - started) / 60
    rows = [row for one in found for row in one["rows"]]
    for by in ("kind", "profile", "mode"):
        table = Table(title=f"Power cuts by {by}: {minutes:.0f} min on {count} processors")
        table.add_column(by)
        for name in COLUMNS:
            table.add_column(name, justify="right")
        for value in [*laboratory.values(rows, by), ""]:
            only = {by: value} if value else {}
            figures = [laboratory.total(rows, name, **only) for name in COLUMNS]
            table.add_row(value or "all", *[f"{figure:,}" for figure in figures])
        Console().print(table)
    flips = bits["rows"][0]
    outcomes = (
        "cuts",
        "new",
        "energy lost",
        "old",
        "fault reported",
        "no record",
        "no file system",
        "neither",
    )
    shown = ", ".join(
        f"{name if name != 'cuts' else 'bits changed'} {flips.get(name, 0):,}" for name in outcomes
    )
    print(
        "reported: the meter had reported success when its power failed; the change must be kept."
    )
    print(f"One bit of the flash changed: {shown}.")
    print(
        f"Energy lost by one bit: at most {bits['lost_wh']:,} Wh "
        f"of {bits['ticks_wh']:,} Wh used since the last full save of the record."
    )
    failures = [line for one in found for line in one["failures"]]
    for line in failures:
        print(line)
    return 1 if failures or flips.get("neither") else 0


if __name__ == "__main__":
    sys.exit(main())
