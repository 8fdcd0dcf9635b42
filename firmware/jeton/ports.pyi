"""The ports of the core: what it is given by whoever puts a meter together, with each contract.

A type checker's file: no board gets it. firmware/main.py is the composition on a board; tests and
host tools put meters of their own together. Times are seconds since 2000-01-01 00:00 UTC, energy
is in Wh, power in W, all of them whole numbers, unless a name says otherwise.

| port       | given to                  | on a board                               |
|------------|---------------------------|------------------------------------------|
| `Storage`  | `Meter(storage, …)`       | drivers/storage.py                       |
| `Profiles` | `Meter(…, profiles)`      | main.py, from the files in /profiles     |
| `Clock`    | `Console(…, clock, …)`    | drivers/clock.py                         |
| `About`    | `Console(…, about, …)`    | main.py                                  |
| `Lines`    | `Console(…, line)`        | drivers/locked_line.py                   |
| `Board`    | main.py and the drivers   | `board`, from boards/<name>/board.py     |

One caller at a time: the core has no lock. Who calls a meter from a timer and from a prompt sees
to that (drivers/runtime.py, `Guarded`).
"""

from collections.abc import Callable
from typing import Any, Literal, NoReturn, Protocol, overload

class Storage(Protocol):
    """Keeps the record, a copy of it, and a tick; knows nothing of what is in them.

    After a power cut at any moment the record, or its copy, is whole: that before the cut or that
    after it. A tick that was cut short may be anything: it carries a checksum.
    """

    def load(self, which: Literal[0, 1, 2]) -> bytes | None:
        """Return the record (0), its copy (1) or the tick (2); None when there is none.

        Called by `Meter.start`: the tick, the record, the copy, once each. Raise OSError for a
        record or copy that is there and cannot be read. A tick that cannot be read is None.
        """

    def holds(self, parts: list[Any], start: int, end: int) -> bool:
        """Return whether the record is these bytes, one part after the other.

        What stands from `start` to `end` of the first part does not count: the tick carries that.
        Called before a save, unless the record is to be written anyway. It never fails: what
        cannot be read is not held.
        """

    def save(self, parts: list[Any]) -> None:
        """Replace the record by these bytes, one part after the other, in one step; then the copy.

        Called at each commit. A part is bytes or a bytearray; keep no reference to one, the meter
        writes into it again. The record outlives a power cut when this returns. Raise OSError
        where it may not be saved: the meter then takes back what it has begun, and saves again
        later. A copy that cannot be written is removed, and is no error.
        """

    def save_tick(self, tick: bytearray) -> None:
        """Replace the tick, TICK_OCTETS bytes; OSError as for `save`.

        Called when time alone has changed something: each 0.01 kWh and at most every 10 s
        (timeline.SAVE_WH, SAVE_S), and at `Meter.save`.
        """

    def set_aside(self) -> None:
        """Put a record that cannot be used out of the way; `load` finds none then.

        Called by `Meter.provision` where the start has failed. It never fails.
        """

class Profiles(Protocol):
    """Finds profiles by name: settings and words, checked by jeton_host.firmware.profiles.

    Called at a start, at set-up and when the language changes. The name is at most 16 characters,
    of a to z, 0 to 9 and _. Raise ValueError, with one line for people, where there is none.
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
    """The time of the meter, which may run faster than life.

    Called by the console at each verb. It never fails but where it says so.
    """

    @property
    def rate(self) -> int:
        """Meter seconds per real second: 1, more to hurry, 0 to stand still.

        Set it to a whole number that is not negative (else ValueError): by the verb `rate`.
        """

    @rate.setter
    def rate(self, rate: int) -> None: ...
    def now(self) -> int:
        """Return the seconds since 2000-01-01 00:00 UTC; they do not go back by themselves."""

    def set(self, seconds: int) -> None:
        """Set the time, 0 to 0xFFFFFFFF: after a start, at set-up and by the verb `clock`."""

    def advance(self, seconds: int) -> object:
        """Move the time on by so many seconds, 0 or more: by the verb `advance`."""

    def linger(self, seconds: int) -> None:
        """Run at 1 for so many real seconds where the clock hurries: between two keys."""

class About(Protocol):
    """Returns what only the board knows; called by the verb `info`."""

    def __call__(self) -> dict[str, Any]:
        """Return values that JSON knows.

        Those are board, interpreter, mem_free and mem_used (bytes), and faults: part -> why.
        """

class Line(Protocol):
    """The serial line of a meter that is locked, or is to be; a module may be one."""

    def salt(self) -> bytes:
        """Return 16 random bytes, for the hash of an unlock code."""

    def restart(self, answer: str) -> NoReturn:
        """Send the client its answer, a line of JSON, and start the board again: it is locked."""

class Lines(Protocol):
    """Returns the line. Called by the verb `lock` only: it is loaded where it is needed."""

    def __call__(self) -> Line: ...

class Board(Protocol):
    """The module `board`: what main.py and the drivers ask of a board for as long as it runs.

    What a board may have besides stands in `BoardWithParts` and `PlayedBoard`; hasattr tells.
    """

    @property
    def NAME(self) -> str: ...
    @property
    def STATE_FILE(self) -> str:
        """The path of the record."""

    @property
    def DISPLAY(self) -> tuple[int, int] | tuple[int, int, int]:
        """Rows, columns and, where it draws dots and so every script, 1."""

class BoardWithParts(Board, Protocol):
    """A board with parts: drivers/runtime.py runs the meter from a timer.

    Its parts are in the module `wiring`, which only a start needs.
    """

    @property
    def CHIP(self) -> str: ...
    @property
    def TIMER(self) -> int:
        """The number of the machine.Timer that is the meter's."""

class PlayedBoard(Board, Protocol):
    """A board without a timer, played by a program: the virtual one (boards/virtual/board.py)."""

    def keep(self, save: Callable[[], object]) -> None:
        """Have `save` called while the board waits at its prompt, and when its interpreter ends.

        Called once, by main.py. `save` may raise whatever the store raises.
        """

    def tick(self) -> None:
        """Save; called every 5 s while the line is locked, and when it is opened.

        It never fails.
        """

    def attend(self) -> None:
        """Save, then tell the program that plays the board that the line is taken.

        Called when it is taken, and again after each Ctrl-D that came on it.
        """
