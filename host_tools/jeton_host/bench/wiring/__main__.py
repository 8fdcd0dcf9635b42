"""Writes tables, pictures and simulator files of all boards (`make wiring`)."""

import sys
from pathlib import Path

from jeton_host.bench.wiring import picture, wokwi
from jeton_host.bench.wiring.tables import with_table
from jeton_host.firmware import boards
from jeton_host.firmware.boards import Board
from jeton_host.paths import boards_dir


def wired() -> list[Board]:
    """Return the boards that have parts."""
    return [board for board in map(boards.load, boards.names()) if board.parts]


def files(board: Board) -> dict[Path, str]:
    """Return the generated files of a board: path -> content."""
    folder = boards_dir() / board.name
    page = folder / "README.md"
    return {
        page: with_table(page.read_text(encoding="utf-8"), board),
        folder / "wiring.svg": picture.svg(board),
        folder / "diagram.json": wokwi.diagram(board),
    }


def main() -> int:
    """Write all files."""
    for board in wired():
        for path, content in files(board).items():
            path.write_text(content, encoding="utf-8")
            print(f"{board.name}/{path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
