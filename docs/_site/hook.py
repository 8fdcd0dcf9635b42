"""A hook of MkDocs: makes the tables of the reference from the code, so that they cannot differ.

* A line `<!-- fill: NAME -->` of a page is replaced by a table.
* The words after the language of a code block are for the tests (tests/examples/docs.py) and are
  removed.
* A picture outside `docs/` is copied into the site. A link to another file outside `docs/` becomes
  the path of that file as text. So the links of a page are right in the source tree too.
"""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
PICTURES = "from_source"  # the folder of the site for pictures from outside docs/
_FILL = re.compile(r"^<!-- fill: ([a-z_]+) -->$", re.MULTILINE)
_FENCE = re.compile(r"^( *(?:`{3,}|~{3,}))(\w+) +([^\n]+)$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")
_KINDS = {".png", ".svg"}

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


def _outside(page: Path, link: str) -> Path | None:
    """Return the file outside docs/ that a link of a page leads to, None for any other link."""
    path = (page.parent / link).resolve()
    inside = path.is_relative_to(DOCS) or not path.is_relative_to(ROOT)
    return None if inside or not path.exists() else path.relative_to(ROOT)


def _fence(found: re.Match[str]) -> str:
    title = ' title="Output"' if found[3].split()[0] == "output" else ""
    return f"{found[1]}{found[2]}{title}"


def on_files(files: Any, config: Any) -> Any:
    """Add the pictures outside docs/ that pages show (called by MkDocs)."""
    from mkdocs.structure.files import File

    for page in files.documentation_pages():
        text = page.content_string
        for found in _LINK.finditer(text):
            path = _outside(DOCS / page.src_uri, found[3])
            if path is None or path.suffix not in _KINDS:
                continue
            uri = f"{PICTURES}/{path.as_posix()}"
            if uri not in files.src_uris:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill one page, and mend its links (called by MkDocs)."""
    source = DOCS / page.file.src_uri

    def link(found: re.Match[str]) -> str:
        path = _outside(source, found[3])
        if path is None:
            return found[0]
        if path.suffix not in _KINDS:
            return f"{found[2]} (`{path.as_posix()}`)"
        to = os.path.relpath(DOCS / PICTURES / path, source.parent)
        return f"{found[1]}[{found[2]}]({Path(to).as_posix()})"

    return _FENCE.sub(_fence, _LINK.sub(link, filled(markdown)))
