"""Draws a meter's display for people; knows only lines of text."""

import unicodedata
from collections.abc import Sequence

from rich import box
from rich.panel import Panel
from rich.text import Text

_GLASS = "bold #12240a on #9fbf3f"  # dark segments on a green backlight
# Cells come in their order; a terminal must not turn what is read from right to left once more.
_AS_THEY_STAND, _END = "\u202d", "\u202c"


def cells(line: str) -> str:
    """Return a line that a terminal shows cell by cell, from left to right."""
    turned = any(unicodedata.bidirectional(cell) in ("R", "AL") for cell in line)
    return f"{_AS_THEY_STAND}{line}{_END}" if turned else line


def panel(
    lines: Sequence[str], rows: int, cols: int, *, title: str = "", subtitle: str = ""
) -> Panel:
    """Return a renderable that looks like the meter's LCD: `rows` lines of `cols` characters."""
    shown = [str(line)[:cols].ljust(cols) for line in [*lines, *[""] * rows][:rows]]
    glass = Text("\n".join(f" {cells(line)} " for line in shown), style=_GLASS, no_wrap=True)
    return Panel(
        glass,
        box=box.HEAVY,
        expand=False,
        padding=(0, 1),
        border_style="bright_black",
        title=title or None,
        subtitle=subtitle or None,
    )
