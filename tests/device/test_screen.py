"""The full-screen meter on virtual boards, operated by keys and clicks."""

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from command import jeton, result_of
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Button, Input, RichLog, Static

from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.meters.named import NamedBoard, make_config
from jeton_host.paths import docs_dir
from jeton_host.screen import pictures
from jeton_host.screen import worker as line
from jeton_host.screen.app import MeterScreen
from jeton_host.screen.desk import desk_for
from jeton_host.screen.pictures import settled, until
from jeton_host.vending.pos import PointOfSale
from jeton_host.virtual.board import VirtualBoard

pytestmark = pytest.mark.virtual_only


class Seen:
    """A running screen and what it shows."""

    def __init__(self, screen: MeterScreen, pilot: Pilot[int]) -> None:
        self.screen = screen
        self.pilot = pilot

    @property
    def display(self) -> str:
        assert self.screen.shown is not None
        return "\n".join(line.rstrip() for line in self.screen.shown.lines)

    def text(self, name: str) -> str:
        return str(self.screen.query_one(name, Static).visual)

    @property
    def said(self) -> str:
        return self.text("#said")

    async def until(self, holds: Callable[[], bool]) -> None:
        try:
            await until(self.pilot, holds)
        except TimeoutError:
            raise AssertionError((self.display, self.said, self.text("#state"))) from None

    async def settled(self) -> None:
        await settled(self.screen, self.pilot)

    async def keys(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settled()

    async def paste(self, text: str) -> None:
        self.screen.post_message(Paste(text))
        await self.settled()

    async def typed(self, field: str, text: str) -> None:
        """Type text into a field and press Return."""
        self.screen.query_one(f"#{field}", Input).focus()
        await self.until(lambda: getattr(self.screen.focused, "id", None) == field)
        await self.pilot.press(*text, "enter")

    async def issued(self, button: str) -> list[str]:
        before = self.screen.issued
        await self.pilot.click(f"#issue-{button}")
        await self.until(lambda: self.screen.issued is not before)
        return [one.token for one in self.screen.issued]


@asynccontextmanager
async def seen(where: str = "demo", size: tuple[int, int] = (80, 24)) -> AsyncIterator[Seen]:
    """Show a meter in the screen of `jeton run`."""
    name = where if meters.exists(where) else None
    screen = MeterScreen(Meter.open(where), where, desk_for(where), name=name)
    async with screen.run_test(size=size) as pilot:
        await settled(screen, pilot)  # until the keypad is under the display
        yield Seen(screen, pilot)


@pytest.fixture(autouse=True)
def _no_key_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter tokens without the pause between visible keys."""
    monkeypatch.setattr(line, "_PACE_S", 0.0)


@pytest.fixture
def demo() -> str:
    jeton("new", "demo", "--credit", "2", "--clock", "2026-11-22T08:30")
    return "demo"


def run(test: Callable[[], Any]) -> None:
    asyncio.run(test())


def test_a_purchase_is_credited_once(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            assert "2.00 kWh" in s.text("#state")
            await s.pilot.press("v")
            s.screen.query_one("#credit", Input).value = "12.5"
            (token,) = await s.issued("credit")
            assert token in s.said.replace(" ", "")
            await s.keys("k")
            assert s.said == "Accept, TransferCredit:Electricity, 12.50 kWh"
            assert s.display == "Accepted\n+12.5 kWh"
            assert "14.50 kWh" in s.text("#state")
            await s.keys(*token, "enter")  # typed
            assert s.said == "refused, UsedError: it was used already"
            assert "14.50 kWh" in s.text("#state")
            await s.pilot.press("tab")
            await s.pilot.click("#issued", offset=(3, 0))  # the same token from the list
            await s.until(lambda: "14.50" in s.text("#state") and "Used" in s.said)

    run(test)
    assert result_of("status", "demo")["credit_wh"] == 14500
    assert [one.what for one in PointOfSale().issued("demo")] == ["credit of 12.5 kWh"]


def test_a_wrong_token_changes_nothing(demo: str) -> None:
    token = PointOfSale().credit(demo, "5").token
    wrong = token[:-1] + str((int(token[-1]) + 1) % 10)

    async def test() -> None:
        async with seen() as s:
            await s.paste(wrong)
            await s.keys("enter")
            assert s.said.startswith("refused, CRCError: mistyped")
            assert s.screen.query_one("#said").has_class("bad")
            assert s.display.startswith("Rejected")
            assert "2.00 kWh" in s.text("#state")
            await s.paste(token)
            await s.keys("enter")
            assert s.said.startswith("Accept")

    run(test)
    assert result_of("status", "demo")["credit_wh"] == 7000


def test_a_token_under_the_new_key_follows_a_key_change() -> None:
    jeton("new", "demo", "--credit", "2", "--bdt", "93", "--clock", "2024-11-20")

    async def test() -> None:
        async with seen() as s:
            await s.pilot.press("v")
            assert s.screen.query_one("#krn", Input).value == "2"
            await s.typed("bdt", "14")
            await s.until(lambda: len(s.screen.issued) == 2)
            await s.keys("k")
            assert "KRN 2" in s.text("#state")
            assert s.said.startswith("Accept")
            assert s.screen.query_one("#krn", Input).value == "3"
            await s.issued("credit")
            await s.keys("k")
            assert s.said == "Accept, TransferCredit:Electricity, 10.00 kWh"

    run(test)
    status = result_of("status", "demo")
    assert (status["krn"], status["credit_wh"]) == (2, 12000)
    assert PointOfSale().meter("demo").key.bdt == "14"


def test_the_rollover_of_2024_can_be_played_on_the_screen() -> None:
    """The point of sale follows the meter's clock."""
    jeton("new", "demo", "--profile", "ceet", "--bdt", "93", "--clock", "2024-11-20T09:00")

    async def test() -> None:
        async with seen() as s:
            await s.pilot.press("v")
            await s.issued("credit")
            await s.keys("k")
            assert s.said.startswith("Accept, TransferCredit")
            assert s.screen.issued[0].issued is not None
            assert f"{s.screen.issued[0].issued:%Y-%m-%d}" == "2024-11-20"
            await s.typed("bdt", "14")
            await s.until(lambda: len(s.screen.issued) == 2)
            await s.keys("k")
            assert "KRN 2" in s.text("#state")

    run(test)


def test_the_other_buttons_of_the_desk_work(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            await s.pilot.press("v")
            await s.issued("power-limit")
            await s.keys("k")
            assert "Limit   5,000 W" in s.text("#state")
            await s.pilot.press("s")
            await s.pilot.click("#tamper")
            await s.until(lambda: "tamper yes" in s.text("#state"))
            await s.pilot.press("v")
            await s.issued("clear-tamper")
            await s.keys("k")
            assert "tamper no" in s.text("#state")
            for _ in range(2):  # the digits must not change
                await s.issued("test")
                await s.keys("k")
                assert s.said.startswith("Accept, InitiateMeterTest")
            await s.typed("credit", "x")
            await s.until(lambda: "must be a decimal number" in s.said)
            await s.typed("test", "1 99")
            await s.until(lambda: "test 99 does not exist" in s.said)
            await s.typed("power-limit", "²")
            await s.until(lambda: "a power limit of '²' is not valid" in s.said)
            assert "a whole number of W, 0 to 18201624" in s.said
            assert getattr(s.screen.focused, "id", None) == "power-limit"
            await s.pilot.press("escape")
            await s.issued("unbalance-limit")
            await s.keys("k")
            assert "unbalance 2,000 W" in s.text("#state")
            await s.issued("tariff")
            await s.keys("k")
            assert "tariff 1" in s.text("#state")
            await s.issued("clear-credit")
            await s.keys("k")
            assert "Credit  0.00 kWh" in s.text("#state")
            s.screen.query_one("#credit", Input).value = "0.01"
            await s.issued("credit")
            assert "credit of 0.1 kWh (0.01 kWh rounded up)" in s.said
            await s.keys("k")
            assert "Credit  0.10 kWh" in s.text("#state")

    run(test)
    assert len(PointOfSale().issued(demo)) == 8


def test_the_keypad_enters_digits(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            for key in ("1", "2"):
                (button,) = [b for b in s.screen.query("#keys Button") if b.name == key]
                await s.pilot.click(button)  # type: ignore[arg-type]
            await s.keys("3", "4", "backspace")
            assert "123" in s.display
            await s.keys("*", "i", "x")
            assert "12" in s.display
            assert "123" not in s.display
            await s.paste("34 5-6")
            assert s.display.replace(" ", "").endswith("123456")
            await s.paste("what?")
            assert "is not a token" in s.said

    run(test)


def test_a_keypad_with_key_i_and_automatic_enter_works() -> None:
    jeton("new", "demo", "--profile", "landis_gyr", "--display", "4x20")

    async def test() -> None:
        async with seen() as s:
            assert "i" in [button.name for button in s.screen.query("#keys Button")]
            await s.keys("i", "0", "0", "0")
            assert drn() in s.display.replace(" ", "")
            await s.pilot.press("v")
            (token,) = await s.issued("credit")
            await s.pilot.press("k")
            await s.until(lambda: bool(s.screen.shown and s.screen.shown.flash))
            glass = s.text("#glass")
            await s.until(lambda: s.text("#glass") != glass)
            assert s.said.startswith("Accept")
            assert len(token) == 20

    def drn() -> str:
        return PointOfSale().meter("demo").drn

    run(test)


def test_load_clock_speed_and_time_are_set(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            await s.pilot.press("s")
            await s.pilot.click("#speed-0")
            await s.typed("load", "1500")
            await s.typed("advance", "1h")
            await s.settled()
            assert "0.50 kWh" in s.text("#state")
            assert "1,500 W" in s.text("#lamps")
            assert "1,500 pulses" in s.text("#lamps")
            await s.typed("clock", "2027-01-01T00:00")
            await s.settled()
            assert "2027-01-01 00:00" in s.text("#state")
            await s.typed("advance", "30min")
            await s.settled()
            assert "open: no credit" in s.text("#state")
            assert "no credit" in s.text("#lamps")
            await s.pilot.click("#speed-60")
            await s.until(lambda: "60x" in s.text("#state"))
            for field, text, why in (
                ("load", "-1", "a load of '-1' is not valid"),
                ("clock", "noon", "is not a time"),
                ("advance", "soon", "is not a time span"),
            ):
                await s.typed(field, text)
                await s.until(lambda why=why: why in s.said)  # type: ignore[misc]
                assert why in s.text("#wrong")
                assert s.screen.query_one(f"#{field}", Input).has_class("wrong")
                assert s.screen.query_one(f"#{field}", Input).value == text
                assert getattr(s.screen.focused, "id", None) == field
            await s.pilot.press(*["backspace"] * 4, "1", "5", "m", "enter")
            await s.until(lambda: not s.text("#wrong"))
            await s.settled()
            assert s.screen.focused is None
            assert "15" not in s.display.splitlines()[0]
            for button, why in (
                ("reconnect", "does not wait for a key"),
                ("emergency", "emergency credit taken"),
                ("mute", "the alarm is off"),
            ):
                await s.pilot.click(f"#{button}")
                await s.until(lambda why=why: why in s.said)  # type: ignore[misc]

    run(test)


def test_digits_are_kept_while_the_clock_runs_fast(demo: str) -> None:
    token = PointOfSale().credit(demo, "5").token

    async def test() -> None:
        async with seen() as s:
            s.screen.line.speed(3600)
            await s.until(lambda: "3600x" in s.text("#state"))
            await s.keys("1", "2")
            await s.settled()  # over 30 s of meter time: digits would be dropped
            await s.keys("3")
            assert "123" in s.display
            assert "3600x\n" in s.text("#state")
            assert "1x while you press keys" in s.text("#state")
            await s.keys("*", "*", "*")
            await s.paste(token)
            await s.keys("enter")
            assert s.said.startswith("Accept")
            s.screen.line.speed(3600)
            await s.until(lambda: "1x while" not in s.text("#state"))
            await s.until(lambda: "3600x" in s.text("#state"))
            before = s.text("#state")
            await s.until(lambda: s.text("#state") != before)

    run(test)


def test_a_power_cut_is_shown_and_the_meter_restarts(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            await s.pilot.press("s")
            await s.pilot.click("#power")
            await s.until(lambda: "has no power" in s.said)
            await s.pilot.press("5")
            s.screen.line.speed(60)
            await s.until(lambda: s.said == "the board has no power: press Power in the tab Set")
            await s.pilot.click("#power")
            await s.until(lambda: s.said in ("the power is on", "the meter answers again"))
            await s.keys("1")
            assert "1" in s.display

    run(test)
    assert "power_up" in [event["kind"] for event in result_of("events", "demo")]


def test_a_key_change_is_entered_as_a_whole_in_a_later_session(demo: str) -> None:
    async def issue() -> None:
        async with seen() as s:
            await s.pilot.press("v")
            assert len(await s.issued("key-change")) == 2
            await s.issued("credit")

    async def key() -> None:
        async with seen() as s:
            assert [one.cls for one in s.screen.issued] == [0]
            await s.pilot.press("v")
            await s.until(lambda: "meter: KRN 1, desk: KRN 2" in s.text("#differs"))
            assert "KRN 1" in s.text("#state")
            await s.pilot.click("#issued", offset=(3, 2))  # the second token of the change
            await s.until(lambda: "KRN 2" in s.text("#state"))
            await s.until(lambda: not s.text("#differs"))
            await s.pilot.click("#issued", offset=(3, 1))
            await s.until(
                lambda: "this key change was entered before: the meter has KRN 2" in s.said
            )
            await s.keys("k")
            assert s.said == "Accept, TransferCredit:Electricity, 10.00 kWh"

    run(issue)
    assert result_of("status", demo)["krn"] == 1
    run(key)
    assert [event["kind"] for event in result_of("events", demo)].count("token") == 3


def test_a_second_key_change_is_refused_while_one_is_pending(demo: str) -> None:
    PointOfSale().key_change(demo, krn=2)

    async def test() -> None:
        async with seen() as s:
            await s.pilot.press("v")
            await s.until(lambda: s.screen.query_one("#krn", Input).value == "3")
            await s.pilot.click("#issue-key-change")
            await s.until(lambda: "the meter still has KRN 1: " in s.said)
            assert "press k to enter the change to KRN 2 first" in s.said
            assert len(s.said) <= 78  # it is one line
            await s.issued("credit")
            assert "for the next key: k enters that key first" in s.said
            await s.keys("k")
            assert s.said == "Accept, TransferCredit:Electricity, 10.00 kWh"
            assert "KRN 2" in s.text("#state")
            PointOfSale().key_change(demo, krn=3)
            await s.pilot.press("s", "v")
            await s.until(lambda: s.screen.query_one("#waiting").visible)
            await s.pilot.click("#waiting")
            await s.until(lambda: "KRN 3" in s.text("#state"))

    run(test)
    assert PointOfSale().meter(demo).key.krn == 3


def test_a_meter_with_a_key_of_another_point_of_sale_is_shown(demo: str) -> None:
    with Meter.open(demo) as meter:
        meter.provision(PointOfSale().config_for(demo) | {"krn": 5})

    async def test() -> None:
        async with seen() as s:
            await s.pilot.press("v")
            await s.until(lambda: "KRN 5, TI 01: key unknown here" in s.text("#differs"))
            assert not s.screen.query_one("#waiting").visible
            await s.issued("test")
            await s.keys("k")
            assert s.said.startswith("Accept")

    run(test)


def test_entering_a_token_keeps_the_speed_of_a_served_meter(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            s.screen.line.speed(3600)
            await s.keys("1", "2")
            assert "1x while you press keys" in s.text("#state")

    with NamedBoard(meters.find(demo)):
        run(test)
        assert result_of("status", demo)["rate"] == 3600


def test_a_served_meter_can_be_reset(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            await s.keys("1", "s")
            assert str(s.screen.query_one("#power", Button).label) == "Reset"
            await s.pilot.click("#power")
            await s.until(lambda: "was reset" in s.said)
            await s.settled()
            assert "1" not in s.display.splitlines()[0]

    with NamedBoard(meters.find(demo)):
        run(test)
    assert "power_up" in [event["kind"] for event in result_of("events", demo)]


def test_a_small_terminal_is_handled(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            for columns, rows in ((79, 24), (80, 23), (20, 3), (1, 1)):
                await s.pilot.resize_terminal(columns, rows)
                await s.settled()
                assert s.text("#title") == "the terminal is too small: 80 by 24 characters needed"
                assert s.screen.query_one("#title").region.y == 0
            await s.pilot.resize_terminal(80, 24)
            await s.keys("7")
            assert "demo" in s.text("#title")
            assert s.display.endswith("7")

    run(test)


def _places(s: Seen) -> dict[str, object]:
    """Return where buttons, fields and the list of tokens are; one button comes and goes."""
    widgets = [*s.screen.query("Button, Input, OptionList, Tabs").exclude("#waiting")]
    return {str(widget.id or widget.name): widget.region for widget in widgets}


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
@pytest.mark.parametrize("tab", "evs")
def test_nothing_moves_under_the_pointer(demo: str, size: tuple[int, int], tab: str) -> None:
    """Messages, warnings and errors of any length have a place of fixed height."""

    async def test() -> None:
        async with seen(size=size) as s:
            await s.pilot.press(tab)
            await s.settled()
            before = _places(s)
            s.screen.say("too long for its place " * 40, good=False)
            s.screen.line.do(lambda meter: str(meter.set_tamper().fault or ""))
            s.screen.line.do(lambda meter: str(meter.set_load(900).fault or ""))
            s.screen.line.do(lambda meter: str(meter.advance(7200).fault or ""))
            s.screen.line.speed(1_000_000)
            PointOfSale().key_change(demo, krn=2)
            s.screen._answered("clock", "wrong " * 60)
            await s.keys("1")
            s.screen._compare(again=True)
            await s.until(lambda: "desk: KRN 2" in s.text("#differs"))
            await s.settled()
            assert _places(s) == before

    run(test)


def test_a_message_without_room_is_in_the_events_complete(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            words = " ".join(f"word{n}" for n in range(40))
            s.screen.say(words, good=False)
            assert s.said.startswith("word0 word1 ")
            assert s.said.endswith("… (e: all of it)")
            assert s.screen.query_one("#said").size.height == 2
            await s.keys("e")
            log = "".join(line.text for line in s.screen.query_one("#events", RichLog).lines)
            assert words.replace(" ", "") in log.replace(" ", "")
            s.screen.say("a message of two lines, " * 5, good=True)
            assert "…" not in s.said

    run(test)


def test_the_screen_grows_with_the_terminal() -> None:
    """The display is drawn larger, and all of the screen is visible."""
    jeton("new", "demo", "--display", "4x20", "--credit", "45.2")

    async def test() -> None:
        async with seen() as s:
            heights = []
            for size in ((80, 24), (120, 40), (150, 40), (200, 50), (80, 24)):
                await s.pilot.resize_terminal(*size)
                await s.settled()
                glass = s.screen.query_one("#glass", Static)
                heights.append(glass.size.height)
                for widget in s.screen.query("#glass, #keys Button, #said, #side, #states"):
                    assert widget.region.width
                    assert widget.region in s.screen.screen.region
                keys = [button.region.bottom for button in s.screen.query("#keys Button")]
                assert max(keys) <= s.screen.query_one("#said").region.y
                assert s.screen.query_one("#side").size.width >= 48
            assert heights == [6, 6, 18, 30, 6]
            await s.keys("7")

    run(test)


def test_all_states_fit_on_the_screen() -> None:
    jeton("new", "demo", "--profile", "eneo", "--credit", "1")

    async def test() -> None:
        async with seen() as s:
            s.screen.line.speed(1_000_000)
            s.screen.line.do(lambda meter: str(meter.set_tamper().fault or ""))
            await s.keys("1")
            state = s.screen.query_one("#states")
            content = s.screen.query_one("#state", Static)
            await s.until(lambda: "1x while you press keys" in s.text("#state"))
            text = s.text("#state")
            assert "emergency credit can be taken" in text
            assert "1000000x" in text
            height = content.visual.get_height(content.styles, content.size.width)  # type: ignore[attr-defined]
            assert state.size.height >= height
            clock = next(line for line in text.splitlines() if line.startswith("Clock"))
            assert len(clock) <= state.size.width

    run(test)


def test_a_served_meter_is_shown_again_after_a_restart(demo: str, tmp_path: Path) -> None:
    async def test() -> None:
        board = NamedBoard(meters.find(demo)).start()
        try:
            async with seen() as s:
                board.close()
                await s.until(lambda: "is no longer served" in s.said)
                await s.pilot.press("5")
                board = NamedBoard(meters.find(demo)).start()
                await s.until(lambda: s.said == "the meter answers again")
                await s.keys("7")
                assert s.display.rstrip().endswith("7")
        finally:
            board.close()

    run(test)


def test_the_port_of_a_named_meter_shows_the_same(demo: str, tmp_path: Path) -> None:
    link = tmp_path / "port"

    async def test() -> None:
        board = NamedBoard(meters.find(demo), link=link).start()
        try:
            async with seen(str(link)) as s:
                await s.pilot.press("v")
                await s.issued("credit")
                await s.keys("k")
                assert s.said.startswith("Accept")
                board.close()
                await s.until(lambda: "gone" in s.said or "exist" in s.said)
                board = NamedBoard(meters.find(demo), link=link).start()
                await s.until(lambda: s.said == "the meter answers again")
                assert "12.00 kWh" in s.text("#state")
        finally:
            board.close()

    run(test)


def test_the_port_of_a_meter_without_a_point_of_sale_is_shown() -> None:
    async def test() -> None:
        with VirtualBoard() as board:
            with Meter(board.path) as meter:
                meter.provision(make_config(profile="ceet"))
            async with seen(board.path) as s:
                await s.keys("v", "4", "2")
                assert "is not registered in the point of sale" in s.text("#no-desk")
                assert s.display.rstrip().endswith("42")
                assert not s.screen.query("#issue-credit")
                await s.keys("k")
                assert "no token was issued" in s.said

    run(test)


@pytest.mark.parametrize("name", pictures.SCENES)
def test_the_pictures_are_current(name: str) -> None:
    kept = (docs_dir() / "pictures" / f"{name}.svg").read_text()
    assert asyncio.run(pictures.picture(name)) == kept, "draw it again: make screenshots"


def test_only_run_loads_the_modules_of_the_screen() -> None:
    code = (
        "import sys; from jeton_host.cli import app as cli; cli.application(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "jeton_host.cli.meters" in done.stdout.split()
    assert not [name for name in done.stdout.split() if name.startswith("textual")]


def _at_a_terminal(
    *arguments: str, wait: bytes, then: Callable[[int, int], object], term: str = "xterm-256color"
) -> tuple[int, bytes]:
    """Run `jeton run` at a terminal of 80 by 24; return its status and output."""
    pid, terminal = pty.fork()
    if not pid:
        os.environ["TERM"] = term
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.execv(sys.executable, [sys.executable, "-m", "jeton_host", "run", *arguments])
    wrote = b""
    with contextlib.suppress(OSError):
        while wait not in wrote:
            wrote += os.read(terminal, 4096)
        then(pid, terminal)
        while more := os.read(terminal, 4096):
            wrote += more
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), wrote


@pytest.mark.parametrize(
    ("then", "status"),
    [
        (lambda pid, terminal: os.write(terminal, b"q"), 0),
        (lambda pid, terminal: os.write(terminal, b"\x03"), 0),
        (lambda pid, terminal: os.kill(pid, signal.SIGTERM), 128 + signal.SIGTERM),
    ],
    ids=["q", "ctrl-c", "sigterm"],
)
def test_the_screen_starts_and_ends_at_a_terminal(
    demo: str, then: Callable[[int, int], object], status: int
) -> None:
    ended, wrote = _at_a_terminal(demo, wait=b"201457", then=then)
    assert ended == status, wrote[-2000:]
    assert b"\x1b[?1049h" in wrote  # alternate screen on; it is switched off at the end
    assert b"\x1b[?1049l" in wrote
    assert b"Traceback" not in wrote
    assert result_of("list")[0]["port"] is None


def test_a_simple_terminal_gets_lines(demo: str) -> None:
    for arguments, term in (
        ([demo], "dumb"),
        ([demo, "--plain"], "xterm"),
        (["--plain"], "xterm"),
    ):
        ended, wrote = _at_a_terminal(
            *arguments,
            wait=b"keys>",
            then=lambda _, terminal: os.write(terminal, b"\x04"),
            term=term,
        )
        assert ended == 0
        assert b"1049h" not in wrote


def test_a_missing_meter_is_reported_in_one_line() -> None:
    ended, wrote = _at_a_terminal("absent", wait=b"\n", then=lambda *_: None)
    assert (ended, wrote.count(b"\n")) == (1, 1)
    assert b"there is no meter 'absent'" in wrote


def test_a_meter_in_use_by_another_program_is_waited_for(demo: str) -> None:
    with Meter.open(demo):
        ended, wrote = _at_a_terminal(
            demo,
            wait=b"waiting for another program to release meter demo\r\n",
            then=lambda _, terminal: os.write(terminal, b"\x03"),
        )
    assert ended == 130
    assert b"1049h" not in wrote
    assert b"Traceback" not in wrote


def test_a_button_does_not_keep_the_focus(demo: str) -> None:
    async def test() -> None:
        async with seen() as s:
            await s.pilot.press("tab")
            focused = s.screen.focused
            assert not (isinstance(focused, Button) and focused.name in "0123456789*#")

    run(test)


def test_a_new_meter_is_used_if_none_is_named(jeton_home: Path) -> None:
    ended, wrote = _at_a_terminal(
        wait=b"201457", then=lambda _, terminal: os.write(terminal, b"q")
    )
    assert ended == 0, wrote[-2000:]
    assert not [file for file in jeton_home.iterdir() if file.name != "cache"]
