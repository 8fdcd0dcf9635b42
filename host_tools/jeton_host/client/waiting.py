"""Waits for a meter: for what it shows, what it logs, and for a moment that its clock is moved to.

Nothing here sleeps: `wait_…` ask the meter until it says so, and `advance_until` moves its clock
to the next moment at which something happens, as the firmware tells it, until it is the right one.
"""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import TYPE_CHECKING, Any, Protocol, get_args, get_type_hints

from jeton import supply
from jeton.reports import KINDS
from jeton.sts.results import NAMES
from jeton_host.errors import NeverCameError, WrongTypeError, WrongValueError

if TYPE_CHECKING:
    from jeton_host.client.answers import Display, Event, Status

WAIT_S = 10.0
LIMIT = timedelta(days=366)
_WS_PER_WH = 3600
_SHOWN_EVENTS = 4
_FALLING = ("credit_wh",)  # registers that are passed rather than met
_RISING = ("total_wh", "clock")
_LOOKS = 2000  # at a meter, where nobody says a limit
_PROBE_S = 60  # a function is tried so often at what the status will be, or at each Wh
_EVENTS = KINDS[1:]  # the first is none
_VALUES = {
    "switch": ("closed", "open"),
    "switch_reason": supply.REASONS,
    "result_name": NAMES,
}

Text = str | re.Pattern[str]


class Waitable(Protocol):
    """What is needed of a meter to wait for it."""

    name: str

    def display(self) -> "Display":
        """Return what the display shows."""

    def events(self, after: int = 0) -> "list[Event]":
        """Return the logged events with a number above `after`, oldest first."""

    def status(self) -> "Status":
        """Return registers and states."""

    def set_rate(self, rate: int) -> "Status":
        """Run the meter's clock at `rate` seconds a second; 0 stops it."""

    def advance_to_next(self, seconds: int) -> "tuple[Status, int | None]":
        """Let time pass (s); also return in how many seconds something happens by itself."""


def shows(display: "Display", text: Text) -> bool:
    """Return whether a text, or what fits a pattern, stands on the display.

    It may go on in the next line; how many spaces are between words does not count.
    """
    shown = " ".join(" ".join(display.lines).split())
    return bool(text.search(shown)) if isinstance(text, re.Pattern) else _squeezed(text) in shown


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def brief(event: "Event") -> str:
    """Return an event in a few words: its number, time, kind and details."""
    details = " ".join(f"{name}={value}" for name, value in event.details.items())
    return f"{event.seq} {event.time:%Y-%m-%d %H:%M:%S} {event.kind} {details}".rstrip()


def _seen(meter: "Waitable") -> str:
    """Return what a meter shows and has logged last, for a message."""
    lines = " | ".join(line.strip() for line in meter.display().lines)
    last = "; ".join(brief(event) for event in meter.events()[-_SHOWN_EVENTS:])
    return f"it shows {lines!r}; its last events: {last or 'none'}"


def _named(text: Text) -> str:
    return repr(text.pattern if isinstance(text, re.Pattern) else text)


def display(meter: "Waitable", text: Text, timeout: float) -> "Display":
    """Ask a meter until its display shows a text; return the display."""
    _check_text(text)
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() >= deadline
        shown = meter.display()
        if shows(shown, text):
            return shown
        if late:
            raise NeverCameError(
                f"meter {meter.name} does not show {_named(text)} within {timeout:g} s: "
                f"{_seen(meter)}"
            )


def event(meter: "Waitable", kind: str, after: int, timeout: float) -> "Event":
    """Ask a meter until it has logged an event of a kind, with a number above `after`."""
    _check_kind(kind)
    deadline = time.monotonic() + timeout
    newest = after
    while True:
        late = time.monotonic() >= deadline
        meter.status()  # it lives up to now; its log alone is no reason to
        for logged in meter.events(newest):
            if logged.kind == kind:
                return logged
            newest = logged.seq
        if late:
            raise NeverCameError(
                f"meter {meter.name} has logged no {kind} after event {after} within "
                f"{timeout:g} s: {_seen(meter)}"
            )


def advance(
    meter: "Waitable",
    what: "str | Callable[[Status], bool] | None",
    *,
    shown: Text | None,
    limit: timedelta | int | None,
    step: timedelta | int | None,
    registers: dict[str, Any],
) -> "Status":
    """Move a meter's clock to the second at which something is so (see `Meter.advance_until`)."""
    if sum((what is not None, shown is not None, bool(registers))) != 1:
        raise WrongTypeError(
            "say one thing to advance to: an event, a function, display= or registers"
        )
    if shown is not None:
        _check_text(shown)
    elif what is not None and not callable(what):
        _check_kind(what)
    most = 0 if step is None else _seconds("step", step)
    if step is not None and most < 1:
        raise WrongValueError(f"step is {step}: it is 1 s or more")
    before = meter.status()
    registers = {name: _checked(before, name, value) for name, value in registers.items()}
    looks = _LOOKS if limit is None and (most or shown is not None) else None
    limit_s = _seconds("limit", LIMIT if limit is None else limit)
    meter.set_rate(0)  # or the moment passes while it is asked
    try:
        return _advanced(meter, what, shown, limit_s, looks, most, registers)
    finally:
        meter.set_rate(before.rate)


