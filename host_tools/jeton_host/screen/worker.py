"""The serial line to a meter, in a thread, so that the screen never waits for the meter.

It does not use the screen: it passes `Look`, `Outcome` and `Down` to a function.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jeton_host.client.answers import Display, Event, Led, PressResult, Status
from jeton_host.errors import BoardError, JetonError
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.terminal.words import accepted, refusal

_LOOK_S = 0.2  # between two looks at a meter without requests
_BUSY_LOOK_S = 1.0  # between two looks while keys and requests are waiting
_RETRY_S = 0.5  # between two attempts to reach a board
_LINGER_S = 5  # after the last key, until a fast clock continues at its rate
_PACE_S = 0.04  # between the groups of digits of a token, so that a person sees them
_RESULT_S = 15.0  # timeout for a keypad that is locked while it shows the last result
_CLEAR = "*" * 99  # more than the digits of any keypad
_NO_POWER = "the board has no power: press Power in the tab Set"


@dataclass(frozen=True, slots=True)
class Look:
    """The state of the meter; after a key, `status` and `led` may be None. `events` are new ones.

    `lingers`: the fast clock runs at 1 s/s for some seconds, because keys were pressed.
    """

    display: Display
    status: Status | None = None
    led: Led | None = None
    events: Sequence[Event] = ()
    lingers: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line about the result of a request, or its error; `about` is the name of the request."""

    text: str
    good: bool
    about: str = ""


@dataclass(frozen=True, slots=True)
class Down:
    """The serial line is down, and why; the next Look means that it works again."""

    text: str


News = Look | Outcome | Down


@dataclass(frozen=True, slots=True)
class _Request:
    do: Callable[[Meter], str]
    about: str = ""


