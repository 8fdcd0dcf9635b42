"""The ports of the core: the objects that a meter is constructed from, with their contracts.

This file is for type checkers; it is not installed on a board. firmware/main.py constructs a meter
on a board; tests and host tools construct their own. Times are seconds since 2000-01-01 00:00 UTC,
energy is in Wh, power in W, all whole numbers, unless a name says otherwise.

| port       | given to                  | on a board                               |
|------------|---------------------------|------------------------------------------|
| `Storage`  | `Meter(storage, …)`       | drivers/storage.py                       |
| `Profiles` | `Meter(…, profiles)`      | main.py, from the files in /profiles     |
| `Clock`    | `Console(…, clock, …)`    | drivers/clock.py                         |
| `About`    | `Console(…, about, …)`    | main.py                                  |
| `Lines`    | `Console(…, line)`        | drivers/locked_line.py                   |
| `Board`    | main.py and the drivers   | `board`, from boards/<name>/board.py     |

One caller at a time: the core has no lock. A program that calls a meter from a timer and from a
prompt must serialize the calls (drivers/runtime.py, `Guarded`).
"""

from collections.abc import Callable
from typing import Any, Literal, NoReturn, Protocol, overload

class Storage(Protocol):
    """Stores the record, a copy of it, and a tick, as bytes.

    After a power cut at any moment the record or its copy is intact, with the content before or
    after the last save. An interrupted tick may hold anything: it carries a checksum.
    """

    def load(self, which: Literal[0, 1, 2]) -> bytes | None:
        """Return the record (0), its copy (1) or the tick (2); None if there is none.

        Called by `Meter.start`: the tick, the record, the copy, once each. Raise OSError for a
        record or copy that exists and cannot be read. For a tick that cannot be read, return None.
        """

    def holds(self, parts: list[Any], start: int, end: int) -> bool:
        """Return whether the stored record consists of these parts, in this order.

        The bytes from `start` to `end` of the first part are ignored: the tick carries them.
        Called before a save, unless the record is written in any case. It never raises: return
        False if the record cannot be read.
        """

    def save(self, parts: list[Any]) -> None:
        """Replace the record by these parts, in this order, in one atomic step; then the copy.

        Called at each commit. A part is bytes or a bytearray; keep no reference to one, because
        the meter writes into it again. When this returns, the record survives a power cut. Raise
        OSError if the record may not be saved: the meter then rolls back, and saves again later.
        If the copy cannot be written, remove it and raise nothing.
        """

    def save_tick(self, tick: bytearray) -> None:
        """Replace the tick, TICK_BYTES bytes; OSError as for `save`.

        Called when time alone has changed the record: each 0.01 kWh and at most every 10 s
        (timeline.SAVE_WH, SAVE_S); without consumption each 10 min, at midnight, and each 30 s
        while a wait runs (CLOCK_SAVE_S, WAIT_SAVE_S); and at `Meter.save`.
        """

    def set_aside(self) -> None:
        """Move an unusable record away, so that `load` finds none.

        Called by `Meter.provision` if the start has failed. It never raises.
        """

class Profiles(Protocol):
    """Finds profiles by name: settings and messages, checked by jeton_host.firmware.profiles.

    Called at start-up, at set-up and when the language changes. The name has at most 16 characters
    of a to z, 0 to 9 and _. Raise ValueError, with one line for people, if there is no such
    profile.
    """

    @overload
    def __call__(self, name: str) -> dict[str, Any]:
        """Return the settings, {section: {setting: value}} (profiles.settings_for_board).

        The meter may keep what is in the dictionary.
        """

    @overload
    def __call__(self, name: str, language: str, /) -> bytes:
        """Return the messages of a language, UTF-8, "name=words" a line between newlines."""

class Clock(Protocol):
    """The time of the meter, which may run faster than real time.

    Called by the console at each verb. It never raises unless stated.
    """

    @property
    def rate(self) -> int:
        """Return the meter seconds per real second: 1, more to accelerate, 0 to stop the clock.

        The verb `rate` sets it to a whole number, 0 or more (else ValueError).
        """

    @rate.setter
    def rate(self, rate: int) -> None: ...
    def now(self) -> int:
        """Return the seconds since 2000-01-01 00:00 UTC.

        The value only decreases by `set`, or by an RTC that was set back.
        """

    def set(self, seconds: int) -> None:
        """Set the time, 0 to 0xFFFFFFFF: after a start, at set-up and by the verb `clock`."""

    def advance(self, seconds: int) -> object:
        """Advance the time by so many seconds, 0 or more: by the verb `advance`."""

    def linger(self, seconds: int) -> None:
        """Run an accelerated clock at 1x for so many real seconds: between two keys."""

class About(Protocol):
    """Returns facts that only the board can report; called by the verb `info`."""

    def __call__(self) -> dict[str, Any]:
        """Return a dictionary of values that JSON can hold.

        Its keys: board, interpreter, mem_free and mem_used (bytes), and faults: part -> reason.
        """

class Line(Protocol):
    """The serial line of a locked meter, or of one that is being locked; a module may be one."""

    def salt(self) -> bytes:
        """Return 16 random bytes, for the hash of an unlock code."""

    def restart(self, answer: str) -> NoReturn:
        """Send the client its answer, a line of JSON, and restart the board, now locked."""

class Lines(Protocol):
    """Returns the line. Called only by the verb `lock`, so that the line is imported late."""

    def __call__(self) -> Line: ...

class Board(Protocol):
    """The module `board`: the names that main.py and the drivers need while the board runs.

    Further names of some boards are in `BoardWithParts` and `VirtualBoardModule`; test with
    hasattr.
    """

    @property
    def NAME(self) -> str: ...
    @property
    def STATE_FILE(self) -> str:
        """The path of the record."""

    @property
    def DISPLAY(self) -> tuple[int, int] | tuple[int, int, int]:
        """Rows, columns and, for a graphic display, which can draw every script, 1."""

class BoardWithParts(Board, Protocol):
    """A board with parts: drivers/runtime.py runs the meter from a timer.

    Its parts are in the module `wiring`, which is needed only during start-up.
    """

    @property
    def CHIP(self) -> str: ...
    @property
    def TIMER(self) -> int:
        """The number of the machine.Timer that runs the meter."""

class VirtualBoardModule(Board, Protocol):
    """A board without a timer, run by a program on a host (boards/virtual/board.py)."""

    def keep(self, save: Callable[[], object]) -> None:
        """Call `save` while the board waits at its prompt, and when its interpreter ends.

        Called once, by main.py. `save` may raise the errors of the store.
        """

    def tick(self) -> None:
        """Save; called every 5 s while the line is locked, and when it is unlocked.

        It never raises.
        """

    def attend(self) -> None:
        """Save, then report to the host program that boot.py now reads the line.

        Called when boot.py begins to read it, and again after each Ctrl-D received.
        """
