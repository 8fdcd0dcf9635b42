"""The line of one meter: one exchange at a time, one kind of error."""

import contextlib
import functools
import json
import os
import termios
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import serial

from jeton_host.client.port import TIMEOUT, Silence, excerpt
from jeton_host.client.repl import LOCKED_MARK, RAW_SIGN, LeftRepl, LineError, Repl, Restarted
from jeton_host.client.transcript import Transcript
from jeton_host.errors import (
    BoardError,
    BrokenOffError,
    ClosedError,
    NotBegunError,
    PortError,
)

UNLOCK_VARIABLE = "JETON_UNLOCK_CODE"
_FAREWELL = 1.0  # seconds to wait for the friendly prompt at the end

# Verbs that may be done twice.
_TWICE = ("info", "display", "status", "events", "ledger", "reports", "history", "led", "save")
_HEAP_LOCKED = b"heap is locked"


_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S", bound="Session")


def exclusive(
    method: Callable[Concatenate[_S, _P], _R],
) -> Callable[Concatenate[_S, _P], _R]:
    """Make a method of several exchanges one that no other thread can interrupt."""

    @functools.wraps(method)
    def alone(self: _S, /, *arguments: _P.args, **named: _P.kwargs) -> _R:
        with self._lock:
            return method(self, *arguments, **named)

    return alone


