"""The full-screen meter of `jeton run`: display, keypad, LEDs, state, events and point of sale.

It shows the news of the serial line, and sends keys and requests to it; it never waits for the
meter.
"""

import asyncio
import signal
import textwrap
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Horizontal, Vertical
from textual.message import Message
from textual.widgets import (
    Button,
    Footer,
    Input,
    Label,
    OptionList,
    RichLog,
    Static,
    TabbedContent,
    TabPane,
)

from jeton.sts import digits
from jeton_host import token_text
from jeton_host.client.answers import Display, Event, Led, Status
from jeton_host.errors import JetonError, UnusableError
from jeton_host.firmware import profiles
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.screen import glass
from jeton_host.screen.desk import Desk, desk_for
from jeton_host.screen.worker import Down, Line, Look, News
from jeton_host.terminal.parse import duration, time_of, watts_of
from jeton_host.terminal.words import NO_EMERGENCY, at_utc, kwh, matters, summary
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import Issued

_KEYS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#")
_ROWS = 4  # rows of keys
_KEY_H = (3, 5)  # the lowest and the highest key, lines
_LABELS = {"*": "* ⌫", "#": "# ⏎"}
_NAMED = {"backspace": "*", "enter": "#"}
_FLASH_S = 0.4  # half the period of a flashing display
_SPEEDS = (0, 1, 60, 3600)  # seconds of the clock in one real second
_IN_A_NAME = ("name", "result", "class", "subclass")  # details of an event that its name contains
_PASTED = 2000  # characters of a paste that are read
_NARROW = 30  # the shortest line of an event, characters
_SIDE = 50  # the narrowest column at the right of the meter
_METER = 30  # the narrowest column of the meter
_TALL = 30  # lines of a tall terminal
_OTHER, _OTHER_TALL = 6, 7  # lines of title, lamps, message and footer (look.tcss)
_PAD = 2  # spaces at the sides of a column, and of the message
_MORE = " … (e: all of it)"  # at the end of a message that has no room


class FromLine(Message):
    """News from the thread of the serial line."""

    def __init__(self, news: News) -> None:
        super().__init__()
        self.news = news


