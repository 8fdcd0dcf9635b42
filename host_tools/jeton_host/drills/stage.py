"""The start of each drill: a temporary point of sale, and meters with a stopped clock."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from jeton.sts import tokens
from jeton_host.client import loads
from jeton_host.client.answers import Status
from jeton_host.drills.story import Story
from jeton_host.firmware import profiles
from jeton_host.firmware.arabic import visual
from jeton_host.meter import Meter
from jeton_host.paths import cache_home
from jeton_host.vending.explain import explain
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued

NO_ARABIC = "This output cannot show Arabic: each ? is a letter."
_DISPLAY = (2, 16)  # lines, columns
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stage:
    """A point of sale in a temporary folder; random values are generated from the seed."""

    def __init__(self, folder: Path, seed: int):
        self.folder = folder
        self.pos = PointOfSale(folder / "pos.sqlite")
        self.random = Random(seed)  # noqa: S311 - it must be repeatable, nothing is secret

    def config(
        self, name: str, *, at: datetime, credit_wh: int = 0, **options: Any
    ) -> dict[str, Any]:
        """Register a meter; return its configuration for `provision`."""
        self.pos.add_meter(name, **options)
        return self.pos.config_for(name, at=at) | {"credit_wh": credit_wh}

    def config_of_dots(self, name: str, **options: Any) -> dict[str, Any]:
        """Register a meter as `config` does, with a graphic display, which can show Arabic."""
        return self.config(name, **options) | {"display": [*_DISPLAY, 1]}

    def sell(self, name: str, kwh: str | int, at: datetime) -> Issued:
        """Issue a credit token; the same seed gives the same token."""
        return self.pos.credit(name, kwh, at=at, rnd=self.random.randrange(16))

    def why(self, meter: Meter, name: str, token: str) -> str:
        """Return in one line why the meter refuses a token, as `jeton explain` says."""
        status = meter.status()
        found = explain(token, pos=self.pos, meter=name, status=status.as_dict(), now=status.clock)
        return f"jeton explain: {found.summary}"

    def sold_wh(self, name: str) -> dict[str, int]:
        """Return the credit tokens that the point of sale has issued for a meter: token -> Wh."""
        return {
            issued.token: 100 * tokens.amount_value(issued.fields["amount"])
            for issued in self.pos.issued(name)
            if issued.cls == 0
        }


@contextmanager
def stage(story: Story) -> Iterator[Stage]:
    """Yield a stage; delete its folder afterwards, also if Ctrl-C is pressed during that."""
    with _signals_held():
        folder = tempfile.TemporaryDirectory(prefix="jeton-drill-")
    try:
        story.hide = f"{folder.name}/"
        yield Stage(Path(folder.name), story.seed)
    finally:
        with _signals_held():
            folder.cleanup()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Delay the signals that end the program until this context ends."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signal handlers run only in the main thread
        return
    pending: list[int] = []
    before = {
        ending: signal.signal(ending, lambda number, _: pending.append(number))
        for ending in _ENDING
    }
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
        for number in pending:
            signal.raise_signal(number)


@contextmanager
def meter_of(config: Mapping[str, Any]) -> Iterator[Meter]:
    """Yield a new virtual meter with a stopped clock; only `advance` changes its time."""
    with Meter.open("virtual") as meter:
        meter.set_rate(0)  # before its clock is set
        meter.provision(config)
        yield meter


def power_cut(
    meter: Meter, week: loads.Steps | None = None, start: datetime | None = None
) -> None:
    """Cut the power and restore it, without a change of the meter's clock.

    The clock of a board runs after its start, so the load is 0 until the clock is stopped again.
    Then the load `week` is connected, with `start` as its first time.
    """
    before = meter.clock()
    meter.set_load(0)
    meter.power_cut()
    meter.power_on()
    meter.set_rate(0)
    if meter.clock() != before:
        meter.clock(before)
    if week:
        meter.set_load_steps(week, start=start, repeat_s=loads.WEEK_S)


def week_wh(week: loads.Steps, seconds: int) -> float:
    """Return the energy of a weekly load in its first `seconds`, Wh."""
    weeks, rest = divmod(seconds, loads.WEEK_S)
    return weeks * loads.energy_wh(week, loads.WEEK_S) + loads.energy_wh(week, rest)


@contextmanager
def home_of_its_own(folder: Path) -> Iterator[None]:
    """Use a temporary $JETON_HOME for user profiles, with the usual cache of compiled firmware."""
    before = os.environ.get("JETON_HOME")
    cache = cache_home()
    cache.mkdir(parents=True, exist_ok=True)
    home = folder / "home"
    home.mkdir()
    (home / "cache").symlink_to(cache.resolve(), target_is_directory=True)
    os.environ["JETON_HOME"] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["JETON_HOME"]
        else:
            os.environ["JETON_HOME"] = before


def arabic(profile: str, message: str) -> str:
    """Return the characters of a profile's Arabic message, in the order on the display."""
    return visual(profiles.words(profiles.load(profile), "ar")[message])


def count(number: int, what: str) -> str:
    """Return a number with its noun, for people."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def kwh(energy_wh: int) -> str:
    """Return energy in kWh with its unit, for people."""
    return f"{energy_wh / 1000:.2f} kWh"


def state_of(status: Status) -> str:
    """Return the state of a meter, for people."""
    return (
        f"credit {kwh(status.credit_wh)}, index {kwh(status.total_wh)}, "
        f"supply {status.switch}, KRN {status.krn}"
    )
