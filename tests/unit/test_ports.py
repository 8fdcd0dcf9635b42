"""Tests with mypy that objects given to the core fit its ports (firmware/jeton/ports.pyi)."""

from pathlib import Path

from jeton_host.firmware import boards
from tests.unit.test_firmware_types import marked, mypy

ROOT = Path(__file__).parents[2]

FITS = """
import board
import jeton_host.firmware.profiles as host_profiles
import main
from drivers import locked_line
from drivers.clock import Clock
from drivers.storage import Storage
from jeton import ports
from jeton.console import Console
from jeton.meter import Meter
import both_support
import test_locked
import vending_live
import with_parts

stores: list[ports.Storage] = [
    Storage("/meter/record"),
    both_support.Store(),
    vending_live.Store(),
]
profiles: list[ports.Profiles] = [main._profile, host_profiles.port, both_support.profiles]
clocks: list[ports.Clock] = [Clock()]
about: ports.About = main._about
lines: list[ports.Line] = [locked_line, test_locked.Line()]
virtual: ports.VirtualBoardModule = board
wires: ports.BoardWithParts = with_parts


class NoTick:
    def load(self, which: int) -> bytes | None:
        return None

    def holds(self, parts: list[bytes], start: int, end: int) -> bool:
        return False

    def save(self, parts: list[bytes]) -> None: ...
    def set_aside(self) -> None: ...


class ExtraArgument(NoTick):
    def save_tick(self, tick: bytearray, sure: bool) -> None: ...


class StoppedClock:
    rate = 0
    def now(self) -> int:
        return 0


store: ports.Storage = NoTick()  # wrong
Meter(ExtraArgument(), main._profile)  # wrong
Meter(Storage("/meter/record"), dict)  # wrong
meter = Meter(Storage("/meter/record"), main._profile)
Console(meter, StoppedClock(), main._about)  # wrong
Console(meter, Clock(), main._about, locked_line)  # wrong
Console(meter, Clock(), main._about, main._line)
no_timer: ports.BoardWithParts = board  # wrong
"""


def test_drivers_and_test_doubles_fit_the_ports(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(FITS)
    name = next(name for name in boards.names() if boards.load(name).parts)
    (tmp_path / "with_parts.py").write_text(boards.load(name).head())
    live = ROOT / "tests" / "unit" / "test_vending_explain_live.py"
    (tmp_path / "vending_live.py").write_text(live.read_text())
    config = tmp_path / "mypy.ini"
    places = (ROOT, ROOT / "firmware", ROOT / ".venv" / "stubs", ROOT / "boards" / "virtual")
    places += (ROOT / "tests" / "both", tmp_path)
    lines = ["[mypy]", f"mypy_path = {':'.join(map(str, places))}", "check_untyped_defs = true"]
    lines += ["ignore_missing_imports = true", "explicit_package_bases = true"]
    lines += ["follow_imports = silent"]
    for stubs in ("_mpy_shed.*", "framebuf", "machine", "micropython", "vfs"):
        lines += [f"[mypy-{stubs}]", "ignore_errors = true"]
    config.write_text("\n".join(lines))
    assert mypy(snippet, config=config) == marked("snippet.py", FITS)