class MeterScreen(App[int]):
    """A meter on a terminal; the meter is closed at the end.

    `desk` is the point of sale for this meter, or one line that says why there is none. `name` is
    the name of the meter, if it has one.
    """

    CSS_PATH = "look.tcss"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    SIZE: ClassVar[tuple[int, int]] = (80, 24)  # the smallest terminal
    TITLE = "jeton run"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (_TALL, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "tab('tab-events')", "Events"),
        Binding("v", "tab('tab-vend')", "Vend"),
        Binding("s", "tab('tab-set')", "Set"),
        Binding("k", "key_in", "Key it in"),
        Binding("escape", "keypad", "Keypad"),
        Binding("q", "leave", "Quit"),
        Binding("ctrl+c,ctrl+q", "leave", "Quit", show=False, priority=True),
    ]

    def __init__(self, meter: Meter, where: str, desk: Desk | str, *, name: str | None = None):
        super().__init__()
        self.where = where
        self.desk = desk
        self.line = Line(meter, lambda news: self.post_message(FromLine(news)), name=name)
        self.looks = 0  # number of complete looks so far
        self.shown: Display | None = None
        self.status: Status | None = None
        self._dark = False  # whether a flashing display is blank now
        self._profile: str | None = None
        self._start = ""  # the key before a short code
        self._pulses: int | None = None
        self.issued: list[Issued] = []  # the token issued last, or all tokens of a key change
        self._listed: list[
            tuple[Issued, list[Issued]]
        ] = []  # each with the tokens of its key change
        self._compared: tuple[object, ...] = ()  # the meter's key at the last comparison
        self._down = False

    # The widgets.

    def compose(self) -> ComposeResult:
        """Create the widgets."""
        yield Static(f"jeton run {self.where}", id="title", markup=False)
        with Horizontal(id="body"):
            with Vertical(id="meter"):
                yield Static(id="glass")
                yield Static(id="lamps")
                yield Grid(*map(_key, _KEYS), id="keys")
            with Vertical(id="side"):
                with Vertical(id="states"):
                    yield Static(id="state")
                with TabbedContent(initial="tab-events"):
                    with TabPane("Events", id="tab-events"):
                        yield RichLog(id="events", wrap=True, max_lines=400)
                    with TabPane("Vend", id="tab-vend"):
                        yield from self._vending()
                    with TabPane("Set", id="tab-set"):
                        yield from self._settings()
        yield Static(id="said", markup=False)
        yield Footer()

    def _vending(self) -> ComposeResult:
        if isinstance(self.desk, str):
            yield Static(self.desk, id="no-desk", markup=False)
            return
        with Horizontal(classes="row"):
            yield Label("Credit")
            yield Input("10", id="credit", compact=True)
            yield Label("kWh", classes="unit")
            yield _small("Issue", "issue-credit")
        with Horizontal(classes="row"):
            yield Label("Power limit")
            yield Input("5000", id="power-limit", compact=True)
            yield Label("W", classes="unit")
            yield _small("Issue", "issue-power-limit")
        with Horizontal(classes="row"):
            yield Label("Unbalance")
            yield Input("2000", id="unbalance-limit", compact=True)
            yield Label("W", classes="unit")
            yield _small("Issue", "issue-unbalance-limit")
        with Horizontal(classes="row"):
            yield Label("Key to KRN")
            yield Input(str(self.desk.next_krn()), id="krn", classes="short", compact=True)
            yield Label("base date", classes="unit")
            yield Input("", id="bdt", classes="short", compact=True, placeholder="same")
            yield Label(classes="fill")
            yield _small("Issue", "issue-key-change")
        with Horizontal(classes="row"):
            yield Label("Tariff rate")
            yield Input("1", id="tariff", classes="short", compact=True)
            yield _small("Issue", "issue-tariff")
            yield Label("Test", classes="unit")
            yield Input("0", id="test", compact=True)
            yield _small("Issue", "issue-test")
        with Horizontal(classes="row"):
            yield Label("Clear")
            yield _small("Credit", "issue-clear-credit")
            yield _small("Tamper", "issue-clear-tamper")
        with Horizontal(id="differ", classes="row"):
            yield Label(id="differs", markup=False)
            yield _small("Key it in", "waiting")
        yield OptionList(id="issued", markup=False)

    def _settings(self) -> ComposeResult:
        with Vertical(id="set"):
            with Horizontal(classes="row"):
                yield Label("Load")
                yield Input(id="load", compact=True, placeholder="800")
                yield Label("W", classes="unit")
            with Horizontal(classes="row"):
                yield Label("Clock")
                yield Input(id="clock", compact=True, placeholder="2026-11-01T12:00, or now")
                yield Label("UTC", classes="unit")
            with Horizontal(classes="row"):
                yield Label("Advance by")
                yield Input(id="advance", compact=True, placeholder="15min, 2h, 30d")
            yield Static(id="wrong", markup=False)
            with Horizontal(classes="row"):
                yield Label("Clock speed")
                for rate in _SPEEDS:
                    yield _small(f"{rate}x" if rate else "stop", f"speed-{rate}")
            with Horizontal(classes="row apart"):
                for what in ("Tamper", "Reconnect", "Mute", "Emergency"):
                    yield _small(what, what.lower())
            with Horizontal(classes="row"):
                own = self.line.meter.board is not None
                yield _small("Power" if own else "Reset", "power")
                why = "off or on" if own else "restarts the board; no power cut here"
                yield Label(why, classes="unit")

    def on_mount(self) -> None:
        """Start to read the meter."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit, 128 + number)
        self.set_interval(_FLASH_S, self._flash)
        if isinstance(self.desk, Desk):
            self._list(self.desk.earlier())
            self.issued = self._listed[0][1] if self._listed else []
        self.line.start()

    def on_unmount(self) -> None:
        """Stop the serial line; the meter is saved."""
        self.line.stop()

    # News of the serial line.

    @on(FromLine)
    def _receive(self, message: FromLine) -> None:
        news = message.news
        if not self.query("#said"):  # the screen is closing
            return
        if isinstance(news, Look):
            self._show(news)
        elif isinstance(news, Down):
            self._down = True
            self.say(news.text, good=False)
            self.query_one("#lamps", Static).update(Text("● supply   ● pulse", style="#5b6470"))
        else:
            self.say(news.text, good=news.good)
            if news.about:
                self._answered(news.about, "" if news.good else news.text)

    def say(self, text: str, *, good: bool) -> None:
        """Show the result of the last action, in a place of fixed height.

        A message that is longer than the place is in the list of events, complete.
        """
        said = self.query_one("#said", Static)
        said.set_classes("good" if good else "bad")
        width, height = self.size.width - _PAD, said.size.height
        lines = textwrap.wrap(text, max(1, width))
        if len(lines) > height:
            style = "#7ee787" if good else "#ff7b72"
            self._record(Text(text, style))
            text = textwrap.shorten(text, width * height - len(_MORE), placeholder=_MORE)
        said.update(text)

    def _show(self, look: Look) -> None:
        if self._down:
            self._down = False
            self.say("the meter answers again", good=True)
        if look.display != self.shown:
            self.shown, self._dark = look.display, False
            self._draw()
        for event in look.events:
            self._record(_event(event))
        if look.status is None or look.led is None:
            return
        self.looks += 1
        self.status = look.status
        self._use_profile(look.status.profile)
        self._title()
        self._compare()
        self.query_one("#state", Static).update(_state(look.status, look.lingers))
        self.query_one("#lamps", Static).update(self._lamps(look.status, look.led))

    def _record(self, text: Text) -> None:
        """Add a line to the events: with the width of the column, for a hidden tab has none."""
        width = self.query_one("#side").content_size.width - 1
        self.query_one("#events", RichLog).write(text, width=max(_NARROW, width))

    def on_resize(self) -> None:
        """Use the size of the terminal, and show whether it is too small."""
        self._title()
        self.call_after_refresh(self._draw)

    def _title(self) -> None:
        title, (columns, rows) = self.query_one("#title", Static), self.SIZE
        small = self.size.width < columns or self.size.height < rows
        title.set_class(small, "small")
        if small:
            title.update(f"the terminal is too small: {columns} by {rows} characters needed")
        elif self.status is None:
            title.update(f"jeton run {self.where}")
        else:
            profile = self.status.profile or "no profile"
            title.update(f"{self.where}  ·  {profile}  ·  {self.status.drn}")

    def _draw(self) -> None:
        shown = self.shown
        if shown is None:
            return
        meter = self.query_one("#meter")
        room = self.size.height - (_OTHER_TALL if self.size.height >= _TALL else _OTHER)
        width = self.size.width - _SIDE - _PAD
        size = glass.fitting(shown.rows, shown.cols, width, room - _ROWS * _KEY_H[0])
        meter.styles.width = max(
            _METER, self.size.width * 3 // 10, glass.needed(shown.cols, size) + _PAD
        )
        room -= glass.height(shown.rows, size)
        key_h = min(max(room // _ROWS, _KEY_H[0]), _KEY_H[1])
        self.query_one("#keys").styles.height = _ROWS * key_h
        lines = () if self._dark else shown.lines
        self.query_one("#glass", Static).update(glass.drawn(lines, shown.rows, shown.cols, size))

    def _flash(self) -> None:
        if self.shown is not None and (self.shown.flash or self._dark):
            self._dark = self.shown.flash and not self._dark
            self._draw()

    def _use_profile(self, profile: str | None) -> None:
        """Show the keys of a profile's meter."""
        if profile is None or profile == self._profile:
            return
        self._profile = profile
        try:
            self._start = profiles.load(profile)["codes"].get("start") or ""
        except JetonError:
            self._start = ""  # only the board has this profile
        keys = self.query_one("#keys", Grid)
        with_i = self._start == "i"
        if with_i != keys.has_class("with-i"):
            keys.set_class(with_i, "with-i")
            order = list(_KEYS)
            if with_i:
                order = [*order[:3], "i", *order[3:6], "", *order[6:9], "", *order[9:], ""]
            keys.remove_children()
            keys.mount(*map(_key, order))

    def _lamps(self, status: Status, led: Led) -> Text:
        pulsed = self._pulses is not None and led.pulses != self._pulses
        self._pulses = led.pulses
        closed = status.switch == "closed"
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("● ", "#3fb950" if led.supply else "#5b6470").append("supply  ")
        text.append("● ", "bold #ff5c5c" if pulsed else "#6e3b3b")
        text.append(f"{led.pulses:,} pulses\n")
        text.append("━━●━━●━━ " if closed else "━━● /●━━ ", "#3fb950" if closed else "#f0b429")
        reason = status.switch_reason.replace("_", " ")
        text.append(f"{status.power_w:,} W" if closed else reason or "open")
        return text

    # Actions of the person.

    def on_key(self, event: events.Key) -> None:
        """Press a key of the meter, unless the focused widget uses the key."""
        busy = (Input, Button, OptionList) if event.key == "enter" else Input
        if isinstance(self.focused, busy):
            return
        key = _NAMED.get(event.key, event.character or "")
        if key and key in "0123456789*#" + ("i" if self._start == "i" else ""):
            event.stop()
            self.line.press(key)

    def on_paste(self, event: events.Paste) -> None:
        """Press the pasted keys, for example a token with spaces."""
        text = event.text[:_PASTED]
        keys = digits.clean(text)
        if not set(keys) <= set("0123456789*#"):
            found = token_text.found_in(text)
            keys = found[0] if len(found) == 1 else ""
        if keys:
            self.line.press(keys)
        else:
            damage = token_text.damage(text)
            why = "it is not a token" if damage is None else damage.what
            self.say(f"no key was pressed for the pasted text: {why}", good=False)

    @on(Button.Pressed, "#keys Button")
    def _pressed(self, event: Button.Pressed) -> None:
        self.line.press(event.button.name or "")

    def action_tab(self, tab: str) -> None:
        """Show a tab."""
        self.query_one(TabbedContent).active = tab
        self.action_keypad()

    def action_keypad(self) -> None:
        """Leave a field: keys go to the meter again."""
        self.set_focus(None)

    def action_leave(self) -> None:
        """Quit."""
        self.exit(0)

    @on(Button.Pressed, ".small")
    def _done(self, event: Button.Pressed) -> None:
        what = event.button.id or ""
        if what.startswith("issue-"):
            self._issue(what.removeprefix("issue-"))
        elif what.startswith("speed-"):
            self.line.speed(int(what.removeprefix("speed-")))
        elif what == "power":
            self.line.power()
        elif what == "waiting":
            self._key_in([])
        else:
            self.line.do(_ACTIONS[what])

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        what, text = event.input.id or "", event.value
        if what in _SETTINGS:
            self.line.do(partial(_SETTINGS[what], text=text), about=what)
        else:
            self._issue("key-change" if what in ("krn", "bdt") else what)

    def _answered(self, what: str, wrong: str) -> None:
        """Leave the field of an accepted setting; mark that of a refused one, and say why."""
        field = self.query_one(f"#{what}", Input)
        field.set_class(bool(wrong), "wrong")
        self.query_one("#wrong", Static).update(wrong)
        if not wrong:
            field.value = ""
            if self.focused is field:
                self.action_keypad()

    # The point of sale.

    def _issue(self, what: str) -> None:
        """Issue tokens in a thread: another program may lock the point of sale."""
        desk = self.desk
        if isinstance(desk, str):
            return
        value = self._value(what) if self.query(f"#{what}") else ""
        krn, bdt = self._value("krn"), self._value("bdt")
        status = self.status
        issue: dict[str, Callable[[], list[Issued]]] = {
            "credit": lambda: desk.credit(value),
            "power-limit": lambda: desk.power_limit(value),
            "unbalance-limit": lambda: desk.unbalance_limit(value),
            "tariff": lambda: desk.tariff(value),
            "test": lambda: desk.test(value),
            "clear-credit": desk.clear_credit,
            "clear-tamper": lambda: desk.clear_tamper(status),
            "key-change": lambda: desk.key_change(krn, bdt),
        }

        def work() -> None:
            try:
                waiting = desk.waiting(status) if status else []
                if status and waiting and what == "key-change":
                    self._back(partial(self._offer, waiting[-1], status))
                    return
                if status is not None:
                    desk.follow(status.clock)
                issued = issue[what]()
                then = partial(self._have, issued, bool(waiting))
            except UnusableError as error:
                way = f"use `jeton vend {desk.name} … --anyway`"
                then = partial(self.say, str(error.with_way(way)), good=False)
            except JetonError as error:
                then = partial(self.say, str(error), good=False)
            self._back(then)

        self.run_worker(work, thread=True, group="desk")

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value

    def _offer(self, change: list[Issued], status: Status) -> None:
        """Refuse a second key change before the meter has the first one; `k` enters the first."""
        self.issued = change
        self.say(
            f"the meter still has KRN {status.krn}: press k to enter the change to KRN "
            f"{change[0].fields['krn']} first",
            good=False,
        )

    def _have(self, issued: list[Issued], waiting: bool) -> None:
        self.issued = issued
        one = issued[0].summary if issued[0].rounded else issued[0].grouped
        what = "issued: " + (f"{len(issued)} tokens" if len(issued) > 1 else one)
        if waiting and (issued[0].cls, issued[0].sub) not in ((1, 0), (1, 1), (2, 5)):
            what += ", for the next key: k enters that key first"
        else:
            what += ". k enters it"
        self.say(what, good=True)
        self._compare(again=True)
        self.action_keypad()

    def _list(self, issued: list[list[Issued]]) -> None:
        """List tokens, the newest first, but the tokens of a key change in order."""
        self._listed = [(one, change) for change in reversed(issued) for one in change]
        shown = self.query_one("#issued", OptionList)
        shown.clear_options()
        shown.add_options([f"{one.grouped}  {one.what}" for one, _ in self._listed])

    @on(TabbedContent.TabActivated)
    def _turned(self) -> None:
        self._compare(again=True)  # another program may have issued tokens

    def _compare(self, *, again: bool = False) -> None:
        """List the issued tokens, and compare the meter's key with that of the point of sale."""
        desk, status = self.desk, self.status
        if isinstance(desk, str) or status is None:
            return
        key = (status.krn, status.kt, status.ti, status.sgc, status.ken, status.bdt)
        if key == self._compared and not again:
            return
        self._compared = key

        def work() -> None:
            try:
                found = desk.differs(status), desk.waiting(status), desk.next_krn()
                then = partial(self._compared_to, *found, desk.earlier())
            except JetonError as error:
                then = partial(self.say, str(error), good=False)
            self._back(then)

        self.run_worker(work, thread=True, group="compare", exclusive=True)

    def _back(self, then: Callable[[], object]) -> None:
        """Call a function in the thread of the screen, unless the screen is closing."""
        self.call_from_thread(lambda: then() if self.query("#said") else None)

    def _compared_to(
        self, differs: str, waiting: list[list[Issued]], krn: int, earlier: list[list[Issued]]
    ) -> None:
        self._list(earlier)
        self.query_one("#differs", Label).update(differs)
        self.query_one("#waiting").visible = bool(differs and waiting)
        field = self.query_one("#krn", Input)
        if self.focused is not field:
            field.value = str(krn)

    def action_key_in(self) -> None:
        """Enter the token issued last, or all tokens of a key change."""
        if self.issued:
            self._key_in(self.issued)
        else:
            self.say("no token was issued yet: press v", good=False)

    @on(OptionList.OptionSelected, "#issued")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self._key_in(self._listed[event.option_index][1])

    def _key_in(self, issued: list[Issued]) -> None:
        """Enter tokens, after the key changes that they need; without tokens, only key changes."""
        if isinstance(self.desk, Desk):
            self.line.key_in(partial(self.desk.to_key, issued))


