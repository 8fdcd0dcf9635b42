"""MeterClient: the verbs of a meter as methods, over its serial line. It opens no board itself."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from jeton.sts.tokens import layout
from jeton_host.client import waiting
from jeton_host.client.answers import (
    Display,
    Emergency,
    EnterResult,
    Event,
    History,
    Info,
    Led,
    Ledger,
    PressResult,
    Seen,
    Status,
    TokenResult,
    enter_result,
    event_list,
    from_answer,
    moment,
    seconds_of,
    status_from_answer,
)
from jeton_host.client.pins import Wires
from jeton_host.client.port import TIMEOUT, excerpt
from jeton_host.client.repl import LOCKED_MARK, RAW_SIGN
from jeton_host.client.session import Session, exclusive
from jeton_host.errors import BoardError
from jeton_host.typed import typed_methods

_LONGEST_TOKEN = 200  # more than 99 digits no keypad counts, and a small heap has other uses
_KEYS = 200  # in one line
_PIN_KEYS = "0123456789*#ABCDi"  # that keypads have; i is A
_PATIENCE_A_DAY = 0.05  # seconds a board may take to live a day, each hour with another load
_STEPS = 32  # of a load, in one line
_EVENTS = 20  # of the log
LOAD_STEPS = 256  # the board's load.STEPS


@typed_methods
class MeterClient(Session):
    """The verbs of a meter as methods, over its line. `Meter` adds virtual boards and names."""

    def __init__(
        self,
        port: str,
        *,
        timeout: float = TIMEOUT,
        name: str = "",
        code: str | None = None,
    ) -> None:
        self._wires: Wires | None = None
        self._last_seq = 0  # of the events that were seen
        super().__init__(port, timeout=timeout, name=name, code=code)

    @exclusive
    def close(self) -> None:
        """Release the wires, leave the board at its friendly prompt and close the port."""
        wires, self._wires = self._wires, None
        if wires is not None:
            with contextlib.suppress(BoardError):
                wires.close()
        super().close()

    def info(self) -> Info:
        """Return what the board is."""
        return from_answer(Info, self.rpc("info"))

    def seen(self) -> Seen | None:
        """Return what its board has seen at its pins; None of a board that does not say."""
        told = self.rpc("info").get("bench")
        return Seen(*told) if told else None

    def provision(self, config: Annotated[Mapping[str, Any], "checked below"]) -> Status:
        """Make it a new meter; `jeton_host.meters.named.make_config` makes a configuration."""
        if not isinstance(config, Mapping):
            raise BoardError(f"a configuration is a mapping, not {type(config).__name__}")
        self._last_seq = 0
        return status_from_answer(self.rpc("provision", dict(config)))

    def enter(self, token: str) -> EnterResult:
        """Key a token in by the wire; spaces and dashes do not matter.

        Of an endless token no more than the first 200 characters are sent.
        """
        return enter_result(self.rpc("enter", token[:_LONGEST_TOKEN]))

    @exclusive
    def press(self, keys: str, *, linger_s: int = 0) -> PressResult:
        """Press keys: digits, * for backspace, # for Enter.

        A clock that hurries runs at 1 for `linger_s` seconds (at most 60) from then on, so that
        the next keys come before the digits are dropped. The board sees to that alone.

        With wires the keys are pressed one by one at the keypad, with any other key it has (i is
        its A), and the display is what stands there then. What a token came to is asked over the
        line: its result, class and Wh are those of the log, its TID, its message and what of it
        was repaid are not told there. A bench sees to a clock that hurries by itself.
        """
        if self._wires is not None:
            return self._press_keys(self._wires, keys)
        done: list[EnterResult] = []
        for first in range(0, max(len(keys), 1), _KEYS):
            part = keys[first : first + _KEYS]
            value = self.rpc("press", part, *([linger_s] if linger_s else []))
            if value["result"]:
                last = enter_result(value["result"])
                done += [*last.earlier, last]
        result = replace(done[-1], earlier=tuple(done[:-1])) if done else None
        return PressResult(tuple(value["display"]), result)

    def _press_keys(self, wires: Wires, keys: str) -> PressResult:
        for key in keys:  # before the first is pressed
            if key not in _PIN_KEYS:
                raise BoardError(f"no keypad has a key {key!r}: there are {_PIN_KEYS}")
        self._new_events()
        for key in keys:
            wires.press("A" if key == "i" else key)
        display = tuple(wires.lines())
        done = [event for event in self._new_events() if event.kind == "token"]
        if not done:
            return PressResult(display, None)
        status = self.status()
        results = [self._logged(event, status, display) for event in done]
        return PressResult(display, replace(results[-1], earlier=tuple(results[:-1])))

    def _new_events(self) -> list[Event]:
        found = self.events(self._last_seq)
        if found:
            self._last_seq = found[-1].seq
        return found

    @staticmethod
    def _logged(event: Event, status: Status, display: tuple[str, ...]) -> EnterResult:
        about = event.details
        kind, sub = about.get("class"), about.get("subclass")
        result = TokenResult(about["result"])
        return EnterResult(
            result=result,
            name=str(about["name"]),
            token=None if kind is None or sub is None else layout(kind, sub, status.ea)[0],
            token_class=kind,
            subclass=sub,
            tid=None,
            amount_wh=about["amount_wh"] or None,
            missing=status.pending if result.good else (),
            display=display,
        )

    @property
    def wires(self) -> Wires:
        """Return the pins of its bench; BoardError where it was opened without."""
        if self._wires is None:
            raise BoardError(f"meter {self.name} was opened without wires: Meter.open(…, wires=…)")
        return self._wires

    def display(self) -> Display:
        """Return what the display shows; with wires what stands there."""
        if self._wires is not None:
            lines = tuple(self._wires.lines())
            return Display(len(lines), len(lines[0]), lines, self._wires.flashes)
        value = self.rpc("display")
        lines = tuple(value["lines"])
        return Display(value["rows"], value["cols"], lines, bool(value.get("flash")))

    def status(self) -> Status:
        """Return registers, key attributes and states."""
        return status_from_answer(self.rpc("status"))

    def events(self, after: int = 0) -> list[Event]:
        """Return the logged events with a number above `after`, oldest first."""
        found: list[Event] = []
        while True:  # in parts: a small heap has no room for all as one line
            part = event_list(self.rpc("events", after, _EVENTS))
            found += part
            if len(part) < _EVENTS:
                return found
            after = part[-1].seq

    def reports(self) -> list[Event]:
        """Return the fault reports that nobody has acknowledged yet, oldest first."""
        return event_list(self.rpc("reports"))

    def acknowledge(self, seq: int) -> int:
        """Let the fault reports up to number `seq` go; return how many still wait."""
        left: int = self.rpc("acknowledge", seq)
        return left

    def set_load(self, watts: int) -> Status:
        """Connect a load behind the switch."""
        return status_from_answer(self.rpc("load", watts))

    @exclusive
    def set_load_steps(
        self,
        steps: Sequence[tuple[int, int]],
        *,
        start: datetime | None = None,
        repeat_s: int = 0,
    ) -> Status:
        """Connect a load in steps (seconds from `start`, W); `start` is now, or in the past.

        With `repeat_s` they come over and over. At most LOAD_STEPS; `play` takes more.
        """
        if not steps or len(steps) > LOAD_STEPS:
            raise BoardError(
                f"a load of {len(steps)} steps does not fit: a meter keeps 1 to {LOAD_STEPS}"
            )
        at = seconds_of(start if start is not None else self.clock())
        value = None
        for first in range(0, len(steps), _STEPS):
            load: dict[str, Any] = {
                "steps": [list(step) for step in steps[first : first + _STEPS]],
                "at": at,
                "repeat_s": repeat_s if first + _STEPS >= len(steps) else 0,
            }
            value = self.rpc("load_profile", load | ({"more": True} if first else {}))
        return status_from_answer(value)

    @exclusive
    def play(self, steps: Sequence[tuple[int, int]], end_s: int | None = None) -> Status:
        """Let time pass under a load of any number of steps (seconds from now, W), then `end_s`.

        The last step's load stays connected.
        """
        start = self.clock()
        rate = self.status().rate
        self.set_rate(0)
        try:
            self.clock()
            for first in range(0, len(steps), LOAD_STEPS):
                part = steps[first : first + LOAD_STEPS]
                self.set_load_steps(part, start=start)
                last = end_s if first + LOAD_STEPS >= len(steps) else part[-1][0]
                last = max(part[-1][0], last or 0)
                status = self.status()
                self.advance(max(0, last - (seconds_of(status.clock) - seconds_of(start))))
        finally:
            self.set_rate(rate)
        return self.status()

    def set_phases(self, first_w: int, second_w: int, third_w: int) -> Status:
        """Connect a load to each of the three phases."""
        return status_from_answer(self.rpc("phases", [first_w, second_w, third_w]))

    def grant(self, energy_wh: int) -> Ledger:
        """Grant an advance of the utility, which later credit tokens repay."""
        return from_answer(Ledger, self.rpc("advance_grant", energy_wh))

    def emergency(self) -> Emergency:
        """Take emergency credit, as by key or code."""
        value = self.rpc("emergency")
        return Emergency(value["taken"], value["reason"], from_answer(Ledger, value["ledger"]))

    def ledger(self) -> Ledger:
        """Return what makes up the credit, and what is owed."""
        return from_answer(Ledger, self.rpc("ledger"))

    def reconnect(self) -> bool:
        """Press the key that closes the switch where it waits for one; tell whether it did."""
        return bool(self.rpc("reconnect")["done"])

    def mute(self) -> Status:
        """Silence the alarm."""
        return status_from_answer(self.rpc("mute"))

    def language(self, language: str | None = None) -> str:
        """Return the display's language; with an argument choose it first."""
        value = self.rpc("language", *([] if language is None else [language]))
        return str(value["language"])

    def languages(self) -> list[str]:
        """Return the languages that this meter and its display have."""
        return [str(code) for code in self.rpc("language")["languages"]]

    def history(self) -> History:
        """Return what was used by day and month."""
        value = self.rpc("history")
        return History(
            {entry["date"]: entry["wh"] for entry in value["days"]},
            {entry["month"]: entry["wh"] for entry in value["months"]},
        )

    def led(self) -> Led:
        """Return the LED: pulses so far, and whether the supply is on."""
        return from_answer(Led, self.rpc("led"))

    def consume(self, energy_wh: int) -> Status:
        """Count energy that flowed."""
        return status_from_answer(self.rpc("consume", energy_wh))

    def advance(self, seconds: int) -> Status:
        """Let time pass for the meter."""
        days = max(0, seconds) // 86400
        patience = self.timeout + days * _PATIENCE_A_DAY
        return status_from_answer(self.rpc("advance", seconds, timeout=patience))

    def advance_to_next(self, seconds: int) -> tuple[Status, int | None]:
        """Let time pass; also return in how many seconds something happens by itself, if ever.

        That is a change of the load, a level of the credit, a delay that ends, midnight.
        """
        days = max(0, seconds) // 86400
        patience = self.timeout + days * _PATIENCE_A_DAY
        value = self.rpc("advance", seconds, timeout=patience)
        return status_from_answer(value), value.get("next_s")

    def advance_until(
        self,
        what: str | Callable[[Status], bool] | None = None,
        *,
        display: waiting.Text | None = None,
        limit: timedelta | int | None = None,
        step: timedelta | int | None = None,
        **registers: Any,
    ) -> Status:
        """Let time pass up to the second at which something is so; return the status then.

        `what` is a kind of event that is to be logged from now on, such as "switch_opened", or a
        function of the status. Or a text is to be on the `display`, or registers of the status are
        to be as said: `switch="open"`; `credit_wh`, `total_wh` and `clock` are reached or passed.

        The clock goes from one thing that happens by itself to the next, and at most `step` at
        once: give one for a display that changes with every kWh. It does not run meanwhile.
        What a function asks for is found if it stays so for a minute and for a Wh; for less give
        a `step`, and the meter is looked at so often.

        NeverCameError, which is a BoardError and an AssertionError, after `limit` (s, or a
        timedelta), and it says what the meter shows and has logged. Without one that is 366 days,
        and with a `step` or for a display after no more than 2000 looks: at a step of 60 s a day
        and more. WrongTypeError or WrongValueError, which list what there is, for what can never
        be so.
        """
        return waiting.advance(
            self, what, shown=display, limit=limit, step=step, registers=registers
        )

    def wait_display(self, text: waiting.Text, timeout: float = waiting.WAIT_S) -> Display:
        """Wait until the display shows a text, or what fits a pattern; return the display.

        The text may go on in the next line. The meter lives on by its own clock, and is asked
        again and again. NeverCameError after `timeout` seconds.
        """
        return waiting.display(self, text, timeout)

    def wait_event(self, kind: str, after: int = 0, timeout: float = waiting.WAIT_S) -> Event:
        """Wait until an event of a kind is logged with a number above `after`; return it.

        The first one, if it is logged already. NeverCameError after `timeout` seconds.
        """
        return waiting.event(self, kind, after, timeout)

    def save(self) -> Status:
        """Have the meter save all it has counted, as it does when it notices a power failure."""
        return status_from_answer(self.rpc("save"))

    def clock(self, when: datetime | None = None) -> datetime:
        """Return the meter's time (UTC); with an argument set it first."""
        return moment(self.rpc("clock", *([] if when is None else [seconds_of(when)])))

    def set_rate(self, rate: int) -> Status:
        """Let the meter's clock run at `rate` seconds a second; 0 stops it."""
        return status_from_answer(self.rpc("rate", rate))

    def set_tamper(self, on: bool = True) -> Status:
        """Raise the tamper input."""
        return status_from_answer(self.rpc("tamper", on))

    @property
    def locks_again(self) -> bool:
        """Return whether `close` locks the meter again, its clock at 1 s a second from then on."""
        return self._opened

    @exclusive
    def lock(self, code: str | None = None) -> None:
        """Lock the meter by an unlock code of 8 to 64 characters: it starts anew at once.

        A locked one closes what `unlock` opened; with a code it has another code from then on.
        """
        if self.locked:
            self.rpc("lock", *([] if code is None else [code]))
            self._opened = False
            return
        if code is None:
            raise BoardError(
                f"meter {self.name} is not locked: give the code that is to unlock it"
            )
        self.info()  # or say that there is no meter
        line = json.dumps(["lock", code])
        self.transcript.hide(code)
        self._be_raw()
        with self._talking(self.timeout) as repl:
            output = repl.ask_and_part(f"print(meter.rpc({line!r}))", self.timeout)
        try:
            answer = json.loads(output.strip().splitlines()[-1])
            error = answer.get("error")
        except (ValueError, IndexError, AttributeError):
            error = f"the board at {self.port} answered lock with no JSON: {excerpt(output)}"
        if error:
            self._ready = False
            raise BoardError(str(error))
        self._greeted(LOCKED_MARK + b"\r\n")
        self._reconnect()

    @exclusive
    def unlock(self, code: str) -> None:
        """Let every method work until `lock` or the next start."""
        self._check_locked()
        self.rpc("unlock", code)

    @exclusive
    def open_up(self, code: str) -> None:
        """Remove the lock: the meter has its REPL again."""
        self._check_locked()
        self.rpc("open", code)
        self._greeted(b">>> ", RAW_SIGN + b">")
        self._reconnect()

    def _check_locked(self) -> None:
        if not self.locked:
            raise BoardError(f"meter {self.name} is not locked")
