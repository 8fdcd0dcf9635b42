"""Write the wiring tables, drawings and simulator files of all boards (`make wiring`).

Tables go into docs/hardware/<name>.md, drawings into docs/hardware/<name>/, simulator files into
boards/<name>/.
"""

import sys
from pathlib import Path

from jeton_host.bench.wiring import picture, wokwi
from jeton_host.bench.wiring.tables import with_table
from jeton_host.firmware import boards
from jeton_host.firmware.boards import Board
from jeton_host.paths import boards_dir, docs_dir


def wired() -> list[Board]:
    """Return the boards that have parts."""
    return [board for board in map(boards.load, boards.names()) if board.parts]


def files(board: Board) -> dict[Path, str]:
    """Return the generated files of a board: path -> content."""
    pages = docs_dir() / "hardware"
    page = pages / f"{board.name}.md"
    return {
        page: with_table(page.read_text(encoding="utf-8"), board),
        pages / board.name / "wiring.svg": picture.svg(board),
        boards_dir() / board.name / "diagram.json": wokwi.diagram(board),
    }


def main() -> int:
    """Write all files."""
    for board in wired():
        for path, content in files(board).items():
            path.write_text(content, encoding="utf-8")
            print(path.relative_to(boards_dir().parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
