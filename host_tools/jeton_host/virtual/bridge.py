"""PtyBridge: connects the interpreter of a virtual board to the pseudo-terminal of its clients."""

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
    IDLE_LIMIT,
    PROC,
    SAMPLE,
    SILENCE_LIMIT,
    awaits_lock,
    catches_interrupt,
    processor_ticks,
)

BOOT_TIMEOUT = 10.0  # seconds

_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_RAW_SIGN = b"raw REPL; CTRL-B to exit\r\n"
_FRIENDLY_SIGN = b'Type "help()" for more information.\r\n'
_SOFT_REBOOT = b"MPY: soft reboot\r\n"
_HEAP_LOCKED = b"MemoryError: memory allocation failed, heap is locked"
_WATCHDOG_RESET = b"\r\nMPY: watchdog reset\r\n"
_BOOT_INPUT_AFTER = 2.0  # seconds of boot.py after which it gets the host's input
_DRAIN = 5.0  # seconds without a read of an open client, after which its output is dropped
_CTRL_D_WAIT = 0.25  # seconds to wait after Ctrl-D for a prompt or the interpreter's end
_BUFFER_SIZE = 1 << 16  # bytes kept in each direction
_TICK_CODE = b"__import__('board').tick()\x04"
TICK_S = 5.0  # seconds from one tick to the next
_TICK_TIMEOUT = 2.0  # seconds a tick may take
_QUIET = 0.05  # seconds without a byte before a tick begins
_TICK_RETRY = 1.0  # seconds to the next attempt if the interpreter is not at its prompt
_WAKE_UPS = (0.02, 0.1, 0.4)  # seconds after a Ctrl-C: ends a wait that began just after it
_FORCE_AFTER = 2.5  # seconds after a Ctrl-C; a later Ctrl-C interrupts any code
_SETTLE = 5.0  # longest time for the last tick before the board is switched off, in s
_SETTLE_FORCE = 0.5  # seconds after which it interrupts also code that ignores Ctrl-C


def _set_raw(fd: int, local: int = 0) -> None:
    """Make a terminal pass all bytes unchanged; `local` are the local flags to set."""
    mode: list[Any] = termios.tcgetattr(fd)
    mode[0] = mode[1] = 0
    mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8 | termios.CREAD
    mode[3] = local
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, mode)