def _key(key: str) -> Button | Static:
    """Return a key of the keypad; it never takes the focus."""
    if not key:
        return Static()
    button = Button(_LABELS.get(key, key), name=key)
    button.can_focus = False
    button.active_effect_duration = 0  # during the effect, a second click would be lost
    return button


def _small(label: str, name: str) -> Button:
    button = Button(label, id=name, classes="small")
    button.active_effect_duration = 0
    return button


def _state(status: Status, lingers: bool) -> Text:
    """Return the lines of the meter's state; long lines are wrapped."""
    text = Text()

    def row(name: str, value: str, style: str = "") -> None:
        text.append(f"{name:<8}", "#9aa3ad").append(f"{value}\n", style)

    green = "bold #7ee787" if status.credit_wh > 0 else ""
    row("Credit", f"{kwh(status.credit_wh)} kWh", green)
    row("Used", f"{kwh(status.total_wh)} kWh")
    switch = "open: " + status.switch_reason.replace("_", " ")
    row("Load", f"{status.load_w:,} W, switch {switch if status.switch == 'open' else 'closed'}")
    speed = f", {status.rate}x" if status.rate else ", stopped"
    row("Clock", at_utc(status.clock) + (speed if status.rate != 1 else ""))
    row(
        "Key",
        f"EA{status.ea:02d} SGC {status.sgc} TI {status.ti:02d} KRN {status.krn} "
        f"base date {status.bdt or '?'}",
    )
    limit = f"{status.max_power_limit_w:,} W" if status.max_power_limit_w else "none"
    if status.phase_unbalance_limit_w:
        limit += f", unbalance {status.phase_unbalance_limit_w:,} W"
    if status.tariff_rate:
        limit += f", tariff {status.tariff_rate}"
    row("Limit", f"{limit}, tamper {'yes' if status.tamper else 'no'}")
    notes = [*([status.fault] if status.fault else []), *matters(status)]
    if lingers:
        notes.insert(0, "1x while you press keys")
    text.append(", ".join(notes), "#f0b429")
    return text


