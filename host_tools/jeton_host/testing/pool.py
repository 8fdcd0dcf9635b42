"""Boards, points of sale and reports for the tests that use a meter.

Imported when a test requests its first meter, so that the plugin itself loads fast.
"""

import contextlib
import importlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jeton import __version__ as firmware_version
from jeton_host import clock, locks
from jeton_host.client.answers import EPOCH
from jeton_host.client.port import TIMEOUT
from jeton_host.errors import BoardError, OutOfOrderError
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import interpreter, profiles
from jeton_host.firmware.build import Firmware
from jeton_host.meter import Meter
from jeton_host.meters import named, ports
from jeton_host.paths import cache_home
from jeton_host.testing.meter_pos import PoolMeter
from jeton_host.vending.pos import PointOfSale
from jeton_host.virtual.board import VirtualBoard

VIRTUAL = "virtual"
SILENT_S = 2.0  # longest wait for a board after a failed test, in s
EVENTS = 8
_STARTERS = 4  # boards of a street started at the same time
FILE_CHARACTERS = 120
_DERIVED_FROM = ("drn", "ea", "kt", "sgc", "ti", "krn", "bdt")  # the decoder key
_REGISTERED = (*_DERIVED_FROM, "ken", "kct", "tables", "mfr_code", "profile")


