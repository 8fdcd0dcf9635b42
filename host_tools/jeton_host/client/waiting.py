"""Waits until a meter shows a text or logs an event, and advances its clock to a condition.

Nothing here sleeps. `wait_…` reads the meter repeatedly in real time. `advance_until` advances the
meter's clock from one change to the next, as the firmware reports them, until the condition is
true.
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

WAIT_S = 10.0  # default timeout in real seconds
LIMIT = timedelta(days=366)  # default for the longest time to advance
_WS_PER_WH = 3600
_SHOWN_EVENTS = 4  # in a message
_FALLING = ("credit_wh",)  # registers whose value may be passed, not only reached exactly
_RISING = ("total_wh", "clock")
_MOST_READS = 2000  # of the meter, if no limit is given
_PROBE_S = 60  # a function is tried on the future status each 60 s, or for each Wh if more often
_EVENTS = KINDS[1:]  # the first one is "none"
_VALUES = {
    "switch": ("closed", "open"),
    "switch_reason": supply.REASONS,
    "result_name": NAMES,
}

Text = str | re.Pattern[str]


class Waitable(Protocol):
    """The methods of a meter that this module needs."""

    name: str

    def display(self) -> "Display":
        """Return what the display shows."""

    def events(self, after: int = 0) -> "list[Event]":
        """Return the logged events with a number above `after`, oldest first."""

    def status(self) -> "Status":
        """Return registers and states of the meter."""

    def set_rate(self, rate: int) -> "Status":
        """Run the meter's clock at `rate` seconds per real second; 0 stops it."""

    def advance_to_next(self, seconds: int) -> "tuple[Status, int | None]":
        """Advance the clock (s); also return the seconds to the next change, None if never."""


def shows(display: "Display", text: Text) -> bool:
    """Return whether the display shows a text, or a match of a pattern.

    The text may continue on the next line; any number of spaces counts as one.
    """
    shown = " ".join(" ".join(display.lines).split())
    return bool(text.search(shown)) if isinstance(text, re.Pattern) else _normal(text) in shown


def _normal(text: str) -> str:
    return " ".join(text.split())


def brief(event: "Event") -> str:
    """Return an event on one line: number, time, kind and details."""
    details = " ".join(f"{name}={value}" for name, value in event.details.items())
    return f"{event.seq} {event.time:%Y-%m-%d %H:%M:%S} {event.kind} {details}".rstrip()


def _state_of(meter: "Waitable") -> str:
    """Return a meter's display and last events for a message."""
    lines = " | ".join(line.strip() for line in meter.display().lines)
    last = "; ".join(brief(event) for event in meter.events()[-_SHOWN_EVENTS:])
    return f"it shows {lines!r}; its last events: {last or 'none'}"


def _named(text: Text) -> str:
    return repr(text.pattern if isinstance(text, re.Pattern) else text)


def display(meter: "Waitable", text: Text, timeout: float) -> "Display":
    """Read the display repeatedly until it shows a text; return it.

    NeverCameError after `timeout` real seconds.
    """
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
                f"{_state_of(meter)}"
            )


