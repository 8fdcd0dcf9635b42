"""Draws the drill's first chapter as an SVG: `python -m host_tools.drills.picture FILE`."""

import io
import sys

from rich.console import Console

from host_tools.drills import ceet
from host_tools.drills.story import Story


def main(file: str) -> int:
    """Run the chapter and save what a terminal would show."""
    console = Console(
        record=True, force_terminal=True, width=92, file=io.StringIO(), highlight=False
    )
    story = Story("ceet", console=console)
    ceet.run(story, wrong_paths=False)
    status = story.finish()
    console.save_svg(file, title="jeton drill ceet", unique_id="ceet")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
