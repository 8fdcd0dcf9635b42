"""Draw drills as SVG files (`make screenshots`, or `python -m jeton_host.drills.picture FOLDER`).

FOLDER/ceet.svg is the first chapter of ceet on a terminal. FOLDER/eneo.svg is the end of eneo: the
credit and load of the street, and a table of all homes.
"""

import io
import sys
from pathlib import Path

from rich.console import Console

from jeton_host.drills import ceet, eneo
from jeton_host.drills.story import Story
from jeton_host.paths import docs_dir
from jeton_host.terminal import picture


def _console() -> Console:
    return Console(record=True, force_terminal=True, width=92, file=io.StringIO(), highlight=False)


def main(folder: str) -> int:
    """Run the drills and save their terminal output as SVG; return 1 if a drill failed."""
    console = _console()
    chapter = Story("ceet", console=console)
    chapter.run(lambda: ceet.run(chapter, wrong_paths=False))
    picture.save(console, Path(folder) / "ceet.svg", "jeton drill ceet")
    street = Story("eneo", as_json=True)
    street.run(lambda: eneo.run(street, wrong_paths=False))
    console = _console()
    street.picture(console)
    picture.save(console, Path(folder) / "eneo.svg", "jeton drill eneo")
    return 0 if chapter.ok and street.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(docs_dir() / "pictures")))
