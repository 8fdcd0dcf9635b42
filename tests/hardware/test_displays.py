"""Displays and touch panel: the drivers run in MicroPython with models of the chips."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pictures
import pytest
from PIL import Image, ImageChops

from board_rig import Rig
from jeton_host.firmware import boards
from jeton_host.firmware.arabic import visual
from jeton_host.virtual.models import glass
from jeton_host.virtual.models.hardware import Bench

BOARDS = {"esp32_lcd2004": (4, 20), "esp32_oled": (4, 16), "esp32c3_oled": (4, 16), "cyd": (4, 20)}
FONTS = {"esp32_oled": "8x16", "esp32c3_oled": "8x16", "cyd": "11x24"}

MAKE = """
import gc, micropython, drivers.parts
import wiring
def made(name, **settings):
    settings = dict(wiring.PARTS[name], **settings)
    if name == "display":
        settings.setdefault("rows", wiring.DISPLAY[0])
        settings.setdefault("cols", wiring.DISPLAY[1])
        settings["keypad"] = settings.get("keypad") and wiring.PARTS["keypad"]["keys"]
    module = getattr(__import__("drivers." + settings["driver"]), settings["driver"])
    return module.make(drivers.parts._bus({}, settings["bus"]), settings)
def quiet(function, argument=None):
    micropython.heap_lock()
    try:
        return function() if argument is None else function(argument)
    finally:
        micropython.heap_unlock()
"""


class Panel:
    """A display whose driver is called directly by a test."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.model = rig.bench.part("display")

    def make(self, **settings: Any) -> None:
        self.rig.run(f"d = made('display', **{settings!r})")

    def show(self, *lines: str) -> bool:
        """Show lines; return True if drawing is not finished."""
        return bool(self.rig.ask(f"d.show({list(lines)!a})"))

    def text(self) -> list[str]:
        self.rig.run("import machine; machine.reset_cause()")  # wait for all earlier traffic
        return list(self.model.text())

    def cost(self, *lines: str) -> int:
        """Show lines and return the number of bytes on the bus."""
        self.text()
        before = int(self.model.bus_bytes)
        assert not self.show(*lines)
        self.text()
        return int(self.model.bus_bytes) - before


@pytest.fixture
def panel_of(tmp_path: Path) -> Iterator[Callable[..., Panel]]:
    """Return a function that makes a board's display; `changed` sets attributes of the model."""
    rigs: list[Rig] = []

    def make(board: str, display: tuple[int, ...] | None = None, **changed: Any) -> Panel:
        rig = Rig(board, tmp_path, start=False)
        rigs.append(rig)
        if display or changed:
            made = boards.load(board)
            parts = made.parts | {"display": made.parts["display"] | changed}
            other = dataclasses.replace(made, parts=parts, display=display or made.display)
            rig.bench = Bench(other, lambda: rig.ms / 1000)
            rig.bench.slept_s = 0.0
        rig.power_on()
        rig.run(MAKE)
        return Panel(rig)

    yield make
    for rig in rigs:
        rig.power_cut()
        rig.bench.close()


def lines_of(rows: int, cols: int, first: str = "Credit") -> list[str]:
    """Return lines that fill a display to its corners."""
    texts = [first, "0123456789", "abcdefghijkl", "ZYXWVUT,.?-:"]
    return [f"{text}{'|'.rjust(cols - len(text))}" for text in texts[:rows]]


@pytest.mark.parametrize("board", BOARDS)
def test_display_shows_the_lines(panel_of: Callable[..., Panel], board: str) -> None:
    panel = panel_of(board)
    panel.make()
    lines = lines_of(*BOARDS[board])
    assert not panel.show(*lines)
    assert panel.text() == lines
    # Fewer and shorter lines, then more and longer lines than fit.
    assert not panel.show("kWh")
    rows, cols = BOARDS[board]
    assert panel.text() == ["kWh".ljust(cols)] + [" " * cols] * (rows - 1)
    assert not panel.show(*[f"{line}beyond" for line in lines], "too many")
    assert panel.text() == lines


