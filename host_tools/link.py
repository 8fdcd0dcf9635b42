"""Meter: one typed client for any board, virtual or on a serial port.

The only module that knows mpremote's Python interface, which is declared unstable. It enters the
raw REPL without a soft reset, so the meter keeps running while a program talks to it. A locked
meter has no REPL: its line takes the same verbs, and the client finds out which of the two it has.

Opening the port of many ESP32 boards can reset them through DTR and RTS. Here both stay asserted,
as the operating system sets them at opening, and RTS is dropped before DTR at closing: neither
resets a board. Who wants a reset calls `reset`.
"""

import contextlib
import errno
import functools
import json
import os
import re
import socket
import termios
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from host_tools import waiting
from host_tools.errors import BoardError
from host_tools.transcript import Transcript
from host_tools.virtual import HEAP, VirtualBoard
from jeton.locked import HEARD, MARK
from jeton.sts.results import GOOD, NAMES
from jeton.sts.results import TokenResult as _Numbers
from jeton.sts.tokens import layout

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
TIMEOUT = 4.5  # so that a silent board is reported within 5 s
BAUD = 115200
UNLOCK_VARIABLE = "JETON_UNLOCK_CODE"

_ATTEMPT = 1.5  # seconds for one try at the raw REPL: what was sent to a board that boots is lost
_FAREWELL = 1.0  # seconds to wait for the friendly prompt at the end
_SLICE = 0.1  # seconds a read may last before the deadline is looked at
_TAIL = 200
_MOST = 65536  # bytes of one read of a socket
_PATIENCE = 30.0  # seconds to wait while other commands have a named meter for a moment
_WORD_AFTER = 0.2  # seconds of that until it is said
_BUSY = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)
_GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV)
_MARK, _HEARD = MARK.encode(), HEARD.encode()
_PIECE = 128  # octets of a locked meter's line between two signs that they were read
_RAW_SIGN = b"raw REPL; CTRL-B to exit\r\n"
_PASTE_SIGN = b"paste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n"
# What a board says that starts anew: nothing of what it did goes on.
_STARTS = (
    b"MPY: watchdog reset\r\n",
    b"MPY: soft reboot\r\n",
    b'Type "help()" for more information.\r\n',
)
_LONGEST_TOKEN = 200  # more than 99 digits no keypad counts, and a small heap has other uses
_KEYS = 200  # in one line
_PIN_KEYS = "0123456789*#ABCDi"  # that keypads have; i is A
_PATIENCE_A_DAY = 0.05  # seconds a board may take to live a day, each hour with another load
_STEPS = 32  # of a load, in one line
_EVENTS = 20  # of the log
LOAD_STEPS = 256  # the board's load.STEPS
# Verbs that may be done twice.
_TWICE = ("info", "display", "status", "events", "ledger", "reports", "history", "led", "save")


def _say_nothing(line: str) -> None:
    pass


# Told in one line, once, that `Meter.open` waits for another program; the commands print it.
tell_wait: Callable[[str], object] = _say_nothing


class TokenResult(IntEnum):
    """What became of a token; the numbers are the board's."""

    ACCEPT = _Numbers.ACCEPT
    KCT1 = _Numbers.KCT1
    KCT2 = _Numbers.KCT2
    OVERFLOW = _Numbers.OVERFLOW
    KEY_TYPE = _Numbers.KEY_TYPE
    FORMAT = _Numbers.FORMAT
    RANGE = _Numbers.RANGE
    FUNCTION = _Numbers.FUNCTION
    OLD = _Numbers.OLD
    USED = _Numbers.USED
    KEY_EXPIRED = _Numbers.KEY_EXPIRED
    DDTK = _Numbers.DDTK
    CRC = _Numbers.CRC
    MFR_CODE = _Numbers.MFR_CODE
    LOCK_OUT = _Numbers.LOCK_OUT
    NOT_READY = _Numbers.NOT_READY
    KCT3 = _Numbers.KCT3
    KCT4 = _Numbers.KCT4

    @property
    def standard_name(self) -> str:
        """Return the standard's name, such as UsedError."""
        return NAMES[self]

    @property
    def good(self) -> bool:
        """Return whether the token did its work, a section of a key change included."""
        return self in GOOD


def moment(seconds: int) -> datetime:
    """Return the UTC time of the board's seconds since 2000-01-01."""
    return EPOCH + timedelta(seconds=seconds)


