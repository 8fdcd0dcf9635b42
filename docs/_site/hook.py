"""A hook of MkDocs: makes the tables of the reference from the code, so that they cannot differ.

A line `<!-- fill: NAME -->` of a page is replaced by a table. The words after the language of a
code block are for the tests (tests/examples/docs.py) and are removed.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
_FILL = re.compile(r"^<!-- fill: ([a-z_]+) -->$", re.MULTILINE)
_FENCE = re.compile(r"^( *(?:`{3,}|~{3,}))(\w+) +([^\n]+)$", re.MULTILINE)

# MkDocs loads this file by its path, without its package.
sys.path.insert(0, str(DOCS))

from _site import commands, record, settings  # noqa: E402

FILLS: dict[str, Callable[[], str]] = {
    "commands": commands.commands,
    "groups": commands.groups,
    "messages": settings.messages_table,
    "profiles": settings.profiles_table,
    "record": record.record_table,
    "rings": record.rings_table,
    "settings": settings.settings_tables,
    "tick": record.tick_table,
}


def filled(text: str) -> str:
    """Return a page with its tables; KeyError for a table that does not exist."""
    return _FILL.sub(lambda found: FILLS[found[1]](), text)


def _fence(found: re.Match[str]) -> str:
    title = ' title="Output"' if found[3].split()[0] == "output" else ""
    return f"{found[1]}{found[2]}{title}"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill one page (called by MkDocs)."""
    return _FENCE.sub(_fence, filled(markdown))
