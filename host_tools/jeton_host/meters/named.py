"""Named meters: each is a folder with a flash image, kept between runs, run by one process."""

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from jeton_host import clock, locks
from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError, PortUnavailableError
from jeton_host.firmware.build import RECORD
from jeton_host.firmware.interpreter import write_atomically
from jeton_host.paths import data_home
from jeton_host.vending.pos import PointOfSale
from jeton_host.virtual.board import HEAP, VirtualBoard
from jeton_host.virtual.bridge import BOOT_TIMEOUT
from jeton_host.zones import zone_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = ("virtual",)
# Offset of the port in the lock file: Windows locks byte 0, and others cannot read it then.
_PORT_AT = 1


def is_name(text: str) -> bool:
    """Return whether a text has the form of a meter's name; a path or URL of a port has not."""
    return bool(_NAME.fullmatch(text)) and text not in _RESERVED


def check_name(name: str) -> str:
    """Return the name; BoardError if it is not a valid name for a meter."""
    if name in _RESERVED:
        raise BoardError(f"a meter cannot have the name {name!r}: it means a new virtual meter")
    if not _NAME.fullmatch(name):
        raise BoardError(
            f"meter name {name!r} is not valid: use letters, digits, dot, dash and underscore, at "
            "most 64, and begin with a letter or digit"
        )
    return name


@dataclass(frozen=True, slots=True)
class NamedMeter:
    """A meter that is kept between runs.

    Attributes:
        name: The name of the meter.
        folder: The folder with its files.
        about: The configuration with which it was made, without keys.
        damaged: What is wrong with its folder, in a few words; empty if nothing is.
    """

    name: str
    folder: Path
    about: Mapping[str, Any]
    damaged: str = ""

    @property
    def flash(self) -> Path:
        """Return the path of its flash image."""
        return self.folder / "flash.img"

    @property
    def lock(self) -> Path:
        """Return the path of the file that a process locks while it runs the meter."""
        return self.folder / "board.lock"

    def port(self) -> str | None:
        """Return the serial port if the meter runs, empty while it starts, None if it is off."""
        try:
            file = self.lock.open("r")
        except FileNotFoundError:
            return None
        with file:
            with _lock_access():
                if locks.is_free(file):
                    return None
            file.seek(_PORT_AT)
            return file.read().strip()  # empty: the meter is starting

    def hold(self) -> IO[str] | None:
        """Lock the meter; no other process can run it until the returned file is closed.

        Returns None if another process runs it.
        """
        file = self.lock.open("a+")
        try:
            with _lock_access():
                if locks.take(file):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def as_dict(self) -> dict[str, Any]:
        """Return the values for --json."""
        found = {"name": self.name, "port": self.port(), **self.about}
        return found | ({"damaged": self.damaged} if self.damaged else {})


def _home() -> Path:
    return data_home() / "meters"