class _Output:
    """Converts the interpreter's output to that of a board: lines end with CR LF."""

    def __init__(self) -> None:
        # What the last bytes of the output show:
        self.raw = False  # the interpreter is in the raw REPL
        self.waits = False  # it waits for input
        self.prompts = False  # it is at a prompt, and nothing was typed since
        self._tail = b""
        self._last = 0

    def feed(self, data: bytes) -> bytes:
        """Add output of the interpreter; return the bytes for the host."""
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
    """A thread that connects the clients' pseudo-terminal to the interpreter's.

    It starts the interpreter, restarts it after a reset, and runs the ticks and the watchdog.
    """

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
        # Read by other threads, changed under _changed.
        # One of: off, starting, booting, serving (boot.py serves the serial line), greeting,
        # entering (the raw REPL), running, dead.
        self.state = "off"
        self.boots = 0
        self.failure = ""
        self.ticks = 0
        self.ticks_given_up = 0
        self.settled = True
        # The interpreter, and the bytes that are not written yet.
        self._process: subprocess.Popen[bytes] | None = None
        self._inner = -1
        self._start_mark = self._mark = b""
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
        self._wake_ups: list[float] = []  # times
        # State of the watchdog.
        self._pressed = 0.0  # when the first Ctrl-C since the last prompt was sent
        self._activity: bytes | None = None
        self._idle_since = 0.0
        self._sample_at = 0.0
        # The current tick.
        self._tick_stage = ""  # entering, running, leaving
        self._tick_output = b""
        self._tick_since = 0.0
        self._due = 0.0
        self._traffic = 0.0  # when the last byte went to or came from the interpreter
        self._settle_since = 0.0

    # Called by other threads.

    @property
    def pid(self) -> int | None:
        """Return the process number of the interpreter, None if it does not run."""
        process = self._process
        return process.pid if process is not None else None

    @property
    def ctrl_c_s(self) -> float:
        """Return the seconds since the first Ctrl-C that no prompt has followed; 0 without one."""
        pressed = self._pressed
        return time.monotonic() - pressed if pressed else 0.0

    def ask(self, request: str) -> None:
        """Send a request to the thread: on, off, reset, soft, settle or close."""
        self._requests.append(request)
        try:
            os.write(self._wake_in, b"!")
        except OSError:
            pass  # closed already

    def settle(self) -> None:
        """Let the board tick a last time and wait for that; a running program is interrupted."""
        with self._changed:
            self.settled = False
        self.ask("settle")
        self.wait_for(lambda: self.settled, _SETTLE)

    def wait_for(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait until `done` returns true; it is called at every change of state."""
        with self._changed:
            return self._changed.wait_for(done, timeout)

    # The thread.

    def run(self) -> None:
        """Transfer bytes until the request to close."""
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
            self._tick_stage = ""
            if state not in ("running", "serving"):
                self.settled = True  # there is nothing to save
            else:
                self._due = self._since + self._tick_s
                self.boots += 1
                self._failed = 0
            self.state = state
            self._changed.notify_all()

    def _step(self) -> None:
        poll = select.poll()
        poll.register(self._wake_out, select.POLLIN)
        outer = select.POLLIN if len(self._from_host) < _BUFFER_SIZE else 0
        if self._to_host:
            outer |= select.POLLOUT
        poll.register(self._outer, outer)
        if self._inner >= 0:
            inner = select.POLLIN if len(self._to_host) < _BUFFER_SIZE else 0
            if self._from_host and self._accepts_input():
                inner |= select.POLLOUT
            poll.register(self._inner, inner)
        ready = dict(poll.poll(self._poll_timeout()))
        now = time.monotonic()
        if ready.get(self._wake_out):
            self._handle_requests()
        if ready.get(self._outer, 0) & select.POLLIN:
            self._from_host += self._read(self._outer) or b""
            if self.state in ("off", "dead"):
                self._from_host.clear()  # no interpreter reads it
        if self._inner >= 0 and ready.get(self._inner, 0) & ~select.POLLOUT:
            data = self._read(self._inner)
            if data is None:
                self._handle_exit()
            elif data:
                self._handle_output(data)
        if self.state == "starting" and now - self._since > BOOT_TIMEOUT:
            self._fail("it did not start")
        if self._inner >= 0:
            self._forward_input()
        if self.state == "running":
            self._run_ticks(time.monotonic())
        self._wake_waits(time.monotonic())
        if self._is_watched() and time.monotonic() >= self._sample_at:
            self._watch(time.monotonic())
        self._send()

    def _poll_timeout(self) -> int | None:
        """Return the timeout for poll: milliseconds until the next timed action, None if none."""
        due = self._next_due()
        times = self._wake_ups[:1] + ([self._sample_at] if self._is_watched() else [])
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
        if self.state == "booting" and self._from_host and not self._accepts_input():
            return int(_BOOT_INPUT_AFTER * 1000)
        if self.state == "running":
            due = self._tick_since + _TICK_TIMEOUT if self._tick_stage else self._due
            if self._tick_stage and due < time.monotonic():
                return None  # the watchdog checks it
            return max(0, int((due - time.monotonic()) * 1000)) + 1
        return None

    def _handle_requests(self) -> None:
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
                self._read(self._outer)  # discard what was sent to a board without power
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
        """Return the available bytes, None at the end of the file."""
        try:
            return os.read(fd, 65536) or None
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:
                return None
            raise

    # Start and end of the interpreter.

    def _start(self, raw: bool) -> None:
        token = secrets.token_hex(8).encode()
        self._start_mark, self._mark = b"\x1e" + token + b"\x1e", b"\x1d" + token + b"\x1d"
        self._want_raw = raw
        self._output = _Output()
        self._hold_until = self._pressed = 0.0
        self._wake_ups.clear()
        self._text = b""
        self._inner, slave = os.openpty()
        try:
            os.set_blocking(self._inner, False)
            # ISIG is set although Ctrl-C is never sent this way: the interpreter clears it at a
            # prompt, which shows whether a program runs.
            _set_raw(slave, termios.ISIG | termios.NOFLSH)
            self._enter("starting")
            marks = (self._start_mark.decode(), self._mark.decode())
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

    def _handle_exit(self) -> None:
        """Restart after the interpreter has ended: a soft reset or a hard reset, as on a board."""
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

    def _handle_output(self, data: bytes) -> None:
        self._traffic = time.monotonic()
        self._note_activity(self._traffic)
        if self._tick_stage:
            self._handle_tick_output(data)
            return
        if self.state == "running":
            self._to_host += self._output.feed(data)
            if self._output.prompts:
                self._pressed = self._interrupted = 0.0
                self._wake_ups.clear()
            if self._hold_until and (self._output.waits or self._program_runs()):
                self._hold_until = 0.0
            return
        self._text += data
        if self.state == "starting":
            _, found, rest = self._text.partition(self._start_mark)
            if found:
                self._text = rest
                self._enter("booting")
            elif self._text.endswith(b">>> "):
                self._text = self._text.partition(b"MicroPython")[0]
                self._fail("its flash cannot be mounted")
        if self.state in ("booting", "serving"):
            self._handle_boot_output()
        if self.state == "greeting" and self._text.endswith(b">>> "):
            if self._want_raw:
                self._text = b""
                os.write(self._inner, b"\x01")
                self._enter("entering")
            else:
                self._ready(self._text)
        if self.state == "entering" and self._text.endswith(_RAW_PROMPT):
            self._ready(_RAW_PROMPT)

    def _handle_boot_output(self) -> None:
        """Process the output of boot.py up to its end, or until it serves the serial line."""
        while self._mark in self._text.partition(self._start_mark)[0]:
            output, _, self._text = self._text.partition(self._mark)
            self._to_host += self._output.feed(output)
            if self.state == "booting":
                self._enter("serving")
            else:
                self._set_settled()
        output, found, rest = self._text.partition(self._start_mark)
        keep = (
            0 if found else max(self._partial(output, m) for m in (self._start_mark, self._mark))
        )
        self._to_host += self._output.feed(output[: len(output) - keep])
        self._text = rest if found else output[len(output) - keep :]
        if found:
            self._enter("greeting")

    def _ready(self, text: bytes) -> None:
        self._to_host += self._output.feed(text)
        self._text = b""
        self._pressed = 0.0
        self._enter("running")

    @staticmethod
    def _partial(text: bytes, mark: bytes) -> int:
        """Return how many bytes at the end of `text` may be the beginning of a mark."""
        for length in range(min(len(mark) - 1, len(text)), 0, -1):
            if text.endswith(mark[:length]):
                return length
        return 0

    def _send(self) -> None:
        if not self._to_host:
            return
        try:
            sent = os.write(self._outer, self._to_host[:_BUFFER_SIZE])
        except BlockingIOError:
            sent = 0
        del self._to_host[:sent]
        now = time.monotonic()
        if not self._to_host or sent:
            self._stuck_since = None
            return
        if self._stuck_since is None:
            self._stuck_since = now
        # A board does not wait for a client to read its output.
        if not self._has_client() or now - self._stuck_since > _DRAIN:
            self._to_host.clear()
            self._stuck_since = None

    def _has_client(self) -> bool:
        """Return whether a client has the serial port open; if not, discard unread output."""
        os.close(self._slave)
        poll = select.poll()
        poll.register(self._outer, 0)
        alone = any(event & select.POLLHUP for _, event in poll.poll(0))
        self._slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        if alone:
            _set_raw(self._slave)
        return not alone

    # From the host to the board.

    def _accepts_input(self) -> bool:
        """Return whether the host's bytes may be sent to the interpreter now."""
        if time.monotonic() < self._hold_until or self._tick_stage:
            return False
        if self.state in ("running", "serving"):
            return True
        # A boot.py that does not end must be interruptible and get input.
        late = self.state == "booting" and time.monotonic() - self._since >= _BOOT_INPUT_AFTER
        return late and (not self._want_raw or 3 in self._from_host)

    def _forward_input(self) -> None:
        if not self._from_host or not self._accepts_input():
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
            # If this ends the interpreter, the following bytes are for the next one.
            self._output.waits = False
            self._hold_until = time.monotonic() + _CTRL_D_WAIT

    def _write(self, data: bytes) -> bytes:
        """Send bytes of the host to the interpreter; return those that were written."""
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

    def _program_runs(self) -> bool | None:
        """Return whether a program runs, None if the system does not show it."""
        return catches_interrupt(self._process.pid) if self._process else False

    def _takes_ctrl_c(self) -> bool:
        """Return whether Ctrl-C is to be sent as a byte; interrupt a running program instead.

        The interpreter handles SIGINT only while a program runs; otherwise the signal would end
        it. In raw paste mode its terminal sends no signal; this method sends it.
        """
        now = time.monotonic()
        runs = self._program_runs()
        try:
            changing = bool(termios.tcgetattr(self._inner)[3] & termios.ISIG)
        except OSError:
            return True  # it has just ended
        if not runs and changing:  # a program is about to run, or has just ended
            self._hold_until = now + 0.002
            self._note_ctrl_c(now)
            return False
        if runs is None:  # not shown here; at a prompt or in a raw paste window it does not run
            runs = not changing and not self._output.waits
        if not runs:
            return True
        self._note_ctrl_c(now)
        self._interrupt(now, force=now - self._pressed > _FORCE_AFTER)
        while self._from_host[:1] == b"\x03":
            del self._from_host[0]
        return False

    def _note_ctrl_c(self, now: float) -> None:
        self._output.prompts = False
        if not self._pressed:
            self._pressed = now
            self._note_activity(now)

    def _interrupt(self, now: float, force: bool) -> None:
        """Raise KeyboardInterrupt in the program; with `force` also in code that ignores it."""
        # A second signal before the first is processed would end the interpreter.
        if self._process is None or now - self._interrupted <= 0.05:
            return
        self._interrupted = now
        number = signal.SIGINT if force else self._interrupt_signal
        self._process.send_signal(number)
        if number != signal.SIGINT:
            self._wake_ups = [now + after for after in _WAKE_UPS]

    def _wake_waits(self, now: float) -> None:
        """End a wait that began just after Ctrl-C; other waits continue."""
        while self._wake_ups and self._wake_ups[0] <= now:
            del self._wake_ups[0]
            if self._process is not None:
                self._process.send_signal(NUDGE)

    # The watchdog.

    def _is_watched(self) -> bool:
        """Return whether the watchdog is active: the interpreter works and may get stuck."""
        if self.state == "running":
            return bool(self._tick_stage) or not self._output.prompts
        return self.state in ("booting", "greeting", "entering")

    def _note_activity(self, now: float) -> None:
        self._activity, self._idle_since = None, now

    def _idle_s(self, now: float) -> float:
        """Return for how many seconds the interpreter has not been active."""
        assert self._process is not None
        activity = processor_ticks(self._process.pid)
        if activity is None or activity != self._activity:
            self._note_activity(now)
            self._activity = activity
        return now - self._idle_since

    def _watch(self, now: float) -> None:
        """Reset an interpreter that sleeps and cannot be woken, or that sleeps in a tick."""
        self._sample_at = now + SAMPLE
        if self._process is None:
            return
        patience = IDLE_LIMIT if PROC else SILENCE_LIMIT
        if self._idle_s(now) >= patience and (self._tick_stage or self._is_stuck()):
            self._watchdog_reset()

    def _watchdog_reset(self) -> None:
        self._kill()
        self._from_host.clear()
        self._to_host += _WATCHDOG_RESET
        self._start(raw=False)

    def _is_stuck(self) -> bool:
        """Return whether a sleeping interpreter is stuck: nothing can wake it.

        A wait for input, time or the network ends at Ctrl-C, and the program continues. A lock for
        which a program waits may be released by one of its threads, unless Ctrl-C was sent; at the
        prompt no thread can release it.
        """
        assert self._process is not None
        locked = awaits_lock(self._process.pid)
        if locked is None or self._program_runs():
            return bool(self._pressed) and locked is not False
        return locked or (bool(self._pressed) and self._busy())

    # Ticks: the work of a board's timer.

    def _run_ticks(self, now: float) -> None:
        """Start a tick when it is due and no client can notice it."""
        if self._tick_stage:
            if now - self._tick_since > _TICK_TIMEOUT and not self._idle_s(now):
                self._give_up_tick()
        elif now >= self._due:
            if not self.settled:
                self._force_tick(now)
            elif self._from_host or not self._output.prompts or self._busy():
                self._due = now + _TICK_RETRY
            elif now - self._traffic < _QUIET:
                self._due = self._traffic + _QUIET
            else:
                self._tick(now)

    def _busy(self) -> bool:
        """Return whether a program runs or is about to, although there seems to be a prompt."""
        try:
            changing = bool(termios.tcgetattr(self._inner)[3] & termios.ISIG)
        except OSError:
            return True
        return changing or bool(self._program_runs())

    def _force_tick(self, now: float) -> None:
        """Interrupt the interpreter and start the last tick."""
        self._due = now + 0.01
        if self._busy():
            if self._program_runs():
                self._interrupt(now, force=now - self._settle_since > _SETTLE_FORCE)
        elif self._output.prompts or now - self._settle_since > 0.2:
            self._tick(now)
        else:
            self._to_interpreter(b"\x03")  # discard a partly typed line

    def _tick(self, now: float) -> None:
        self._note_activity(now)
        self._tick_stage, self._tick_output, self._tick_since = "entering", b"", now
        if self._output.raw:
            self._tick_stage = "running"
        self._to_interpreter(_TICK_CODE if self._output.raw else b"\x01")

    def _to_interpreter(self, data: bytes) -> None:
        try:
            os.write(self._inner, data)
        except OSError:
            pass  # it has just ended, or this is tried again

    def _handle_tick_output(self, data: bytes) -> None:
        """Process the output of a tick, which is not sent to the host."""
        self._tick_output += data
        if self._tick_stage == "entering" and self._tick_output.endswith(_RAW_PROMPT):
            # Output from before the tick.
            output = self._tick_output.removesuffix(_RAW_PROMPT).removesuffix(b"\r\n")
            self._to_host += self._output.feed(output)
            self._output.prompts = True
            self._tick_stage, self._tick_output = "running", b""
            self._to_interpreter(_TICK_CODE)
        elif self._tick_stage == "running" and self._tick_output.endswith(b"\x04>"):
            if _HEAP_LOCKED in self._tick_output:
                # With a locked heap it cannot compile the code that would unlock it.
                self._watchdog_reset()
                return
            self._tick_output = b""
            if self._output.raw:
                self._end_tick()
            else:
                self._tick_stage = "leaving"
                self._to_interpreter(b"\x02")
        elif self._tick_stage == "leaving" and self._tick_output.endswith(
            _FRIENDLY_SIGN + b">>> "
        ):
            self._end_tick()

    def _end_tick(self) -> None:
        with self._changed:
            self._tick_stage = ""
            self._due = time.monotonic() + self._tick_s
            self.ticks += 1
        self._set_settled()

    def _set_settled(self) -> None:
        with self._changed:
            self.settled = True
            self._changed.notify_all()

    def _give_up_tick(self) -> None:
        """Give up a tick that does not end: from now on the host sees the output."""
        text = self._tick_output
        self.ticks_given_up += 1
        self._end_tick()
        self._to_host += self._output.feed(text)
