"""MeterClient: the verbs of a meter as methods, over its serial line. It starts no board."""

import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from jeton.sts.tokens import layout
from jeton_host import token_text
from jeton_host.client import waiting
from jeton_host.client.answers import (
    Display,
    Emergency,
    EnterResult,
    Event,
    FlashCounts,
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

_LONGEST_TOKEN = 200  # characters sent: a meter counts at most 99 digits, and its heap is small
_KEYS = 200  # keys in one request
_PIN_KEYS = "0123456789*#ABCDi"  # the keys of keypads; i is A
_DAY_TIMEOUT = 0.05  # seconds of timeout per simulated day, with a new load each hour
_STEPS = 32  # steps of a load profile in one request
_EVENTS = 20  # log entries in one request
LOAD_STEPS = 256  # steps of a load profile that a meter can keep: load.STEPS of the firmware


@typed_methods
class MeterClient(Session):
    """The verbs of a meter as methods, over its serial line.

    `Meter` adds virtual boards and the names of meters. Every method raises `BoardError` if the
    meter refuses the request (the message gives the reason), does not answer within `timeout`
    seconds, or is disconnected. Arguments of a wrong type raise `WrongTypeError`. Several threads
    may use the same object.
    """

    def __init__(
        self,
        port: str,
        *,
        timeout: float = TIMEOUT,
        name: str = "",
        code: str | None = None,
    ) -> None:
        self._wires: Wires | None = None
        self._last_seq = 0  # the newest event that was read, with wires
        self._keyed = ""  # the keys since the last result
        super().__init__(port, timeout=timeout, name=name, code=code)

    @exclusive
    def close(self) -> None:
        """Close the port; the meter runs on.

        If a method has sent the unlock `code`, the meter is locked again. Wires are released, and
        the board is left at its friendly prompt. A virtual board started by `Meter.open` is
        switched off. Every later call raises `ClosedError`.
        """
        wires, self._wires = self._wires, None
        if wires is not None:
            with contextlib.suppress(BoardError):
                wires.close()
        super().close()

    def info(self) -> Info:
        """Return the board, its firmware, its free heap and its faulty parts."""
        return from_answer(Info, self.rpc("info"))

    def seen(self) -> Seen | None:
        """Return what the board has read from its pins; None for a board without parts."""
        values = self.rpc("info").get("bench")
        return Seen(*values) if values else None

    def provision(self, config: Annotated[Mapping[str, Any], "checked below"]) -> Status:
        """Set the board up as a new meter and return its status; the old meter is lost.

        Args:
            config: The meter's number, key, profile and so on. `make_config` and
                `PointOfSale.config_for` return such a mapping.
        """
        if not isinstance(config, Mapping):
            raise BoardError(f"a configuration is a mapping, not {type(config).__name__}")
        self._last_seq = 0
        return status_from_answer(self.rpc("provision", dict(config)))

    def enter(self, token: str) -> EnterResult:
        """Enter a token over the serial line and return its result.

        A refused token is a result, not an error.

        Args:
            token: 20 digits. Spaces, dashes and dots of every kind are ignored, digits of other
                scripts are accepted, and so is a whole SMS or receipt with one token in it.

        Raises:
            WrongValueError: The text contains several tokens.
        """
        result = enter_result(self.rpc("enter", token_text.one(token)[:_LONGEST_TOKEN]))
        return self._with_damage(result, token)

    def _with_damage(self, result: EnterResult, text: str) -> EnterResult:
        """Add to a refused token what a spreadsheet or a program has done to its text."""
        if result.result not in (TokenResult.CRC, TokenResult.FORMAT) or not text:
            return result
        parts = [part for part in (result.message, self._damage(text)) if part]
        return replace(result, message="; ".join(parts))

    def _damage(self, text: str) -> str:
        """Return what has happened to a token; empty if it shows no sign of damage."""
        damage = token_text.damage(text)
        return "" if damage is None else damage.what

    @exclusive
    def press(self, keys: str, *, linger_s: int = 0) -> PressResult:
        """Press keys one after another; return the display and the result of a completed token.

        Without wires the keys are sent over the serial line. With wires they are pressed at the
        keypad, and the display is read through the pins. The result of a token is then read from
        the event log: `tid` is None, `message` is empty, `repaid_wh` and `recovered_wh` are 0.

        Args:
            keys: 0 to 9, * for backspace, # for Enter, i for the information key of some meters.
                With wires also A to D, where the keypad has them; i is A there.
            linger_s: If the meter's clock is accelerated, run it at 1 s per second for the next
                `linger_s` real seconds (at most 60), so that the entry does not time out before
                the next keys. A board with a real keypad does this by itself.
        """
        self._keyed = (self._keyed + keys)[-_LONGEST_TOKEN:]
        if self._wires is not None:
            pressed = self._press_keys(self._wires, keys)
        else:
            pressed = self._send_keys(keys, linger_s)
        if pressed.result is None:
            return pressed
        text, self._keyed = _digits_of(self._keyed), ""
        return replace(pressed, result=self._with_damage(pressed.result, text))

    def _send_keys(self, keys: str, linger_s: int) -> PressResult:
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
        """Return the pins of the board; BoardError if it was opened without `wires`."""
        self._check_open()
        if self._wires is None:
            raise BoardError(f"meter {self.name} was opened without wires: Meter.open(…, wires=…)")
        return self._wires

    def display(self) -> Display:
        """Return what the display shows; with wires it is read through the pins."""
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
        while True:  # in parts: the whole log as one line does not fit a small heap
            part = event_list(self.rpc("events", after, _EVENTS))
            found += part
            if len(part) < _EVENTS:
                return found
            after = part[-1].seq

    def reports(self) -> list[Event]:
        """Return the fault reports that are not acknowledged yet, oldest first."""
        return event_list(self.rpc("reports"))

    def acknowledge(self, seq: int) -> int:
        """Acknowledge the fault reports up to number `seq`; return how many remain."""
        left: int = self.rpc("acknowledge", seq)
        return left

    def set_load(self, watts: int) -> Status:
        """Connect a constant load of `watts` (W) and return the status."""
        return status_from_answer(self.rpc("load", watts))

    @exclusive
    def set_load_steps(
        self,
        steps: Sequence[tuple[int, int]],
        *,
        start: datetime | None = None,
        repeat_s: int = 0,
    ) -> Status:
        """Connect a load that changes in steps and return the status.

        Args:
            steps: Pairs of time (seconds from `start`, ascending) and power (W); 1 to 256 pairs.
                `play` takes any number.
            start: The time of second 0, now or in the past; the default is now.
            repeat_s: Repeat the steps every `repeat_s` seconds; 0 does not repeat them.
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
        """Advance the meter's clock through a load of any number of steps; return the status.

        The load of the last step stays connected.

        Args:
            steps: Pairs of time (seconds from now, ascending) and power (W).
            end_s: The number of seconds to advance in total; by default the time of the last step.
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
        """Connect a load (W) to each of the three phases and return the status."""
        return status_from_answer(self.rpc("phases", [first_w, second_w, third_w]))

    def grant(self, energy_wh: int) -> Ledger:
        """Add an advance of the utility (Wh) to the credit and return the ledger.

        Later credit tokens repay it. BoardError if the meter's profile has no advances.
        """
        return from_answer(Ledger, self.rpc("advance_grant", energy_wh))

    def emergency(self) -> Emergency:
        """Take emergency credit, as with the key or the code; return whether it was taken."""
        value = self.rpc("emergency")
        return Emergency(value["taken"], value["reason"], from_answer(Ledger, value["ledger"]))

    def ledger(self) -> Ledger:
        """Return the amounts that make up the credit, and the debts, in Wh."""
        return from_answer(Ledger, self.rpc("ledger"))

    def reconnect(self) -> bool:
        """Press the key for which an open switch waits; return whether it has closed."""
        return bool(self.rpc("reconnect")["done"])

    def mute(self) -> Status:
        """Silence the buzzer of the credit alarm and return the status."""
        return status_from_answer(self.rpc("mute"))

    def language(self, language: str | None = None) -> str:
        """Return the display's language as a code such as "fr"; set it first if one is given."""
        value = self.rpc("language", *([] if language is None else [language]))
        return str(value["language"])

    def languages(self) -> list[str]:
        """Return the codes of the languages that this meter and its display support."""
        return [str(code) for code in self.rpc("language")["languages"]]

    def history(self) -> History:
        """Return the energy used per day and per month, in Wh."""
        value = self.rpc("history")
        return History(
            {entry["date"]: entry["wh"] for entry in value["days"]},
            {entry["month"]: entry["wh"] for entry in value["months"]},
            value.get("timezone", "+00:00"),
        )

    def led(self) -> Led:
        """Return the number of LED pulses so far, and whether the supply LED is lit."""
        return from_answer(Led, self.rpc("led"))

    def consume(self, energy_wh: int) -> Status:
        """Count used energy (Wh), as pulses of a sensor would; return the status."""
        return status_from_answer(self.rpc("consume", energy_wh))

    def advance(self, seconds: int) -> Status:
        """Advance the meter's clock by `seconds`, under the connected load; return the status."""
        days = max(0, seconds) // 86400
        patience = self.timeout + days * _DAY_TIMEOUT
        return status_from_answer(self.rpc("advance", seconds, timeout=patience))

    def advance_to_next(self, seconds: int) -> tuple[Status, int | None]:
        """Advance the clock by `seconds`; return the status and the time to the next change.

        The second value is the number of seconds until something changes by itself, None if
        nothing will. Such changes are a step of the load, a warning level of the credit, the end
        of a delay, and midnight.
        """
        days = max(0, seconds) // 86400
        patience = self.timeout + days * _DAY_TIMEOUT
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
        """Advance the meter's clock to the second at which a condition is true.

        Give exactly one condition: `what`, `display` or registers. The clock jumps from one change
        to the next (see `advance_to_next`) and does not run otherwise.

        Args:
            what: A kind of event, such as "switch_opened", that is logged from now on; or a
                function of the status that returns whether the condition is true. A function's
                condition is found if it stays true for at least a minute and for at least 1 Wh;
                for shorter ones give a `step`.
            display: A text, or a pattern, that the display shows.
            limit: The longest time to advance, in seconds or as a timedelta. The default is 366
                days. With a `step` or a `display` and no limit, the meter is also read at most
                2000 times (with a step of 60 s that is more than a day).
            step: The longest time to advance at once, in seconds or as a timedelta. Needed for a
                display that changes with each kWh, for example.
            registers: Attributes of `Status` and their values, such as `switch="open"`. The values
                of `credit_wh`, `total_wh` and `clock` may be reached or passed.

        Returns:
            The status at that second.

        Raises:
            NeverCameError: The condition was not true within `limit`. It is a BoardError and an
                AssertionError; the message contains the display and the last events.
            WrongTypeError: There is not exactly one condition, or a value has the wrong type.
            WrongValueError: The condition can never be true, such as an unknown kind of event.
        """
        # A second thread would see the stopped clock and leave it stopped.
        with self._advancing:
            return waiting.advance(
                self, what, shown=display, limit=limit, step=step, registers=registers
            )

    def wait_display(self, text: waiting.Text, timeout: float = waiting.WAIT_S) -> Display:
        """Wait in real time until the display shows a text; return the display.

        The display is read repeatedly while the meter's clock runs.

        Args:
            text: A text or a pattern. It may continue on the next line of the display, and any
                number of spaces counts as one.
            timeout: The longest time to wait, in real seconds.

        Raises:
            NeverCameError: The text was not shown within `timeout`.
        """
        return waiting.display(self, text, timeout)

    def wait_event(self, kind: str, after: int = 0, timeout: float = waiting.WAIT_S) -> Event:
        """Wait in real time until an event of a kind is logged; return the first one.

        Args:
            kind: The kind of event, such as "token".
            after: Ignore events whose number is `after` or less. An event that is already logged
                with a higher number is returned at once.
            timeout: The longest time to wait, in real seconds.

        Raises:
            NeverCameError: No such event was logged within `timeout`.
        """
        return waiting.event(self, kind, after, timeout)

    def save(self) -> Status:
        """Save all counters to the meter's flash, as at a power failure; return the status."""
        return status_from_answer(self.rpc("save"))

    def clock(self, when: datetime | None = None, *, passed: bool = False) -> datetime:
        """Return the meter's time (UTC); if `when` is given, set it first.

        A `when` without a zone is UTC. A lock-out and other waits keep the time that is left. With
        `passed` the time until `when` has passed without supply: waits end by it, and no energy is
        used. Use it after a power cut of a meter whose clock has no battery.

        Raises:
            BoardError: `passed`, and the meter's clock is later.
        """
        if when is None:
            return moment(self.rpc("clock"))
        return moment(self.rpc("clock", seconds_of(when), *([True] if passed else [])))

    def set_rate(self, rate: int) -> Status:
        """Run the meter's clock at `rate` seconds per real second; return the status.

        The rate is 0 to 1,000,000; 0 stops the clock.
        """
        return status_from_answer(self.rpc("rate", rate))

    def set_tamper(self, on: bool = True, *, magnet: bool = False) -> Status:
        """Switch the tamper input on (cover open, or a magnetic field) or off; return the status.

        The first cause stays until a token clears it.
        """
        return status_from_answer(self.rpc("tamper", "magnet" if on and magnet else on))

    def flash_counts(self) -> FlashCounts:
        """Return what a virtual board has read, written and erased on its flash since its start.

        The counts do not depend on the computer. A real board counts nothing: `BoardError`.
        """
        said = self.run(
            "print(*getattr(getattr(__import__('sys').modules.get('flashbdev'), 'bdev', None), "
            "'counts', ()))"
        ).split()
        if len(said) != len(fields(FlashCounts)):
            raise BoardError(
                f"the board at {self.port} does not count what it does with its flash"
            )
        return FlashCounts(*map(int, said))

    @property
    def locks_again(self) -> bool:
        """Return whether `close` locks the meter again and sets its clock's rate to 1."""
        return self._opened

    @exclusive
    def lock(self, code: str | None = None) -> None:
        """Lock the meter with an unlock code, or lock it again after `unlock`.

        An open meter restarts at once and then has no REPL. For a meter that is locked already,
        this ends the effect of `unlock`; a given `code` replaces its unlock code.

        Args:
            code: The unlock code, 8 to 64 characters. Required if the meter is not locked.
        """
        if self.locked:
            self.rpc("lock", *([] if code is None else [code]))
            self._opened = False
            return
        if code is None:
            raise BoardError(f"meter {self.name} is not locked: give the code that will unlock it")
        self.info()  # raises BoardError if there is no meter
        line = json.dumps(["lock", code])
        self.transcript.hide(code)
        self._be_raw()
        with self._talking(self.timeout) as repl:
            output = repl.ask_and_part(f"print(meter.rpc({line!r}))", self.timeout)
        try:
            answer = json.loads(output.strip().splitlines()[-1])
            error = answer.get("error")
        except (ValueError, IndexError, AttributeError):
            error = f"the board at {self.port} answered lock without JSON: {excerpt(output)}"
        if error:
            self._ready = False
            raise BoardError(str(error))
        self._greeted(LOCKED_MARK + b"\r\n")
        self._reconnect()

    @exclusive
    def unlock(self, code: str) -> None:
        """Unlock a locked meter, so that all methods work until `lock` or the next restart."""
        self._check_locked()
        self.rpc("unlock", code)

    @exclusive
    def open_up(self, code: str) -> None:
        """Remove the lock for good: the meter restarts and has its REPL again."""
        self._check_locked()
        self.rpc("open", code)
        self._greeted(b">>> ", RAW_SIGN + b">")
        self._reconnect()

    def _check_locked(self) -> None:
        if not self.locked:
            raise BoardError(f"meter {self.name} is not locked")


def _digits_of(keys: str) -> str:
    """Return the digits of the last number in the keys that were pressed."""
    found = ""
    for key in re.split("[^0-9*]", keys.rstrip("#"))[-1]:
        found = found[:-1] if key == "*" else found + key
    return found
