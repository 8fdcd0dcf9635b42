"""Models of displays and the touch panel are as strict as the chips; tested without drivers."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from jeton_host.errors import BoardError
from jeton_host.firmware import boards, fonts, profiles
from jeton_host.virtual.models.hardware import OUT, Bench

RS, E, LIGHT = 1, 4, 8


def bench_of(board: str, display: tuple[int, ...] | None = None, **settings: Any) -> Bench:
    """Return a bench with stopped time; `display` replaces the size of its display."""
    made = boards.load(board)
    parts = made.parts | {"display": made.parts["display"] | settings}
    changed = dataclasses.replace(made, parts=parts, display=display or made.display)
    bench = Bench(changed, lambda: 0.0)
    bench.slept_s = 0.0
    return bench


class Hand:
    """Drives an HD44780 as in its data sheet, or with chosen timing errors."""

    def __init__(self, board: str = "esp32_lcd2004", display: tuple[int, ...] | None = None):
        self.bench = bench_of(board, display)
        self.lcd = self.bench.part("display")

    def wait(self, ms: float) -> None:
        assert self.bench.slept_s is not None
        self.bench.slept_s += ms / 1000

    def half(self, bits: int, rs: int = 0) -> None:
        bits |= LIGHT | rs
        self.lcd.write(bytes([bits, bits | E, bits]))

    def send(self, byte: int, rs: int = 0) -> None:
        self.half(byte & 0xF0, rs)
        self.half(byte << 4 & 0xF0, rs)

    def init(self, power_ms: float = 40, first_ms: float = 5, clear_ms: float = 2) -> None:
        self.wait(power_ms)
        for ms in (first_ms, 1, 1):
            self.half(0x30)
            self.wait(ms)
        self.half(0x20)
        for command in (0x28, 0x08, 0x01):
            self.send(command)
        self.wait(clear_ms)
        self.send(0x06)
        self.send(0x0C)

    def say(self, text: str) -> None:
        for letter in text:
            self.send(ord(letter), RS)

    @property
    def first(self) -> str:
        return str(self.lcd.text()[0]).rstrip()


def test_lcd_shows_the_text_it_receives() -> None:
    hand = Hand()
    hand.init()
    hand.say("kWh 12")
    assert hand.lcd.text() == ["kWh 12".ljust(20)] + [" " * 20] * 3
    assert hand.lcd.lit


def test_lcd_shows_bars_before_it_is_initialised() -> None:
    hand = Hand()
    assert hand.lcd.text() == ["█" * 20, " " * 20] * 2
    hand.say("kWh")
    assert hand.lcd.text()[0] == "█" * 20


@pytest.mark.parametrize("times", [{"power_ms": 0}, {"first_ms": 1}])
def test_lcd_initialised_too_fast_shows_no_text(times: dict[str, float]) -> None:
    hand = Hand()
    hand.init(**times)
    hand.say("kWh")
    assert hand.first != "kWh"


def test_lcd_ignores_data_while_it_clears() -> None:
    hand = Hand()
    hand.init()
    hand.send(0x01)
    hand.say("kWh")
    assert hand.first == "h"  # the others took enough time on the bus
    hand.send(0x01)
    hand.wait(2)
    hand.say("kWh")
    assert hand.first == "kWh"


def test_lcd_reads_the_high_half_of_a_byte_first() -> None:
    hand = Hand()
    hand.init()
    for letter in "kWh":
        hand.half(ord(letter) << 4 & 0xF0, RS)
        hand.half(ord(letter) & 0xF0, RS)
    assert hand.first not in ("kWh", "")


def test_lcd_is_out_of_step_after_half_a_byte_until_initialised_again() -> None:
    hand = Hand()
    hand.init()
    hand.half(0x40, RS)
    hand.say("kWh")
    assert hand.first != "kWh"
    hand.init()
    hand.say("kWh")
    assert hand.first == "kWh"


def test_lcd_requires_rs_before_e_and_data_until_e_falls() -> None:
    hand = Hand()
    hand.init()
    for bits in (0x40, 0x10):  # an A whose RS changes together with E
        hand.lcd.write(bytes([bits | RS | E | LIGHT, bits | LIGHT]))
    assert hand.first == ""
    hand.init()
    for bits in (0x40, 0x10):  # an A whose data changes together with E
        hand.lcd.write(bytes([bits | RS | LIGHT, bits | RS | E | LIGHT, RS | LIGHT]))
    hand.lcd.write(bytes([LIGHT | RS]))
    assert hand.first != "A"


@pytest.mark.parametrize(
    ("display", "addresses"),
    [((4, 20), (0x00, 0x40, 0x14, 0x54)), ((2, 16), (0x00, 0x40)), ((4, 16), (0, 0x40, 16, 0x50))],
)
def test_lcd_line_addresses_are_those_of_its_size(
    display: tuple[int, int], addresses: tuple[int, ...]
) -> None:
    hand = Hand(display=display)
    hand.init()
    for row, address in enumerate(addresses):
        hand.send(0x80 | address)
        hand.say(f"line {row}")
    assert hand.lcd.text() == [f"line {row}".ljust(display[1]) for row in range(display[0])]


def test_lcd_has_the_letters_of_its_rom_and_loses_text_without_power() -> None:
    hand = Hand()
    hand.init()
    hand.say("\\~\x7f")
    assert hand.first == "¥→←"
    hand.lcd.present = False
    assert hand.first == ""
    hand.lcd.present = True
    assert hand.first == "█" * 20


def test_lcd_shifts_its_display() -> None:
    hand = Hand()
    hand.init()
    hand.say("kWh")
    hand.send(0x18)
    assert hand.first == "Wh"
    hand.send(0x08)
    assert hand.first == ""


# SSD1306

GLYPH_A = fonts.load("8x16").glyphs["A"]  # column by column, two bytes each
SSD_ON = bytes.fromhex("00 a1 c8 8d 14 af")


@pytest.fixture
def oled() -> Iterator[Any]:
    with bench_of("esp32_oled") as bench:
        yield bench.part("display")


def blank(oled: Any) -> None:
    oled.write(bytes.fromhex("00 20 00 21 00 7f 22 00 07"))
    oled.write(b"\x40" + bytes(1024))


def test_oled_shows_noise_after_power_on_and_nothing_without_power(oled: Any) -> None:
    oled.write(bytes.fromhex("00 af"))
    assert set(oled.picture(1).tobytes()) == {0}
    oled.write(bytes.fromhex("00 8d 14"))
    lit = sum(oled.dot(x, y) for x in range(128) for y in range(64))
    assert 2000 < lit < 6000
    oled.write(bytes.fromhex("00 ae"))
    assert not any(oled.dot(x, y) for x in range(128) for y in range(64))


@pytest.mark.parametrize("mode", ["column by column", "line by line", "page by page"])
def test_oled_supports_each_addressing_mode(oled: Any, mode: str) -> None:
    oled.write(SSD_ON)
    blank(oled)
    upper, lower = GLYPH_A[::2], GLYPH_A[1::2]
    if mode == "column by column":
        oled.write(bytes.fromhex("00 20 01 21 08 0f 22 02 03"))
        oled.write(b"\x40" + GLYPH_A)
    elif mode == "line by line":
        oled.write(bytes.fromhex("00 20 00 21 08 0f 22 02 03"))
        oled.write(b"\x40" + upper + lower)
    else:
        for page, data in ((0xB2, upper), (0xB3, lower)):
            # Each command has its own control byte.
            oled.write(bytes([0x80, 0x20, 0x80, 0x02, 0x80, page, 0x80, 0x08, 0x80, 0x10]))
            oled.write(b"\x40" + data)
    assert oled.text() == [" " * 16, " A" + " " * 14, " " * 16, " " * 16]


@pytest.mark.parametrize("wrong", ["a0", "c0", "da 02", "a7", "a8 1f", "d3 08", "a5"])
def test_oled_with_a_wrong_set_up_is_not_readable(oled: Any, wrong: str) -> None:
    oled.write(SSD_ON)
    oled.write(bytes.fromhex("00 20 01") + bytes.fromhex(wrong))
    blank(oled)
    oled.write(bytes.fromhex("00 20 01 21 08 0f 22 06 07"))
    oled.write(b"\x40" + GLYPH_A)
    assert oled.text() != [" " * 16] * 3 + [" A" + " " * 14]


# ILI9341


class Glass:
    """An ILI9341 that is driven by single commands."""

    def __init__(self) -> None:
        self.bench = bench_of("cyd")
        self.model = self.bench.part("display")
        self.dc = self.bench.pins[self.model.settings["dc"]]
        self.light(1)

    def light(self, level: int) -> None:
        pin = self.bench.pins[self.model.settings["backlight"]]
        pin.put(OUT, level)

    def send(self, command: str, data: str = "") -> None:
        self.model.select(True)
        for level, digits in ((0, command), (1, data)):
            self.dc.put(OUT, level)
            self.model.transfer(bytes.fromhex(digits))
        self.model.select(False)

    def wake(self, madctl: str = "48", ms: float = 5) -> None:
        assert self.bench.slept_s is not None
        self.send("11")
        self.bench.slept_s += ms / 1000
        self.send("3a", "55")
        self.send("36", madctl)
        self.send("29")

    def dot(self, x: int, y: int) -> tuple[int, ...]:
        found = self.model.picture().getpixel((x, y))
        assert isinstance(found, tuple)
        return found

    def red(self) -> None:
        """Draw two red dots, the first at 10, 20."""
        self.send("2a", "000a 000b")
        self.send("2b", "0014 0014")
        self.send("2c", "f800")
        self.send("3c", "f800")


RED = (255, 0, 0)


def test_glass_shows_dots_at_their_addresses() -> None:
    glass = Glass()
    glass.wake()
    before = glass.dot(12, 20)
    glass.red()
    assert (glass.dot(10, 20), glass.dot(11, 20)) == (RED, RED)
    assert glass.dot(12, 20) == before != RED
    glass.light(0)
    assert glass.dot(10, 20) == (0, 0, 0)
    glass.light(1)
    glass.send("28")
    assert glass.dot(10, 20) == (255, 255, 255)
    glass.send("29")
    glass.send("21")
    assert glass.dot(10, 20) == (0, 255, 255)


@pytest.mark.parametrize(
    ("madctl", "seen"),
    [
        ("48", ((10, 20), RED)),
        ("40", ((10, 20), (0, 0, 255))),
        ("08", ((229, 20), RED)),
        ("c8", ((10, 299), RED)),
    ],
)
def test_glass_has_one_orientation(
    madctl: str, seen: tuple[tuple[int, int], tuple[int, ...]]
) -> None:
    glass = Glass()
    glass.wake(madctl)
    glass.red()
    assert glass.dot(*seen[0]) == seen[1]


def test_glass_ignores_commands_while_it_wakes_up() -> None:
    glass = Glass()
    glass.wake(ms=3)
    assert glass.dot(0, 0) == (255, 255, 255)
    assert glass.bench.slept_s is not None
    glass.bench.slept_s += 0.003
    glass.send("29")
    assert glass.dot(0, 0) != (255, 255, 255)


# XPT2046


def test_touch_returns_the_values_of_its_channels() -> None:
    with bench_of("cyd") as bench:
        touch = bench.part("keypad")
        irq = bench.pins[touch.settings["irq"]]
        assert irq.outside == 1
        touch.touch(120, 160)
        assert irq.outside == 0
        touch.select(True)
        answer = touch.transfer(bytes.fromhex("d0 00 00 90 00 00 b0 00 00"))
        across, down, force = (int.from_bytes(answer[at : at + 2], "big") >> 3 for at in (1, 4, 7))
        assert across == pytest.approx(2020, abs=5)
        assert down == pytest.approx(1950, abs=5)
        assert force == pytest.approx(600, abs=5)
        touch.select(False)
        assert irq.outside == 0


def test_touch_left_powered_gives_no_interrupt() -> None:
    with bench_of("cyd") as bench:
        touch = bench.part("keypad")
        touch.select(True)
        touch.transfer(bytes.fromhex("d1 00 00"))
        touch.select(False)
        touch.touch(120, 160)
        assert bench.pins[touch.settings["irq"]].outside == 1


def test_an_unknown_key_of_the_touch_panel_is_refused() -> None:
    with bench_of("cyd") as bench, pytest.raises(BoardError, match="no key 'B' on this keypad"):
        bench.part("keypad").press("B")


# Fonts


@pytest.mark.parametrize("name", ["8x16", "11x24"])
def test_the_font_of_a_board_has_every_letter_of_its_messages(name: str) -> None:
    texts = profiles.board_files().values()
    driver = {font: driver for driver, font in fonts.FONTS.items()}[name]
    made = fonts.board_files([driver, "relay"], texts)
    assert list(made) == [f"fonts/{name}"]
    font = fonts.parsed(made[f"fonts/{name}"])
    letters = {letter for text in texts for letter in text.decode()} - {"\n"}
    assert letters <= set(font.glyphs)
    assert len(font.glyphs) < len(fonts.load(name).glyphs)
    dots = {letter: font.levels(letter) for letter in font.glyphs}
    assert [letter for letter in dots if letter != " " and not any(map(any, dots[letter]))] == []
    digits = {dots[digit] for digit in "0123456789"}
    assert len(digits) == 10


def test_a_truncated_font_is_refused() -> None:
    whole = fonts.load("8x16")
    data = whole.packed("\ufe8d")
    assert fonts.parsed(data).glyphs["\ufe8d"] == whole.glyphs["\ufe8d"]
    with pytest.raises(BoardError, match="a font file has"):
        fonts.parsed(data[:-1])


def test_a_board_without_a_dot_matrix_display_has_no_font() -> None:
    assert fonts.board_files(["lcd", "matrix"], [b"kWh"]) == {}
