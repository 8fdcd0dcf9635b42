"""The board's raw REPL, or the line of a locked meter. The only module that imports mpremote.

mpremote declares its Python interface unstable. The raw REPL is entered without a soft reset, so
the meter keeps running while a program uses it. A locked meter has no REPL: its serial line
accepts the same verbs directly. The client detects which of the two is there.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from jeton.locked import HEARD, MARK
from jeton_host.client.port import SerialPort, Silence
from jeton_host.client.transcript import Transcript

_ATTEMPT = 1.5  # seconds per attempt to enter the raw REPL: a booting board loses input
_PROMPT_S = 1.0  # seconds from the end of a program to the prompt
LOCKED_MARK, LOCKED_HEARD = MARK.encode(), HEARD.encode()
_PIECE = 128  # bytes sent to a locked meter before it must confirm that it has read them
RAW_SIGN = b"raw REPL; CTRL-B to exit\r\n"
_PASTE_SIGN = b"paste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n"
# What a board prints when it restarts: the request that was running is lost.
_STARTS = (
    b"MPY: watchdog reset\r\n",
    b"MPY: soft reboot\r\n",
    b'Type "help()" for more information.\r\n',
)


LineError = TransportError  # raised for a wrong answer of the board


class LockedLine(Exception):
    """A locked meter answered the attempt to enter the raw REPL."""


class LeftRepl(TransportError):
    """The board has left the raw REPL since the last request; the new one has not begun."""


class Restarted(TransportError):
    """The board restarted during a request, which may or may not have been completed."""


class Repl(SerialTransport):
    """mpremote's transport over a SerialPort: waits end at its deadline, and it prints nothing."""

    def __init__(self, device: str, transcript: Transcript) -> None:
        # Not the parent's constructor: it hides the reason why a port cannot be opened.
        self.in_raw_repl = False
        self.locked = False  # a locked meter answers on this line
        self.use_raw_paste = True
        self.device_name = device
        self.mounted = False
        self.is_pty = False
        self.serial = SerialPort(device, transcript)
        self.port: SerialPort = self.serial

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float | None = None,
        data_consumer: Any = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        """Read up to and including `ending`; unlike the parent's method, never less."""
        if ending.startswith(RAW_SIGN):
            data = self.port.read_until(ending, LOCKED_MARK + b"\r\n")
            if not data.endswith(ending):
                raise LockedLine
            return data
        if ending == b"\x04":  # the end of a program's output
            data = self.port.read_until(ending, *_STARTS)
            if not data.endswith(ending):
                raise Restarted("it has restarted")
            return data
        return self.port.read_until(ending)

    def exec_raw_no_follow(self, command: str | bytes) -> None:
        """Start `command` on the board; LeftRepl if it is not in the raw REPL any more.

        At the friendly prompt, Ctrl-E starts paste mode instead, which would never end.
        """
        if self.use_raw_paste:
            self.port.read_until(b">")
            self.port.write(b"\x05A\x01")
            endings = (b"R\x01", RAW_SIGN, _PASTE_SIGN, LOCKED_MARK + b"\r\n", *_STARTS)
            answer = self.port.read_until(*endings)
            if answer.endswith(b"R\x01"):
                self.raw_paste_write(command if isinstance(command, bytes) else command.encode())
                return
            if not answer.endswith(RAW_SIGN):
                raise LeftRepl("it has restarted")
            self.use_raw_paste = False  # this interpreter does not support it
        super().exec_raw_no_follow(command)

    @property
    def left(self) -> bool:
        """Return whether the board may have left the raw REPL since the last request.

        A prompt must be pending, and nothing else: another program on the same port may have read
        the board's output, or the board may have restarted.
        """
        return not self.locked and self.port.pending() != b">"

    def enter(self, timeout: float) -> None:
        """Enter the raw REPL and stop what the board runs there, or detect a locked meter.

        This does not reset the board.
        """
        deadline = time.monotonic() + timeout
        self.port.received = b""
        first = True
        while True:
            self.port.deadline = min(deadline, time.monotonic() + _ATTEMPT)
            self.locked = False
            try:
                # Ctrl-B: a raw REPL that stays open keeps the memory of its longest line.
                self.port.write(b"\r\x03\x02")
                self.enter_raw_repl(soft_reset=False)
                if not first:  # the board may answer the earlier attempts now
                    self.port.deadline = deadline
                    self.port.quiet(0.05)
                    self.port.deadline = deadline
                    self.enter_raw_repl(soft_reset=False)
                # A board that was just reset prints its banner twice; skip the second one here.
                self.use_raw_paste = True
                self.exec_raw("")
                self._await_prompt()
                return
            except LockedLine:
                self.in_raw_repl, self.locked = False, True
                return
            except (Silence, TransportError):
                if time.monotonic() >= deadline:
                    raise
            first = False

    def run(self, source: str, timeout: float) -> tuple[bytes, bytes]:
        """Run source in the raw REPL; return its output and its traceback, empty if none."""
        self.port.deadline = time.monotonic() + timeout
        self.port.received = b""
        output, error = self.exec_raw(source)
        self._await_prompt()
        return output, error

    def _await_prompt(self) -> None:
        """Wait for the prompt after a request and keep it in the buffer for the next one.

        Until then another program that opens the port could discard it.
        """
        self.port.deadline = min(self.port.deadline, time.monotonic() + _PROMPT_S)
        with contextlib.suppress(Silence):
            self.port.unread(self.port.read_until(b">"))

    def follow_lines(
        self, source: str, timeout: float, heard: Callable[[str], None]
    ) -> tuple[bytes, bytes]:
        """Do the same as `run`, and call `heard` with each printed line as it is received.

        `timeout` (s) applies to each line.
        """
        self.port.deadline = time.monotonic() + timeout
        self.port.received = b""
        self.exec_raw_no_follow(source)
        output = b""
        try:
            while not output.endswith(b"\x04"):
                self.port.deadline = time.monotonic() + timeout
                line = self.port.read_until(b"\n", b"\x04")
                output += line
                if line in _STARTS:
                    raise Restarted("it has restarted")
                if line.endswith(b"\n"):
                    heard(line.decode(errors="replace").rstrip())
        except BaseException:
            with contextlib.suppress(OSError):
                self.port.write(b"\x03")  # else the program runs on
            raise
        error = self.port.read_until(b"\x04")[:-1]
        self._await_prompt()
        return output[:-1], error

    def call(self, line: str, timeout: float) -> bytes:
        """Send a line to a locked meter and return its answer."""
        self.port.deadline = time.monotonic() + timeout
        self.port.received = b""
        data = line.encode() + b"\n"
        for first in range(0, len(data), _PIECE):
            if first:
                self.port.write(b"\x17")
                self.port.read_until(LOCKED_HEARD + b"\r\n")
            self.port.write(data[first : first + _PIECE])
        while True:
            answer = self.port.read_until(b"\n").strip()
            if answer and answer != LOCKED_MARK:  # an earlier Ctrl-A may be answered only now
                return answer

    def ask_and_part(self, source: str, timeout: float) -> bytes:
        """Run source that ends with a soft reset; return its output up to that."""
        self.port.deadline = time.monotonic() + timeout
        self.port.received = b""
        self.exec_raw_no_follow(source)
        return self.port.read_until(b"\x04")[:-1]
