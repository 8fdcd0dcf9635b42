"""A serial port, a URL or a pseudo-terminal, read with a deadline.

Opening the port of many ESP32 boards can reset them through DTR and RTS. Here both stay asserted,
as the operating system sets them when it opens the port, and RTS is cleared before DTR when it is
closed: neither resets a board. `Meter.reset` resets one.
"""

import contextlib
import errno
import os
import re
import socket
import time
import warnings
from typing import Any

import serial

from jeton_host.client.transcript import Transcript
from jeton_host.errors import PortError, PortUnavailableError

TIMEOUT = 4.5  # seconds to wait for an answer; a silent board is then reported within 5 s
BAUD = 115200
_SLICE = 0.1  # seconds of one read, after which the deadline is checked
_TAIL = 200  # received bytes that are kept for messages
_MOST = 65536  # bytes of one read of a socket
_BUSY = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)
_GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV)


class Silence(Exception):
    """The deadline passed before the board answered."""


def excerpt(data: bytes) -> str:
    """Return the last received bytes as one line for a message."""
    if not data:
        return "it sent nothing"
    text = data[-_TAIL:].decode("utf-8", "backslashreplace")
    return f"the last it sent was {text!r}"


def _opened(device: str) -> Any:
    """Open a port and return the pyserial object."""
    if not device.startswith("rfc2217://"):
        return serial.serial_for_url(
            device, baudrate=BAUD, timeout=_SLICE, write_timeout=TIMEOUT, exclusive=True
        )
    # RFC 2217 ports of pyserial have no write timeout. The remote port may have no DTR and RTS and
    # then never confirms them: pyserial must not wait for that.
    joint = "&" if "?" in device else "?"
    quiet = "" if "ign_set_control" in device else f"{joint}ign_set_control"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pyserial calls setDaemon
        return serial.serial_for_url(device + quiet, baudrate=BAUD, timeout=_SLICE)


class SerialPort:
    """A serial port with the methods that mpremote's transport uses, a buffer and a deadline.

    mpremote polls every 10 ms and has no timeout on a pseudo-terminal. A read of this class ends
    as soon as the bytes are there, and raises `Silence` when `deadline` (`time.monotonic`) passes.
    """

    def __init__(self, device: str, transcript: Transcript) -> None:
        self.name = device
        self.transcript = transcript
        self.deadline = 0.0
        self.received = b""  # the last received bytes, for messages
        self._heard = False
        self._buffer = bytearray()
        try:
            self._serial = _opened(device)
        except (OSError, ValueError) as error:
            kind = PortUnavailableError if _is_temporary(error) else PortError
            raise kind(_reason(device, error)) from None
        connection = getattr(self._serial, "_socket", None)
        if connection is not None:  # send short data at once
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # For a socket, pyserial only reports whether there is data, and reads it byte by byte.
        self._socket = connection if device.startswith("socket://") else None

    @property
    def hung_up(self) -> bool:
        """Return whether a server closed the connection because it has no free port.

        This is assumed if nothing was received: ser2net sends "Port already in use", but pyserial
        may discard that when it opens the port.
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
            raise Silence
        data = self._serial.read(1)
        if data:
            data += self._ready()
        self._add(data)

    def _add(self, data: bytes) -> None:
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
        """Return all bytes that can be read without waiting, and keep them in the buffer."""
        if data := self._ready():
            self._add(data)
        return bytes(self._buffer)

    def read(self, size: int = 1) -> bytes:
        """Read exactly `size` bytes."""
        while len(self._buffer) < size:
            self._fill()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def read_until(self, *endings: bytes) -> bytes:
        """Read up to and including the first of `endings` that is received."""
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

    def unread(self, data: bytes) -> None:
        """Put back bytes that were read, before those that are still to be read."""
        self._buffer[:0] = data

    def quiet(self, seconds: float) -> None:
        """Discard received bytes until none was received for `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._buffer.clear()
            with contextlib.suppress(Silence):
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


def _is_temporary(error: Exception) -> bool:
    """Return whether opening the port may succeed later: it is in use or disconnected."""
    code = getattr(error, "errno", None)
    # A pseudo-terminal whose board ends just now can be opened, but not configured.
    ends = f"Could not configure port: ({errno.EIO}," in str(error)
    return code in (*_BUSY, *_GONE, errno.EIO) or ends or "exclusively lock" in str(error)


def _reason(device: str, error: Exception) -> str:
    """Return a one-line message with the reason why a port cannot be opened."""
    code = getattr(error, "errno", None)
    if code in _BUSY or "exclusively lock" in str(error):
        return f"port {device} is in use by another program: close that first"
    if code in _GONE:
        return f"port {device} does not exist: is the board connected, or the meter served?"
    if code in (errno.EACCES, errno.EPERM):
        return f"no permission to open port {device}: {_permission_advice(device)}"
    if code in (errno.ENOTTY, errno.EISDIR) or "Could not configure" in str(error):
        return f"{device} is not a serial port"
    if "://" in device and (found := re.search(r"\[Errno -?\d+\] ([^)]*)", str(error))):
        return f"port {device} cannot be opened: {found[1]}: is there a server at this address?"
    return f"port {device} cannot be opened: {error}"


def _permission_advice(device: str) -> str:
    """Return what to do about missing permission for a port."""
    with contextlib.suppress(OSError, KeyError, ImportError):
        import grp

        about = os.stat(device)
        if about.st_mode & 0o060 == 0o060 and about.st_gid:
            group = grp.getgrgid(about.st_gid).gr_name
            return f"join the group {group} (sudo usermod -aG {group} $USER) and log in again"
    return "change its permissions"
