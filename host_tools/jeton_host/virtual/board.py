"""The virtual board: the real MicroPython behind a pseudo-terminal, with a flash of its own.

What a serial client sees is what it would see of an ESP32 board: friendly and raw REPL, Ctrl-C,
soft reset, hard reset, power cut. Nothing in here knows about meters.

What a board's timer does is done from here: every few seconds, while the interpreter waits at its
prompt, `board.tick()` is called through the raw REPL, and no client sees anything of it. A boot.py
that keeps the line for itself says so by $JETON_MARK: it then looks after its time alone, Ctrl-C
is a key like others, and Ctrl-D has it save and print the mark again.

A watchdog resets an interpreter that hears nothing any more. An interpreter of the system's can
come to that, because its Ctrl-C leaves an allocation by a long jump, the lock still held or the
heap still locked; so can a program, by a lock that nobody opens. A program that sleeps, waits or
computes is left alone.
"""

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from jeton_host import locks
from jeton_host.errors import BoardError
from jeton_host.firmware import boards, remote
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware.boards import Board
from jeton_host.firmware.build import Firmware
from jeton_host.firmware.interpreter import Interpreter, environment, find
from jeton_host.paths import boards_dir
from jeton_host.typed import typed_methods
from jeton_host.virtual.bridge import BOOT_TIMEOUT, TICK_S, PtyBridge
from jeton_host.virtual.models.hardware import Bench

HEAP = "192k"  # of a small ESP32; 64-bit words make it about 132 KB on the chip
HEAP_MODELLED = (
    "222k"  # the same, and what stands in for the chip's pins, buses and timers (virtual/modelled)
)
_TERMINAL = re.compile(r"/dev/(pts/[0-9]+|ttys[0-9]+)")
_DYING = 1.0  # seconds an interpreter may outlive the program that was killed


def shared_files() -> Path:
    """Return the program of a file system that one thread at a time uses."""
    return boards_dir().resolve() / "virtual" / "modelled" / "files.py"


def _hold_link(link: Path) -> IO[bytes]:
    """Return the lock that says whose link this is; BoardError where it may not be replaced."""
    try:
        target = os.readlink(link)
    except FileNotFoundError:
        target = ""
    except OSError:
        raise BoardError(
            f"{link} exists and is not a link: choose another path for the link"
        ) from None
    if target and not _TERMINAL.fullmatch(target):
        raise BoardError(
            f"{link} is a link to {target}, not to a serial port of this kind: "
            "choose another path for the link"
        )
    path = link.with_name(f".{link.name}.lock")
    while True:
        lock = path.open("ab")
        try:
            if not locks.take(lock):
                raise BoardError(
                    f"{link} is the link of a board that runs: stop that, or choose another path"
                )
            if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()  # its owner has just removed it: once more


