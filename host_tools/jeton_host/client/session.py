"""Session: the serial line to one meter, with one request at a time and one kind of error."""

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
from jeton_host.typed import typed_methods

UNLOCK_VARIABLE = "JETON_UNLOCK_CODE"
_EXIT_TIMEOUT = 1.0  # seconds to wait for the friendly prompt at the end

# Verbs that may be repeated: a second request has no other effect than the first.
_REPEATABLE = (
    "info",
    "display",
    "status",
    "events",
    "ledger",
    "reports",
    "history",
    "led",
    "save",
)
_HEAP_LOCKED = b"heap is locked"


_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S", bound="Session")


def exclusive(
    method: Callable[Concatenate[_S, _P], _R],
) -> Callable[Concatenate[_S, _P], _R]:
    """Make a method of several requests atomic: no other thread can send a request meanwhile."""

    @functools.wraps(method)
    def alone(self: _S, /, *arguments: _P.args, **named: _P.kwargs) -> _R:
        with self._lock:
            return method(self, *arguments, **named)

    return alone


@typed_methods
class Session:
    """The serial line to one meter: its REPL, or the line of a locked meter.

    Requests are sent one at a time, so several threads may use the same session. Every method
    raises `BoardError` with a one-line message if the board refuses the request, does not answer
    within `timeout` seconds, or is disconnected. `transcript.lines()` returns the last lines sent
    and received, without keys and unlock codes.
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
        self._advancing = threading.RLock()  # held by `advance_until`, which stops the clock
        self._closed = False
        self.talks = 0  # number of exchanges; the pins of the board follow a few ticks later
        self.port = port
        self.name = name or port
        # Sent when a locked meter requires it; `close` then locks the meter again.
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
    def _talking(self, timeout: float, *, enter: bool = True) -> Iterator[Repl]:
        """Lend the transport to one thread; turn its errors into BoardError.

        After any exception, the next request enters the raw REPL again. `enter` is False while the
        board restarts: what it prints then is not read here.
        """
        with self._lock:
            self._check_open()
            with self._one_error(timeout):
                ready, self._ready = self._ready, False
                self.talks += 1
                if self._repl is None:
                    self._repl = Repl(self.port, self.transcript)
                if enter and (not ready or self._repl.left):
                    self._repl.enter(timeout)
                yield self._repl
            self._ready = True

    @contextlib.contextmanager
    def _one_error(self, timeout: float) -> Iterator[None]:
        """Turn each exception of the line into a BoardError with a one-line message."""
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
            raise NotBegunError(f"the board at {self.port} restarts again and again") from None
        except Restarted:
            raise BrokenOffError(
                f"the board at {self.port} restarted during this request, which may or may not be "
                "done: check the meter's state"
            ) from None
        except LineError as error:
            raise BoardError(f"the board at {self.port} sent a wrong answer: {error}") from None
        except serial.SerialTimeoutException:
            raise BoardError(
                f"the board at {self.port} accepts no data: it read nothing within {timeout:g} s"
            ) from None
        except OSError as error:
            hung_up = False
            if self._repl is not None:
                with contextlib.suppress(OSError):  # read the reason, if one was sent
                    self._repl.port.pending()
                hung_up = self._repl.port.hung_up
            self._drop()
            if hung_up:
                raise PortError(
                    f"port {self.port} closes the connection at once: it is in use by another "
                    "program, or no board is connected to it"
                ) from None
            reason = error.strerror or str(error)
            raise BoardError(f"port {self.port} is gone: {reason}") from None

    def _asked(
        self,
        ask: Callable[[Repl], tuple[bytes, bytes]],
        timeout: float,
        *,
        repeatable: bool = False,
    ) -> tuple[bytes, bytes]:
        """Return the result of `ask`; call it a second time if the board restarted before it.

        If the request is `repeatable`, also call it again if the board restarted during it.
        """
        retried = (NotBegunError, BrokenOffError) if repeatable else (NotBegunError,)
        with contextlib.suppress(*retried), self._talking(timeout) as repl:
            return ask(repl)
        with self._talking(timeout) as repl:
            return ask(repl)

    def _be_raw(self) -> None:
        """Make sure that the board is in the raw REPL, before an unrepeatable request."""
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
        """Call a verb of the meter and return its value, as JSON data.

        The methods of `MeterClient` call this; use it for a verb that has no method.

        Args:
            verb: The name of the verb, such as "status".
            arguments: The arguments of the verb, as JSON data.
            timeout: Seconds to wait for the answer; by default that of the meter.

        Raises:
            BoardError: The meter refuses the request; the message gives the reason.
        """
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
            output, raised = self._asked(ask, patience, repeatable=verb in _REPEATABLE)
            if _HEAP_LOCKED not in raised and _HEAP_LOCKED not in output:
                break
            # A Ctrl-C has interrupted the garbage collector: the heap stays locked and every
            # request fails at once. Only a restart helps, then the request can be repeated.
            self._soft_reset()
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
            self._ready = False  # not the expected prompt, for example after the lock was removed
            raise BoardError(
                f"the board at {self.port} answered {verb} without JSON: {excerpt(output)}"
            ) from None
        if not answer.get("locked"):
            raise BoardError(str(answer["error"]))
        if self._code is None:
            raise BoardError(
                f"meter {self.name} is locked: {verb} needs its unlock code "
                f"(jeton unlock {self.name}, or ${UNLOCK_VARIABLE})"
            )
        code, self._code = self._code, None  # try a wrong code only once
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

    def _check_open(self) -> None:
        """Raise ClosedError after `close`."""
        if self._closed:
            raise ClosedError(f"meter {self.name} is closed: open it again")

    def _check_power(self) -> None:
        """Raise BoardError if this program has switched the board off (see `Meter`)."""

    @exclusive
    def run(
        self,
        source: str,
        *,
        timeout: float | None = None,
        heard: Callable[[str], None] | None = None,
    ) -> str:
        """Run MicroPython source in the board's REPL; return what it printed.

        The board needs no meter for this.

        Args:
            source: The program.
            timeout: Seconds to wait for its end; with `heard`, for each line.
            heard: A function that is called with each printed line as it is received.

        Raises:
            BoardError: The program raised an exception (the message contains the last line of its
                traceback), or the meter is locked and has no REPL.
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
        """Leave the board at its friendly prompt and close the port; the meter runs on.

        Every later call raises `ClosedError`.
        """
        if self._opened:
            with contextlib.suppress(BoardError):
                self.rpc("lock")
        self._switch_off()
        self.release()
        self._closed = True

    def _switch_off(self) -> None:
        """Switch the board off if this program started it (see `Meter`)."""

    @exclusive
    def release(self) -> None:
        """Close the port for another program; the meter runs on. The next call opens it again.

        The board is left at its friendly prompt.
        """
        if self._repl is not None and not self._repl.locked:
            with contextlib.suppress(OSError, Silence, LineError):
                self._repl.exit_raw_repl()
                # Wait for the prompt: the next program that opens the port flushes it, and bytes
                # that are still on their way would be lost.
                self._repl.port.deadline = time.monotonic() + _EXIT_TIMEOUT
                self._repl.read_until(1, b">>> ")
        self._drop()

    @property
    def locked(self) -> bool:
        """Return whether the meter is locked: it has no REPL, and some methods need the code."""
        self._check_power()
        with self._talking(self.timeout) as repl:
            return repl.locked

    def _greeted(self, *endings: bytes) -> None:
        """Wait for the text that a board prints when it has restarted; earlier input is lost."""
        with self._talking(self.timeout, enter=False) as repl:
            repl.port.deadline = time.monotonic() + self.timeout
            with contextlib.suppress(Silence, OSError):
                repl.port.read_until(*endings)
        self._ready = self._opened = False
        if not self._alive():
            self._drop()  # USB of the chip itself: a restart closes the port for a moment

    @exclusive
    def soft_reset(self) -> None:
        """Restart the interpreter (Ctrl-D), and the meter from its saved state."""
        self._soft_reset()

    def _soft_reset(self) -> None:
        """Restart the interpreter without a request to the meter before."""
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
        if locked:  # a locked meter whose firmware was repaired serves its line again
            self._ready = False
            self._reconnect()

    @exclusive
    def reset(self) -> None:
        """Reset the board, as its reset button does, and connect to the meter again."""
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
            self._drop()  # USB of the chip itself: a restart closes the port for a moment

    def _alive(self) -> bool:
        try:
            if self._repl is not None:
                self._repl.port.inWaiting()
            return self._repl is not None
        except OSError:
            return False

    def _reconnect(self) -> None:
        """Connect again; a USB port may need a moment until it exists again."""
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                with self._talking(self.timeout):
                    return
            except BoardError:
                if self._repl is not None or time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