class Line:
    """A queue of keys and requests, and the thread that executes them and reports news.

    `name` is the name of a served meter, which may get another port. `stop` closes the meter.

    On a fast clock, the keypad would drop the entered digits before the next key. Therefore each
    key makes the board run its clock at 1 s/s for _LINGER_S seconds. The rate itself is not
    changed.
    """

    def __init__(
        self, meter: Meter, report: Callable[[News], object], *, name: str | None = None
    ) -> None:
        self.meter = meter
        self._report = report
        self._name = name if meter.board is None else None
        self._jobs: queue.Queue[str | _Request | None] = queue.Queue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)
        self._down = ""
        self._seq = 0
        self._lingers_until = 0.0
        self._looked = 0.0

    # For the thread of the screen.

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def press(self, keys: str) -> None:
        """Press keys."""
        self._jobs.put(keys)

    def do(self, request: Callable[[Meter], str], about: str = "") -> None:
        """Queue a request; its result, or the JetonError that it raises, is reported."""
        self._jobs.put(_Request(request, about))

    def key_in(self, which: Callable[[Status], Sequence[str]]) -> None:
        """Enter tokens at the keypad, one after the other, until one is refused.

        `which` returns the tokens for the status of the meter at that time.
        """

        def request(meter: Meter) -> str:
            for token in which(meter.status()):
                result = self._key_in(token)
                self._report(result)
                if not result.good:
                    break
            return ""

        self.do(request)

    def power(self) -> None:
        """Cut or restore the power of a virtual board that was started here.

        Reset any other board, as its button does.
        """

        def request(meter: Meter) -> str:
            if meter.board is None:
                meter.reset()
                return "the board was reset, and the meter has restarted"
            if meter.board.running:
                meter.power_cut()
                return "the power is cut"
            meter.power_on()
            return "the power is on"

        self.do(request)

    def speed(self, rate: int) -> None:
        """Run the clock at `rate` seconds in one real second."""

        def request(meter: Meter) -> str:
            meter.set_rate(rate)
            self._lingers_until = 0.0
            return f"the clock runs at {rate} s a second" if rate else "the clock is stopped"

        self.do(request)

    def stop(self) -> None:
        """Stop the thread, and close the meter."""
        self._stopping.set()
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join()
        self.meter.close()

    # In the thread.

    def _run(self) -> None:
        left: str | _Request | None = None
        while not self._stopping.is_set():
            if left is None:
                with contextlib.suppress(queue.Empty):
                    left = self._jobs.get(timeout=self._pause())
            job, left = left, None
            if isinstance(job, str):
                job, left = self._together(job)
            if job is not None:
                self._work(job)
            if (left is None and self._jobs.empty()) or self._since_look() > _BUSY_LOOK_S:
                self._look()

    def _since_look(self) -> float:
        return time.monotonic() - self._looked

    def _pause(self) -> float:
        return max(0.0, (_RETRY_S if self._down else _LOOK_S) - self._since_look())

    def _together(self, keys: str) -> tuple[str, str | _Request | None]:
        """Return all waiting keys up to Enter as one text, and the request that follows them."""
        while not keys.endswith("#"):
            try:
                more = self._jobs.get_nowait()
            except queue.Empty:
                break
            if not isinstance(more, str):
                return keys, more
            keys += more
        return keys, None

    def _work(self, job: str | _Request) -> None:
        about = "" if isinstance(job, str) else job.about
        if self._down and self.meter.board is None:  # the request would wait for the board
            self._report(Outcome(self._down, False, about))
            return
        try:
            if isinstance(job, str):
                result = _token_outcome(self._press(job))
            else:
                result = Outcome(job.do(self.meter), True, about)
        except JetonError as error:
            result = Outcome(self._why(error), False, about)
        if result.text:
            self._report(result)

    def _why(self, error: JetonError) -> str:
        off = self.meter.board is not None and not self.meter.board.running
        return _NO_POWER if off else str(error)

    def _press(self, keys: str) -> PressResult:
        pressed = self.meter.press(keys, linger_s=_LINGER_S)
        self._lingers_until = time.monotonic() + _LINGER_S
        self._report(Look(self.meter.display()))
        return pressed

    def _key_in(self, token: str) -> Outcome:
        """Enter one token in groups of digits; retry while the keypad shows its last result."""
        deadline = time.monotonic() + _RESULT_S
        while True:
            self.meter.press(_CLEAR)
            for at in range(0, len(token), 4):
                pressed = self._press(token[at : at + 4])
                self._stopping.wait(_PACE_S)
            if pressed.result is None:  # this keypad needs Enter after digit 20
                pressed = self._press("#")
            if pressed.result is not None:
                return _token_outcome(pressed)
            if time.monotonic() > deadline or self._stopping.wait(_RETRY_S):
                return Outcome("the keypad is locked: the token was not entered", False)

    def _look(self) -> None:
        try:
            if self._down:
                self._find()
            events = self.meter.events(self._seq)
            if self._is_busy():
                return
            status = self.meter.status()
            if self._is_busy():
                return
            lingers = status.rate > 1 and time.monotonic() < self._lingers_until
            look = Look(self.meter.display(), status, self.meter.led(), events, lingers)
        except JetonError as error:
            why = self._why(error)
            if why != self._down:
                self._down = why
                self._report(Down(why))
        else:
            self._down = ""
            self._seq = events[-1].seq if events else self._seq
            self._report(look)
        self._looked = time.monotonic()

    def _is_busy(self) -> bool:
        """Return whether a key or request waits, so that the rest of a look is skipped."""
        return not self._jobs.empty() and self._since_look() <= _BUSY_LOOK_S

    def _find(self) -> None:
        """Find the current port of a named meter that is served by another program."""
        if self._name is None:
            return
        port = meters.find(self._name).port()
        if not port:
            raise BoardError(
                f"meter {self._name} is no longer served: start it with `jeton serve {self._name}`"
            )
        if port != self.meter.port:
            self.meter.close()
            self.meter = Meter(port)


def _token_outcome(pressed: PressResult) -> Outcome:
    """Return the result of a token after some keys; an empty text if no token is complete."""
    if pressed.result is None:
        return Outcome("", True)
    good = pressed.result.good
    return Outcome((accepted if good else refusal)(pressed.result), good)