def seconds_of(when: datetime) -> int:
    """Return a time as the board counts it; without a zone it is UTC."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - EPOCH) // timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Display:
    """What the display shows: `rows` lines of `cols` characters."""

    rows: int
    cols: int
    lines: tuple[str, ...]
    flash: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {
            "rows": self.rows,
            "cols": self.cols,
            "lines": list(self.lines),
            "flash": self.flash,
        }


@dataclass(frozen=True, slots=True)
class EnterResult:
    """What became of one token.

    `token`, `token_class`, `subclass` and `tid` are None where the token could not be decrypted;
    `missing` lists the sections of a key change set that are still to come. Of `amount_wh`
    `repaid_wh` went to emergency credit and `recovered_wh` to advances of the utility. Of several
    tokens that were entered in one go this is the last, and `earlier` has those before it.
    """

    result: TokenResult
    name: str
    token: str | None
    token_class: int | None
    subclass: int | None
    tid: int | None
    amount_wh: int | None
    missing: tuple[int, ...]
    display: tuple[str, ...]
    message: str = ""
    repaid_wh: int = 0
    recovered_wh: int = 0
    earlier: tuple["EnterResult", ...] = ()

    @property
    def good(self) -> bool:
        """Return whether the token did its work."""
        return self.result.good

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {
            "result": int(self.result),
            "name": self.name,
            "token": self.token,
            "class": self.token_class,
            "subclass": self.subclass,
            "tid": self.tid,
            "amount_wh": self.amount_wh,
            "repaid_wh": self.repaid_wh,
            "recovered_wh": self.recovered_wh,
            "missing": list(self.missing),
            "message": self.message,
            "display": list(self.display),
        }


@dataclass(frozen=True, slots=True)
class PressResult:
    """The display after some keys, and what the last token they completed came to."""

    display: tuple[str, ...]
    result: EnterResult | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {
            "display": list(self.display),
            "result": self.result.as_dict() if self.result else None,
            "earlier": [before.as_dict() for before in self.result.earlier] if self.result else [],
        }


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log; `details` is what its kind adds."""

    seq: int
    time: datetime
    kind: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it with the time as ISO 8601."""
        head = {"seq": self.seq, "time": self.time.isoformat(), "kind": self.kind}
        return head | dict(self.details)


@dataclass(frozen=True, slots=True)
class Status:
    """Registers, key attributes and states of a meter; never a key."""

    clock: datetime
    provisioned: bool
    fault: str | None
    profile: str | None
    drn: str
    ea: int
    kct: int
    krn: int
    kt: int
    ti: int
    sgc: str
    ken: int
    bdt: str | None
    credit_wh: int
    total_wh: int
    emergency_debt_wh: int
    advance_debt_wh: int
    low_credit: bool
    alarm: bool
    emergency: bool
    load_w: int
    load_steps: int
    power_w: int
    switch: str
    switch_reason: str
    trips: int
    reconnect_at: datetime | None
    lock_until: datetime | None
    max_power_limit_w: int | None
    phase_unbalance_limit_w: int | None
    tariff_rate: int | None
    tamper: bool
    result: int
    result_name: str
    pending: tuple[int, ...]
    tid_newest: int
    tid_oldest: int
    rate: int

    def as_dict(self) -> dict[str, Any]:
        """Return it with times as ISO 8601."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("clock", "reconnect_at", "lock_until"):
            values[name] = values[name].isoformat() if values[name] else None
        return values | {"pending": list(self.pending)}


@dataclass(frozen=True, slots=True)
class Ledger:
    """What makes up the credit, and what is owed.

    initial + tokens + advances + emergency - charged - recovered - cleared = credit, always. What
    flowed when the register was as low as it goes is `uncharged_wh`: energy = charged + uncharged.
    """

    initial_wh: int
    tokens_wh: int
    advances_wh: int
    emergency_wh: int
    charged_wh: int
    recovered_wh: int
    cleared_wh: int
    credit_wh: int
    emergency_debt_wh: int
    advance_debt_wh: int
    uncharged_wh: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Emergency:
    """Whether emergency credit was taken, else why not: none, used, not_needed or debt."""

    taken: bool
    reason: str | None
    ledger: Ledger

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {"taken": self.taken, "reason": self.reason, "ledger": self.ledger.as_dict()}


@dataclass(frozen=True, slots=True)
class History:
    """Wh by day ("2025-05-08") and month ("2025-05"), oldest first; the last is counted still."""

    days: Mapping[str, int]
    months: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return it as two lists."""
        return {
            "days": [{"date": date, "wh": wh} for date, wh in self.days.items()],
            "months": [{"month": month, "wh": wh} for month, wh in self.months.items()],
        }


@dataclass(frozen=True, slots=True)
class Led:
    """The pulses of the LED since the meter began, and whether the supply LED is lit."""

    pulses: int
    pulses_per_kwh: int
    supply: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Info:
    """What the board is."""

    firmware: str
    board: str
    provisioned: bool
    profile: str
    drn: str
    interpreter: str
    mem_free: int
    mem_used: int
    faults: dict[str, str] = field(default_factory=dict)  # part that is missing -> what is wrong

    def as_dict(self) -> dict[str, Any]:
        """Return it as the board sent it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a board with parts has seen at its pins and done there: what wires wait for."""

    keys_taken: int  # by the meter, modulo 32
    keys_down: str
    step_ms: int  # when it looked after its parts last, by the board's own milliseconds
    draws: bool  # not all of its display is drawn


class Wires(Protocol):
    """The pins of a meter's bench: what a finger and an eye do there, without the serial line.

    `host_tools.wires` has the two that come with Jeton; whatever has these methods will do. What
    a bench cannot do raises BoardError with a line that says why.
    """

    def begin(self, meter: "MeterClient") -> None:
        """Be ready for a meter that has been opened; `meter.info().board` is its board."""

    def press(self, key: str) -> None:
        """Press a key by its name and let it go, each until the board has seen it.

        `meter.seen()` says when. By time alone that is 70 ms, and a busy board may miss a key.
        """

    def lines(self) -> list[str]:
        """Return what stands on the display when it has come to rest."""

    @property
    def flashes(self) -> bool:
        """Return whether the display was seen to flash when its lines were read last."""

    @property
    def relay(self) -> bool:
        """Return whether the relay has current."""

    @property
    def lamp(self) -> bool:
        """Return whether the credit LED is lit."""

    @property
    def buzzer(self) -> bool:
        """Return whether the buzzer sounds, or has begun to since this was asked last."""

    def pulses(self) -> int:
        """Return how often the pulse LED was lit since these wires were begun with."""

    def tamper(self, on: bool = True) -> None:
        """Open the cover, or shut it."""

    def pulse(self, count: int = 1) -> None:
        """Give pulses at the S0 input."""

    def close(self) -> None:
        """Let everything go."""


_T = TypeVar("_T", Status, Info, Ledger, Led)


def _made(kind: type[_T], value: Any, **changed: Any) -> _T:
    """Return a dataclass of the board's answer; what newer firmware adds is left out."""
    try:
        known = {item.name: value[item.name] for item in fields(kind) if item.name not in changed}
        return kind(**known, **changed)
    except (KeyError, TypeError):
        raise BoardError(
            f"the board's firmware does not fit this version of Jeton: its "
            f"{kind.__name__.lower()} is {value!r}"
        ) from None


