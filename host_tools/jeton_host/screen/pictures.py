"""Draw `jeton run` as SVG files, always the same (`make screenshots`).

The default folder is docs/pictures; `python -m jeton_host.screen.pictures FOLDER` names another.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from jeton_host.meter import Meter
from jeton_host.paths import docs_dir
from jeton_host.screen.app import MeterScreen
from jeton_host.screen.desk import Desk
from jeton_host.terminal.picture import standalone
from jeton_host.vending.pos import PointOfSale

SIZE = (80, 24)
SIZES = {"projector": (200, 50)}
_AT = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
_RND = 5
_PATIENCE_S = 30.0
_POLL_S = 0.02

Scene = Callable[[MeterScreen, Pilot[int]], Awaitable[None]]


async def until(pilot: Pilot[int], holds: Callable[[], bool]) -> None:
    """Wait until a condition is true; TimeoutError after _PATIENCE_S."""
    async with asyncio.timeout(_PATIENCE_S):
        while not holds():
            await pilot.pause(_POLL_S)


async def settled(screen: MeterScreen, pilot: Pilot[int]) -> None:
    """Wait until all requests to the meter are done and shown."""
    done: list[bool] = []
    screen.line.do(lambda meter: str(done.append(True) or ""))  # type: ignore[func-returns-value]
    await until(pilot, lambda: bool(done))
    looks = screen.looks
    await until(pilot, lambda: screen.looks >= looks + 2)
    await pilot.pause()


async def _purchase(screen: MeterScreen, pilot: Pilot[int]) -> None:
    """Issue a credit token and enter it."""
    await pilot.press("v")
    await pilot.click("#issue-credit")
    await until(pilot, lambda: bool(screen.issued))
    await pilot.press("k")


async def _refused(screen: MeterScreen, pilot: Pilot[int]) -> None:
    """Use all credit, then enter a wrong token."""
    screen.line.do(lambda meter: str(meter.set_load(800).fault or ""))
    screen.line.do(lambda meter: str(meter.advance(3 * 3600).fault or ""))
    await settled(screen, pilot)
    await pilot.press(*"46841597815952103305", "enter")


async def _settings(screen: MeterScreen, pilot: Pilot[int]) -> None:
    """Show the settings, a half-entered token, and a keypad with the key i."""
    screen.line.do(lambda meter: str(meter.set_load(1500).fault or ""))
    screen.line.do(lambda meter: str(meter.advance(600).fault or ""))
    await settled(screen, pilot)
    await pilot.press("s", *"4684159")


async def _arabic(screen: MeterScreen, pilot: Pilot[int]) -> None:
    """Show a graphic display in Arabic, after a purchase."""
    await _purchase(screen, pilot)
    await settled(screen, pilot)
    await pilot.press("e")


# For each picture: the profile, the rest of the configuration, and the actions.
SCENES: dict[str, tuple[str, dict[str, Any], Scene]] = {
    "purchase": ("generic", {"credit_wh": 3000, "display": [4, 20, 0]}, _purchase),
    "refused": ("ceet", {"credit_wh": 2000, "display": [2, 16, 0]}, _refused),
    "settings": ("landis_gyr", {"credit_wh": 4200, "display": [2, 16, 0]}, _settings),
    "arabic": ("somelec", {"credit_wh": 500, "display": [4, 20, 1]}, _arabic),
    "projector": ("eneo", {"credit_wh": 3000, "display": [2, 16, 0]}, _purchase),
}


async def picture(name: str) -> str:
    """Return the SVG of one scene; the clock is stopped."""
    profile, config, scene = SCENES[name]
    with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
        pos = PointOfSale(Path(folder) / "pos.sqlite")
        pos.add_meter("home", profile=profile)
        meter = Meter.open("virtual", config=pos.config_for("home", at=_AT) | config)
        meter.set_rate(0)
        meter.clock(_AT)
        screen = MeterScreen(meter, "home", Desk(pos, "home", at=_AT, rnd=_RND))
        async with screen.run_test(size=SIZES.get(name, SIZE)) as pilot:
            await settled(screen, pilot)
            await scene(screen, pilot)
            await settled(screen, pilot)
            return standalone(screen.export_screenshot(title="jeton run home"))


def main(folder: Path) -> None:
    """Draw all pictures."""
    folder.mkdir(exist_ok=True)
    for name in SCENES:
        (folder / f"{name}.svg").write_text(asyncio.run(picture(name)))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else docs_dir() / "pictures")
