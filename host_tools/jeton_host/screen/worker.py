"""The line to a meter, in a thread of its own: whoever shows the meter never waits for it.

Knows nothing of how it is shown: it tells `Look`, `Said` and `Down` to a function.
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

_LOOK_S = 0.2  # between two looks at a meter that is left alone
_HURRIED_LOOK_S = 1.0  # where keys and wishes come without a pause
_AGAIN_S = 0.5  # between two tries to reach a board that is gone
_LINGER_S = 5  # after the last key until a fast clock goes on
_PACE_S = 0.04  # between the groups of a token that is keyed in, so that it can be seen
_RESULT_S = 15.0  # for some keypads are locked while the last result is shown
_CLEAR = "*" * 99  # no keypad counts more digits
_NO_POWER = "the board has no power: Power, under Set, gives it back"


@dataclass(frozen=True, slots=True)
class Look:
    """How the meter is; after a key `status` and `led` may be left out. `events` are the new ones.

    `lingers`: its clock, which hurries else, runs at 1 for the keys.
    """

    display: Display
    status: Status | None = None
    led: Led | None = None
    events: Sequence[Event] = ()
    lingers: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One line about something that was done, or why it was not; `about` names the wish."""

    text: str
    good: bool
    about: str = ""


@dataclass(frozen=True, slots=True)
class Down:
    """The line is down, and why; the next Look says that it is up again."""

    text: str


News = Look | Said | Down


@dataclass(frozen=True, slots=True)
class _Wish:
    do: Callable[[Meter], str]
    about: str = ""


