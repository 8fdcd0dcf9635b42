"""How long a whole conformance sheet takes on a virtual board."""

from typing import Protocol

from jeton_host.conformance.run import Run
from jeton_host.meter import Meter

LIMIT_S = 20


class Row(Protocol):
    """Takes a line of the table."""

    def __call__(self, what: str, value: float, unit: str, limit: float | None = None) -> None:
        """Take what was measured, and what is claimed of it."""


def measure(row: Row, heap: str) -> None:
    """Run all rows once, with the small heap."""
    with Meter.open("virtual", heap=heap) as meter:
        sheet = Run(meter).sheet()
    if not sheet.good:
        raise SystemExit(f"{len(sheet.failed)} rows of the conformance sheet are not as expected")
    found = sheet.summary
    row(f"conformance sheet, {found['rows']} rows", found["seconds"], "s", LIMIT_S)
    row("  a token of it, median", found["median_ms"], "ms")
