"""What the pytest plugin does when a test uses a meter: boards, points of sale, reports.

Loaded with the first meter that a test asks for: the plugin itself costs next to nothing.
"""

import contextlib
import importlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from host_tools import firmware_build, interpreter, link, locks, ports, profiles
from host_tools.errors import BoardError
from host_tools.firmware_build import Firmware
from host_tools.link import Meter
from host_tools.paths import cache_home
from host_tools.vending.pos import Issued, MeterRecord, PointOfSale
from host_tools.virtual import VirtualBoard
from host_tools.waiting import brief
from jeton import __version__ as firmware_version

VIRTUAL = "virtual"
SILENT_S = 2.0  # for a board that has just failed a test to say what it shows
_EVENTS = 8
_STARTERS = 4  # boards of a street that are started at once
_FILE_CHARACTERS = 120

Amount = str | int | Decimal


class OutOfOrderError(BoardError):
    """A board that was reported already; it is not tried again."""


class MeterPos:
    """The point of sale of one meter: what PointOfSale does, without the meter's name.

    Every method takes the keyword arguments of that of PointOfSale, and raises VendingError.
    `pos` is the whole point of sale, `path` its SQLite file, `name` the meter's name in it.
    """

    def __init__(self, pos: PointOfSale, name: str) -> None:
        self.pos = pos
        self.name = name

    @property
    def path(self) -> Path:
        """Return the point of sale's file, for a service that vends from it."""
        return self.pos.path

    @property
    def record(self) -> MeterRecord:
        """Return the meter as the point of sale knows it."""
        return self.pos.meter(self.name)

    @property
    def drn(self) -> str:
        """Return the meter's number."""
        return self.record.drn

    def credit(self, amount: Amount, **how: Any) -> Issued:
        """Issue credit in kWh (m³ of water or gas, minutes of time)."""
        return self.pos.credit(self.name, amount, **how)

    def currency(self, amount: Amount, **how: Any) -> Issued:
        """Issue credit in the base currency."""
        return self.pos.currency(self.name, amount, **how)

    def power_limit(self, watts: int | str, **how: Any) -> Issued:
        """Issue a SetMaximumPowerLimit."""
        return self.pos.power_limit(self.name, watts, **how)

    def unbalance_limit(self, watts: int | str, **how: Any) -> Issued:
        """Issue a SetMaximumPhasePowerUnbalanceLimit."""
        return self.pos.unbalance_limit(self.name, watts, **how)

    def clear_credit(self, register: int | str = "electricity", **how: Any) -> Issued:
        """Issue a ClearCredit."""
        return self.pos.clear_credit(self.name, register, **how)

    def clear_tamper(self, **how: Any) -> Issued:
        """Issue a ClearTamperCondition."""
        return self.pos.clear_tamper(self.name, **how)

    def tariff(self, rate: int, **how: Any) -> Issued:
        """Issue a SetTariffRate."""
        return self.pos.tariff(self.name, rate, **how)

    def water_factor(self, factor: int, **how: Any) -> Issued:
        """Issue a SetWaterMeterFactor."""
        return self.pos.water_factor(self.name, factor, **how)

    def extended_write(self, index: int, value: int, **how: Any) -> Issued:
        """Issue an ExtendedTokenSetWrite."""
        return self.pos.extended_write(self.name, index, value, **how)

    def test(self, numbers: list[int], **how: Any) -> Issued:
        """Issue an InitiateMeterTest/Display."""
        return self.pos.test(self.name, numbers, **how)

    def key_change(self, **to: Any) -> list[Issued]:
        """Issue a key change set; what is issued from then on is for the new key."""
        return self.pos.key_change(self.name, **to)

    def issued(self) -> list[Issued]:
        """Return the tokens issued for this meter, oldest first."""
        return self.pos.issued(self.name)


class BenchMeter(Meter):
    """A meter in a test: a Meter that knows its point of sale and its configuration."""

    def __init__(self, port: str, **options: Any) -> None:
        self.config: dict[str, Any] = {}
        self.folder: Path | None = None  # of its point of sale
        self._locked_by: str | None = None
        self.ended = False  # its virtual board was switched off
        super().__init__(port, **options)

    def lock(self, code: str | None = None) -> None:
        """Lock the meter as `Meter.lock` does; a named board is opened again after the test."""
        super().lock(code)
        self._locked_by = code or self._locked_by

    def close(self) -> None:
        """Close the meter as `Meter.close` does."""
        self.ended = self.ended or self.board is not None
        super().close()

    def reopen(self) -> None:
        """Remove the lock that a test has left."""
        code, self._locked_by = self._locked_by, None
        if code is not None and self.locked:
            self.open_up(code)

    @cached_property
    def pos(self) -> MeterPos:
        """Return the point of sale that has this meter, made when it is first asked for."""
        assert self.folder is not None
        return register(self, PointOfSale(self.folder / "pos.sqlite"))