@contextlib.contextmanager
def _lock_access() -> Iterator[None]:
    """Let one process at a time test or take the lock of a meter.

    A test takes the lock for a moment; no other process may conclude that the meter runs.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a read-only folder: no meter is started there
            stack.enter_context(locks.alone(_home().with_name(".meters.lock")))
        yield


def _read(folder: Path) -> NamedMeter | None:
    """Return the meter in a folder, also a damaged one; None if there is none."""
    file, flash = folder / "meter.json", folder / "flash.img"
    about: Any = {}
    wrong = ""
    try:
        about = json.loads(file.read_text())
        if not isinstance(about, dict):
            raise ValueError
    except FileNotFoundError:
        wrong = "its meter.json is missing"
    except (OSError, ValueError):
        about, wrong = {}, "its meter.json cannot be read"
    if not os.path.lexists(flash):
        if wrong and not os.path.lexists(file):
            return None
        wrong = "its flash is missing"
    return NamedMeter(folder.name, folder, about, wrong)


def all_meters() -> list[NamedMeter]:
    """Return all named meters, sorted by name."""
    found = [_read(folder) for folder in sorted(_home().glob("*")) if is_name(folder.name)]
    return [meter for meter in found if meter is not None]


def exists(name: str) -> bool:
    """Return whether there is a meter of this name."""
    return is_name(name) and _read(_home() / name) is not None


def find(name: str) -> NamedMeter:
    """Return the meter of this name; BoardError if there is none."""
    meter = _read(_home() / check_name(name))
    if meter is None:
        if _unfinished(name):
            raise BoardError(f"meter {name} was never finished: make it with `jeton new {name}`")
        known = ", ".join(m.name for m in all_meters())
        raise BoardError(
            f"there is no meter {name!r}: "
            + (f"known are {known}" if known else f"make it with `jeton new {name}`")
        )
    return meter


class NamedBoard(VirtualBoard):
    """The virtual board of a named meter, locked against other processes while it runs."""

    def __init__(self, meter: NamedMeter, *, heap: str = HEAP, link: Path | None = None) -> None:
        super().__init__(meter.flash, heap=heap, link=link, needs=RECORD)
        self.meter = meter
        self._lock: IO[str] | None = None

    def start(self) -> Self:
        """Start the meter.

        PortUnavailableError if it runs already, BoardError if it cannot start.
        """
        if not os.path.lexists(self.meter.flash):
            raise BoardError(f"the flash of meter {self.meter.name} is missing")
        lock = self.meter.hold()
        if lock is None:
            raise PortUnavailableError(
                f"meter {self.meter.name} runs already, at "
                f"{self.meter.port() or 'another process'}"
            )
        self._lock = lock
        lock.truncate(0)
        try:
            super().start()
        except BaseException:
            self.close()
            raise
        lock.write("\n" * _PORT_AT + self.device)
        lock.flush()
        return self

    def close(self) -> None:
        """Switch the board off and release the lock of the meter."""
        super().close()
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None


def attach(
    name: str, *, heap: str = HEAP, waited: Callable[[], object] = lambda: None
) -> tuple[str, VirtualBoard | None]:
    """Return the port of a named meter, and its board if this call has started it, else None.

    `waited` is called every 10 ms while another program starts the meter.
    """
    meter = find(name)
    deadline = time.monotonic() + BOOT_TIMEOUT
    while True:
        port = meter.port()
        if port:
            return port, None
        if port is None:
            # Another program may have started it first, and may have ended again already.
            with contextlib.suppress(PortUnavailableError):
                board = NamedBoard(meter, heap=heap).start()
                return board.path, board
        if time.monotonic() >= deadline:
            raise BoardError(f"meter {name}: another program starts it, but it does not get ready")
        waited()
        time.sleep(0.01)


def _unfinished(name: str) -> list[Path]:
    """Return the folders that interrupted creations of this meter have left."""
    shape = re.compile(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}")
    found = []
    for folder in _home().glob(f".{name}.*"):
        if not shape.fullmatch(folder.name) or not folder.is_dir():
            continue
        if NamedMeter(name, folder, {}).port() is None:  # else it is being created now
            found.append(folder)
    return found


def _clear_unfinished(name: str, pos: PointOfSale) -> None:
    """Remove what interrupted creations of a meter have left, and its registration."""
    folders = _unfinished(name)
    if folders and not exists(name) and _registered(name, pos) and not pos.issued(name):
        pos.remove_meter(name)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _registered(name: str, pos: PointOfSale) -> bool:
    return any(record.name == name for record in pos.meters())


def check_free(name: str, pos: PointOfSale) -> None:
    """Raise BoardError if no meter of this name can be created.

    Removes what an interrupted creation has left.
    """
    meter = _read(_home() / check_name(name))
    if meter is not None and meter.damaged:
        raise BoardError(
            f"there is a meter {name} already, and {meter.damaged}: "
            f"remove the rest of it with `jeton delete {name}`"
        )
    if meter is not None:
        raise BoardError(f"there is a meter {name} already: choose another name")
    _clear_unfinished(name, pos)
    if _registered(name, pos):
        raise BoardError(
            f"the point of sale has a meter {name} although no such named meter exists: choose "
            f"another name, or remove it and all its sales with `jeton delete {name}`"
        )


def create(
    name: str,
    config: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    *,
    heap: str = HEAP,
    language: str | None = None,
) -> NamedMeter:
    """Create a named meter with a new flash and set it up; a failure leaves nothing behind.

    `language` is that of the display, by default the first of the profile.

    `config` may be a function that also registers the meter elsewhere. It is called while a marker
    directory exists, so that an interrupted creation can be cleaned up.
    """
    folder = _home() / check_name(name)
    if _read(folder) is not None:
        raise BoardError(f"there is a meter {name} already: choose another name")
    try:
        _home().mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=_home(), prefix=f".{name}."))
    except OSError as error:
        raise BoardError(f"meter {name} cannot be created: {error}") from None
    try:
        with locks.alone(NamedMeter(name, work, {}).lock):
            config = config() if callable(config) else config
            about = {k: v for k, v in config.items() if k not in ("decoder_key", "clock", "tid0")}
            about["made"] = clock.now().isoformat(timespec="seconds")
            with (
                VirtualBoard(work / "flash.img", heap=heap) as board,
                MeterClient(board.path) as meter,
            ):
                meter.provision(config)
                if language is not None:
                    meter.language(language)
            write_atomically(work / "meter.json", json.dumps(about, indent=1).encode() + b"\n")
            if folder.exists():  # a rest without flash and description
                for stray in ("board.lock", "flash.img", "meter.json"):
                    (folder / stray).unlink(missing_ok=True)
                folder.rmdir()
            os.rename(work, folder)
    except OSError as error:
        raise BoardError(f"meter {name} cannot be created: {error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return find(name)


def check_deletable(name: str, pos: PointOfSale | None = None) -> None:
    """Raise BoardError if there is nothing of this name to delete."""
    folder = _home() / check_name(name)
    registered = pos is not None and _registered(name, pos)
    if not folder.is_dir() and not registered and not _unfinished(name):
        find(name)  # raises BoardError: there is none


def delete(name: str, pos: PointOfSale | None = None) -> None:
    """Delete a named meter and its records at the point of sale; BoardError if it runs.

    Also deletes damaged and unfinished meters. If the point of sale cannot remove its records,
    the meter stays.
    """
    folder = _home() / check_name(name)
    registered = pos is not None and _registered(name, pos)
    kept = folder.is_dir()
    check_deletable(name, pos)
    if not kept:
        _remove_records(name, pos if registered else None)
        return
    meter = NamedMeter(name, folder, {})
    lock = meter.hold()
    if lock is None:
        raise BoardError(
            f"meter {name} runs at {meter.port() or 'another process'}: stop that first"
        )
    with lock:
        away = Path(tempfile.mkdtemp(dir=_home(), prefix=".deleted-"))
        os.rename(folder, away / name)
        try:
            _remove_records(name, pos if registered else None)
        except BaseException:
            os.rename(away / name, folder)
            away.rmdir()
            raise
        shutil.rmtree(away)


def _remove_records(name: str, pos: PointOfSale | None) -> None:
    if pos is not None:
        pos.remove_meter(name)
    for unfinished in _unfinished(name):
        shutil.rmtree(unfinished, ignore_errors=True)


def make_config(
    *, profile: str = "generic", timezone: str | None = None, **options: Any
) -> dict[str, Any]:
    """Return a configuration for `Meter.open` and `provision`, of a meter without point of sale.

    Args:
        profile: The profile of the meter.
        timezone: Its time zone: "+01:00", or a name such as Europe/Paris; by default that of the
            profile.
        options: Options of `PointOfSale.add_meter`. The default is a meter with the published test
            keys.
    """
    with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
        pos = PointOfSale(Path(folder) / "pos.sqlite")
        pos.add_meter("virtual", profile=profile, **options)
        zone = {} if timezone is None else zone_of(timezone).config()
        return pos.config_for("virtual") | zone
