"""The line to a meter, in a thread of its own: whoever shows the meter never waits for it.

Knows nothing of how it is shown: it tells `Look`, `Said` and `Down` to a function.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from host_tools import meters
from host_tools.cli_meters import accepted, refusal
from host_tools.errors import BoardError, JetonError
from host_tools.link import Display, Event, Led, Meter, PressResult, Status

_LOOK_S = 0.2  # between two looks at a meter that is left alone
_HURRIED_LOOK_S = 1.0  # where keys and wishes come without a pause
_AGAIN_S = 0.5  # between two tries to reach a board that is gone
HOLD_S = 5.0  # after the last key until a fast clock goes on
_PACE_S = 0.04  # between the groups of a token that is keyed in, so that it can be seen
_RESULT_S = 15.0  # for some keypads are locked while the last result is shown
_CLEAR = "*" * 99  # no keypad counts more digits


@dataclass(frozen=True, slots=True)
class Look:
    """How the meter is; after a key `status` and `led` may be left out. `events` are the new ones.

    `held` is the speed to which its clock returns after the keys, 0 where it runs at its own.
    """

    display: Display
    status: Status | None = None
    led: Led | None = None
    events: Sequence[Event] = ()
    held: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """One line about something that was done, or why it was not."""

    text: str
    good: bool


@dataclass(frozen=True, slots=True)
class Down:
    """The line is down, and why; the next Look says that it is up again."""

    text: str


News = Look | Said | Down


class Line:
    """Keys and wishes go in at once, news come out of the thread; `stop` closes the meter.

    `name`: the meter's, where it is served elsewhere and may come back at another port.

    On a clock that runs fast, the digits keyed would be dropped before the next one comes: for a
    few seconds after each key it runs at 1.
    """

    def __init__(
        self, meter: Meter, tell: Callable[[News], object], *, name: str | None = None
    ) -> None:
        self.meter = meter
        self._tell = tell
        self._name = name if meter.board is None else None
        self._jobs: queue.Queue[str | Callable[[Meter], str] | None] = queue.Queue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)
        self._down = ""
        self._seq = 0
        self._rate = 1
        self._held = 0
        self._held_until = 0.0
        self._looked = 0.0

    # For everybody.

    def start(self) -> None:
        """Begin to look at the meter."""
        self._thread.start()

    def press(self, keys: str) -> None:
        """Press keys."""
        self._jobs.put(keys)

    def do(self, wish: Callable[[Meter], str]) -> None:
        """Do something with the meter; what it returns or raises as JetonError is said."""
        self._jobs.put(wish)

    def key_in(self, tokens: Sequence[str]) -> None:
        """Key tokens in at the keypad, one after the other, until one is refused."""

        def wish(meter: Meter) -> str:
            for token in tokens:
                said = self._key_in(meter, token)
                self._tell(said)
                if not said.good:
                    break
            return ""

        self.do(wish)

    def power(self) -> None:
        """Take the power away, or give it back, where the board was started here."""

        def wish(meter: Meter) -> str:
            if meter.board is None:
                raise BoardError(f"only a person can pull the plug of {meter.port}")
            if meter.board.running:
                meter.power_cut()
                return "the power is cut"
            meter.power_on()
            self._held = 0
            return "the power is back"

        self.do(wish)

    def speed(self, rate: int) -> None:
        """Let the clock run at `rate` seconds a second."""

        def wish(meter: Meter) -> str:
            self._rate = meter.set_rate(rate).rate
            self._held = 0
            return f"the clock runs at {rate} s a second" if rate else "the clock stands"

        self.do(wish)

    def let_go(self) -> None:
        """Let a fast clock go on at once, without waiting for further keys."""

        def wish(meter: Meter) -> str:
            self._release()
            return ""

        self.do(wish)

    def stop(self) -> None:
        """End, and close the meter."""
        self._stopping.set()
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join()
        with contextlib.suppress(BoardError):
            self._release()
        self.meter.close()

    # In the thread.

    def _run(self) -> None:
        left: str | Callable[[Meter], str] | None = None
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

    def _together(self, keys: str) -> tuple[str, str | Callable[[Meter], str] | None]:
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

    def _work(self, job: str | Callable[[Meter], str]) -> None:
        if self._down and self.meter.board is None:  # it would be waited for
            self._tell(Said(self._down, False))
            return
        try:
            said = self._pressed(job) if isinstance(job, str) else Said(job(self.meter), True)
        except JetonError as error:
            said = Said(str(error), False)
        if said.text:
            self._tell(said)

    def _pressed(self, keys: str) -> Said:
        self._hold()
        pressed = self.meter.press(keys)
        self._tell(Look(self.meter.display(), held=self._held))
        return _outcome(pressed)

    def _key_in(self, meter: Meter, token: str) -> Said:
        """Key one token in by its groups; some keypads take none while they show a result."""
        deadline = time.monotonic() + _RESULT_S
        while True:
            self._hold()
            meter.press(_CLEAR)
            for at in range(0, len(token), 4):
                pressed = meter.press(token[at : at + 4])
                self._tell(Look(meter.display(), held=self._held))
                self._stopping.wait(_PACE_S)
            if pressed.result is None:  # this keypad enters digit 20 not by itself
                pressed = meter.press("#")
                self._tell(Look(meter.display(), held=self._held))
            if pressed.result is not None:
                return _outcome(pressed)
            if time.monotonic() > deadline or self._stopping.wait(_AGAIN_S):
                return Said("the keypad took no token: it is locked", False)

    def _hold(self) -> None:
        if self._rate > 1 and not self._held:
            self.meter.set_rate(1)
            self._held = self._rate
        self._held_until = time.monotonic() + HOLD_S

    def _release(self) -> None:
        if self._held:
            self.meter.set_rate(self._held)
            self._held = 0

    def _look(self) -> None:
        try:
            if self._down:
                self._find()
            if self._held and time.monotonic() >= self._held_until:
                self._release()
            events = self.meter.events(self._seq)
            if self._hurries():
                return
            status = self.meter.status()
            if self._hurries():
                return
            look = Look(self.meter.display(), status, self.meter.led(), events, self._held)
        except JetonError as error:
            off = self.meter.board is not None and not self.meter.board.running
            why = "the board has no power: its power key gives it back" if off else str(error)
            if why != self._down:
                self._down = why
                self._tell(Down(why))
        else:
            self._down = ""
            self._seq = events[-1].seq if events else self._seq
            if not self._held:
                self._rate = status.rate
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