def _check_text(text: Text) -> None:
    """Raise WrongTypeError or WrongValueError for what no display could be waited for with."""
    if not isinstance(text, str | re.Pattern):
        raise WrongTypeError(f"a text or a pattern is waited for on the display, not {text!r}")
    if isinstance(text, str) and not text.strip():
        raise WrongValueError(f"the text {text!r} stands on every display: say what is waited for")


def _check_kind(kind: str) -> None:
    if kind not in _EVENTS:
        raise WrongValueError(f"no event is called {kind!r}; there are {', '.join(_EVENTS)}")


def _checked(status: "Status", name: str, value: Any) -> Any:
    """Return the value that a register is to have; an error that says why if it never can."""
    kinds = get_type_hints(type(status))
    if name not in kinds:
        raise WrongTypeError(f"a meter's status has no {name}; there are {', '.join(kinds)}")
    if name in _VALUES and value not in _VALUES[name]:
        raise WrongValueError(
            f"{name} is never {value!r}; it is one of {', '.join(_VALUES[name])}"
        )
    kind = kinds[name]
    if getattr(kind, "__origin__", None) is tuple:
        good: tuple[type, ...] = (tuple,)
    else:
        good = get_args(kind) or (kind,)
    numbers = (int, float) if int in good else ()
    if not isinstance(value, (*good, *numbers)):
        said = " or ".join("None" if one is NoneType else one.__name__ for one in good)
        raise WrongTypeError(f"{name} is never {value!r}: it is {said}")
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _seconds(what: str, span: timedelta | int) -> int:
    if isinstance(span, timedelta):
        return int(span.total_seconds())
    if not isinstance(span, int) or isinstance(span, bool):
        raise WrongTypeError(f"{what} must be a whole number or a timedelta, not {span!r}")
    return span


def _advanced(
    meter: "Waitable",
    what: "str | Callable[[Status], bool] | None",
    shown: Text | None,
    limit_s: int,
    looks: int | None,
    most_s: int,
    registers: dict[str, Any],
) -> "Status":
    logged = meter.events()
    newest = logged[-1].seq if logged else 0
    status, next_s = meter.advance_to_next(0)
    first = status
    end = status.clock + timedelta(seconds=limit_s)
    # What it is about that changes between two moments that the firmware knows of.
    so = what if callable(what) else _reached(registers, first) if registers else None
    looked = 0
    while True:
        looked += 1
        if so is not None:
            done = so(status)
        elif shown is not None:
            done = shows(meter.display(), shown)
        else:
            new = meter.events(newest)
            newest = new[-1].seq if new else newest
            done = any(event.kind == what for event in new)
        if done:
            return status
        left_s = int((end - status.clock).total_seconds())
        if left_s <= 0:
            raise NeverCameError(
                f"meter {meter.name} did not come to {_wish(what, shown, registers)} within "
                f"{timedelta(seconds=limit_s)}: {_seen(meter)}"
            )
        if looked == looks:
            raise NeverCameError(
                f"meter {meter.name} did not come to {_wish(what, shown, registers)} in {looks} "
                f"looks, within {status.clock - first.clock} (limit= goes on for longer, a longer "
                f"step= looks less often): {_seen(meter)}"
            )
        stride_s = min(left_s, next_s or left_s, most_s or left_s)
        if so is not None:
            stride_s = _before(so, status, stride_s, lasting=not callable(what))
        status, next_s = meter.advance_to_next(max(1, stride_s))


def _wish(what: object, shown: Text | None, registers: dict[str, Any]) -> str:
    if shown is not None:
        return f"a display with {_named(shown)}"
    if registers:
        return " and ".join(f"{name} = {value!r}" for name, value in registers.items())
    return f"an event {what}" if isinstance(what, str) else "what was asked for"


def _reached(registers: dict[str, Any], first: "Status") -> "Callable[[Status], bool]":
    def reached(status: "Status") -> bool:
        for name, value in registers.items():
            found = getattr(status, name)
            if name in _FALLING and value <= getattr(first, name):
                good = found <= value
            elif name in _FALLING or name in _RISING:
                good = found >= value
            else:
                good = found == value
            if not good:
                return False
        return True

    return reached


def _before(
    so: "Callable[[Status], bool]", status: "Status", stride_s: int, *, lasting: bool
) -> int:
    """Return how far one may go, at most `stride_s`, so as not to pass the moment.

    What is `lasting` stays so until the stride ends; else it is tried all the way, each minute
    and each Wh, whichever is more often.

    Until the next thing happens only clock, credit and index change, the latter by the power: the
    moment is found by halves on what the status will be. The last Wh is gone second by second: how
    much of it is used is not told.
    """
    probe_s = stride_s
    if not lasting:
        probe_s = min(_PROBE_S, _WS_PER_WH // max(status.power_w, 1)) or 1
    low = 0  # not so
    high = min(probe_s, stride_s - 1)
    while low < high and not so(_later(status, high)):
        low, high = high, min(high + probe_s, stride_s - 1)
    if low == high:
        return stride_s
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if so(_later(status, middle)) else (middle, high)
    slack_s = _WS_PER_WH // status.power_w + 1 if status.power_w else 0
    return max(1, high - slack_s)


def _later(status: "Status", seconds: int) -> "Status":
    used_wh = status.power_w * seconds // _WS_PER_WH
    return replace(
        status,
        clock=status.clock + timedelta(seconds=seconds),
        credit_wh=status.credit_wh - used_wh,
        total_wh=status.total_wh + used_wh,
    )
