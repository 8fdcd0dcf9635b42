"""Meters on a farm of boards: a driver and a strategy for labgrid (the extra `labgrid`).

A labgrid environment names this module under `imports:`. The driver gives the typed client of
`jeton_host.meter` over any serial port that labgrid has for the board, here or on another
computer; the strategy brings the board into the state that a test needs.
docs/hardware/farm.md shows both.
"""

import enum
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attr
from labgrid.driver import Driver
from labgrid.factory import target_factory
from labgrid.resource import NetworkSerialPort, SerialPort
from labgrid.step import step
from labgrid.strategy import Strategy, StrategyError
from labgrid.strategy.common import never_retry
from labgrid.util.proxy import proxymanager

from jeton_host import clock
from jeton_host.bench import facts, flashing, provisioning
from jeton_host.client.port import TIMEOUT
from jeton_host.errors import BoardError, PortError
from jeton_host.firmware import boards
from jeton_host.meters.named import make_config
from jeton_host.testing.meter_pos import MeterPos, PoolMeter

_SCHEMES = {"raw": "socket", "rfc2217": "rfc2217"}
_AGAIN_S = 0.1


@target_factory.reg_driver
@attr.s(eq=False)
class JetonMeterDriver(Driver):
    """The client of a meter, over a serial port here or on another computer.

    While active it keeps the line open, and `meter` is a `jeton_host.meter.Meter`. `timeout` is
    the longest silence of a board, in seconds. The unlock code of a locked meter is in
    $JETON_UNLOCK_CODE.
    """

    bindings = {"port": {"SerialPort", "NetworkSerialPort"}}  # noqa: RUF012 (labgrid's way)

    timeout = attr.ib(default=TIMEOUT, converter=float)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._meter: PoolMeter | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """Return the address of the meter: a path, or the URL of a port on another computer."""
        if isinstance(self.port, SerialPort):  # RawSerialPort, USBSerialPort
            return str(self.port.port)
        assert isinstance(self.port, NetworkSerialPort)
        scheme = _SCHEMES.get(self.port.protocol)
        if scheme is None:
            raise BoardError(
                f"protocol {self.port.protocol!r} is not supported: use {' or '.join(_SCHEMES)}"
            )
        host, port = proxymanager.get_host_and_port(self.port)
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def on_activate(self) -> None:
        """Open the line; retry while a board that was just switched on is starting."""
        deadline = time.monotonic() + flashing.PATIENCE
        while True:
            try:
                self._meter = PoolMeter(self.url, timeout=self.timeout)
                break
            except PortError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_AGAIN_S)
        self._folder = tempfile.TemporaryDirectory(prefix="jeton-")
        self._meter.folder = Path(self._folder.name)

    def on_deactivate(self) -> None:
        """Close the line; the meter continues."""
        if self._meter is not None:
            self._meter.close()
            self._meter = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def meter(self) -> PoolMeter:
        """Return the client; StateError if the driver is not active."""
        return self._client()

    @Driver.check_active
    def _client(self) -> PoolMeter:
        assert self._meter is not None
        return self._meter


class Status(enum.Enum):
    """The states of a board on its way to a test."""

    unknown = 0
    off = 1
    flashed = 2
    provisioned = 3
    running = 4


@attr.s
class _Quiet:
    """Receives the progress of flashing and shows nothing."""

    def line(self, text: str) -> None:
        """Ignore a line."""

    @staticmethod
    def bar(what: str, total: int) -> Any:
        """Return a context with a function that ignores the progress."""
        from contextlib import nullcontext

        return nullcontext(lambda done: None)


