"""The bridge between an interpreter and a pseudo-terminal."""

import errno
import os
import re
import secrets
import select
import signal
import subprocess
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from jeton_host.firmware.interpreter import NUDGE
from jeton_host.virtual.process import (
    PROC,
    SAMPLE,
    STILL,
    STILL_UNTOLD,
    awaits_lock,
    catches_interrupt,
    processor_ticks,
)

BOOT_TIMEOUT = 10.0

_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_RAW_SIGN = b"raw REPL; CTRL-B to exit\r\n"
_FRIENDLY_SIGN = b'Type "help()" for more information.\r\n'
_SOFT_REBOOT = b"MPY: soft reboot\r\n"
_HEAP_LOCKED = b"MemoryError: memory allocation failed, heap is locked"
_WATCHDOG_RESET = b"\r\nMPY: watchdog reset\r\n"
_PATIENCE = 2.0  # seconds for boot.py before the host's keys get through to it
_DRAIN = 5.0  # seconds an open client may leave the board's output unread before it is dropped
_LINGER = 0.25  # seconds to wait for what Ctrl-D brings: a prompt, or the end
_HELD = 1 << 16
_CHORE = b"__import__('board').tick()\x04"
TICK_S = 5.0  # seconds from one tick to the next
_CHORE_PATIENCE = 2.0  # seconds a tick may take
_QUIET = 0.05  # seconds without a byte before one begins
_LOOK = 1.0  # seconds to the next look at an interpreter that is not at its prompt
_NUDGES = (0.02, 0.1, 0.4)  # seconds after a Ctrl-C that may just have missed a wait's beginning
_UNHEARD = 2.5  # seconds after a Ctrl-C from which another interrupts whatever runs
_SETTLE = 1.0  # seconds for the last tick before the board is switched off


def _set_raw(fd: int, local: int = 0) -> None:
    """Make a terminal pass bytes as they are; `local` are the local flags to keep."""
    mode: list[Any] = termios.tcgetattr(fd)
    mode[0] = mode[1] = 0
    mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8 | termios.CREAD
    mode[3] = local
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, mode)


class _Output:
    """The interpreter's output as a board would send it: lines end in CR LF."""

    def __init__(self) -> None:
        self.raw = False  # in the raw REPL
        self.waits = False  # for the host, as far as the last bytes show
        self.prompts = False  # nothing was typed since the prompt, as far as the last bytes show
        self._tail = b""
        self._last = 0

    def feed(self, data: bytes) -> bytes:
        """Return the bytes for the host."""
        seen = self._tail + data
        raw, friendly = seen.rfind(_RAW_SIGN), seen.rfind(_FRIENDLY_SIGN)
        if raw != friendly:
            self.raw = raw > friendly
        self._tail = seen[-(len(_FRIENDLY_SIGN) - 1) :]
        if not data:
            return data
        before = b"\r" if self._last == 13 else b" "
        self._last = data[-1]
        self.waits = seen.endswith((b">", b">>> ", b"... ", b"=== ", b"\x01"))
        prompts = (b"\x04>", _RAW_PROMPT) if self.raw else (b"\n>>> ",)
        self.prompts = seen.endswith(prompts)
        return re.sub(rb"(?<!\r)\n", b"\r\n", before + data)[1:]


