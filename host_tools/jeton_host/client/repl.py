"""The board's raw REPL, or the line of a locked meter. The only module that imports mpremote.

mpremote declares its Python interface unstable. The raw REPL is entered without a soft reset, so
the meter keeps running while a program talks to it. A locked meter has no REPL: its line takes the
same verbs, and the client finds out which of the two it has.
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

_ATTEMPT = 1.5  # seconds for one try at the raw REPL: what was sent to a board that boots is lost
LOCKED_MARK, LOCKED_HEARD = MARK.encode(), HEARD.encode()
_PIECE = 128  # octets of a locked meter's line between two signs that they were read
RAW_SIGN = b"raw REPL; CTRL-B to exit\r\n"
_PASTE_SIGN = b"paste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n"
# What a board says that starts anew: nothing of what it did goes on.
_STARTS = (
    b"MPY: watchdog reset\r\n",
    b"MPY: soft reboot\r\n",
    b'Type "help()" for more information.\r\n',
)


LineError = TransportError  # what a line raises where the board answers wrongly


class LockedLine(Exception):
    """Where the raw REPL was looked for a locked meter answers."""


class LeftRepl(TransportError):
    """The board has left the raw REPL since it was last spoken to, and has done nothing yet."""


class Restarted(TransportError):
    """The board has started anew in the middle of something: that was done, or was not."""


class Repl(SerialTransport):
    """mpremote's transport over a SerialPort: waits end at its deadline, nothing is printed."""

    def __init__(self, device: str, transcript: Transcript) -> None:
        # Not the parent's: that loses the reason for which a port cannot be opened.
        self.in_raw_repl = False
        self.locked = False  # the line is a locked meter's
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
        """Return everything up to and with `ending`; unlike the parent, never less."""
        if ending.startswith(RAW_SIGN):
            data = self.port.read_until(ending, LOCKED_MARK + b"\r\n")
            if not data.endswith(ending):
                raise LockedLine
            return data
        if ending == b"\x04":  # the end of what a program prints
            data = self.port.read_until(ending, *_STARTS)
            if not data.endswith(ending):
                raise Restarted("it has started anew")
            return data
        return self.port.read_until(ending)

    def exec_raw_no_follow(self, command: str | bytes) -> None:
        """Have the board run `command`; _Left where it is not in the raw REPL any more.

        There Ctrl-E begins to paste, into a line that nobody ends.
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
                raise LeftRepl("it has started anew")
            self.use_raw_paste = False  # an interpreter that does not know it
        super().exec_raw_no_follow(command)

    @property
    def left(self) -> bool:
        """Return whether the board has said something by itself since it was last spoken to."""
        return not self.locked and self.port.pending() not in (b"", b">")

    def enter(self, timeout: float) -> None:
        """Be in the raw REPL, whatever the board was doing, or in a locked meter's line.

        There is no soft reset.
        """
        deadline = time.monotonic() + timeout
        self.port.received = b""
        first = True
        while True:
            self.port.deadline = min(deadline, time.monotonic() + _ATTEMPT)
            self.locked = False
            try:
                # Ctrl-B: a raw REPL that was left open keeps room for the longest line it had.
                self.port.write(b"\r\x03\x02")
                self.enter_raw_repl(soft_reset=False)
                if not first:  # the board may answer the earlier tries now
                    self.port.deadline = deadline
                    self.port.quiet(0.05)
                    self.port.deadline = deadline
                    self.enter_raw_repl(soft_reset=False)
                # A board that was just reset greets twice, and the second time in this answer.
                self.use_raw_paste = True
                self.exec_raw("")
                return
            except LockedLine:
                self.in_raw_repl, self.locked = False, True
                return
            except (Silence, TransportError):
                if time.monotonic() >= deadline:
                    raise
            first = False

    def run(self, source: str, timeout: float) -> tuple[bytes, bytes]:
        """Run source in the raw REPL; return its output and its traceback."""
        self.port.deadline = time.monotonic() + timeout
        self.port.received = b""
        output, error = self.exec_raw(source)
        return output, error

    def follow_lines(
        self, source: str, timeout: float, heard: Callable[[str], None]
    ) -> tuple[bytes, bytes]:
        """Do as `run`, and hand on each line that is printed when it comes.

        The deadline is that of a line.
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
                    raise Restarted("it has started anew")
                if line.endswith(b"\n"):
                    heard(line.decode(errors="replace").rstrip())
        except BaseException:
            with contextlib.suppress(OSError):
                self.port.write(b"\x03")  # it would go on alone
            raise
        return output[:-1], self.port.read_until(b"\x04")[:-1]

    def call(self, line: str, timeout: float) -> bytes:
        """Send a locked meter a line and return its answer."""
        self.port.deadline = time.monotonic() + timeout
        self.port.received = b""
        octets = line.encode() + b"\n"
        for first in range(0, len(octets), _PIECE):
            if first:
                self.port.write(b"\x17")
                self.port.read_until(LOCKED_HEARD + b"\r\n")
            self.port.write(octets[first : first + _PIECE])
        while True:
            answer = self.port.read_until(b"\n").strip()
            if answer and answer != LOCKED_MARK:  # an earlier Ctrl-A may be answered only now
                return answer

    def ask_and_part(self, source: str, timeout: float) -> bytes:
        """Run source that ends in a soft reset; return what it printed before that."""
        self.port.deadline = time.monotonic() + timeout
        self.port.received = b""
        self.exec_raw_no_follow(source)
        return self.port.read_until(b"\x04")[:-1]