@target_factory.reg_driver
@attr.s(eq=False)
class JetonStrategy(Strategy):
    """Brings a board to `off`, `flashed`, `provisioned` or `running`.

    * off: no power, if the place has a power driver; else only the line is closed;
    * flashed: it runs the firmware of this Jeton. A real board with another firmware is flashed.
      A virtual board is served by its own Jeton: another firmware there is an error;
    * provisioned: a meter is set up with `config`, in the form of `provision`, else a meter of
      `profile` under the published test keys. A meter with another number is an error, unless
      `erase_meter` is set: then each time a new meter is set up;
    * running: it answers, it has no fault, and its clock is right and runs.

    `board` is as for `jeton flash --board`; empty: the board that the firmware reports.
    """

    bindings = {  # noqa: RUF012 (labgrid's way)
        "line": "JetonMeterDriver",
        "power": {"PowerProtocol", None},
    }

    board: str = attr.ib(default="", validator=attr.validators.instance_of(str))
    profile: str = attr.ib(default="generic", validator=attr.validators.instance_of(str))
    config: Mapping[str, Any] | None = attr.ib(default=None)
    erase_meter: bool = attr.ib(default=False, validator=attr.validators.instance_of(bool))
    status: Status = attr.ib(default=Status.unknown)

    @property
    def meter(self) -> PoolMeter:
        """Return the client of the meter."""
        return self.line.meter

    @property
    def pos(self) -> MeterPos:
        """Return a point of sale that vends for the meter that was set up."""
        if not self.meter.config:
            raise StrategyError("there is no meter to vend for: transition to provisioned first")
        return self.meter.pos

    @never_retry
    @step(args=["status"])
    def transition(self, status: Status | str, *, step: Any) -> None:
        """Bring the board to a state, from any state."""
        wanted = Status[status] if isinstance(status, str) else status
        if wanted is Status.unknown:
            raise StrategyError(f"can not transition to {wanted}")
        if wanted is self.status and not (self.erase_meter and wanted is not Status.off):
            step.skip("nothing to do")
            return
        if wanted is Status.off:
            self._off()
        else:
            if self.status in (Status.unknown, Status.off):
                self._on()
            if wanted is Status.flashed or self.status in (Status.unknown, Status.off):
                self._flashed()
            if wanted is not Status.flashed:
                self._provisioned()
            if wanted is Status.running:
                self._running()
        self.status = wanted

    @never_retry
    @step(args=["status"])
    def force(self, status: Status | str, *, step: Any) -> None:
        """Assume that the board is in a state already (pytest --lg-initial-state)."""
        wanted = Status[status] if isinstance(status, str) else status
        if wanted is Status.unknown:
            raise StrategyError(f"can not force state {wanted}")
        if wanted is Status.off:
            self.target.deactivate(self.line)
        else:
            self.target.activate(self.line)
        if wanted in (Status.provisioned, Status.running):
            self.meter.config = self._wanted()
        self.status = wanted

    def _off(self) -> None:
        self.target.deactivate(self.line)
        if self.power is not None:
            self.target.activate(self.power)
            self.power.off()

    def _on(self) -> None:
        if self.power is not None:
            self.target.deactivate(self.line)
            self.target.activate(self.power)
            self.power.on()
        self.target.activate(self.line)

    def _flashed(self) -> None:
        meter = self.meter
        if meter.locked:
            raise StrategyError(
                f"the meter at {meter.port} is locked: `jeton unlock {meter.port} --for-good`"
            )
        about = facts.facts(meter)
        board = boards.load(self.board or self._reported_board())
        flashing.check(about, board, meter.port)
        firmware = flashing.firmware_for(about, board)
        if about.firmware[:1] == (firmware.hash,):
            return
        if about.virtual:
            found = about.firmware[0] if about.firmware else "none"
            raise StrategyError(
                f"the virtual board at {meter.port} has firmware {found}, but this Jeton has "
                f"{firmware.hash}: serve it with the same version"
            )
        flashing.Flasher(meter, about, firmware, _Quiet()).run()
        provisioning.start(meter)

    def _reported_board(self) -> str:
        """Return the name of the board, as its firmware reports it."""
        with suppress(BoardError):
            return self.meter.info().board
        raise StrategyError(
            f"the board at {self.meter.port} does not report what it is: name it, "
            "`JetonStrategy: {board: esp32_lcd2004}`"
        )

    def _wanted(self) -> dict[str, Any]:
        """Return the configuration of the meter, with the right time."""
        if isinstance(self.config, Mapping):
            return dict(self.config)
        return make_config(profile=self.profile)

    def _provisioned(self) -> None:
        meter, wanted = self.meter, self._wanted()
        there = meter.status()
        if there.provisioned and there.drn != wanted["drn"] and not self.erase_meter:
            raise StrategyError(
                f"there is meter {there.drn} on {meter.port}, and not {wanted['drn']}: "
                "`JetonStrategy: {erase_meter: true}` removes it, with its credit"
            )
        if self.erase_meter or not there.provisioned:
            meter.provision(wanted)
        meter.config = wanted
        meter.__dict__.pop("pos", None)  # it vended for the earlier meter
        assert meter.folder is not None
        (meter.folder / "pos.sqlite").unlink(missing_ok=True)

    def _running(self) -> None:
        meter = self.meter
        if meter.status().rate != 1:
            meter.set_rate(1)
        if not self.erase_meter:  # a new meter has the right time
            meter.clock(clock.now())
        now = meter.status()
        if now.fault or not now.provisioned:
            raise StrategyError(f"the meter at {meter.port} does not run: {now.fault or 'none'}")
