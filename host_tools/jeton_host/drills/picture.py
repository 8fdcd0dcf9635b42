"""Draw drills as SVG files (`make screenshots`, or `python -m jeton_host.drills.picture FOLDER`).

ceet.svg is the first chapter of ceet as a terminal shows it, eneo.svg the end of
eneo: credit and load of the street, and the hours without supply in each home.
"""

import io
import sys
from pathlib import Path

from rich.console import Console

from jeton_host.drills import ceet, eneo
from jeton_host.drills.story import Story
from jeton_host.paths import docs_dir


def _console() -> Console:
    return Console(record=True, force_terminal=True, width=92, file=io.StringIO(), highlight=False)


def main(folder: str) -> int:
    """Run the drills and save what a terminal would show; 1 where one went wrong."""
    console = _console()
    chapter = Story("ceet", console=console)
    chapter.tell(lambda: ceet.run(chapter, wrong_paths=False))
    console.save_svg(str(Path(folder) / "ceet.svg"), title="jeton drill ceet", unique_id="ceet")
    street = Story("eneo", as_json=True)
    street.tell(lambda: eneo.run(street, wrong_paths=False))
    console = _console()
    street.picture(console)
    console.save_svg(str(Path(folder) / "eneo.svg"), title="jeton drill eneo", unique_id="eneo")
    return 0 if chapter.ok and street.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(docs_dir() / "pictures")))