def event(meter: "Waitable", kind: str, after: int, timeout: float) -> "Event":
    """Read the log repeatedly until it has an event of a kind, with a number above `after`.

    NeverCameError after `timeout` real seconds.
    """
    _check_kind(kind)
    deadline = time.monotonic() + timeout
    newest = after
    while True:
        late = time.monotonic() >= deadline
        meter.status()  # makes the meter process the time up to now; reading the log does not
        for logged in meter.events(newest):
            if logged.kind == kind:
                return logged
            newest = logged.seq
        if late:
            raise NeverCameError(
                f"meter {meter.name} has logged no {kind} after event {after} within "
                f"{timeout:g} s: {_state_of(meter)}"
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
    """Advance a meter's clock to the second at which a condition is true.

    `MeterClient.advance_until` describes the arguments.
    """
    if sum((what is not None, shown is not None, bool(registers))) != 1:
        raise WrongTypeError(
            "give exactly one condition: an event, a function, display= or registers"
        )
    if shown is not None:
        _check_text(shown)
    elif what is not None and not callable(what):
        _check_kind(what)
    most = 0 if step is None else _seconds("step", step)
    if step is not None and most < 1:
        raise WrongValueError(f"step must be 1 s or more, not {step}")
    before = meter.status()
    registers = {name: _checked(before, name, value) for name, value in registers.items()}
    reads = _MOST_READS if limit is None and (most or shown is not None) else None
    limit_s = _seconds("limit", LIMIT if limit is None else limit)
    meter.set_rate(0)  # else the clock passes the right second between two requests
    try:
        return _advanced(meter, what, shown, limit_s, reads, most, registers)
    finally:
        meter.set_rate(before.rate)


def _check_text(text: Text) -> None:
    """Raise WrongTypeError or WrongValueError for a text that cannot be waited for."""
    if not isinstance(text, str | re.Pattern):
        raise WrongTypeError(f"the display's text must be a text or a pattern, not {text!r}")
    if isinstance(text, str) and not text.strip():
        raise WrongValueError(f"every display shows the text {text!r}: give one to wait for")


def _check_kind(kind: str) -> None:
    if kind not in _EVENTS:
        raise WrongValueError(f"no event is called {kind!r}; there are {', '.join(_EVENTS)}")


def _checked(status: "Status", name: str, value: Any) -> Any:
    """Return the wanted value of a register; raise an error if it can never have it."""
    kinds = get_type_hints(type(status))
    if name not in kinds:
        raise WrongTypeError(f"a meter's status has no {name}; there are {', '.join(kinds)}")
    if name in _VALUES and value not in _VALUES[name]:
        raise WrongValueError(f"{name} must be one of {', '.join(_VALUES[name])}, not {value!r}")
    kind = kinds[name]
    if getattr(kind, "__origin__", None) is tuple:
        good: tuple[type, ...] = (tuple,)
    else:
        good = get_args(kind) or (kind,)
    numbers = (int, float) if int in good else ()
    if not isinstance(value, (*good, *numbers)):
        wanted = " or ".join("None" if one is NoneType else one.__name__ for one in good)
        raise WrongTypeError(f"{name} must be {wanted}, not {value!r}")
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
    reads: int | None,
    most_s: int,
    registers: dict[str, Any],
) -> "Status":
    logged = meter.events()
    newest = logged[-1].seq if logged else 0
    status, next_s = meter.advance_to_next(0)
    first = status
    end = status.clock + timedelta(seconds=limit_s)
    # A condition that may become true between two changes that the firmware reports.
    is_true = what if callable(what) else _reached(registers, first) if registers else None
    done_reads = 0
    while True:
        done_reads += 1
        if is_true is not None:
            done = is_true(status)
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
                f"meter {meter.name} did not reach {_wanted(what, shown, registers)} within "
                f"{timedelta(seconds=limit_s)}: {_state_of(meter)}"
            )
        if done_reads == reads:
            raise NeverCameError(
                f"meter {meter.name} did not reach {_wanted(what, shown, registers)} in {reads} "
                f"reads, within {status.clock - first.clock} (give a limit= to continue for "
                f"longer, or a longer step= to read less often): {_state_of(meter)}"
            )
        stride_s = min(left_s, next_s or left_s, most_s or left_s)
        if is_true is not None:
            stride_s = _safe_stride(is_true, status, stride_s, lasting=not callable(what))
        status, next_s = meter.advance_to_next(max(1, stride_s))


def _wanted(what: object, shown: Text | None, registers: dict[str, Any]) -> str:
    if shown is not None:
        return f"a display with {_named(shown)}"
    if registers:
        return " and ".join(f"{name} = {value!r}" for name, value in registers.items())
    return f"an event {what}" if isinstance(what, str) else "the condition"


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


def _safe_stride(
    is_true: "Callable[[Status], bool]", status: "Status", stride_s: int, *, lasting: bool
) -> int:
    """Return how many seconds to advance, at most `stride_s`, without passing the condition.

    A `lasting` condition, once true, stays true until the stride ends. Any other one is tried over
    the whole stride, each minute and each Wh, whichever is more often.

    During the stride only clock, credit and energy change, by the constant power. So the future
    status is calculated, and the second is found by binary search. The last Wh is advanced second
    by second, because the status does not show fractions of a Wh.
    """
    probe_s = stride_s
    if not lasting:
        probe_s = min(_PROBE_S, _WS_PER_WH // max(status.power_w, 1)) or 1
    low = 0  # not true here
    high = min(probe_s, stride_s - 1)
    while low < high and not is_true(_later(status, high)):
        low, high = high, min(high + probe_s, stride_s - 1)
    if low == high:
        return stride_s
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_true(_later(status, middle)) else (middle, high)
    slack_s = _WS_PER_WH // status.power_w + 1 if status.power_w else 0
    return max(1, high - slack_s)


def _later(status: "Status", seconds: int) -> "Status":
    """Return the status after `seconds` at constant power."""
    used_wh = status.power_w * seconds // _WS_PER_WH
    return replace(
        status,
        clock=status.clock + timedelta(seconds=seconds),
        credit_wh=status.credit_wh - used_wh,
        total_wh=status.total_wh + used_wh,
    )