class PtyBridge(threading.Thread):
    """Joins the clients' pseudo-terminal to the interpreter's, over all of its lives."""

    def __init__(
        self,
        spawn: Callable[[int, tuple[str, str], bool], subprocess.Popen[bytes]],
        interrupt: signal.Signals,
        tick_s: float,
    ) -> None:
        super().__init__(name="jeton-virtual-board", daemon=True)
        self._tick_s = tick_s
        self._spawn_process = spawn
        self._interrupt_signal = interrupt
        self._outer, self._slave = os.openpty()
        self.path = os.ttyname(self._slave)
        _set_raw(self._slave)
        os.set_blocking(self._outer, False)
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        self._requests: deque[str] = deque()
        self._changed = threading.Condition()
        # For others to read, under _changed.
        # off, starting, booting, serving (boot.py keeps the line), greeting, entering, running,
        # dead
        self.state = "off"
        self.boots = 0
        self.failure = ""
        self.ticks = 0
        self.ticks_given_up = 0
        self.settled = True
        # The interpreter, and the bytes on their way.
        self._process: subprocess.Popen[bytes] | None = None
        self._inner = -1
        self._bang = self._mark = b""
        self._output = _Output()
        self._want_raw = False
        self._since = 0.0  # when this state began
        self._failed = 0
        self._text = b""  # collected while starting and greeting
        self._from_host = bytearray()
        self._to_host = bytearray()
        self._stuck_since: float | None = None
        self._interrupted = 0.0  # when the last Ctrl-C was passed on as a signal
        self._hold_until = 0.0
        self._closing = False
        self._nudges: list[float] = []  # when
        # What the watchdog knows.
        self._pressed = 0.0  # when Ctrl-C was first pressed since the last prompt
        self._pulse: bytes | None = None
        self._still_since = 0.0
        self._sample_at = 0.0
        # The tick that is under way.
        self._chore = ""  # entering, running, leaving
        self._chore_text = b""
        self._chore_since = 0.0
        self._due = 0.0
        self._traffic = 0.0  # when the last byte went to or came from the interpreter
        self._settle_since = 0.0

    # What others call.

    def ask(self, request: str) -> None:
        """Have the thread do something: on, off, reset, soft, settle, close."""
        self._requests.append(request)
        try:
            os.write(self._wake_in, b"!")
        except OSError:
            pass  # closed already

    def settle(self) -> None:
        """Let the board tick once more, whatever its interpreter does, and wait for that."""
        with self._changed:
            self.settled = False
        self.ask("settle")
        self.wait_for(lambda: self.settled, _SETTLE)

    def wait_for(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait until `done`, which is asked at every change of state."""
        with self._changed:
            return self._changed.wait_for(done, timeout)

    # The thread.

    def run(self) -> None:
        """Carry bytes until asked to close."""
        try:
            while not self._closing:
                self._step()
        finally:
            self._kill()
            self._enter("off")
            for fd in (self._outer, self._slave, self._wake_out, self._wake_in):
                os.close(fd)

    def _enter(self, state: str) -> None:
        self._since = time.monotonic()
        with self._changed:
            self._chore = ""
            if state not in ("running", "serving"):
                self.settled = True  # there is nothing that could still be saved
            else:
                self._due = self._since + self._tick_s
                self.boots += 1
                self._failed = 0
            self.state = state
            self._changed.notify_all()

    def _step(self) -> None:
        poll = select.poll()
        poll.register(self._wake_out, select.POLLIN)
        outer = select.POLLIN if len(self._from_host) < _HELD else 0
        if self._to_host:
            outer |= select.POLLOUT
        poll.register(self._outer, outer)
        if self._inner >= 0:
            inner = select.POLLIN if len(self._to_host) < _HELD else 0
            if self._from_host and self._passes():
                inner |= select.POLLOUT
            poll.register(self._inner, inner)
        ready = dict(poll.poll(self._patience()))
        now = time.monotonic()
        if ready.get(self._wake_out):
            self._obey()
        if ready.get(self._outer, 0) & select.POLLIN:
            self._from_host += self._read(self._outer) or b""
            if self.state in ("off", "dead"):
                self._from_host.clear()  # nobody is there to hear it
        if self._inner >= 0 and ready.get(self._inner, 0) & ~select.POLLOUT:
            data = self._read(self._inner)
            if data is None:
                self._ended()
            elif data:
                self._heard(data)
        if self.state == "starting" and now - self._since > BOOT_TIMEOUT:
            self._fail("it did not start")
        if self._inner >= 0:
            self._feed()
        if self.state == "running":
            self._live(time.monotonic())
        self._nudge(time.monotonic())
        if self._guarded() and time.monotonic() >= self._sample_at:
            self._guard(time.monotonic())
        self._send()

    def _patience(self) -> int | None:
        """Return the milliseconds until something is due by itself."""
        due = self._next_due()
        times = self._nudges[:1] + ([self._sample_at] if self._guarded() else [])
        if not times:
            return due
        soon = max(0, int((min(times) - time.monotonic()) * 1000)) + 1
        return soon if due is None else min(due, soon)

    def _next_due(self) -> int | None:
        hold = self._hold_until - time.monotonic()
        if self._from_host and hold > 0:
            return int(hold * 1000) + 1
        if self._stuck_since is not None:
            return 200
        if self.state == "starting":
            return int(BOOT_TIMEOUT * 1000)
        if self.state == "booting" and self._from_host and not self._passes():
            return int(_PATIENCE * 1000)
        if self.state == "running":
            due = self._chore_since + _CHORE_PATIENCE if self._chore else self._due
            if self._chore and due < time.monotonic():
                return None  # the watchdog looks at it
            return max(0, int((due - time.monotonic()) * 1000)) + 1
        return None

    def _obey(self) -> None:
        try:
            os.read(self._wake_out, 4096)
        except BlockingIOError:
            pass
        while self._requests:
            request = self._requests.popleft()
            if request in ("off", "reset", "close"):
                self._kill()
                self._from_host.clear()
                self._enter("off")
            if request == "close":
                self._closing = True
            elif request == "reset" or (request == "on" and self.state in ("off", "dead")):
                self._read(self._outer)  # what was sent to a board without power
                self._failed = 0
                self._start(raw=False)
            elif request == "settle":
                if self.state == "running":
                    self._due = 0.0
                    self._settle_since = time.monotonic()
                elif self.state == "serving":
                    self._to_interpreter(b"\x04")
                else:
                    self._set_settled()
            elif request == "soft" and self.state == "running":
                self._from_host += b"\x03\x04"
            elif request == "soft" and self.state == "serving":
                self._kill()
                self._to_host += _SOFT_REBOOT
                self._start(raw=False)

    @staticmethod
    def _read(fd: int) -> bytes | None:
        """Return what there is, None at the end."""
        try:
            return os.read(fd, 65536) or None
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:
                return None
            raise

    # The interpreter's lives.

    def _start(self, raw: bool) -> None:
        token = secrets.token_hex(8).encode()
        self._bang, self._mark = b"\x1e" + token + b"\x1e", b"\x1d" + token + b"\x1d"
        self._want_raw = raw
        self._output = _Output()
        self._hold_until = self._pressed = 0.0
        self._nudges.clear()
        self._text = b""
        self._inner, slave = os.openpty()
        try:
            os.set_blocking(self._inner, False)
            # Signals on, although Ctrl-C never comes this way: it shows when a program runs.
            _set_raw(slave, termios.ISIG | termios.NOFLSH)
            self._enter("starting")
            marks = (self._bang.decode(), self._mark.decode())
            self._process = self._spawn_process(slave, marks, not raw)
        except OSError as error:
            self._close_inner()
            self.failure = str(error)
            self._enter("dead")
        finally:
            os.close(slave)

    def _close_inner(self) -> None:
        if self._inner >= 0:
            os.close(self._inner)
            self._inner = -1

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._close_inner()

    def _fail(self, why: str) -> None:
        self._kill()
        lines = self._text.decode(errors="replace").strip().splitlines()
        self.failure = lines[-1] if lines else why
        self._to_host += f"\r\nvirtual board: {self.failure}\r\n".encode()
        self._enter("dead")

    def _ended(self) -> None:
        """Do as a board does when its interpreter ended: start it again, softly or from cold."""
        process, self._process = self._process, None
        self._close_inner()
        status = -signal.SIGKILL
        if process is not None:
            try:
                status = process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._failed += 1
        if self.state == "starting" or self._failed > 3:
            self._fail(f"the interpreter ends at once (status {status})")
        elif status < 0 and status not in (-signal.SIGINT, -signal.SIGTERM):
            self._start(raw=False)  # machine.reset(), or a crash
        else:
            self._to_host += _SOFT_REBOOT
            self._start(raw=self._output.raw)

    # From the board to the host.

    def _heard(self, data: bytes) -> None:
        self._traffic = time.monotonic()
        self._stir(self._traffic)
        if self._chore:
            self._heard_chore(data)
            return
        if self.state == "running":
            self._to_host += self._output.feed(data)
            if self._output.prompts:
                self._pressed = self._interrupted = 0.0
                self._nudges.clear()
            if self._hold_until and (self._output.waits or self._runs()):
                self._hold_until = 0.0
            return
        self._text += data
        if self.state == "starting":
            _, bang, rest = self._text.partition(self._bang)
            if bang:
                self._text = rest
                self._enter("booting")
            elif self._text.endswith(b">>> "):
                self._text = self._text.partition(b"MicroPython")[0]
                self._fail("its flash cannot be mounted")
        if self.state in ("booting", "serving"):
            self._heard_program()
        if self.state == "greeting" and self._text.endswith(b">>> "):
            if self._want_raw:
                self._text = b""
                os.write(self._inner, b"\x01")
                self._enter("entering")
            else:
                self._greeted(self._text)
        if self.state == "entering" and self._text.endswith(_RAW_PROMPT):
            self._greeted(_RAW_PROMPT)

    def _heard_program(self) -> None:
        """Follow boot.py up to its end, or to where it takes the line."""
        while self._mark in self._text.partition(self._bang)[0]:
            said, _, self._text = self._text.partition(self._mark)
            self._to_host += self._output.feed(said)
            if self.state == "booting":
                self._enter("serving")
            else:
                self._set_settled()
        said, bang, rest = self._text.partition(self._bang)
        keep = 0 if bang else max(self._partial(said, m) for m in (self._bang, self._mark))
        self._to_host += self._output.feed(said[: len(said) - keep])
        self._text = rest if bang else said[len(said) - keep :]
        if bang:
            self._enter("greeting")

    def _greeted(self, text: bytes) -> None:
        self._to_host += self._output.feed(text)
        self._text = b""
        self._pressed = 0.0
        self._enter("running")

    @staticmethod
    def _partial(text: bytes, mark: bytes) -> int:
        """Return how many bytes at the end of `text` may be the beginning of the mark."""
        for length in range(min(len(mark) - 1, len(text)), 0, -1):
            if text.endswith(mark[:length]):
                return length
        return 0

    def _send(self) -> None:
        if not self._to_host:
            return
        try:
            sent = os.write(self._outer, self._to_host[:_HELD])
        except BlockingIOError:
            sent = 0
        del self._to_host[:sent]
        now = time.monotonic()
        if not self._to_host or sent:
            self._stuck_since = None
            return
        if self._stuck_since is None:
            self._stuck_since = now
        # A board does not wait for somebody to listen.
        if not self._client() or now - self._stuck_since > _DRAIN:
            self._to_host.clear()
            self._stuck_since = None

    def _client(self) -> bool:
        """Return whether anybody has the serial port open; if not, drop what nobody read."""
        os.close(self._slave)
        poll = select.poll()
        poll.register(self._outer, 0)
        alone = any(event & select.POLLHUP for _, event in poll.poll(0))
        self._slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        if alone:
            _set_raw(self._slave)
        return not alone

    # From the host to the board.

    def _passes(self) -> bool:
        """Return whether the host's bytes go to the interpreter now."""
        if time.monotonic() < self._hold_until or self._chore:
            return False
        if self.state in ("running", "serving"):
            return True
        # A boot.py that does not end can be interrupted, and spoken to.
        late = self.state == "booting" and time.monotonic() - self._since >= _PATIENCE
        return late and (not self._want_raw or 3 in self._from_host)

    def _feed(self) -> None:
        if not self._from_host or not self._passes():
            return
        if self.state == "booting" and self._want_raw:
            del self._from_host[: self._from_host.index(3)]
        data = bytes(self._from_host[:1024])
        if self.state == "serving":
            self._write(data)
            return
        data = data.partition(b"\x03")[0]
        if not data:
            if not self._takes_ctrl_c():
                return
            data = b"\x03"
        elif 4 in data:
            data = data[: data.index(4) + 1]
        if self._write(data).endswith(b"\x04"):
            # If that ends the interpreter, what follows is for the next one.
            self._output.waits = False
            self._hold_until = time.monotonic() + _LINGER

    def _write(self, data: bytes) -> bytes:
        """Pass on the host's bytes, and return those that went."""
        written = 0
        try:
            written = os.write(self._inner, data)
            del self._from_host[:written]
            self._output.prompts = False
            self._traffic = time.monotonic()
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        return data[:written]

    def _runs(self) -> bool | None:
        """Return whether a program runs, None where the system does not tell."""
        return catches_interrupt(self._process.pid) if self._process else False

    def _takes_ctrl_c(self) -> bool:
        """Interrupt a running program and return False; True where Ctrl-C is a key like others.

        The interpreter handles the signal while a program runs and else would die of it. Its
        terminal sends none then in raw paste mode, so it is sent from here.
        """
        now = time.monotonic()
        runs = self._runs()
        try:
            changing = bool(termios.tcgetattr(self._inner)[3] & termios.ISIG)
        except OSError:
            return True  # it has just ended
        if not runs and changing:  # a program is about to run, or has just ended
            self._hold_until = now + 0.002
            self._press(now)
            return False
        if runs is None:  # not known here; a prompt or a window of raw paste means it does not run
            runs = not changing and not self._output.waits
        if not runs:
            return True
        self._press(now)
        self._interrupt(now, force=now - self._pressed > _UNHEARD)
        while self._from_host[:1] == b"\x03":
            del self._from_host[0]
        return False

    def _press(self, now: float) -> None:
        self._output.prompts = False
        if not self._pressed:
            self._pressed = now
            self._stir(now)

    def _interrupt(self, now: float, force: bool) -> None:
        """Have the program raise KeyboardInterrupt; `force` gets at what does not listen, too."""
        # A second signal before the first was noticed would end the interpreter.
        if self._process is None or now - self._interrupted <= 0.05:
            return
        self._interrupted = now
        number = signal.SIGINT if force else self._interrupt_signal
        self._process.send_signal(number)
        if number != signal.SIGINT:
            self._nudges = [now + after for after in _NUDGES]

    def _nudge(self, now: float) -> None:
        """End a wait that began just when Ctrl-C was pressed; any other goes on."""
        while self._nudges and self._nudges[0] <= now:
            del self._nudges[0]
            if self._process is not None:
                self._process.send_signal(NUDGE)

    # The watchdog.

    def _guarded(self) -> bool:
        """Return whether the interpreter has something to do, so that it may get stuck in it."""
        if self.state == "running":
            return bool(self._chore) or not self._output.prompts
        return self.state in ("booting", "greeting", "entering")

    def _stir(self, now: float) -> None:
        self._pulse, self._still_since = None, now

    def _still(self, now: float) -> float:
        """Return for how many of the seconds it takes to bite the interpreter has not stirred."""
        assert self._process is not None
        pulse = processor_ticks(self._process.pid)
        if pulse is None or pulse != self._pulse:
            self._stir(now)
            self._pulse = pulse
        return now - self._still_since

    def _guard(self, now: float) -> None:
        """Reset an interpreter that sleeps and cannot be woken, or that sleeps in a tick."""
        self._sample_at = now + SAMPLE
        if self._process is None:
            return
        patience = STILL if PROC else STILL_UNTOLD
        if self._still(now) >= patience and (self._chore or self._lost()):
            self._bite()

    def _bite(self) -> None:
        self._kill()
        self._from_host.clear()
        self._to_host += _WATCHDOG_RESET
        self._start(raw=False)

    def _lost(self) -> bool:
        """Return whether nothing can wake the interpreter, which sleeps.

        One that waits for input, for a time or for the network heard Ctrl-C, and its program went
        on. A lock that a program asks for may be opened by a thread of it, as long as nobody
        pressed Ctrl-C; at the prompt there is none that could be.
        """
        assert self._process is not None
        locked = awaits_lock(self._process.pid)
        if locked is None or self._runs():
            return bool(self._pressed) and locked is not False
        return locked or (bool(self._pressed) and self._busy())

    # What a board's timer does.

    def _live(self, now: float) -> None:
        """Let the board tick when it is time and nobody can notice."""
        if self._chore:
            if now - self._chore_since > _CHORE_PATIENCE and not self._still(now):
                self._show_chore()
        elif now >= self._due:
            if not self.settled:
                self._quieten(now)
            elif self._from_host or not self._output.prompts or self._busy():
                self._due = now + _LOOK
            elif now - self._traffic < _QUIET:
                self._due = self._traffic + _QUIET
            else:
                self._tick(now)

    def _busy(self) -> bool:
        """Return whether a program runs, or is about to, although a prompt seems to be there."""
        try:
            changing = bool(termios.tcgetattr(self._inner)[3] & termios.ISIG)
        except OSError:
            return True
        return changing or bool(self._runs())

    def _quieten(self, now: float) -> None:
        """Tick for the last time: stop whatever the interpreter does."""
        self._due = now + 0.01
        if self._busy():
            if self._runs():
                self._interrupt(now, force=now - self._settle_since > _SETTLE / 2)
        elif self._output.prompts or now - self._settle_since > 0.2:
            self._tick(now)
        else:
            self._to_interpreter(b"\x03")  # away with a line half typed

    def _tick(self, now: float) -> None:
        self._stir(now)
        self._chore, self._chore_text, self._chore_since = "entering", b"", now
        if self._output.raw:
            self._chore = "running"
        self._to_interpreter(_CHORE if self._output.raw else b"\x01")

    def _to_interpreter(self, data: bytes) -> None:
        try:
            os.write(self._inner, data)
        except OSError:
            pass  # it has just ended, or is asked again

    def _heard_chore(self, data: bytes) -> None:
        """Follow a tick; what the interpreter says of it is for nobody."""
        self._chore_text += data
        if self._chore == "entering" and self._chore_text.endswith(_RAW_PROMPT):
            # What was still on its way before it.
            said = self._chore_text.removesuffix(_RAW_PROMPT).removesuffix(b"\r\n")
            self._to_host += self._output.feed(said)
            self._output.prompts = True
            self._chore, self._chore_text = "running", b""
            self._to_interpreter(_CHORE)
        elif self._chore == "running" and self._chore_text.endswith(b"\x04>"):
            if _HEAP_LOCKED in self._chore_text:
                self._bite()  # it cannot even compile what would unlock it
                return
            self._chore_text = b""
            if self._output.raw:
                self._end_chore()
            else:
                self._chore = "leaving"
                self._to_interpreter(b"\x02")
        elif self._chore == "leaving" and self._chore_text.endswith(_FRIENDLY_SIGN + b">>> "):
            self._end_chore()

    def _end_chore(self) -> None:
        with self._changed:
            self._chore = ""
            self._due = time.monotonic() + self._tick_s
            self.ticks += 1
        self._set_settled()

    def _set_settled(self) -> None:
        with self._changed:
            self.settled = True
            self._changed.notify_all()

    def _show_chore(self) -> None:
        """Give up a tick that goes on and on: from here on the host sees what happens."""
        text = self._chore_text
        self.ticks_given_up += 1
        self._end_chore()
        self._to_host += self._output.feed(text)
