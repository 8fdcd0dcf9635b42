"""What every drill begins with: a point of sale of its own, and meters whose clock it moves."""

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

NO_ARABIC = "This output cannot show it: ? stands for a letter."
_DISPLAY = (2, 16)  # lines, columns
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stage:
    """A point of sale in a folder of its own; what is random comes from the story's seed."""

    def __init__(self, folder: Path, seed: int):
        self.folder = folder
        self.pos = PointOfSale(folder / "pos.sqlite")
        self.random = Random(seed)  # noqa: S311 - it must be repeatable, nothing is secret

    def config(
        self, name: str, *, at: datetime, credit_wh: int = 0, **options: Any
    ) -> dict[str, Any]:
        """Register a meter; return what `provision` takes."""
        self.pos.add_meter(name, **options)
        return self.pos.config_for(name, at=at) | {"credit_wh": credit_wh}

    def config_of_dots(self, name: str, **options: Any) -> dict[str, Any]:
        """Register a meter as `config` does, whose display of dots can draw Arabic too."""
        return self.config(name, **options) | {"display": [*_DISPLAY, 1]}

    def sell(self, name: str, kwh: str | int, at: datetime) -> Issued:
        """Sell credit, the same token for the same seed."""
        return self.pos.credit(name, kwh, at=at, rnd=self.random.randrange(16))

    def why(self, meter: Meter, name: str, token: str) -> str:
        """Return in one line why the meter refuses a token, by what the seller can find out."""
        status = meter.status()
        found = explain(token, pos=self.pos, meter=name, status=status.as_dict(), now=status.clock)
        return f"jeton explain: {found.summary}"

    def sold_wh(self, name: str) -> dict[str, int]:
        """Return what the point of sale's log says it sold to a meter: token and Wh."""
        return {
            issued.token: 100 * tokens.amount_value(issued.fields["amount"])
            for issued in self.pos.issued(name)
            if issued.cls == 0
        }


@contextmanager
def stage(story: Story) -> Iterator[Stage]:
    """Give a stage that is gone afterwards, however often Ctrl-C is pressed meanwhile."""
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
    """Hold back what would end the program until this has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no handler runs here
        return
    came: list[int] = []
    before = {
        ending: signal.signal(ending, lambda number, _: came.append(number)) for ending in _ENDING
    }
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
        for number in came:
            signal.raise_signal(number)


@contextmanager
def meter_of(config: Mapping[str, Any]) -> Iterator[Meter]:
    """Give a fresh virtual meter whose clock stands still unless told to advance."""
    with Meter.open("virtual") as meter:
        meter.set_rate(0)  # before its clock is set
        meter.provision(config)
        yield meter


def power_cut(
    meter: Meter, week: loads.Steps | None = None, start: datetime | None = None
) -> None:
    """Take the power away at this moment and give it back; the meter's clock stands still.

    A board's clock runs when it starts, so the load is off until it stands: `week` from `start`
    is connected afterwards.
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
    """Return the Wh of a repeating week's steps in the first `seconds`."""
    weeks, rest = divmod(seconds, loads.WEEK_S)
    return weeks * loads.energy_wh(week, loads.WEEK_S) + loads.energy_wh(week, rest)


@contextmanager
def home_of_its_own(folder: Path) -> Iterator[None]:
    """Let profiles of one's own be made in a folder; compiled firmware stays where it is."""
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
    """Return the cells in which a display shows a message of a profile in Arabic."""
    return visual(profiles.words(profiles.load(profile), "ar")[message])


def count(number: int, what: str) -> str:
    """Return how many there are, for people."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def kwh(energy_wh: int) -> str:
    """Return energy for people."""
    return f"{energy_wh / 1000:.2f} kWh"


def state_of(status: Status) -> str:
    """Return how a meter stands, for people."""
    return (
        f"credit {kwh(status.credit_wh)}, index {kwh(status.total_wh)}, "
        f"supply {status.switch}, KRN {status.krn}"
    )
