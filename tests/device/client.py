"""A serial client that works on raw bytes, for tests of exactly what a board sends."""

import os
import select
import termios
import time
import tty

RAW = b"raw REPL; CTRL-B to exit\r\n>"


class Client:
    def __init__(self, path: str, timeout: float = 8.0) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        termios.tcflush(self.fd, termios.TCIOFLUSH)
        self.timeout = timeout
        self.seen = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.fd, data) :]

    def expect(self, ending: bytes) -> bytes:
        """Return everything received up to and including `ending`."""
        deadline = time.monotonic() + self.timeout
        while ending not in self.seen:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"waited for {ending!r}, received {self.seen!r}")
            self.seen += os.read(self.fd, 65536)
        said, _, self.seen = self.seen.partition(ending)
        return said + ending

    def raw(self) -> None:
        """Enter the raw REPL."""
        self.send(b"\r\x03\x01")
        self.expect(RAW)

    def run(self, source: str) -> tuple[bytes, bytes]:
        """Run source in the raw REPL, which must be at its prompt; return output and errors."""
        self.send(source.encode() + b"\x04")
        self.expect(b"OK")
        output, error = self.expect(b"\x04"), self.expect(b"\x04>")
        return output[:-1], error[:-2]