def _entered(value: Mapping[str, Any]) -> EnterResult:
    return EnterResult(
        result=TokenResult(value["result"]),
        name=value["name"],
        token=value["token"],
        token_class=value["class"],
        subclass=value["subclass"],
        tid=value["tid"],
        amount_wh=value["amount_wh"],
        missing=tuple(value["missing"]),
        display=tuple(value["display"]),
        message=value.get("message", ""),
        repaid_wh=value.get("repaid_wh", 0),
        recovered_wh=value.get("recovered_wh", 0),
        earlier=tuple(_entered(before | {"display": []}) for before in value.get("earlier", ())),
    )


def _events(values: list[dict[str, Any]]) -> list[Event]:
    return [
        Event(
            value["seq"],
            moment(value["time"]),
            value["kind"],
            {k: v for k, v in value.items() if k not in ("seq", "time", "kind")},
        )
        for value in values
    ]


_HEAP_LOCKED = b"heap is locked"


class _Locked(Exception):
    """Where the raw REPL was looked for a locked meter answers."""


class _Silence(Exception):
    """The deadline passed while waiting for the board."""


class _Left(TransportError):
    """The board has left the raw REPL since it was last spoken to, and has done nothing yet."""


class _Restarted(TransportError):
    """The board has started anew in the middle of something: that was done, or was not."""


def _shown(data: bytes) -> str:
    """Return received bytes for a message: the end of them, on one line."""
    if not data:
        return "it sent nothing"
    text = data[-_TAIL:].decode("utf-8", "backslashreplace")
    return f"the last it sent was {text!r}"


def _opened(device: str) -> Any:
    """Return an open port of pyserial."""
    if not device.startswith("rfc2217://"):
        return serial.serial_for_url(
            device, baudrate=BAUD, timeout=_SLICE, write_timeout=TIMEOUT, exclusive=True
        )
    # It knows no limit for a write. Behind it may be a port without DTR and RTS, which never
    # answers about them.
    joint = "&" if "?" in device else "?"
    quiet = "" if "ign_set_control" in device else f"{joint}ign_set_control"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pyserial itself: setDaemon
        return serial.serial_for_url(device + quiet, baudrate=BAUD, timeout=_SLICE)