def _event(event: Event) -> Text:
    """Return an event of the log, in two colours."""
    rest = {k: v for k, v in sorted(event.details.items()) if k not in _IN_A_NAME}
    if not rest.get("amount_wh", 1):
        del rest["amount_wh"]  # of a token other than credit
    name = [str(event.details["name"])] if "name" in event.details else []
    details = ", ".join(name + [f"{k} {v}" for k, v in rest.items()])
    text = Text(f"{event.time:%m-%d %H:%M:%S} ", "#9aa3ad")
    return text.append(f"{event.kind} ", "bold #d5d8dc").append(details, "#9aa3ad")


def _reconnected(meter: Meter) -> str:
    if not meter.reconnect():
        raise JetonError("the switch does not wait for a key")
    return summary(meter.status())


def _emergency(meter: Meter) -> str:
    found = meter.emergency()
    if not found.taken:
        raise JetonError(f"no emergency credit: {NO_EMERGENCY.get(found.reason or '', '')}")
    return f"emergency credit taken: {kwh(found.ledger.credit_wh)} kWh left"


_ACTIONS: dict[str, Callable[[Meter], str]] = {
    "tamper": lambda meter: f"tampered: {summary(meter.set_tamper())}",
    "reconnect": _reconnected,
    "mute": lambda meter: "the alarm is off" if not meter.mute().alarm else "the alarm is on",
    "emergency": _emergency,
}


def _load(meter: Meter, text: str) -> str:
    return summary(meter.set_load(watts_of(text)))


def _clock(meter: Meter, text: str) -> str:
    return f"the clock is set to {at_utc(meter.clock(time_of(text.strip())))}"


def _advance(meter: Meter, text: str) -> str:
    return summary(meter.advance(duration(text)))


_SETTINGS: dict[str, Callable[..., str]] = {"load": _load, "clock": _clock, "advance": _advance}


def show(meter: Meter, where: str, pos: PointOfSale) -> int:
    """Show a meter until the person quits, and close it; return the exit status."""
    named = meters.exists(where)
    screen = MeterScreen(meter, where, desk_for(where, pos), name=where if named else None)
    status = screen.run()
    return status if status is not None else screen.return_code or 0
