"""Draws the pictures of board displays in docs/hardware/<name>; `make pictures` runs this.

A picture shows what the model of the display shows while a meter runs on that board.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from board_rig import Rig
from jeton_host.paths import docs_dir


def idle(rig: Rig) -> None:
    """Show an idle meter."""
    rig.provision(credit_wh=45_200)


def entry(rig: Rig) -> None:
    """Show a meter with half a token entered."""
    rig.provision()
    for key in "5612873401":
        rig.key(key)


def arabic(rig: Rig) -> None:
    """Show a meter with Arabic messages."""
    rig.provision(profile="somelec", credit_wh=45_200)


WANTED: dict[str, tuple[Callable[[Rig], None], ...]] = {
    "esp32_lcd2004": (idle, entry),
    "esp32_oled": (idle, entry, arabic),
    "esp32c3_oled": (idle, entry),
    "cyd": (idle, entry, arabic),
}


def path_of(board: str, scene: Callable[[Rig], None]) -> Path:
    """Return the path of a picture."""
    return docs_dir() / "hardware" / board / f"{scene.__name__}.png"


def drawn(board: str, scene: Callable[[Rig], None], folder: Path) -> Image.Image:
    """Return the picture of a scene on a board."""
    with Rig(board, folder) as rig:
        scene(rig)
        rig.tick(30)
        assert rig.run("print(runtime.faults)").strip() == "{}"
        return rig.bench.part("display").picture()


def main() -> None:
    """Write all pictures."""
    for board, scenes in WANTED.items():
        for scene in scenes:
            with tempfile.TemporaryDirectory() as folder:
                path = path_of(board, scene)
                drawn(board, scene, Path(folder)).save(path, optimize=True)
                print(path.relative_to(docs_dir().parent))


if __name__ == "__main__":
    main()