@dataclass
class MeterPool:
    """The boards of one pytest process: new virtual boards, or the named ones.

    A board that cannot be opened, or that stops answering, is out of order from then on.
    """

    places: Sequence[str]
    kind: str = VIRTUAL
    wires: str | None = None
    images: Path | None = None
    timeout: float = TIMEOUT
    erase: bool = False  # also set up a board that is a meter of the user's point of sale
    _open: dict[str, PoolMeter] = field(default_factory=dict)
    _broken: dict[str, str] = field(default_factory=dict)
    _reported: dict[str, str] = field(
        default_factory=dict
    )  # the short message after the first one
    _firmware: dict[Any, Firmware] = field(default_factory=dict)
    _configs: dict[Any, dict[str, Any]] = field(default_factory=dict)
    _described: dict[str, str] = field(default_factory=dict)
    _started: bool = False  # a virtual board was started

    @property
    def virtual(self) -> bool:
        """Return whether the meters are on new virtual boards."""
        return self.places[0] == VIRTUAL

    # Configurations

    def config(self, profile: str, number: int = 0) -> dict[str, Any]:
        """Return the configuration of a new meter with the right time.

        Each `number` is another meter. The meters have the published test keys.
        """
        key = (profile, number, _own_profiles())
        if key not in self._configs:
            self._make_configs(profile, number)
        now = clock.now() - EPOCH
        return self._configs[key] | {"clock": int(now.total_seconds())}

    def _make_configs(self, profile: str, most: int) -> None:
        with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
            pos = PointOfSale(Path(folder) / "pos.sqlite")
            own = _own_profiles()
            for number in range(most + 1):
                pos.add_meter(str(number), profile=profile)
                self._configs[profile, number, own] = pos.config_for(str(number))

    def consistent(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration with the key of its attributes.

        A test changes a configuration of this pool, such as `meter_config | {"krn": 2}`, but keeps
        the key of KRN 1 in it. Then the key, and what else follows from the changed attributes, is
        derived again. A configuration with another key is returned as it is.

        Raises:
            VendingError: An attribute is wrong, or there is no test key for these attributes.
        """
        key, profile = config.get("decoder_key"), config.get("profile")
        known = [one for one in self._configs.values() if one["decoder_key"] == key]
        made = min(known, key=lambda one: one["profile"] != profile, default=None)
        if made is None or all(config.get(n, made[n]) == made[n] for n in _DERIVED_FROM):
            return dict(config)
        changes = {name: value for name, value in config.items() if value != made.get(name)}
        facts = {name: made[name] for name in _DERIVED_FROM}
        facts |= {name: value for name, value in changes.items() if name in _REGISTERED}
        with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
            pos = PointOfSale(Path(folder) / "pos.sqlite")
            pos.add_meter("changed", **{"profile": made["profile"]} | facts)
            return pos.config_for("changed") | changes

    # Boards

    @contextlib.contextmanager
    def meter(
        self, config: Mapping[str, Any], folder: Path, *, place: str = "", name: str = ""
    ) -> Iterator[PoolMeter]:
        """Give a meter that was just set up, on a virtual board or on a named one."""
        place = place or self.places[0]
        config = self.consistent(config)
        self._check(place)
        if place == VIRTUAL:
            with self._virtual(config, name) as meter:
                meter.config, meter.folder = dict(config), folder
                yield meter
            return
        try:
            meter = self._named(place)
        except BoardError:
            self._check(place)
            raise
        meter.__dict__.pop("pos", None)
        self._set_up(place, meter, config)
        meter.config, meter.folder = dict(config), folder
        yield meter

    @contextlib.contextmanager
    def _virtual(self, config: Mapping[str, Any], name: str) -> Iterator[PoolMeter]:
        board = VirtualBoard(board=self.kind)
        try:
            board.firmware = self.firmware()
            board.start()
            self._started = True
        except BoardError as error:
            self._broken[VIRTUAL] = str(error)
            self._check(VIRTUAL)
        try:
            options: dict[str, Any] = {"board": board, "timeout": self.timeout}
            if self.wires:
                options["wires"] = _wires(self.wires, board)
            meter = PoolMeter(board.path, name=name, **options)
            try:
                meter.provision(config)
                yield meter
            finally:
                meter.close()
        finally:
            board.close()

    def _named(self, place: str) -> PoolMeter:
        """Return the client of an existing board; the client keeps the port open."""
        if place in self._open:
            return self._open[place]
        try:
            # Other workers also query boards for their MAC: not while this one opens its port.
            with locks.alone(cache_home() / "ports.lock"):
                port = ports.find(place).device
                options: dict[str, Any] = {"timeout": self.timeout}
                if self.wires:
                    options["wires"] = _wires(self.wires, None)
                meter = PoolMeter(port, **options)
            try:
                self._check_kept(place, meter)
            except BaseException:
                meter.close()
                raise
        except BoardError as error:
            self._broken[place] = str(error)
            raise
        self._open[place] = meter
        return meter

    def _check_kept(self, place: str, meter: PoolMeter) -> None:
        """Raise BoardError for a meter of the user's point of sale: each test would erase it."""
        info = meter.info()
        if self.erase or not info.provisioned:
            return
        known = {record.drn: record.name for record in PointOfSale().meters()}
        name = known.get(info.drn) or (place if named.exists(place) else "")
        if name:
            raise BoardError(
                f"the board at {place} is meter {name} ({info.drn}) of the point of sale, and the "
                "tests would erase its credit and its key: give --meter-erase to agree, or name "
                "another board"
            )

    def _set_up(self, place: str, meter: PoolMeter, config: Mapping[str, Any]) -> None:
        meter.timeout = self.timeout
        try:
            meter.reopen()
            if meter.provision(config).rate != 1:
                meter.set_rate(1)
        except BoardError as error:
            if not self.answers(meter):
                self._broken[place] = str(error)
                self._check(place)
            raise

    def answers(self, meter: Meter) -> bool:
        """Return whether a board still answers, within a short time."""
        with short_timeout(meter):
            try:
                meter.info()
            except BoardError:
                return False
        return True

    def _check(self, place: str) -> None:
        """Raise the fault of a board: the first time in full, later in a few words."""
        if place not in self._broken:
            return
        if place in self._reported:
            raise OutOfOrderError(self._reported[place])
        self._reported[place] = f"not tried: there is no board at {place}, as reported before"
        raise BoardError(self._broken[place])

    def stopped(self, meter: Meter, test: str) -> None:
        """Mark a named board as not answering any more; later failures name this test."""
        for place, other in self._open.items():
            if other is meter and place not in self._broken:
                self._broken[place] = "it stopped answering"
                self._reported[place] = (
                    f"not tried: the board at {meter.port} stopped answering in {test}"
                )

    def firmware(self) -> Firmware:
        """Return the firmware of the virtual boards, built once for each set of profiles."""
        key = self.kind, _own_profiles()
        if key not in self._firmware:
            self._firmware[key] = firmware_build.build(interpreter.find(), self.kind)
        return self._firmware[key]

    def close(self) -> None:
        """Release all boards."""
        for meter in self._open.values():
            with contextlib.suppress(BoardError):
                meter.reopen()
            with contextlib.suppress(BoardError):
                meter.close()
        self._open.clear()

    @contextlib.contextmanager
    def street(
        self, configs: Sequence[Mapping[str, Any]], folder: Path
    ) -> Iterator[list[PoolMeter]]:
        """Give one meter for each configuration, started a few at a time.

        There must be as many named boards.
        """
        configs = [self.consistent(config) for config in configs]  # an error starts no board
        names = [f"meter{number}" for number in range(1, len(configs) + 1)]
        places = [VIRTUAL] * len(configs) if self.virtual else self.places

        def begin(number: int) -> tuple[contextlib.ExitStack, PoolMeter]:
            with contextlib.ExitStack() as mine:
                home = folder / names[number]
                home.mkdir()
                meter = mine.enter_context(
                    self.meter(configs[number], home, place=places[number], name=names[number])
                )
                return mine.pop_all(), meter

        with ThreadPoolExecutor(_STARTERS) as pool, contextlib.ExitStack() as stack:
            begun = [pool.submit(begin, number) for number in range(len(configs))]
            errors, street, open_ones = [], [], []
            for one in begun:
                try:
                    mine, meter = one.result()
                except BoardError as error:
                    errors.append(error)
                else:
                    open_ones.append(mine)
                    street.append(meter)
            stack.callback(lambda: list(pool.map(contextlib.ExitStack.close, open_ones)))
            if errors:
                raise errors[0]
            yield street

    # Descriptions

    def describe(self) -> list[str]:
        """Return a line for each board: its name, firmware and interpreter.

        A virtual board is not started for this; a board that cannot be opened is listed as
        missing.
        """
        return [self._describe(place) for place in dict.fromkeys(self.places)]

    def _describe(self, place: str) -> str:
        if place in self._broken:
            return f"{place}: no board"
        try:
            if place == VIRTUAL:
                version = ".".join(map(str, interpreter.find().version))
                return (
                    f"board {self.kind}, firmware {firmware_version} ({self.firmware().hash}), "
                    f"MicroPython {version}"
                )
            if place not in self._described:
                self._described[place] = _about(self._named(place))
        except BoardError as error:
            self._broken[place] = str(error)
            return f"{place}: no board"
        return self._described[place]

    @property
    def used(self) -> list[str]:
        """Return a line for each board that was used, as in `describe`."""
        return [self._describe(place) for place in [*self._open, *([VIRTUAL] * self._started)]]


def _own_profiles() -> tuple[Any, ...]:
    """Return a value that changes when a profile of the user changes."""
    folder = profiles.user_dir()
    try:
        files = sorted(folder.glob("*.json"))
        return (folder, *((file.name, file.stat().st_mtime_ns) for file in files))
    except OSError:
        return (folder,)


def _about(meter: Meter) -> str:
    info = meter.info()
    mark = ""
    if not meter.locked:
        with contextlib.suppress(BoardError):
            mark = meter.run("with open('/firmware.id') as f: print(f.readline())").strip()
    faults = ", ".join(f"{part}: {fault}" for part, fault in info.faults.items())
    return (
        f"board {info.board} at {meter.port}, firmware {info.firmware} ({mark or 'no hash'}), "
        f"{info.interpreter}{f'; faults: {faults}' if faults else ''}"
    )


def _wires(where: str, board: VirtualBoard | None) -> Any:
    try:
        wires = importlib.import_module("jeton_host.bench.wires")
    except ImportError:
        raise BoardError("this version of Jeton has no wires: leave out --meter-wires") from None
    return wires.connect(where, board)


# Reports of failed tests


@contextlib.contextmanager
def short_timeout(meter: Meter) -> Iterator[None]:
    """Use a short timeout for a board that may not answer."""
    before, meter.timeout = meter.timeout, min(meter.timeout, SILENT_S)
    try:
        yield
    finally:
        meter.timeout = before