@typed_methods
class VirtualBoard:
    """A board without hardware; a context manager.

    `flash` is its flash image: made with the firmware when it does not exist, its firmware brought
    up to date when it does; None is a temporary one that leaves nothing behind, however this ends.
    `path` is the serial port, `link` another path for it. `needs` is a file that an existing flash
    must hold: one without it is not the flash it was, and is left alone. A `board`, by its name or
    changed (`Board.changed`), that has parts has a `bench`, the models of them. `firmware` is what
    `firmware_build.build` made of this board before, for who starts many. Where `keep` is set by
    the end, the flash is put there, saved as one that is kept. Every `tick_s` seconds at a prompt
    it does what a board's timer does, and saves. BoardError when it cannot start.
    """

    def __init__(
        self,
        flash: str | Path | None = None,
        *,
        heap: str | None = None,
        board: str | Board = "virtual",
        link: str | Path | None = None,
        needs: str | None = None,
        firmware: Firmware | None = None,
        tick_s: float = TICK_S,
    ) -> None:
        if heap is not None and not re.fullmatch(r"[1-9][0-9]{0,9}[kKmM]?", heap):
            raise BoardError(f"{heap!r} is not a heap size: say for example 192k")
        self.flash = None if flash is None else Path(flash)
        self.heap = heap
        self.board = board
        self.link = None if link is None else Path(link)
        self.needs = needs
        self.firmware = firmware
        self.tick_s = tick_s
        self.keep: Path | None = None
        self.bench: Bench | None = None
        self._link_lock: IO[bytes] | None = None
        self._bridge: PtyBridge | None = None
        self._file: IO[bytes] | None = None
        self._interpreter: Interpreter | None = None

    def __enter__(self) -> Self:
        if self._bridge is None:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def path(self) -> str:
        """Return the serial port: the link where one was asked for, else the pseudo-terminal."""
        if self._bridge is None:
            raise BoardError("the virtual board is not started")
        return str(self.link) if self.link else self._bridge.path

    @property
    def device(self) -> str:
        """Return the pseudo-terminal itself, whatever becomes of the link."""
        if self._bridge is None:
            raise BoardError("the virtual board is not started")
        return self._bridge.path

    @property
    def running(self) -> bool:
        """Return whether the interpreter runs (false after a power cut)."""
        return self._bridge is not None and self._bridge.state not in ("off", "dead")

    @property
    def boots(self) -> int:
        """Return how often its interpreter came to its prompt, or to where boot.py serves."""
        return self._bridge.boots if self._bridge is not None else 0

    @property
    def ticks(self) -> int:
        """Return how often it has done what a board's timer does since it was started."""
        return self._bridge.ticks if self._bridge is not None else 0

    @property
    def ticks_given_up(self) -> int:
        """Return how many ticks went on and on, so that the board was left to its client."""
        return self._bridge.ticks_given_up if self._bridge is not None else 0

    def wait_ticks(self, count: int, timeout: float) -> bool:
        """Wait until it has ticked `count` times from now on; tell whether it did in time."""
        bridge = self._bridge
        if bridge is None:
            raise BoardError("the virtual board is not started")
        goal = bridge.ticks + count
        return bridge.wait_for(lambda: bridge.ticks >= goal, timeout)

    def start(self) -> Self:
        """Switch the board on and wait for its prompt."""
        if self._bridge is not None:
            raise BoardError("the virtual board is started already")
        self._interpreter = find()
        firmware = self._prepared(self._interpreter)
        if self.flash is None:
            self._file = tempfile.TemporaryFile(prefix="jeton-")  # noqa: SIM115
            with firmware.image.open("rb") as image:
                shutil.copyfileobj(image, self._file, 1 << 20)
            self._file.flush()
        else:
            self._file = self._open_flash(self.flash, firmware)
        try:
            self._bridge = PtyBridge(self._spawn, self._interpreter.interrupt, self.tick_s)
            self._bridge.start()
            self._make_link()
            self.power_on()
        except BaseException:
            self.close()
            raise
        return self

    def _prepared(self, interpreter: Interpreter) -> Firmware:
        """Return what goes onto its flash, and see to its bench."""
        described = boards.load(self.board) if isinstance(self.board, str) else self.board
        if described.parts and self.bench is None:
            self.bench = Bench(described)
        return self.firmware or firmware_build.build(interpreter, self.board)

    def _open_flash(self, path: Path, firmware: Firmware) -> IO[bytes]:
        assert self._interpreter is not None
        if not self.needs and not path.exists() and not path.is_symlink():
            firmware_build.new_image(firmware, path)
        firmware_build.check_image(path)
        try:
            file = path.open("r+b")
        except OSError as error:
            raise BoardError(f"{path} cannot be opened: {error.strerror}") from None
        try:
            # Where a board was killed, its interpreter inherited the lock and dies a little later.
            if not locks.take(file, _DYING):
                raise BoardError(f"{path} is the flash of a board that runs: stop that first")
            firmware_build.update_image(self._interpreter, path, firmware, self.needs)
        except BaseException:
            file.close()
            raise
        return file

    def _spawn(
        self, terminal: int, marks: tuple[str, str], friendly: bool
    ) -> subprocess.Popen[bytes]:
        assert self._interpreter is not None
        assert self._file is not None
        number = self._file.fileno()
        files = ["boot.py", "main.py"] if friendly else ["boot.py"]
        shared = str(shared_files()) if self.bench else ""
        bootstrap = remote.once("image", "play", f"/dev/fd/{number}", marks[0], files, shared)
        heap = self.heap or (HEAP_MODELLED if self.bench else HEAP)
        arguments = ("-X", f"heapsize={heap}", "-i", "-c", bootstrap)
        variables = environment() | {"JETON_MARK": marks[1]}
        passed = [number]
        line = self.bench.connect() if self.bench else None
        if line is not None:
            passed.append(line.fileno())
            variables["JETON_BENCH"] = str(line.fileno())
        try:
            return subprocess.Popen(
                self._interpreter.command(*arguments, terminal=True),
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                pass_fds=passed,
                # A session of its own: a dead parent closes the pseudo-terminal: it hangs up.
                start_new_session=True,
                cwd="/",
                env=variables,
            )
        finally:
            if line is not None:
                line.close()

    def _make_link(self) -> None:
        if self.link is None:
            return
        assert self._bridge is not None
        link, self.link = self.link, None
        fresh = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
        try:
            self._link_lock = _hold_link(link)
            fresh.symlink_to(self._bridge.path)
            os.replace(fresh, link)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise BoardError(f"the link {link} cannot be made: {error.strerror}") from None
        self.link = link

    def _remove_link(self) -> None:
        """Remove the link, if it is still this board's."""
        if self.link is not None and self._bridge is not None:
            try:
                if os.readlink(self.link) == self._bridge.path:
                    self.link.unlink()
            except OSError:
                pass
        if self._link_lock is not None:
            try:
                os.unlink(self._link_lock.name)
            except OSError:
                pass
            self._link_lock.close()
            self._link_lock = None

    def _ask(self, request: str, done: Callable[[PtyBridge], bool]) -> None:
        bridge = self._bridge
        if bridge is None:
            raise BoardError("the virtual board is not started")
        bridge.ask(request)
        reached = bridge.wait_for(
            lambda: done(bridge) or bridge.state == "dead" or not bridge.is_alive(), BOOT_TIMEOUT
        )
        if bridge.state == "dead":
            raise BoardError(f"the virtual board does not start: {bridge.failure}")
        # A boot.py that does not end is a board that runs.
        if not reached and not (request != "off" and bridge.state == "booting"):
            raise BoardError(f"the virtual board did not answer within {BOOT_TIMEOUT:.0f} s")

    def _boot(self, request: str) -> None:
        before = self._bridge.boots if self._bridge else 0
        self._ask(
            request,
            lambda bridge: bridge.boots > before and bridge.state in ("running", "serving"),
        )

    def soft_reset(self) -> None:
        """Do as Ctrl-C and Ctrl-D would, and wait for the prompt."""
        if not self.running:
            raise BoardError("the virtual board has no power")
        self._boot("soft")

    def reset(self) -> None:
        """Reset it as its button does, and wait for the prompt."""
        self._boot("reset")

    def power_cut(self) -> None:
        """Take the power away at this moment; the serial port stays."""
        self._ask("off", lambda bridge: bridge.state == "off")

    def power_on(self) -> None:
        """Give the power back and wait for the prompt; nothing happens when it is on."""
        if not self.running:
            self._boot("on")

    def close(self) -> None:
        """Switch off; a temporary flash is gone then.

        A board whose flash is kept notices that and saves what it has counted.
        """
        if self._bridge is not None:
            kept = self.flash is not None or self.keep is not None
            if kept and self._bridge.is_alive():
                self._bridge.settle()
            self._bridge.ask("close")
            self._bridge.join(BOOT_TIMEOUT)
            self._remove_link()
            self._bridge = None
        if self.bench is not None:
            self.bench.close()
        if self._file is not None:
            try:
                if self.keep is not None:
                    self._put_by(self.keep)
            finally:
                self._file.close()
                self._file = None

    def _put_by(self, path: Path) -> None:
        """Write the flash of a board that is off to a file."""
        assert self._file is not None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file.seek(0)
            with path.open("wb") as target:
                shutil.copyfileobj(self._file, target, 1 << 20)
        except OSError as error:
            raise BoardError(f"the flash cannot be kept at {path}: {error.strerror}") from None
