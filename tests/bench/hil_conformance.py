"""Measures the duration of a whole conformance sheet on a virtual board."""

from typing import Protocol

from jeton_host.conformance.run import Run
from jeton_host.meter import Meter

LIMIT_S = 20


class Row(Protocol):
    """Adds a row to the table of `make bench`."""

    def __call__(self, what: str, value: float, unit: str, limit: float | None = None) -> None:
        """Add a measured value and its limit, if any."""


def measure(row: Row, heap: str) -> None:
    """Run all rows once, with the given heap, and add the duration."""
    with Meter.open("virtual", heap=heap) as meter:
        sheet = Run(meter).sheet()
    if not sheet.good:
        raise SystemExit(f"{len(sheet.failed)} rows of the conformance sheet are not as expected")
    found = sheet.summary
    row(f"conformance sheet, {found['rows']} rows", found["seconds"], "s", LIMIT_S)
    row("  a token of it, median", found["median_ms"], "ms")
