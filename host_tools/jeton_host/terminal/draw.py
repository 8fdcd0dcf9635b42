"""Draws a meter's display for people, from lines of text only."""

import unicodedata
from collections.abc import Sequence

from rich import box
from rich.panel import Panel
from rich.text import Text

GLASS = "bold #12240a on #9fbf3f"  # dark segments on a green backlight
# The cells of right-to-left text are in display order already: a terminal must not reverse them.
_LEFT_TO_RIGHT, _END = "\u202d", "\u202c"


def cells(line: str) -> str:
    """Return a line that a terminal shows cell by cell, from left to right."""
    has_right_to_left = any(unicodedata.bidirectional(cell) in ("R", "AL") for cell in line)
    return f"{_LEFT_TO_RIGHT}{line}{_END}" if has_right_to_left else line


def panel(
    lines: Sequence[str], rows: int, cols: int, *, title: str = "", subtitle: str = ""
) -> Panel:
    """Return a Rich renderable that looks like an LCD of `rows` lines of `cols` characters."""
    shown = [str(line)[:cols].ljust(cols) for line in [*lines, *[""] * rows][:rows]]
    glass = Text("\n".join(f" {cells(line)} " for line in shown), style=GLASS, no_wrap=True)
    return Panel(
        glass,
        box=box.HEAVY,
        expand=False,
        padding=(0, 1),
        border_style="bright_black",
        title=title or None,
        subtitle=subtitle or None,
    )