@pytest.mark.parametrize("display", [(2, 16), (2, 20), (4, 16)])
def test_an_lcd_of_another_size_works(
    panel_of: Callable[..., Panel], display: tuple[int, int]
) -> None:
    panel = panel_of("esp32_lcd2004", display=display)
    panel.make(rows=display[0], cols=display[1])
    lines = lines_of(*display)
    assert not panel.show(*lines)
    assert panel.text() == lines


def test_fewer_columns_are_centred_on_a_colour_display(
    panel_of: Callable[..., Panel],
) -> None:
    panel = panel_of("cyd")
    panel.make(rows=2, cols=16)
    assert not panel.show(*lines_of(2, 16))
    assert panel.text()[:2] == [f"  {line}  " for line in lines_of(2, 16)]


def test_text_does_not_touch_the_edges_of_a_colour_display(
    panel_of: Callable[..., Panel],
) -> None:
    panel = panel_of("cyd")
    panel.make(rows=4, cols=20)
    assert not panel.show(*["WM" * 10] * 4)
    assert panel.text() == ["WM" * 10] * 4
    picture = panel.model.picture()
    margin = 8
    for left in (0, picture.width - margin):
        strip = picture.crop((left, 0, left + margin, 116))
        assert len(strip.getcolors()) == 1


@pytest.mark.parametrize(
    ("board", "address"), [("esp32_lcd2004", 0x3F), ("esp32_oled", 0x3D), ("esp32_oled", 0x3C)]
)
def test_a_display_is_found_at_its_other_address(
    panel_of: Callable[..., Panel], board: str, address: int
) -> None:
    panel = panel_of(board, soldered=address)
    panel.make()
    panel.show("kWh")
    assert panel.text()[0].rstrip() == "kWh"


@pytest.mark.parametrize("board", ["esp32_lcd2004", "esp32_oled", "esp32c3_oled"])
def test_an_absent_display_raises_oserror(panel_of: Callable[..., Panel], board: str) -> None:
    panel = panel_of(board)
    panel.model.present = False
    with pytest.raises(AssertionError, match=r"OSError: \[Errno 19\] ENODEV"):
        panel.make()
    panel.model.present = True
    panel.make()
    panel.show("kWh")
    panel.model.present = False
    with pytest.raises(AssertionError, match=r"OSError: \[Errno 19\] ENODEV"):
        panel.show("10.00")


