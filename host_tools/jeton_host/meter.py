"""Meter: opens any meter, virtual, named or on a serial port."""

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from jeton_host.client.client import MeterClient
from jeton_host.client.pins import Wires
from jeton_host.client.port import TIMEOUT
from jeton_host.client.session import exclusive
from jeton_host.errors import BoardError, PortUnavailableError, WrongTypeError
from jeton_host.typed import typed_methods
from jeton_host.virtual.board import HEAP, VirtualBoard

_PATIENCE = 30.0  # seconds to wait while other commands have a named meter for a moment
_WORD_AFTER = 0.2  # seconds of that until it is said


def _say_nothing(line: str) -> None:
    pass


# Told in one line, once, that `Meter.open` waits for another program; the commands print it.
tell_wait: Callable[[str], object] = _say_nothing


@typed_methods
class Meter(MeterClient):
    """A meter on any board, over its serial port. Open it with `Meter.open`; a context manager.

    Every method raises BoardError with one line when the board refuses, is silent for `timeout`
    seconds, or is gone. `transcript.lines()` is the end of what its line carried, keys left out.
    """

    def __init__(
        self,
        port: str,
        *,
        board: VirtualBoard | None = None,
        timeout: float = TIMEOUT,
        name: str = "",
        code: str | None = None,
        wires: Wires | str | None = None,
    ) -> None:
        self._board = board
        super().__init__(port, timeout=timeout, name=name, code=code)
        if wires is not None:
            try:
                self._wire(wires)
            except BaseException:
                self._drop()
                raise

    @classmethod
    def open(
        cls,
        where: str | Path = "virtual",
        *,
        profile: str = "generic",
        config: Mapping[str, Any] | None = None,
        heap: str = HEAP,
        timeout: float = TIMEOUT,
        code: str | None = None,
        board: str | None = None,
        wires: Wires | str | None = None,
    ) -> Self:
        """Open a meter: "virtual", the name of a meter, or a serial port (a path or URL).

        "virtual" is a fresh board that is gone afterwards, set up by `config`, by default a meter
        of `profile` under the published test keys. A named meter is started, or joined where it
        is served. A meter that exists is left as it is: `profile` is then not looked at, and
        `config` sets it up anew. `code` (or $JETON_UNLOCK_CODE) is the unlock code of a locked
        one: it is given when a method needs it.

        `board` is the kind of board that "virtual" is. With `wires` keys are pressed and the
        display is read through pins: the port of an adapter (docs/hardware/bench.md), "models" for
        those of a "virtual" board with parts, by default esp32_lcd2004, or any `Wires`.
        """
        from jeton_host.meters import named as meters  # it makes meters with this class

        played: VirtualBoard | None = None
        port = str(where)
        if not port:
            raise BoardError("an empty name is no meter: give a meter's name or a serial port")
        if board is not None and port != "virtual":
            raise BoardError(f'board {board!r} is for "virtual": {port} is what it is')
        if port == "virtual":
            kind = board or ("esp32_lcd2004" if wires == "models" else "virtual")
            # A board with parts has its own default: their models take some.
            own = None if kind != "virtual" and heap == HEAP else heap
            played = VirtualBoard(heap=own, board=kind).start()
            port = played.path
            config = config if config is not None else meters.make_config(profile=profile)
        if meters.exists(port) or (meters.is_name(port) and not Path(port).exists()):
            meter = cls._open_named(port, heap=heap, timeout=timeout, code=code)
        else:
            try:
                meter = cls(port, board=played, timeout=timeout, code=code)
            except BaseException:
                if played is not None:
                    played.close()
                raise
        try:
            if config is not None:
                meter.provision(config)
            if wires is not None:
                meter._wire(wires)
        except BaseException:
            meter.close()
            raise
        return meter

    @classmethod
    def _open_named(cls, name: str, *, heap: str, timeout: float, code: str | None) -> Self:
        """Open a named meter; wait for a moment while another program has it."""
        from jeton_host.meters import named as meters

        began = time.monotonic()
        told = False

        def waited() -> None:
            nonlocal told
            if not told and time.monotonic() - began >= _WORD_AFTER:
                told = True
                tell_wait(f"waiting for another program to let go of meter {name}")

        while True:
            port, board = meters.attach(name, heap=heap, waited=waited)
            try:
                meter = cls(port, board=board, timeout=timeout, name=name, code=code)
            except PortUnavailableError as taken:
                if board is not None:
                    board.close()
                if board is not None or time.monotonic() >= began + _PATIENCE:
                    raise BoardError(f"meter {name}: {taken}") from None
            except BaseException:
                if board is not None:
                    board.close()
                raise
            else:
                if board is not None or meters.find(name).port() == port:
                    return meter
                meter._drop()  # that board has ended, and the port may be somebody else's now
            waited()
            time.sleep(0.02)

    def _wire(self, wires: Wires | str) -> None:
        if isinstance(wires, str):
            from jeton_host.bench import wires as known

            wires = known.connect(wires, self._board)
        if not hasattr(wires, "begin"):
            raise WrongTypeError(
                "wires must be a port, 'models' or an object with the methods of Wires, not "
                f"{wires!r}"
            )
        wires.begin(self)
        self._wires = wires

    @property
    def board(self) -> VirtualBoard | None:
        """Return the virtual board that was started for this, if one was."""
        return self._board

    @exclusive
    def power_cut(self) -> None:
        """Take the power away at this moment (virtual boards of this program only)."""
        board = self._own("power_cut")
        self._catch_up()
        board.power_cut()
        self._ready = False

    def _catch_up(self) -> None:
        """Let the meter live up to this moment, as one does that nobody has to ask."""
        if self._board is not None and self._board.running:
            with contextlib.suppress(BoardError):
                self.status()

    @exclusive
    def power_on(self) -> None:
        """Give the power back and be connected again."""
        self._own("power_on").power_on()
        self._ready = False
        self._connect()

    def _own(self, what: str) -> VirtualBoard:
        if self._board is None:
            raise BoardError(
                f"{what} needs a virtual board started here; pull the plug of {self.port}"
            )
        return self._board

    @exclusive
    def reset(self) -> None:
        """Reset the board as its button does, and be connected again."""
        if self._board is None:
            self._reset()
        else:
            self._catch_up()
            self._board.reset()
            self._ready = False
        self._reconnect()

    def _switch_off(self) -> None:
        if self._board is not None:
            # Before the port is closed, or another program could open it for this last moment.
            self._board.close()
            self._drop()
            self._board = None

    def _check_power(self) -> None:
        if self._board is not None and not self._board.running:
            raise BoardError("the board has no power: switch it on first")