class Line:
    """Keys and wishes go in at once, news come out of the thread; `stop` closes the meter.

    `name`: the meter's, where it is served elsewhere and may come back at another port.

    On a clock that runs fast, the digits keyed would be dropped before the next one comes: each
    key has the board run it at 1 for a few seconds. The rate itself stays, whatever ends this.
    """

    def __init__(
        self, meter: Meter, tell: Callable[[News], object], *, name: str | None = None
    ) -> None:
        self.meter = meter
        self._tell = tell
        self._name = name if meter.board is None else None
        self._jobs: queue.Queue[str | _Wish | None] = queue.Queue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)
        self._down = ""
        self._seq = 0
        self._lingers_until = 0.0
        self._looked = 0.0

    # For everybody.

    def start(self) -> None:
        """Begin to look at the meter."""
        self._thread.start()

    def press(self, keys: str) -> None:
        """Press keys."""
        self._jobs.put(keys)

    def do(self, wish: Callable[[Meter], str], about: str = "") -> None:
        """Do something with the meter; what it returns or raises as JetonError is said."""
        self._jobs.put(_Wish(wish, about))

    def key_in(self, which: Callable[[Status], Sequence[str]]) -> None:
        """Key tokens in at the keypad, one after the other, until one is refused.

        `which` chooses them by how the meter is then.
        """

        def wish(meter: Meter) -> str:
            for token in which(meter.status()):
                said = self._key_in(token)
                self._tell(said)
                if not said.good:
                    break
            return ""

        self.do(wish)

    def power(self) -> None:
        """Take the power away, or give it back, where the board was started here.

        Elsewhere the plug is out of reach: the board is reset, as by its button.
        """

        def wish(meter: Meter) -> str:
            if meter.board is None:
                meter.reset()
                return "the board was reset: the meter has begun anew"
            if meter.board.running:
                meter.power_cut()
                return "the power is cut"
            meter.power_on()
            return "the power is back"

        self.do(wish)

    def speed(self, rate: int) -> None:
        """Let the clock run at `rate` seconds a second."""

        def wish(meter: Meter) -> str:
            meter.set_rate(rate)
            self._lingers_until = 0.0
            return f"the clock runs at {rate} s a second" if rate else "the clock stands"

        self.do(wish)

    def stop(self) -> None:
        """End, and close the meter."""
        self._stopping.set()
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join()
        self.meter.close()

    # In the thread.

    def _run(self) -> None:
        left: str | _Wish | None = None
        while not self._stopping.is_set():
            if left is None:
                with contextlib.suppress(queue.Empty):
                    left = self._jobs.get(timeout=self._pause())
            job, left = left, None
            if isinstance(job, str):
                job, left = self._together(job)
            if job is not None:
                self._work(job)
            if (left is None and self._jobs.empty()) or self._since_look() > _HURRIED_LOOK_S:
                self._look()

    def _since_look(self) -> float:
        return time.monotonic() - self._looked

    def _pause(self) -> float:
        return max(0.0, (_AGAIN_S if self._down else _LOOK_S) - self._since_look())

    def _together(self, keys: str) -> tuple[str, str | _Wish | None]:
        """Return the keys that wait, up to an Enter, as one; and what was taken too much."""
        while not keys.endswith("#"):
            try:
                more = self._jobs.get_nowait()
            except queue.Empty:
                break
            if not isinstance(more, str):
                return keys, more
            keys += more
        return keys, None

    def _work(self, job: str | _Wish) -> None:
        about = "" if isinstance(job, str) else job.about
        if self._down and self.meter.board is None:  # it would be waited for
            self._tell(Said(self._down, False, about))
            return
        try:
            if isinstance(job, str):
                said = _outcome(self._press(job))
            else:
                said = Said(job.do(self.meter), True, about)
        except JetonError as error:
            said = Said(self._why(error), False, about)
        if said.text:
            self._tell(said)

    def _why(self, error: JetonError) -> str:
        off = self.meter.board is not None and not self.meter.board.running
        return _NO_POWER if off else str(error)

    def _press(self, keys: str) -> PressResult:
        pressed = self.meter.press(keys, linger_s=_LINGER_S)
        self._lingers_until = time.monotonic() + _LINGER_S
        self._tell(Look(self.meter.display()))
        return pressed

    def _key_in(self, token: str) -> Said:
        """Key one token in by its groups; some keypads take none while they show a result."""
        deadline = time.monotonic() + _RESULT_S
        while True:
            self.meter.press(_CLEAR)
            for at in range(0, len(token), 4):
                pressed = self._press(token[at : at + 4])
                self._stopping.wait(_PACE_S)
            if pressed.result is None:  # this keypad enters digit 20 not by itself
                pressed = self._press("#")
            if pressed.result is not None:
                return _outcome(pressed)
            if time.monotonic() > deadline or self._stopping.wait(_AGAIN_S):
                return Said("the keypad took no token: it is locked", False)

    def _look(self) -> None:
        try:
            if self._down:
                self._find()
            events = self.meter.events(self._seq)
            if self._hurries():
                return
            status = self.meter.status()
            if self._hurries():
                return
            lingers = status.rate > 1 and time.monotonic() < self._lingers_until
            look = Look(self.meter.display(), status, self.meter.led(), events, lingers)
        except JetonError as error:
            why = self._why(error)
            if why != self._down:
                self._down = why
                self._tell(Down(why))
        else:
            self._down = ""
            self._seq = events[-1].seq if events else self._seq
            self._tell(look)
        self._looked = time.monotonic()

    def _hurries(self) -> bool:
        """Return whether a key or wish is not to wait for the rest of a look."""
        return not self._jobs.empty() and self._since_look() <= _HURRIED_LOOK_S

    def _find(self) -> None:
        """Find a meter again that is served elsewhere: its port may be another one now."""
        if self._name is None:
            return
        port = meters.find(self._name).port()
        if not port:
            raise BoardError(
                f"meter {self._name} is not served any more: `jeton serve {self._name}` brings "
                "it back"
            )
        if port != self.meter.port:
            self.meter.close()
            self.meter = Meter(port)


def _outcome(pressed: PressResult) -> Said:
    """Return what is to be said after some keys, nothing where no token was complete."""
    if pressed.result is None:
        return Said("", True)
    good = pressed.result.good
    return Said((accepted if good else refusal)(pressed.result), good)