def test_an_lcd_without_accents_shows_plain_letters(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of("esp32_lcd2004")
    panel.make()
    panel.show("d\u00e9j\u00e0 re\u00e7u, n\u00e3o, \u00c9", "a\\b ~ \u20ac \ufe8d {}")
    assert [line.rstrip() for line in panel.text()[:2]] == ["deja recu, nao, E", "a/b ? ? ? {}"]


@pytest.mark.parametrize("board", FONTS)
def test_a_dot_matrix_display_draws_arabic(panel_of: Callable[..., Panel], board: str) -> None:
    panel = panel_of(board)
    panel.make()
    cols = BOARDS[board][1]
    words = "الرصيد", "مستعمل من قبل", "أدخل الرمز 2", "استهلاك الشهر"
    lines = [visual(word).rjust(cols) for word in words]
    assert not panel.show(*lines)
    assert panel.text() == [glass.alike(FONTS[board], line) for line in lines]
    # A letter that the font lacks, and a letter whose low byte equals that of an Arabic one.
    panel.show("a\u20acb", "\u00e9")
    assert [line.rstrip() for line in panel.text()[:2]] == ["a?b", "?"]


# Bytes of a cell that needs an address, of each cell after it, and of a cell elsewhere.
COSTS = {
    "esp32_lcd2004": (6 + 6, 6),
    "esp32_oled": (8 + 18, 18),
    "esp32c3_oled": (8 + 18, 18),
    "cyd": (5 + 5 + 3 + 528, 5 + 5 + 3 + 528),
}


@pytest.mark.parametrize("board", BOARDS)
def test_only_changed_cells_are_sent(panel_of: Callable[..., Panel], board: str) -> None:
    panel = panel_of(board)
    panel.make()
    first, next_to_it = COSTS[board]
    rows, cols = BOARDS[board]
    lines = lines_of(rows, cols)
    panel.show(*lines)
    assert panel.cost(*lines) == 0
    lines[1] = "01x3" + lines[1][4:]
    assert panel.cost(*lines) == first
    lines[1] = "01yz" + lines[1][4:]
    assert panel.cost(*lines) == first + next_to_it
    lines[0] = "#" + lines[0][1:-1] + "#"
    lines[3] = "#" + lines[3][1:]
    assert panel.cost(*lines) == 3 * first
    assert panel.text() == lines


def test_a_key_is_shown_in_time_on_the_slowest_bus(panel_of: Callable[..., Panel]) -> None:
    """A keyed digit changes at most three cells: 5 ms at 100 kHz; a whole screen is 150 ms."""
    panel = panel_of("esp32_lcd2004")
    panel.make()
    panel.show("Token          10/20", "5612 8734 01")
    assert panel.cost("Token          11/20", "5612 8734 012") * 9 <= 500
    assert panel.cost(*["x" * 20] * 4) * 9 <= 15_000


@pytest.mark.parametrize("board", BOARDS)
def test_an_unchanged_display_allocates_nothing(
    panel_of: Callable[..., Panel], board: str
) -> None:
    panel = panel_of(board)
    panel.make()
    lines = lines_of(*BOARDS[board])
    panel.rig.run(f"lines = {lines!r}; d.show(lines); same = [x + '' for x in lines]")
    assert panel.rig.ask("[quiet(d.show, lines), quiet(d.show, same)]") == [False, False]
    with pytest.raises(AssertionError, match="MemoryError"):  # allocations are detected
        panel.rig.run("quiet(d.show, ['other'])")


@pytest.mark.parametrize("board", BOARDS)
def test_a_display_is_drawn_in_small_steps(panel_of: Callable[..., Panel], board: str) -> None:
    panel = panel_of(board)
    panel.make()
    panel.rig.run(
        "import drivers.cells\nn = [0]\ndef slow():\n    n[0] += 2\n    return n[0]\n"
        "drivers.cells.ticks_ms = slow"
    )
    lines = lines_of(*BOARDS[board])
    assert panel.show(*lines)
    seen = sum(cell != " " for line in panel.text() for cell in line)
    assert 0 < seen <= 7
    assert panel.show(*lines)
    # Lines that change during drawing replace the earlier ones.
    lines[0] = lines[0].replace("Credit", "cREDIT")
    for _ in range(40):
        if not panel.show(*lines):
            break
    assert panel.text() == lines


@pytest.mark.parametrize("board", ["esp32_lcd2004", "esp32_oled"])
def test_a_display_is_initialised_from_any_state(
    panel_of: Callable[..., Panel], board: str
) -> None:
    """After a reset within a byte or a command, the chip still waits for the rest of it."""
    panel = panel_of(board)
    panel.make()
    panel.show("kWh")
    panel.text()
    panel.model.write(b"\x4d\x49" if board == "esp32_lcd2004" else b"\x00\x21\x05")
    panel.make()
    panel.show("10.00")
    assert [line.rstrip() for line in panel.text()] == ["10.00", "", "", ""]


def test_an_oled_stays_dark_until_its_memory_is_cleared(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of("esp32_oled")
    seen: list[int] = []
    write = panel.model.write

    def watched(data: bytes) -> None:
        write(data)
        seen.append(sum(panel.model.dot(x, y) for x in range(0, 128, 5) for y in range(0, 64, 7)))

    panel.model.write = watched
    panel.make()
    panel.text()
    assert set(seen) == {0}


# Touch


def test_a_touch_gives_its_key(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of("cyd")
    rig, touch = panel.rig, panel.rig.bench.part("keypad")
    rig.run("k = made('keypad')")
    keys = touch.settings["keys"]
    assert keys.startswith("123456789*0#")
    for n, key in enumerate(keys):
        touch.press(key)
        assert rig.ask("quiet(k.scan)") == 1 << n
        touch.release(key)
        assert rig.ask("quiet(k.scan)") == 0


def test_the_edges_of_the_keys_are_exact(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of("cyd")
    rig, touch = panel.rig, panel.rig.bench.part("keypad")
    rig.run("k = made('keypad')")
    for point, key in {(3, 123): "1", (77, 166): "1", (83, 166): "2", (237, 317): "#"}.items():
        touch.touch(*point)
        assert rig.ask("k.scan()") == 1 << "123456789*0#".index(key)
    touch.touch(120, 60, force=40)  # a light touch, such as by a sleeve
    assert rig.ask("k.scan()") == 0


def test_no_transfer_is_made_without_a_touch(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of("cyd")
    rig, touch = panel.rig, panel.rig.bench.part("keypad")
    rig.run("k = made('keypad')")
    asked: list[bytes] = []
    transfer = touch.transfer
    touch.transfer = lambda data: asked.append(data) or transfer(data)
    rig.run("quiet(k.scan)")
    assert not asked
    touch.press("5")
    rig.run("quiet(k.scan)")
    assert asked


def test_a_touch_that_starts_during_a_reading_gives_no_key(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of("cyd")
    rig, touch = panel.rig, panel.rig.bench.part("keypad")
    rig.run("k = made('keypad')")
    touch.press("1")
    reading, points = (
        touch._reading,
        iter([(40, 145), (40, 145), (40, 145), (200, 290), (200, 290)]),
    )

    def moving(channel: int) -> int:
        touch._point = next(points)
        return int(reading(channel))

    touch._reading = moving
    assert rig.ask("k.scan()") == 0


def test_an_absent_touch_panel_raises_oserror(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of("cyd")
    panel.rig.bench.part("keypad").present = False
    with pytest.raises(AssertionError, match=r"OSError: \[Errno 19\] ENODEV"):
        panel.rig.run("k = made('keypad')")


# The whole meter


@pytest.mark.parametrize(
    ("board", "scene"),
    [(board, scene) for board, scenes in pictures.WANTED.items() for scene in scenes],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_the_pictures_are_current(
    board: str, scene: Callable[[Rig], None], tmp_path: Path
) -> None:
    found = pictures.drawn(board, scene, tmp_path)
    with Image.open(pictures.path_of(board, scene)) as wanted:
        difference = ImageChops.difference(found, wanted.convert("RGB")).getbbox()
    assert difference is None, f"it differs in {difference}: run `make pictures`"


@pytest.mark.parametrize("board", ["esp32_lcd2004", "esp32_oled", "cyd"])
def test_keys_and_display_work_on_a_whole_meter(board: str, tmp_path: Path) -> None:
    with Rig(board, tmp_path) as rig:
        rig.provision()
        for key in "123":
            rig.key(key)
        assert rig.bench.part("display").text()[1].rstrip() == "123"
        rig.key("*")
        assert rig.bench.part("display").text()[1].rstrip() == "12"
        assert rig.ask("runtime.faults") == {}
        assert rig.bench.faults == []


def test_a_touch_of_the_text_can_begin_a_short_code(tmp_path: Path) -> None:
    with Rig("cyd", tmp_path) as rig:
        rig.provision(profile="landis_gyr")
        rig.tick(5)
        before = rig.bench.part("display").text()
        for key in "A00":
            rig.key(key)
        lines = rig.rpc("display")["lines"]
        assert rig.bench.part("display").text() == lines != before
        assert lines[1].strip() == "i00"


@pytest.mark.parametrize("board", ["esp32_lcd2004", "esp32_oled", "cyd"])
def test_modules_needed_only_at_start_are_unloaded(board: str, tmp_path: Path) -> None:
    with Rig(board, tmp_path) as rig:
        modules = rig.ask("[name for name in sys.modules if 'drivers' in name]")
        assert "drivers.cells" in modules
        assert [name for name in modules if name.endswith("_start")] == []
        rig.run("import drivers")
        assert rig.ask("[name for name in dir(drivers) if '_start' in name]") == []


@pytest.mark.parametrize("board", ["esp32_lcd2004", "esp32_oled"])
def test_a_meter_runs_without_its_display_and_finds_it_again(board: str, tmp_path: Path) -> None:
    with Rig(board, tmp_path) as rig:
        rig.provision()
        rig.tick(5)
        display = rig.bench.part("display")
        display.present = False
        rig.key("7")
        assert list(rig.ask("runtime.faults")) == ["display"]
        assert rig.rpc("display")
        display.present = True
        rig.idle(600)
        rig.tick()
        assert rig.ask("runtime.faults") == {}
        assert display.text() == rig.rpc("display")["lines"]


def noise(rig: Rig, *values: int) -> None:
    """Put bytes on the outputs of the PCF8574 that were not sent, as interference does."""
    rig.run("import machine; machine.reset_cause()")
    with rig.bench.lock:
        rig.bench.part("display").write(bytes(values))


@pytest.mark.parametrize("half", [*range(0, 256, 16)])
def test_an_lcd_out_of_step_is_synchronised_again(half: int, tmp_path: Path) -> None:
    with Rig("esp32_lcd2004", tmp_path) as rig:
        rig.provision()
        rig.tick(60)
        shown = rig.rpc("display")["lines"]
        noise(rig, half | 8, half | 12, half | 8)
        rig.tick(3060)
        assert rig.bench.part("display").text() == shown
        rig.key("7")
        rig.tick(5)
        assert rig.bench.part("display").text() == rig.rpc("display")["lines"]


def test_an_lcd_that_was_reset_is_initialised_and_drawn_again(tmp_path: Path) -> None:
    with Rig("esp32_lcd2004", tmp_path) as rig:
        rig.provision()
        rig.tick(60)
        rig.bench.part("display")._power()
        rig.tick(3060)
        assert rig.bench.part("display").text() == rig.rpc("display")["lines"]


def test_an_lcd_is_drawn_again_after_the_relay_has_switched(tmp_path: Path) -> None:
    with Rig("esp32_lcd2004", tmp_path) as rig:
        rig.provision()
        rig.tick(60)
        rig.rpc("consume", 100_000)
        rig.tick(1)
        noise(rig, 8, 12, 8)
        rig.tick(20)
        rig.key("7")
        rig.tick(5)
        assert rig.bench.part("display").text() == rig.rpc("display")["lines"]


def test_a_start_resets_the_inversion_of_a_colour_display(tmp_path: Path) -> None:
    rig = Rig("cyd", tmp_path)
    rig.bench.part("display")._inverted = True
    with rig:
        assert not rig.bench.part("display")._inverted


@pytest.mark.parametrize("board", ["esp32_oled", "esp32c3_oled"])
def test_an_oled_is_drawn_again_after_a_short_loss_of_power(board: str, tmp_path: Path) -> None:
    with Rig(board, tmp_path) as rig:
        rig.provision()
        rig.tick(60)
        display = rig.bench.part("display")
        shown = display.text()
        display.present = False  # between two writes: no driver sees the loss
        display.present = True
        assert display.text() != shown
        rig.tick(3100)  # a minute
        assert display.text() == shown


def test_a_16x4_display_works_in_place_of_a_20x4_display(tmp_path: Path) -> None:
    with Rig("esp32_lcd2004", tmp_path) as rig:
        display = rig.bench.part("display")
        display.rows, display.cols = 4, 16
        rig.provision(display=[4, 16], credit_wh=45_200)
        rig.tick(60)
        assert display.text() == rig.rpc("display")["lines"]