def register(meter: BenchMeter, pos: PointOfSale) -> MeterPos:
    """Register a meter at a point of sale, as the meter says that it is."""
    status = meter.status()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", meter.name).strip("-._")[:64] or "meter"
    facts: dict[str, Any] = {
        "drn": status.drn,
        "ea": status.ea,
        "kct": status.kct,
        "krn": status.krn,
        "kt": status.kt,
        "ti": status.ti,
        "sgc": status.sgc,
        "ken": status.ken,
        "bdt": status.bdt,
        "profile": status.profile,
        "tables": meter.config.get("tables", "certified"),
        "mfr_code": meter.config.get("mfr_code"),
    }
    key = bytes.fromhex(meter.config["decoder_key"])
    if status.kt:  # else it is not derived
        record = pos.add_meter(name, **facts)
        if pos.decoder_key(record) == key:
            return MeterPos(pos, name)
        pos.remove_meter(name)
    pos.add_meter(name, decoder_key=key, **facts)
    return MeterPos(pos, name)


@dataclass
class Bench:
    """The boards of one process of pytest: fresh virtual ones, or those that are named.

    A board that cannot be had, or that stops answering, is out of order from then on.
    """

    places: Sequence[str]
    kind: str = VIRTUAL
    wires: str | None = None
    images: Path | None = None
    timeout: float = link.TIMEOUT
    _open: dict[str, BenchMeter] = field(default_factory=dict)
    _broken: dict[str, str] = field(default_factory=dict)
    _reported: dict[str, str] = field(default_factory=dict)  # what is said from then on
    _firmware: dict[Any, Firmware] = field(default_factory=dict)
    _configs: dict[Any, dict[str, Any]] = field(default_factory=dict)
    _described: dict[str, str] = field(default_factory=dict)
    _started: bool = False  # a virtual board was

    @property
    def virtual(self) -> bool:
        """Return whether the meters are fresh virtual ones."""
        return self.places[0] == VIRTUAL

    # Configurations

    def config(self, profile: str, number: int = 0) -> dict[str, Any]:
        """Return the configuration of a fresh meter, the clock right; `number` makes it another.

        The meters are under the published test keys.
        """
        key = (profile, number, _own_profiles())
        if key not in self._configs:
            self._make_configs(profile, number)
        now = datetime.now(UTC) - link.EPOCH
        return self._configs[key] | {"clock": int(now.total_seconds())}

    def _make_configs(self, profile: str, most: int) -> None:
        with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
            pos = PointOfSale(Path(folder) / "pos.sqlite")
            own = _own_profiles()
            for number in range(most + 1):
                pos.add_meter(str(number), profile=profile)
                self._configs[profile, number, own] = pos.config_for(str(number))

    # Boards

    @contextlib.contextmanager
    def meter(
        self, config: Mapping[str, Any], folder: Path, *, place: str = "", name: str = ""
    ) -> Iterator[BenchMeter]:
        """Give a meter that was set up just now, on a virtual board or on a named one."""
        place = place or self.places[0]
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
    def _virtual(self, config: Mapping[str, Any], name: str) -> Iterator[BenchMeter]:
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
            meter = BenchMeter(board.path, name=name, **options)
            try:
                meter.provision(config)
                yield meter
            finally:
                meter.close()
        finally:
            board.close()

    def _named(self, place: str) -> BenchMeter:
        """Return the client of a board that is there; it keeps the port for itself."""
        if place in self._open:
            return self._open[place]
        try:
            # Other workers ask boards for their MAC, too: not while this one takes its own.
            with locks.alone(cache_home() / "ports.lock"):
                port = ports.find(place).device
                options: dict[str, Any] = {"timeout": self.timeout}
                if self.wires:
                    options["wires"] = _wires(self.wires, None)
                meter = BenchMeter(port, **options)
        except BoardError as error:
            self._broken[place] = str(error)
            raise
        self._open[place] = meter
        return meter

    def _set_up(self, place: str, meter: BenchMeter, config: Mapping[str, Any]) -> None:
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
        """Return whether a board still answers, soon."""
        with hurried(meter):
            try:
                meter.info()
            except BoardError:
                return False
        return True

    def _check(self, place: str) -> None:
        """Raise what is wrong with a board, once in full and from then on in a few words."""
        if place not in self._broken:
            return
        if place in self._reported:
            raise OutOfOrderError(self._reported[place])
        self._reported[place] = f"not tried: there is no board at {place}, as said before"
        raise BoardError(self._broken[place])

    def stopped(self, meter: Meter, test: str) -> None:
        """Note that a named board does not answer any more, which a test's report says."""
        for place, other in self._open.items():
            if other is meter and place not in self._broken:
                self._broken[place] = "it stopped answering"
                self._reported[place] = (
                    f"not tried: the board at {meter.port} stopped answering in {test}"
                )

    def firmware(self) -> Firmware:
        """Return the firmware of the virtual boards, built once, and again for other profiles."""
        key = self.kind, _own_profiles()
        if key not in self._firmware:
            self._firmware[key] = firmware_build.build(interpreter.find(), self.kind)
        return self._firmware[key]

    def close(self) -> None:
        """Let go of all boards."""
        for meter in self._open.values():
            with contextlib.suppress(BoardError):
                meter.reopen()
            with contextlib.suppress(BoardError):
                meter.close()
        self._open.clear()

    @contextlib.contextmanager
    def street(
        self, configs: Sequence[Mapping[str, Any]], folder: Path
    ) -> Iterator[list[BenchMeter]]:
        """Give as many meters as there are configurations, started a few at a time.

        Of named boards there must be as many.
        """
        names = [f"meter{number}" for number in range(1, len(configs) + 1)]
        places = [VIRTUAL] * len(configs) if self.virtual else self.places

        def begin(number: int) -> tuple[contextlib.ExitStack, BenchMeter]:
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

    # What they are

    def describe(self) -> list[str]:
        """Return a line for each board: its name, firmware and interpreter.

        A virtual board is not started for that; one that cannot be had is said to be missing.
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
        """Return a line for each board that was used, in the words of `describe`."""
        return [self._describe(place) for place in [*self._open, *([VIRTUAL] * self._started)]]


def _own_profiles() -> tuple[Any, ...]:
    """Return what changes when a profile of the user's own does."""
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
    faults = ", ".join(f"{part}: {said}" for part, said in info.faults.items())
    return (
        f"board {info.board} at {meter.port}, firmware {info.firmware} ({mark or 'no hash'}), "
        f"{info.interpreter}{f'; faults: {faults}' if faults else ''}"
    )