class Session:
    """The line of one meter: its REPL, or the line of a locked one, over a serial port.

    One exchange at a time: several threads may use the same session. Every method raises
    BoardError with one line when the board refuses, is silent for `timeout` seconds, or is gone.
    `transcript.lines()` is the end of what the line carried, keys left out.
    """

    def __init__(
        self,
        port: str,
        *,
        timeout: float = TIMEOUT,
        name: str = "",
        code: str | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._closed = False
        self.talks = 0  # how often the board was spoken to: its pins follow a few ticks later
        self.port = port
        self.name = name or port
        # Used where a locked meter asks for it; what it opened is closed at the end.
        self._code = code or os.environ.get(UNLOCK_VARIABLE) or None
        self._opened = False
        self.timeout = timeout
        self.transcript = Transcript()
        self._repl: Repl | None = None
        self._ready = False
        self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _talking(self, timeout: float) -> Iterator[Repl]:
        """Give the transport to one thread; what goes wrong is one BoardError.

        After an exception of any kind the line is set up again.
        """
        with self._lock:
            if self._closed:
                raise ClosedError(f"meter {self.name} is closed: open it again")
            with self._one_error(timeout):
                ready, self._ready = self._ready, False
                self.talks += 1
                if self._repl is None:
                    self._repl = Repl(self.port, self.transcript)
                if not ready or self._repl.left:
                    self._repl.enter(timeout)
                yield self._repl
            self._ready = True

    @contextlib.contextmanager
    def _one_error(self, timeout: float) -> Iterator[None]:
        """Turn what a line may raise into one BoardError."""
        try:
            yield
        except Silence:
            received = self._repl.port.received if self._repl else b""
            what = (
                "does not answer"
                if self._repl and self._repl.in_raw_repl
                else "has no MicroPython"
            )
            if not received:
                what = "does not answer"
            raise BoardError(
                f"the board at {self.port} {what} within {timeout:g} s: {excerpt(received)}"
            ) from None
        except LeftRepl:
            raise NotBegunError(f"the board at {self.port} starts anew again and again") from None
        except Restarted:
            raise BrokenOffError(
                f"the board at {self.port} started anew in the middle of this: it is done, or it "
                "is not; look at its state"
            ) from None
        except LineError as error:
            raise BoardError(f"the board at {self.port} answered wrongly: {error}") from None
        except serial.SerialTimeoutException:
            raise BoardError(
                f"the board at {self.port} takes nothing: it did not read within {timeout:g} s"
            ) from None
        except OSError as error:
            hung_up = False
            if self._repl is not None:
                with contextlib.suppress(OSError):  # it may have said why
                    self._repl.port.pending()
                hung_up = self._repl.port.hung_up
            self._drop()
            if hung_up:
                raise PortError(
                    f"port {self.port} hangs up at once: it is in use by another program, or no "
                    "board is behind it"
                ) from None
            reason = error.strerror or str(error)
            raise BoardError(f"port {self.port} is gone: {reason}") from None

    def _asked(
        self, ask: Callable[[Repl], tuple[bytes, bytes]], timeout: float, *, twice: bool = False
    ) -> tuple[bytes, bytes]:
        """Return what `ask` brings; once more where the board had started anew before it.

        What may be done `twice` is asked again where it did so in the middle, too.
        """
        again = (NotBegunError, BrokenOffError) if twice else (NotBegunError,)
        with contextlib.suppress(*again), self._talking(timeout) as repl:
            return ask(repl)
        with self._talking(timeout) as repl:
            return ask(repl)

    def _be_raw(self) -> None:
        """Be in the raw REPL for something that cannot be asked once more."""
        self._asked(lambda repl: repl.run("", self.timeout), self.timeout)

    def _connect(self) -> None:
        try:
            with self._talking(self.timeout):
                pass
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        repl, self._repl = self._repl, None
        self._ready = False
        if repl is not None:
            with contextlib.suppress(OSError, termios.error):
                repl.close()

    @exclusive
    def rpc(self, verb: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Call one of the board's verbs and return its value."""
        self._check_power()
        self._keep_secret(verb, arguments)
        try:
            line = json.dumps([verb, *arguments])
        except (TypeError, ValueError, RecursionError) as error:
            raise BoardError(f"{verb} cannot be sent to the board: {error}") from None
        patience = timeout or self.timeout

        def ask(repl: Repl) -> tuple[bytes, bytes]:
            if repl.locked:
                return repl.call(line, patience), b""
            return repl.run(f"print(meter.rpc({line!r}))", patience)

        for _ in range(2):
            output, raised = self._asked(ask, patience, twice=verb in _TWICE)
            if _HEAP_LOCKED not in raised and _HEAP_LOCKED not in output:
                break
            # Somebody's interrupt has hit the interpreter while it collected memory: it can do
            # nothing any more, and has done nothing now.
            self.soft_reset()
        if raised:
            last = raised.decode(errors="replace").strip().splitlines()[-1]
            if last.startswith("NameError") and "meter" in last:
                raise BoardError(
                    f"the board at {self.port} runs MicroPython but no Jeton: flash it first"
                )
            raise BoardError(f"the board at {self.port} failed at {verb}: {last}")
        try:
            answer = json.loads(output.strip().splitlines()[-1])
            if "error" not in answer:
                return answer["ok"]
        except (ValueError, IndexError, KeyError, TypeError):
            self._ready = False  # it is not what it was: a meter that was opened, say
            raise BoardError(
                f"the board at {self.port} answered {verb} with no JSON: {excerpt(output)}"
            ) from None
        if not answer.get("locked"):
            raise BoardError(str(answer["error"]))
        if self._code is None:
            raise BoardError(
                f"meter {self.name} is locked: {verb} needs its unlock code "
                f"(jeton unlock {self.name}, or ${UNLOCK_VARIABLE})"
            )
        code, self._code = self._code, None  # a wrong one is tried once
        self.rpc("unlock", code)
        self._code, self._opened = code, True
        return self.rpc(verb, *arguments, timeout=timeout)

    def _keep_secret(self, verb: str, arguments: tuple[Any, ...]) -> None:
        """Keep keys and unlock codes out of the transcript."""
        if verb == "provision" and arguments and isinstance(arguments[0], dict):
            self.transcript.hide(arguments[0].get("decoder_key"))
        elif verb in ("lock", "unlock", "open"):
            for code in arguments:
                self.transcript.hide(code)

    def _check_power(self) -> None:
        """Raise BoardError where this program has switched the board off (see `Meter`)."""

    @exclusive
    def run(
        self,
        source: str,
        *,
        timeout: float | None = None,
        heard: Callable[[str], None] | None = None,
    ) -> str:
        """Run a program in the board's REPL, with or without a meter; return what it printed.

        `heard` gets each line when it comes; `timeout` is then that of one line. BoardError has
        the last line of a traceback.
        """
        self._check_power()
        patience = timeout or self.timeout

        def ask(repl: Repl) -> tuple[bytes, bytes]:
            if repl.locked:
                raise BoardError(f"meter {self.name} is locked: it has no REPL")
            if heard is None:
                return repl.run(source, patience)
            return repl.follow_lines(source, patience, heard)

        output, raised = self._asked(ask, patience)
        if raised:
            last = raised.decode(errors="replace").strip().splitlines()[-1]
            raise BoardError(f"the board at {self.port} failed: {last}")
        return output.decode(errors="replace")

    @exclusive
    def close(self) -> None:
        """Leave the board at its friendly prompt, with its meter running, and close the port.

        Every later call raises BoardError.
        """
        if self._opened:
            with contextlib.suppress(BoardError):
                self.rpc("lock")
        self._switch_off()
        self.release()
        self._closed = True

    def _switch_off(self) -> None:
        """Switch the board off where this program started it (see `Meter`)."""

    @exclusive
    def release(self) -> None:
        """Let go of the port, the meter running, for another program; the next call takes it.

        A board is left at its friendly prompt.
        """
        if self._repl is not None and not self._repl.locked:
            with contextlib.suppress(OSError, Silence, LineError):
                self._repl.exit_raw_repl()
                # Not before the board has heard it: what is on its way is lost when the next
                # to open the port flushes it.
                self._repl.port.deadline = time.monotonic() + _FAREWELL
                self._repl.read_until(1, b">>> ")
        self._drop()

    @property
    def locked(self) -> bool:
        """Return whether the meter is locked: it has no REPL, and some methods need its code."""
        self._check_power()
        with self._talking(self.timeout) as repl:
            return repl.locked

    def _greeted(self, *endings: bytes) -> None:
        """Wait until a board that starts anew has said so; what is sent before that is lost."""
        with self._talking(self.timeout) as repl:
            repl.port.deadline = time.monotonic() + self.timeout
            with contextlib.suppress(Silence, OSError):
                repl.port.read_until(*endings)
        self._ready = self._opened = False
        if not self._alive():
            self._drop()  # USB of the chip itself: the port goes and comes back

    @exclusive
    def soft_reset(self) -> None:
        """Start the interpreter afresh (Ctrl-D), and with it the meter from its saved state."""
        if self.locked:
            self.reset()
            return
        self._be_raw()
        with self._talking(self.timeout) as repl:
            port = repl.port
            port.deadline = time.monotonic() + self.timeout
            port.read_until(b">")
            port.write(b"\x04")
            port.read_until(b"soft reboot\r\n")
            locked = not port.read_until(RAW_SIGN, LOCKED_MARK + b"\r\n").endswith(RAW_SIGN)
        if locked:  # firmware that has just been put right keeps the line
            self._ready = False
            self._reconnect()

    @exclusive
    def reset(self) -> None:
        """Reset the board as its button does, and be connected again."""
        self._reset()
        self._reconnect()

    def _reset(self) -> None:
        if self.locked:
            self.rpc("reset")
            self._greeted(LOCKED_MARK + b"\r\n")
            return
        self._be_raw()
        with self._talking(self.timeout) as repl:
            repl.port.deadline = time.monotonic() + self.timeout
            repl.exec_raw_no_follow("import machine\nmachine.reset()")
            with contextlib.suppress(Silence, OSError):
                repl.port.read_until(b">>> ")
        self._ready = False
        if not self._alive():
            self._drop()  # USB of the chip itself: the port goes and comes back

    def _alive(self) -> bool:
        try:
            if self._repl is not None:
                self._repl.port.inWaiting()
            return self._repl is not None
        except OSError:
            return False

    def _reconnect(self) -> None:
        """Connect again; the port may take a moment to come back."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                with self._talking(self.timeout):
                    return
            except BoardError:
                if self._repl is not None or time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
