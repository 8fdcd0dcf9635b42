"""Meter: the client that opens any meter, virtual, named or on a serial port."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jeton import state as states
from jeton_host.client.answers import Snapshot, snapshot_of
from jeton_host.client.client import MeterClient
from jeton_host.client.pins import Wires
from jeton_host.client.port import TIMEOUT
from jeton_host.client.session import exclusive
from jeton_host.errors import BoardError, PortUnavailableError, VendingError, WrongTypeError
from jeton_host.firmware import remote
from jeton_host.typed import typed_methods
from jeton_host.virtual.board import HEAP, VirtualBoard

if TYPE_CHECKING:
    from jeton_host.vending.pos import PointOfSale

_PATIENCE = 30.0  # seconds to wait for a named meter that another program uses
_REPORT_AFTER = 0.2  # seconds of waiting before `report_wait` is called


def _report_nothing(line: str) -> None:
    pass


# Called with one line of text when `Meter.open` has to wait for another program, and when the
# board of a named meter was set up as another meter. The commands print this line.
report_wait: Callable[[str], object] = _report_nothing


@typed_methods
class Meter(MeterClient):
    """A meter on any board, used over its serial port. Open it with `Meter.open`.

    A meter is a context manager: `with Meter.open() as meter: …` closes it at the end.

    Every method raises `BoardError` with a one-line message if the board refuses the request, does
    not answer within `timeout` seconds, or is disconnected. `transcript.lines()` returns the last
    lines sent and received, without keys and unlock codes.

    Args:
        port: The serial port: a path or a pyserial URL.
        board: The virtual board to switch off when the meter is closed.
        timeout: Seconds to wait for an answer of the board.
        name: The name of the meter in messages; by default the port.
        code: The unlock code of a locked meter; by default $JETON_UNLOCK_CODE.
        wires: The pins of the board, as in `Meter.open`.
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
        self._rate = 1  # of the clock, before a power cut
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
        """Open a meter and return it.

        `Meter.open()` starts a new virtual board, which is discarded when the meter is closed. A
        named meter is started; if it runs already (`jeton serve`), its port is used. A meter that
        exists keeps its state: `profile` is ignored then, and only `config` sets it up again.

        Args:
            where: "virtual", the name of a meter, or a serial port (a path or a pyserial URL).
            profile: The profile of a new "virtual" meter.
            config: A configuration for the meter, see `make_config`. The default for "virtual" is
                a meter with `profile` and the published test keys.
            heap: The heap of a board that is started, such as "192k".
            timeout: Seconds to wait for an answer of the board.
            code: The unlock code of a locked meter, by default $JETON_UNLOCK_CODE. It is sent when
                a method needs it.
            board: The kind of board for "virtual", such as "esp32_lcd2004".
            wires: Press keys and read the display through the pins of the board instead of the
                serial line: the port of an adapter (docs/hardware/bench.md), "models" for the
                modelled parts of a "virtual" board (by default the board esp32_lcd2004), or an
                object with the methods of `Wires`.

        Raises:
            BoardError: There is no such meter or port, it is in use by another program, or it does
                not answer.
            ProfileError: There is no such profile.
        """
        from jeton_host.meters import named as meters  # imported here: `named` needs this module

        virtual: VirtualBoard | None = None
        port = str(where)
        if not port:
            raise BoardError("empty name: give a meter's name or a serial port")
        if board is not None and port != "virtual":
            raise BoardError(f'board {board!r} is only for "virtual": leave board= out for {port}')
        if port == "virtual":
            kind = board or ("esp32_lcd2004" if wires == "models" else "virtual")
            # A board with parts has a larger default heap: the models of the parts use some of it.
            own = None if kind != "virtual" and heap == HEAP else heap
            virtual = VirtualBoard(heap=own, board=kind).start()
            port = virtual.path
            config = config if config is not None else meters.make_config(profile=profile)
        if meters.exists(port) or (meters.is_name(port) and not Path(port).exists()):
            meter = cls._open_named(port, heap=heap, timeout=timeout, code=code)
        else:
            try:
                meter = cls(port, board=virtual, timeout=timeout, code=code)
            except BaseException:
                if virtual is not None:
                    virtual.close()
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
        """Open a named meter; wait up to `_PATIENCE` seconds while another program uses it."""
        from jeton_host.meters import named as meters

        began = time.monotonic()
        reported = False

        def waited() -> None:
            nonlocal reported
            if not reported and time.monotonic() - began >= _REPORT_AFTER:
                reported = True
                report_wait(f"waiting for another program to release meter {name}")

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
                    meter._check_number(meters.find(name).about.get("drn"))
                    return meter
                meter._drop()  # that board has ended, and another program may have its port now
            waited()
            time.sleep(0.02)

    def _check_number(self, expected: object) -> None:
        """Report that the board of a named meter was set up as another meter."""
        with contextlib.suppress(BoardError):
            info = self.info()
            if info.provisioned and expected and info.drn != expected:
                report_wait(
                    f"warning: the board of meter {self.name} is now meter {info.drn}, not "
                    f"{expected}: another program has set it up; the point of sale vends for "
                    f"{expected}"
                )

    def _damage(self, text: str) -> str:
        """Return what has happened to a token and, if the point of sale issued it, which it is."""
        # Imported late: most programs never need the point of sale.
        from jeton_host.vending import damaged
        from jeton_host.vending.pos import PointOfSale

        with contextlib.suppress(VendingError):
            return damaged.token(text, self._desk() or PointOfSale())[0]
        return super()._damage(text)

    def _desk(self) -> "PointOfSale | None":
        """Return the point of sale of this meter; None for that of `jeton new`."""
        return None

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

    @exclusive
    def snapshot(self) -> Snapshot | None:
        """Return a copy of the meter's record, with which `explain` is exact.

        None if it cannot be read: the meter is locked, it has a fault, or its firmware has another
        format. The copy contains the meter's key, which is never shown.
        """
        if self.locked:
            return None
        try:
            output = self.run(remote.once("record", "show"))
        except BoardError:
            return None
        self.transcript.hide(output.strip())
        try:
            answer = json.loads(output)
        except ValueError:
            return None
        if answer["fault"] or answer["version"] != states.VERSION:
            return None
        return snapshot_of(answer)

    @property
    def board(self) -> VirtualBoard | None:
        """Return the virtual board that was started for this meter, or None."""
        return self._board

    @exclusive
    def power_cut(self) -> None:
        """Cut the power of the board, without warning to the firmware.

        Only for a virtual board that this program started; else `BoardError`.
        """
        board = self._own("power_cut")
        self._rate = self._catch_up() if board.running else self._rate
        board.power_cut()
        self._ready = False

    def _catch_up(self) -> int:
        """Request the status, so that the meter counts time and energy up to now.

        A real board does this from a timer, without any request. Return the rate of its clock,
        which a restart sets to 1.
        """
        if self._board is None or self._board.running:
            with contextlib.suppress(BoardError):
                return self.status().rate
        return 1

    def _set_again(self, rate: int) -> None:
        """Set the rate of the clock that the meter had before a restart."""
        if rate != 1:
            with contextlib.suppress(BoardError):  # a locked board permits no other rate
                self.set_rate(rate)

    @exclusive
    def power_on(self) -> None:
        """Switch the power of the board on and connect to the meter again.

        The clock has the rate that it had before. Only for a virtual board that this program
        started; else `BoardError`.
        """
        self._own("power_on").power_on()
        self._ready = False
        self._connect()
        self._set_again(self._rate)

    def _own(self, what: str) -> VirtualBoard:
        self._check_open()
        if self._board is None:
            raise BoardError(
                f"{what} needs a virtual board that this program started; for {self.port}, "
                "unplug the board"
            )
        return self._board

    @exclusive
    def reset(self) -> None:
        """Reset the board, as its reset button does, and connect to the meter again.

        The clock keeps its rate.
        """
        rate = self._catch_up()
        if self._board is None:
            self._reset()
        else:
            self._board.reset()
            self._ready = False
        self._reconnect()
        self._set_again(rate)

    @exclusive
    def soft_reset(self) -> None:
        """Restart the firmware without a reset of the chip; the clock keeps its rate."""
        rate = self._catch_up()
        super().soft_reset()
        self._set_again(rate)

    def _switch_off(self) -> None:
        if self._board is not None:
            # First the board, then the port: else another program could open the port in between.
            self._board.close()
            self._drop()
            self._board = None

    def _check_power(self) -> None:
        if self._board is not None and not self._board.running:
            raise BoardError("the board has no power: switch it on first")
