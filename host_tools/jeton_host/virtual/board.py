"""The virtual board: the MicroPython interpreter behind a pseudo-terminal, with its own flash.

For a serial client it behaves as an ESP32 board does: friendly and raw REPL, Ctrl-C, soft reset,
hard reset, power cut. This module knows nothing about meters.

This module replaces the board's timer: every few seconds, while the interpreter waits at its
prompt, it calls `board.tick()` through the raw REPL. Clients do not see this. A boot.py that
serves the serial line itself prints $JETON_MARK: it then needs no ticks, Ctrl-C is an ordinary
key, and at Ctrl-D it saves and prints the mark again.

A watchdog resets an interpreter that does not react any more. This can happen to a MicroPython
from the system's packages: its handler of Ctrl-C leaves a memory allocation by a long jump, and
the heap or its lock stays locked. It can also happen to a program that waits for a lock that is
never released. A program that sleeps, waits for input or computes is not reset.
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
from jeton_host.errors import BoardError, WrongValueError
from jeton_host.firmware import boards, remote
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware.boards import Board
from jeton_host.firmware.build import Firmware
from jeton_host.firmware.interpreter import Interpreter, environment, find
from jeton_host.paths import boards_dir
from jeton_host.typed import typed_methods
from jeton_host.virtual.bridge import BOOT_TIMEOUT, TICK_S, PtyBridge
from jeton_host.virtual.models.hardware import Bench
from jeton_host.virtual.rtc import Rtc

HEAP = "192k"  # as on a small ESP32: about 132 KB there, words have 64 bits here
HEAP_MODELLED = "225k"  # the same, plus the modules that replace the chip's pins, buses and timers
_TERMINAL = re.compile(r"/dev/(pts/[0-9]+|ttys[0-9]+)")
_EXIT_S = 1.0  # seconds in which an interpreter ends after its host program was killed


def shared_files() -> Path:
    """Return the path of the module that lets one thread at a time use the file system."""
    return boards_dir().resolve() / "virtual" / "modelled" / "files.py"


def _hold_link(link: Path) -> IO[bytes]:
    """Lock a link for this board and return the lock; BoardError if it must not be replaced."""
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
                    f"{link} is the link of a running board: stop it, or choose another path"
                )
            if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()  # its owner has just removed it: try again


@typed_methods
class VirtualBoard:
    """The firmware in an interpreter on this computer, with a serial port and a flash.

    A virtual board is a context manager: `with VirtualBoard() as board: …` starts it and switches
    it off at the end. Use `Meter(board.path)` or any serial client with it.

    Args:
        flash: The path of the flash image. It is created with the firmware if it does not exist;
            else its firmware is updated. None is a temporary flash, which is always removed.
        heap: The heap of the interpreter, such as "192k"; the default depends on the board.
        board: The name of a board, or a changed one (`Board.changed`).
        link: Another path for the serial port: a symbolic link that exists while the board does.
        needs: A file that an existing flash must contain; a flash without it is not changed and
            not started.
        firmware: The result of `firmware.build.build` for this board, to start many boards faster.
        tick_s: Seconds between two ticks while the interpreter is at its prompt. A tick does the
            work of a board's timer: the meter counts time and energy, and saves.

    Attributes:
        keep: Set a path here to save the flash in this file when the board is closed.
        bench: The models of the board's parts, None for a board without parts.
        rtc: The clock of the chip, `machine.RTC`. It outlives a soft reset; with `rtc.battery`
            also the reset button and a power cut.

    Raises:
        BoardError: An argument is wrong, or the board cannot be started.
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
            raise BoardError(f"{heap!r} is not a heap size: give for example 192k")
        self.flash = None if flash is None else Path(flash)
        self.heap = heap
        self.board = board
        self.link = None if link is None else Path(link)
        self.needs = needs
        self.firmware = firmware
        if tick_s < 0:
            raise WrongValueError(f"tick_s must be 0 s or more, not {tick_s:g}")
        self.tick_s = tick_s
        self.keep: Path | None = None
        self.bench: Bench | None = None
        self.rtc = Rtc()
        self._supply_lost = False
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
        """Return the path of the serial port: the link, or else the pseudo-terminal."""
        if self._bridge is None:
            raise BoardError("the virtual board is not started")
        return str(self.link) if self.link else self._bridge.path

    @property
    def device(self) -> str:
        """Return the path of the pseudo-terminal itself, which needs no link."""
        if self._bridge is None:
            raise BoardError("the virtual board is not started")
        return self._bridge.path

    @property
    def running(self) -> bool:
        """Return whether the interpreter runs; it does not after a power cut."""
        return self._bridge is not None and self._bridge.state not in ("off", "dead")

    @property
    def boots(self) -> int:
        """Return how many times it has started: reached its prompt, or boot.py serves the line."""
        return self._bridge.boots if self._bridge is not None else 0

    @property
    def ticks(self) -> int:
        """Return the number of ticks since it was started."""
        return self._bridge.ticks if self._bridge is not None else 0

    @property
    def ticks_given_up(self) -> int:
        """Return the number of ticks that took too long and were given up."""
        return self._bridge.ticks_given_up if self._bridge is not None else 0

    @property
    def pid(self) -> int | None:
        """Return the process number of the interpreter; None if it does not run."""
        return self._bridge.pid if self._bridge is not None else None

    @property
    def ctrl_c_s(self) -> float:
        """Return the seconds since the first Ctrl-C that no prompt has followed; 0 without one."""
        return self._bridge.ctrl_c_s if self._bridge is not None else 0.0

    def wait_for(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait until `done` returns true; return whether it did within `timeout` seconds.

        `done` is called at each change of the board's state, for example
        `lambda: board.boots == 2`. It must not call methods that wait.
        """
        if self._bridge is None:
            raise BoardError("the virtual board is not started")
        return self._bridge.wait_for(done, timeout)

    def wait_ticks(self, count: int, timeout: float) -> bool:
        """Wait for `count` ticks from now on; return whether they came in `timeout` seconds."""
        goal = self.ticks + count
        return self.wait_for(lambda: self.ticks >= goal, timeout)

    def start(self) -> Self:
        """Switch the board on, wait for its prompt and return the board.

        Raises:
            BoardError: It is started already, its flash is damaged or in use, or the interpreter
                does not start.
        """
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
        """Return the firmware for its flash; create the models of its parts."""
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
            # If a host program was killed, its interpreter holds the lock until it ends too.
            if not locks.take(file, _EXIT_S):
                raise BoardError(f"{path} is the flash of a running board: stop that first")
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
        # A file: a list of processes shows a short command line, and its source needs no heap.
        program = tempfile.TemporaryFile(prefix="jeton-")  # noqa: SIM115
        program.write(bootstrap.encode())
        program.seek(0)
        source = f"execfile('/dev/fd/{program.fileno()}')"
        arguments = ("-X", f"heapsize={heap}", "-i", "-c", source)
        if self._supply_lost:
            self.rtc.supply_lost()
            self._supply_lost = False
        variables = environment() | {"JETON_MARK": marks[1], "JETON_RTC": str(self.rtc.number)}
        passed = [number, self.rtc.number, program.fileno()]
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
                # Its own session: when the parent dies, the terminal closes and it gets SIGHUP.
                start_new_session=True,
                cwd="/",
                env=variables,
            )
        finally:
            program.close()
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
            raise BoardError(f"the link {link} cannot be created: {error.strerror}") from None
        self.link = link

    def _remove_link(self) -> None:
        """Remove the link if it still leads to this board."""
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
        # A board whose boot.py does not end counts as running.
        if not reached and not (request != "off" and bridge.state == "booting"):
            raise BoardError(f"the virtual board did not answer within {BOOT_TIMEOUT:.0f} s")

    def _boot(self, request: str) -> None:
        before = self._bridge.boots if self._bridge else 0
        self._ask(
            request,
            lambda bridge: bridge.boots > before and bridge.state in ("running", "serving"),
        )

    def soft_reset(self) -> None:
        """Restart the interpreter, as Ctrl-C and Ctrl-D do, and wait for the prompt."""
        if not self.running:
            raise BoardError("the virtual board has no power")
        self._boot("soft")

    def reset(self) -> None:
        """Reset the board, as its reset button does, and wait for the prompt."""
        self._supply_lost = True  # the button resets the clock of the chip too
        self._boot("reset")

    def power_cut(self) -> None:
        """Cut the power without warning to the firmware; the serial port stays."""
        self._supply_lost = True
        self._ask("off", lambda bridge: bridge.state == "off")

    def power_on(self) -> None:
        """Switch the power on and wait for the prompt; do nothing if it is on already."""
        if not self.running:
            self._boot("on")

    def close(self) -> None:
        """Switch the board off and remove its serial port; a temporary flash is removed.

        If the flash is kept, the meter first saves its counters.
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
        self.rtc.supply_lost()
        if self._file is not None:
            try:
                if self.keep is not None:
                    self._save_flash(self.keep)
            finally:
                self._file.close()
                self._file = None

    def _save_flash(self, path: Path) -> None:
        """Copy the temporary flash of a board that is off to a file."""
        assert self._file is not None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file.seek(0)
            with path.open("wb") as target:
                shutil.copyfileobj(self._file, target, 1 << 20)
        except OSError as error:
            raise BoardError(f"the flash cannot be saved at {path}: {error.strerror}") from None