class _Port:
    """A serial port as mpremote's transport wants it, but buffered and with a deadline.

    mpremote polls every 10 ms and, on a pseudo-terminal, waits for ever; here a read lasts until
    the byte comes or the deadline passes.
    """

    def __init__(self, device: str, transcript: Transcript) -> None:
        self.name = device
        self.transcript = transcript
        self.deadline = 0.0
        self.received = b""  # the end of all that came, for messages
        self._heard = False
        self._buffer = bytearray()
        try:
            self._serial = _opened(device)
        except (OSError, ValueError) as error:
            kind = _Passing if _passes(error) else PortError
            raise kind(_why_not(device, error)) from None
        connection = getattr(self._serial, "_socket", None)
        if connection is not None:  # what is short is not to wait for what may follow
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # pyserial knows of a socket only whether there is something, and takes it octet by octet.
        self._socket = connection if device.startswith("socket://") else None

    @property
    def hung_up(self) -> bool:
        """Return whether a server that has closed the connection never had a board to give.

        ser2net says "Port already in use", which pyserial may have thrown away at opening.
        """
        return "://" in self.name and (not self._heard or b"already in use" in self.received)

    def _ready(self) -> bytes:
        """Return what can be read without waiting."""
        if self._socket is None:
            return self._serial.read(more) if (more := self._serial.in_waiting) else b""
        try:
            return bytes(self._socket.recv(_MOST, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return b""

    def _fill(self) -> None:
        if time.monotonic() >= self.deadline:
            raise _Silence
        data = self._serial.read(1)
        if data:
            data += self._ready()
        self._took(data)

    def _took(self, data: bytes) -> None:
        self._heard = self._heard or bool(data)
        self._buffer += data
        self.received = (self.received + data)[-_TAIL:]
        self.transcript.received(data)

    def inWaiting(self) -> int:
        """Return how many bytes can be read without waiting."""
        if not self._buffer:
            self.pending()
        return len(self._buffer)

    def pending(self) -> bytes:
        """Return all bytes that can be read without waiting; they stay."""
        if data := self._ready():
            self._took(data)
        return bytes(self._buffer)

    def read(self, size: int = 1) -> bytes:
        """Return exactly `size` bytes."""
        while len(self._buffer) < size:
            self._fill()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def read_until(self, *endings: bytes) -> bytes:
        """Return everything up to and with the first of `endings` that comes."""
        start = 0
        longest = max(len(ending) for ending in endings)
        while True:
            ends = [
                (found, found + len(ending))
                for ending in endings
                if (found := self._buffer.find(ending, start)) >= 0
            ]
            if ends:
                return self.read(min(ends)[1])
            start = max(0, len(self._buffer) - longest + 1)
            self._fill()

    def quiet(self, seconds: float) -> None:
        """Throw away what comes until nothing came for a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._buffer.clear()
            with contextlib.suppress(_Silence):
                self._fill()
            if self._buffer:
                until = time.monotonic() + seconds
        self._buffer.clear()

    def write(self, data: bytes) -> int:
        """Send bytes."""
        self.transcript.sent(data)
        return self._serial.write(data) or 0

    @property
    def rts(self) -> bool:
        """Return the state of RTS."""
        return bool(self._serial.rts)

    @rts.setter
    def rts(self, on: bool) -> None:
        self._serial.rts = on

    @property
    def dtr(self) -> bool:
        """Return the state of DTR."""
        return bool(self._serial.dtr)

    @dtr.setter
    def dtr(self, on: bool) -> None:
        self._serial.dtr = on

    def close(self) -> None:
        """Close the port."""
        self._serial.close()


class PortError(BoardError):
    """A port that cannot be opened."""


class _NotBegun(BoardError):
    """The board had started anew before it was asked."""


class _BrokenOff(BoardError):
    """The board has started anew before it answered."""


class _Passing(PortError):
    """A port that another program has open, or that is not there any more."""


def _passes(error: Exception) -> bool:
    code = getattr(error, "errno", None)
    return code in (*_BUSY, *_GONE, errno.EIO) or "exclusively lock" in str(error)


def _why_not(device: str, error: Exception) -> str:
    """Return one line that says why a port cannot be opened."""
    code = getattr(error, "errno", None)
    if code in _BUSY or "exclusively lock" in str(error):
        return f"port {device} is in use by another program: close that first"
    if code in _GONE:
        return f"port {device} does not exist: is the board connected, or served?"
    if code in (errno.EACCES, errno.EPERM):
        return f"port {device} may not be opened by you: {_who_may(device)}"
    if code in (errno.ENOTTY, errno.EISDIR) or "Could not configure" in str(error):
        return f"{device} is not a serial port"
    if "://" in device and (found := re.search(r"\[Errno -?\d+\] ([^)]*)", str(error))):
        return f"port {device} cannot be opened: {found[1]}: is it served there?"
    return f"port {device} cannot be opened: {error}"


def _who_may(device: str) -> str:
    """Return what to do about a port that one may not open."""
    with contextlib.suppress(OSError, KeyError, ImportError):
        import grp

        about = os.stat(device)
        if about.st_mode & 0o060 == 0o060 and about.st_gid:
            group = grp.getgrgid(about.st_gid).gr_name
            return f"become one of the group {group} (sudo usermod -aG {group} $USER), log in anew"
    return "see to its permissions"


class _Repl(SerialTransport):
    """mpremote's transport over _Port: waits end at the port's deadline, nothing is printed."""

    def __init__(self, device: str, transcript: Transcript) -> None:
        # Not the parent's: that loses the reason for which a port cannot be opened.
        self.in_raw_repl = False
        self.locked = False  # the line is a locked meter's
        self.use_raw_paste = True
        self.device_name = device
        self.mounted = False
        self.is_pty = False
        self.serial = _Port(device, transcript)
        self.port: _Port = self.serial

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float | None = None,
        data_consumer: Any = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        """Return everything up to and with `ending`; unlike the parent, never less."""
        if ending.startswith(_RAW_SIGN):
            data = self.port.read_until(ending, _MARK + b"\r\n")
            if not data.endswith(ending):
                raise _Locked
            return data
        if ending == b"\x04":  # the end of what a program prints
            data = self.port.read_until(ending, *_STARTS)
            if not data.endswith(ending):
                raise _Restarted("it has started anew")
            return data
        return self.port.read_until(ending)

    def exec_raw_no_follow(self, command: str | bytes) -> None:
        """Have the board run `command`; _Left where it is not in the raw REPL any more.

        There Ctrl-E begins to paste, into a line that nobody ends.
        """
        if self.use_raw_paste:
            self.port.read_until(b">")
            self.port.write(b"\x05A\x01")
            endings = (b"R\x01", _RAW_SIGN, _PASTE_SIGN, _MARK + b"\r\n", *_STARTS)
            answer = self.port.read_until(*endings)
            if answer.endswith(b"R\x01"):
                self.raw_paste_write(command if isinstance(command, bytes) else command.encode())
                return
            if not answer.endswith(_RAW_SIGN):
                raise _Left("it has started anew")
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
            except _Locked:
                self.in_raw_repl, self.locked = False, True
                return
            except (_Silence, TransportError):
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
                    raise _Restarted("it has started anew")
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
                self.port.read_until(_HEARD + b"\r\n")
            self.port.write(octets[first : first + _PIECE])
        while True:
            answer = self.port.read_until(b"\n").strip()
            if answer and answer != _MARK:  # an earlier Ctrl-A may be answered only now
                return answer

    def ask_and_part(self, source: str, timeout: float) -> bytes:
        """Run source that ends in a soft reset; return what it printed before that."""
        self.port.deadline = time.monotonic() + timeout
        self.port.received = b""
        self.exec_raw_no_follow(source)
        return self.port.read_until(b"\x04")[:-1]


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
        self._repl: _Repl | None = None
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
    def _talking(self, timeout: float) -> Iterator[_Repl]:
        """Give the transport to one thread; what goes wrong is one BoardError.

        After an exception of any kind the line is set up again.
        """
        with self._lock:
            if self._closed:
                raise BoardError(f"meter {self.name} is closed: open it again")
            with self._one_error(timeout):
                ready, self._ready = self._ready, False
                self.talks += 1
                if self._repl is None:
                    self._repl = _Repl(self.port, self.transcript)
                if not ready or self._repl.left:
                    self._repl.enter(timeout)
                yield self._repl
            self._ready = True

    @contextlib.contextmanager
    def _one_error(self, timeout: float) -> Iterator[None]:
        """Turn what a line may raise into one BoardError."""
        try:
            yield
        except _Silence:
            received = self._repl.port.received if self._repl else b""
            what = (
                "does not answer"
                if self._repl and self._repl.in_raw_repl
                else "has no MicroPython"
            )
            if not received:
                what = "does not answer"
            raise BoardError(
                f"the board at {self.port} {what} within {timeout:g} s: {_shown(received)}"
            ) from None
        except _Left:
            raise _NotBegun(f"the board at {self.port} starts anew again and again") from None
        except _Restarted:
            raise _BrokenOff(
                f"the board at {self.port} started anew in the middle of this: it is done, or it "
                "is not; look at its state"
            ) from None
        except TransportError as error:
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
        self, ask: Callable[[_Repl], tuple[bytes, bytes]], timeout: float, *, twice: bool = False
    ) -> tuple[bytes, bytes]:
        """Return what `ask` brings; once more where the board had started anew before it.

        What may be done `twice` is asked again where it did so in the middle, too.
        """
        again = (_NotBegun, _BrokenOff) if twice else (_NotBegun,)
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

        def ask(repl: _Repl) -> tuple[bytes, bytes]:
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
                f"the board at {self.port} answered {verb} with no JSON: {_shown(output)}"
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

        def ask(repl: _Repl) -> tuple[bytes, bytes]:
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
            with contextlib.suppress(OSError, _Silence, TransportError):
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
            with contextlib.suppress(_Silence, OSError):
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
            locked = not port.read_until(_RAW_SIGN, _MARK + b"\r\n").endswith(_RAW_SIGN)
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
            self._greeted(_MARK + b"\r\n")
            return
        self._be_raw()
        with self._talking(self.timeout) as repl:
            repl.port.deadline = time.monotonic() + self.timeout
            repl.exec_raw_no_follow("import machine\nmachine.reset()")
            with contextlib.suppress(_Silence, OSError):
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


class MeterClient(Session):
    """The verbs of a meter as methods, over its line. `Meter` adds virtual boards and names."""

    def __init__(
        self,
        port: str,
        *,
        timeout: float = TIMEOUT,
        name: str = "",
        code: str | None = None,
    ) -> None:
        self._wires: Wires | None = None
        self._last_seq = 0  # of the events that were seen
        super().__init__(port, timeout=timeout, name=name, code=code)

    @exclusive
    def close(self) -> None:
        """Release the wires, leave the board at its friendly prompt and close the port."""
        wires, self._wires = self._wires, None
        if wires is not None:
            with contextlib.suppress(BoardError):
                wires.close()
        super().close()

    def info(self) -> Info:
        """Return what the board is."""
        return _made(Info, self.rpc("info"))

    def seen(self) -> Seen | None:
        """Return what its board has seen at its pins; None of a board that does not say."""
        told = self.rpc("info").get("bench")
        return Seen(*told) if told else None

    def provision(self, config: Mapping[str, Any]) -> Status:
        """Make it a new meter; `host_tools.meters.make_config` makes a configuration."""
        if not isinstance(config, Mapping):
            raise BoardError(f"a configuration is a mapping, not {type(config).__name__}")
        self._last_seq = 0
        return self._status(self.rpc("provision", dict(config)))

    def enter(self, token: str) -> EnterResult:
        """Key a token in by the wire; spaces and dashes do not matter.

        Of an endless token no more than the first 200 characters are sent.
        """
        return _entered(self.rpc("enter", token[:_LONGEST_TOKEN]))

    @exclusive
    def press(self, keys: str, *, linger_s: int = 0) -> PressResult:
        """Press keys: digits, * for backspace, # for Enter.

        A clock that hurries runs at 1 for `linger_s` seconds (at most 60) from then on, so that
        the next keys come before the digits are dropped. The board sees to that alone.

        With wires the keys are pressed one by one at the keypad, with any other key it has (i is
        its A), and the display is what stands there then. What a token came to is asked over the
        line: its result, class and Wh are those of the log, its TID, its message and what of it
        was repaid are not told there. A bench sees to a clock that hurries by itself.
        """
        if self._wires is not None:
            return self._press_keys(self._wires, keys)
        done: list[EnterResult] = []
        for first in range(0, max(len(keys), 1), _KEYS):
            part = keys[first : first + _KEYS]
            value = self.rpc("press", part, *([linger_s] if linger_s else []))
            if value["result"]:
                last = _entered(value["result"])
                done += [*last.earlier, last]
        result = replace(done[-1], earlier=tuple(done[:-1])) if done else None
        return PressResult(tuple(value["display"]), result)

    def _press_keys(self, wires: Wires, keys: str) -> PressResult:
        for key in keys:  # before the first is pressed
            if key not in _PIN_KEYS:
                raise BoardError(f"no keypad has a key {key!r}: there are {_PIN_KEYS}")
        self._new_events()
        for key in keys:
            wires.press("A" if key == "i" else key)
        display = tuple(wires.lines())
        done = [event for event in self._new_events() if event.kind == "token"]
        if not done:
            return PressResult(display, None)
        status = self.status()
        results = [self._logged(event, status, display) for event in done]
        return PressResult(display, replace(results[-1], earlier=tuple(results[:-1])))

    def _new_events(self) -> list[Event]:
        found = self.events(self._last_seq)
        if found:
            self._last_seq = found[-1].seq
        return found

    @staticmethod
    def _logged(event: Event, status: Status, display: tuple[str, ...]) -> EnterResult:
        about = event.details
        kind, sub = about.get("class"), about.get("subclass")
        result = TokenResult(about["result"])
        return EnterResult(
            result=result,
            name=str(about["name"]),
            token=None if kind is None or sub is None else layout(kind, sub, status.ea)[0],
            token_class=kind,
            subclass=sub,
            tid=None,
            amount_wh=about["amount_wh"] or None,
            missing=status.pending if result.good else (),
            display=display,
        )

    @property
    def wires(self) -> Wires:
        """Return the pins of its bench; BoardError where it was opened without."""
        if self._wires is None:
            raise BoardError(f"meter {self.name} was opened without wires: Meter.open(…, wires=…)")
        return self._wires

    def display(self) -> Display:
        """Return what the display shows; with wires what stands there."""
        if self._wires is not None:
            lines = tuple(self._wires.lines())
            return Display(len(lines), len(lines[0]), lines, self._wires.flashes)
        value = self.rpc("display")
        lines = tuple(value["lines"])
        return Display(value["rows"], value["cols"], lines, bool(value.get("flash")))

    def status(self) -> Status:
        """Return registers, key attributes and states."""
        return self._status(self.rpc("status"))

    def events(self, after: int = 0) -> list[Event]:
        """Return the logged events with a number above `after`, oldest first."""
        found: list[Event] = []
        while True:  # in parts: a small heap has no room for all as one line
            part = _events(self.rpc("events", after, _EVENTS))
            found += part
            if len(part) < _EVENTS:
                return found
            after = part[-1].seq

    def reports(self) -> list[Event]:
        """Return the fault reports that nobody has acknowledged yet, oldest first."""
        return _events(self.rpc("reports"))

    def acknowledge(self, seq: int) -> int:
        """Let the fault reports up to number `seq` go; return how many still wait."""
        left: int = self.rpc("acknowledge", seq)
        return left

    def set_load(self, watts: int) -> Status:
        """Connect a load behind the switch."""
        return self._status(self.rpc("load", watts))

    @exclusive
    def set_load_steps(
        self,
        steps: Sequence[tuple[int, int]],
        *,
        start: datetime | None = None,
        repeat_s: int = 0,
    ) -> Status:
        """Connect a load in steps (seconds from `start`, W); `start` is now, or in the past.

        With `repeat_s` they come over and over. At most LOAD_STEPS; `play` takes more.
        """
        if not steps or len(steps) > LOAD_STEPS:
            raise BoardError(
                f"a load of {len(steps)} steps does not fit: a meter keeps 1 to {LOAD_STEPS}"
            )
        at = seconds_of(start if start is not None else self.clock())
        value = None
        for first in range(0, len(steps), _STEPS):
            load: dict[str, Any] = {
                "steps": [list(step) for step in steps[first : first + _STEPS]],
                "at": at,
                "repeat_s": repeat_s if first + _STEPS >= len(steps) else 0,
            }
            value = self.rpc("load_profile", load | ({"more": True} if first else {}))
        return self._status(value)

    @exclusive
    def play(self, steps: Sequence[tuple[int, int]], end_s: int | None = None) -> Status:
        """Let time pass under a load of any number of steps (seconds from now, W), then `end_s`.

        The last step's load stays connected.
        """
        start = self.clock()
        rate = self.status().rate
        self.set_rate(0)
        try:
            self.clock()
            for first in range(0, len(steps), LOAD_STEPS):
                part = steps[first : first + LOAD_STEPS]
                self.set_load_steps(part, start=start)
                last = end_s if first + LOAD_STEPS >= len(steps) else part[-1][0]
                last = max(part[-1][0], last or 0)
                status = self.status()
                self.advance(max(0, last - (seconds_of(status.clock) - seconds_of(start))))
        finally:
            self.set_rate(rate)
        return self.status()

    def set_phases(self, first_w: int, second_w: int, third_w: int) -> Status:
        """Connect a load to each of the three phases."""
        return self._status(self.rpc("phases", [first_w, second_w, third_w]))

    def grant(self, energy_wh: int) -> Ledger:
        """Grant an advance of the utility, which later credit tokens repay."""
        return _made(Ledger, self.rpc("advance_grant", energy_wh))

    def emergency(self) -> Emergency:
        """Take emergency credit, as by key or code."""
        value = self.rpc("emergency")
        return Emergency(value["taken"], value["reason"], _made(Ledger, value["ledger"]))

    def ledger(self) -> Ledger:
        """Return what makes up the credit, and what is owed."""
        return _made(Ledger, self.rpc("ledger"))

    def reconnect(self) -> bool:
        """Press the key that closes the switch where it waits for one; tell whether it did."""
        return bool(self.rpc("reconnect")["done"])

    def mute(self) -> Status:
        """Silence the alarm."""
        return self._status(self.rpc("mute"))

    def language(self, language: str | None = None) -> str:
        """Return the display's language; with an argument choose it first."""
        value = self.rpc("language", *([] if language is None else [language]))
        return str(value["language"])

    def languages(self) -> list[str]:
        """Return the languages that this meter and its display have."""
        return [str(code) for code in self.rpc("language")["languages"]]

    def history(self) -> History:
        """Return what was used by day and month."""
        value = self.rpc("history")
        return History(
            {entry["date"]: entry["wh"] for entry in value["days"]},
            {entry["month"]: entry["wh"] for entry in value["months"]},
        )

    def led(self) -> Led:
        """Return the LED: pulses so far, and whether the supply is on."""
        return _made(Led, self.rpc("led"))

    def consume(self, energy_wh: int) -> Status:
        """Count energy that flowed."""
        return self._status(self.rpc("consume", energy_wh))

    def advance(self, seconds: int) -> Status:
        """Let time pass for the meter."""
        days = max(0, seconds) // 86400
        patience = self.timeout + days * _PATIENCE_A_DAY
        return self._status(self.rpc("advance", seconds, timeout=patience))

    def advance_to_next(self, seconds: int) -> tuple[Status, int | None]:
        """Let time pass; also return in how many seconds something happens by itself, if ever.

        That is a change of the load, a level of the credit, a delay that ends, midnight.
        """
        days = max(0, seconds) // 86400
        patience = self.timeout + days * _PATIENCE_A_DAY
        value = self.rpc("advance", seconds, timeout=patience)
        return self._status(value), value.get("next_s")

    def advance_until(
        self,
        what: str | Callable[[Status], bool] | None = None,
        *,
        display: waiting.Text | None = None,
        limit: timedelta | int | None = None,
        step: timedelta | int | None = None,
        **registers: Any,
    ) -> Status:
        """Let time pass up to the second at which something is so; return the status then.

        `what` is a kind of event that is to be logged from now on, such as "switch_opened", or a
        function of the status. Or a text is to be on the `display`, or registers of the status are
        to be as said: `switch="open"`; `credit_wh`, `total_wh` and `clock` are reached or passed.

        The clock goes from one thing that happens by itself to the next, and at most `step` at
        once: give one for a display that changes with every kWh. It does not run meanwhile.
        What a function asks for is found if it stays so for a minute and for a Wh; for less give
        a `step`, and the meter is looked at so often.

        NeverCameError, which is a BoardError and an AssertionError, after `limit` (s, or a
        timedelta), and it says what the meter shows and has logged. Without one that is 366 days,
        and with a `step` or for a display after no more than 2000 looks: at a step of 60 s a day
        and more. TypeError or ValueError, which list what there is, for what can never be so.
        """
        return waiting.advance(
            self, what, shown=display, limit=limit, step=step, registers=registers
        )

    def wait_display(self, text: waiting.Text, timeout: float = waiting.WAIT_S) -> Display:
        """Wait until the display shows a text, or what fits a pattern; return the display.

        The text may go on in the next line. The meter lives on by its own clock, and is asked
        again and again. NeverCameError after `timeout` seconds.
        """
        return waiting.display(self, text, timeout)

    def wait_event(self, kind: str, after: int = 0, timeout: float = waiting.WAIT_S) -> Event:
        """Wait until an event of a kind is logged with a number above `after`; return it.

        The first one, if it is logged already. NeverCameError after `timeout` seconds.
        """
        return waiting.event(self, kind, after, timeout)

    def save(self) -> Status:
        """Have the meter save all it has counted, as it does when it notices a power failure."""
        return self._status(self.rpc("save"))

    def clock(self, when: datetime | None = None) -> datetime:
        """Return the meter's time (UTC); with an argument set it first."""
        return moment(self.rpc("clock", *([] if when is None else [seconds_of(when)])))

    def set_rate(self, rate: int) -> Status:
        """Let the meter's clock run at `rate` seconds a second; 0 stops it."""
        return self._status(self.rpc("rate", rate))

    def set_tamper(self, on: bool = True) -> Status:
        """Raise the tamper input."""
        return self._status(self.rpc("tamper", on))

    @property
    def locks_again(self) -> bool:
        """Return whether `close` locks the meter again, its clock at 1 s a second from then on."""
        return self._opened

    @exclusive
    def lock(self, code: str | None = None) -> None:
        """Lock the meter by an unlock code of 8 to 64 characters: it starts anew at once.

        A locked one closes what `unlock` opened; with a code it has another code from then on.
        """
        if self.locked:
            self.rpc("lock", *([] if code is None else [code]))
            self._opened = False
            return
        if code is None:
            raise BoardError(
                f"meter {self.name} is not locked: give the code that is to unlock it"
            )
        self.info()  # or say that there is no meter
        line = json.dumps(["lock", code])
        self.transcript.hide(code)
        self._be_raw()
        with self._talking(self.timeout) as repl:
            output = repl.ask_and_part(f"print(meter.rpc({line!r}))", self.timeout)
        try:
            answer = json.loads(output.strip().splitlines()[-1])
            error = answer.get("error")
        except (ValueError, IndexError, AttributeError):
            error = f"the board at {self.port} answered lock with no JSON: {_shown(output)}"
        if error:
            self._ready = False
            raise BoardError(str(error))
        self._greeted(_MARK + b"\r\n")
        self._reconnect()

    @exclusive
    def unlock(self, code: str) -> None:
        """Let every method work until `lock` or the next start."""
        self._check_locked()
        self.rpc("unlock", code)

    @exclusive
    def open_up(self, code: str) -> None:
        """Remove the lock: the meter has its REPL again."""
        self._check_locked()
        self.rpc("open", code)
        self._greeted(b">>> ", _RAW_SIGN + b">")
        self._reconnect()

    def _check_locked(self) -> None:
        if not self.locked:
            raise BoardError(f"meter {self.name} is not locked")

    @staticmethod
    def _status(value: Any) -> Status:
        changed: dict[str, Any] = {}
        try:
            changed = {"clock": moment(value["clock"]), "pending": tuple(value["pending"])}
            for name in ("reconnect_at", "lock_until"):
                changed[name] = None if value[name] is None else moment(value[name])
        except (KeyError, TypeError):
            changed = {}
        return _made(Status, value, **changed)


class Meter(MeterClient):
    """A meter on any board, over its serial port. Open it with `Meter.open`; a context manager.

    Every method raises BoardError with one line when the board refuses, is silent for `timeout`
    seconds, or is gone. `transcript.lines()` is the end of what its line carried, keys left out.
    """

    def __init__(
        self,
        port: str,
        *,
        board: VirtualBoard | None = None,
        timeout: float = TIMEOUT,
        name: str = "",
        code: str | None = None,
        wires: Wires | str | None = None,
    ) -> None:
        self._board = board
        super().__init__(port, timeout=timeout, name=name, code=code)
        if wires is not None:
            try:
                self._wire(wires)
            except BaseException:
                self._drop()
                raise

    @classmethod
    def open(
        cls,
        where: str | Path = "virtual",
        *,
        profile: str = "generic",
        config: Mapping[str, Any] | None = None,
        heap: str = HEAP,
        timeout: float = TIMEOUT,
        code: str | None = None,
        board: str | None = None,
        wires: Wires | str | None = None,
    ) -> Self:
        """Open a meter: "virtual", the name of a meter, or a serial port (a path or URL).

        "virtual" is a fresh board that is gone afterwards, set up by `config`, by default a meter
        of `profile` under the published test keys. A named meter is started, or joined where it
        is served. A meter that exists is left as it is: `profile` is then not looked at, and
        `config` sets it up anew. `code` (or $JETON_UNLOCK_CODE) is the unlock code of a locked
        one: it is given when a method needs it.

        `board` is the kind of board that "virtual" is. With `wires` keys are pressed and the
        display is read through pins: the port of an adapter (boards/BENCH.md), "models" for those
        of a "virtual" board with parts, by default esp32_lcd2004, or any `Wires`.
        """
        from host_tools import meters  # it makes meters with this class

        played: VirtualBoard | None = None
        port = str(where)
        if not port:
            raise BoardError("an empty name is no meter: give a meter's name or a serial port")
        if board is not None and port != "virtual":
            raise BoardError(f'board {board!r} is for "virtual": {port} is what it is')
        if port == "virtual":
            kind = board or ("esp32_lcd2004" if wires == "models" else "virtual")
            # A board with parts has its own default: their models take some.
            own = None if kind != "virtual" and heap == HEAP else heap
            played = VirtualBoard(heap=own, board=kind).start()
            port = played.path
            config = config if config is not None else meters.make_config(profile=profile)
        if meters.exists(port) or (meters.is_name(port) and not Path(port).exists()):
            meter = cls._open_named(port, heap=heap, timeout=timeout, code=code)
        else:
            try:
                meter = cls(port, board=played, timeout=timeout, code=code)
            except BaseException:
                if played is not None:
                    played.close()
                raise
        try:
            if config is not None:
                meter.provision(config)
            if wires is not None:
                meter._wire(wires)
        except BaseException:
            meter.close()
            raise
        return meter

    @classmethod
    def _open_named(cls, name: str, *, heap: str, timeout: float, code: str | None) -> Self:
        """Open a named meter; wait for a moment while another program has it."""
        from host_tools import meters

        began = time.monotonic()
        told = False

        def waited() -> None:
            nonlocal told
            if not told and time.monotonic() - began >= _WORD_AFTER:
                told = True
                tell_wait(f"waiting for another program to let go of meter {name}")

        while True:
            port, board = meters.attach(name, heap=heap, waited=waited)
            try:
                meter = cls(port, board=board, timeout=timeout, name=name, code=code)
            except _Passing as taken:
                if board is not None:
                    board.close()
                if board is not None or time.monotonic() >= began + _PATIENCE:
                    raise BoardError(f"meter {name}: {taken}") from None
            except BaseException:
                if board is not None:
                    board.close()
                raise
            else:
                if board is not None or meters.find(name).port() == port:
                    return meter
                meter._drop()  # that board has ended, and the port may be somebody else's now
            waited()
            time.sleep(0.02)

    def _wire(self, wires: Wires | str) -> None:
        if isinstance(wires, str):
            from host_tools import wires as known

            wires = known.connect(wires, self._board)
        wires.begin(self)
        self._wires = wires

    @property
    def board(self) -> VirtualBoard | None:
        """Return the virtual board that was started for this, if one was."""
        return self._board

    @exclusive
    def power_cut(self) -> None:
        """Take the power away at this moment (virtual boards of this program only)."""
        board = self._own("power_cut")
        self._catch_up()
        board.power_cut()
        self._ready = False

    def _catch_up(self) -> None:
        """Let the meter live up to this moment, as one does that nobody has to ask."""
        if self._board is not None and self._board.running:
            with contextlib.suppress(BoardError):
                self.status()

    @exclusive
    def power_on(self) -> None:
        """Give the power back and be connected again."""
        self._own("power_on").power_on()
        self._ready = False
        self._connect()

    def _own(self, what: str) -> VirtualBoard:
        if self._board is None:
            raise BoardError(
                f"{what} needs a virtual board started here; pull the plug of {self.port}"
            )
        return self._board

    @exclusive
    def reset(self) -> None:
        """Reset the board as its button does, and be connected again."""
        if self._board is None:
            self._reset()
        else:
            self._catch_up()
            self._board.reset()
            self._ready = False
        self._reconnect()

    def _switch_off(self) -> None:
        if self._board is not None:
            # Before the port is closed, or another program could open it for this last moment.
            self._board.close()
            self._drop()
            self._board = None

    def _check_power(self) -> None:
        if self._board is not None and not self._board.running:
            raise BoardError("the board has no power: switch it on first")