def _wires(where: str, board: VirtualBoard | None) -> Any:
    try:
        wires = importlib.import_module("host_tools.wires")
    except ImportError:
        raise BoardError("this version of Jeton has no wires: leave out --meter-wires") from None
    return wires.connect(where, board)


# Reports of failed tests


@contextlib.contextmanager
def hurried(meter: Meter) -> Iterator[None]:
    """Wait no longer than a moment for a board that may be dead."""
    before, meter.timeout = meter.timeout, min(meter.timeout, SILENT_S)
    try:
        yield
    finally:
        meter.timeout = before


def report(bench: Bench, meter: BenchMeter, test: str, lines: int) -> str:
    """Return what a meter shows, is and has logged, and the last lines of its serial line.

    A named board that does not answer any more is noted.
    """
    said = [f"  {line}" for line in meter.transcript.lines(lines)]  # before it is asked more
    if meter.ended:
        return "\n".join(["the test has closed it", "serial line:", *(said or ["  nothing"])])
    parts: list[str] = []
    with hurried(meter):
        try:
            display = meter.display()
            width = display.cols
            parts += ["display:", *(f"  |{line:{width}}|" for line in display.lines)]
            parts += ["status:", *_status(meter)]
            logged = [f"  {brief(event)}" for event in meter.events()[-_EVENTS:]]
            parts += ["last events:", *(logged or ["  none"])]
        except BoardError as error:
            parts.append(f"no answer: {error}")
            if meter.board is None and not bench.answers(meter):
                bench.stopped(meter, test)
    return "\n".join([*parts, "serial line:", *(said or ["  nothing"])])


def _status(meter: Meter) -> list[str]:
    known = meter.status().as_dict()
    told, line = [], " "
    for name, value in known.items():
        word = f" {name}={value}"
        if len(line) + len(word) > 96:
            told.append(line)
            line = " "
        line += word
    return [*told, line]


def image_path(folder: Path, test: str, name: str) -> Path:
    """Return where the flash of a failed test is kept."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", test.replace(".py::", "::")).strip("-")
    words = f"{words[-_FILE_CHARACTERS:]}{f'-{name}' if name else ''}"
    path = folder / f"{words}.img"
    number = 1
    while path.exists():
        number += 1
        path = folder / f"{words}-{number}.img"
    return path.absolute()


def keep_image(folder: Path, meter: BenchMeter, test: str, name: str) -> str:
    """Have the flash of a meter kept when it is closed; return what to say about it."""
    if meter.ended:
        return "its flash is gone: the test has closed it"
    if meter.board is None:
        return f"the flash of the board at {meter.port} cannot be kept: it is no virtual board"
    if meter.board.keep is None:
        meter.board.keep = image_path(folder, test, name)
    path = meter.board.keep
    return (
        f"its flash is kept at {path}\n"
        f"`jeton rescue {path}` reads it, VirtualBoard(Path({str(path)!r})) runs it"
    )
