"""What went over a serial line last, in both directions, for those who ask why a test failed."""

import re
from collections import deque

_CHUNKS = 64
_OCTETS = 1024  # of one of them
_LINE = 200
_LINES = 24

_FLOW = re.compile(rb"R\x01..|[\x00-\x06\x0e-\x1a\x1c-\x1f]", re.DOTALL)
_BEGINS = (b"\x05", b"\r", b"[", b"\x01")
_SHORTEST_SECRET = 4


class Transcript:
    """The end of what was sent and received; what was `hide`d is not told."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[str, bytearray]] = deque()
        self._secrets: set[str] = set()
        self._cut = False

    def hide(self, secret: object) -> None:
        """Never tell a key or a code."""
        if isinstance(secret, str) and len(secret) >= _SHORTEST_SECRET:
            self._secrets.add(secret)

    def sent(self, data: bytes) -> None:
        """Note what was sent."""
        self._note(">", data)

    def received(self, data: bytes) -> None:
        """Note what was received."""
        self._note("<", data)

    def _note(self, direction: str, data: bytes) -> None:
        if not data:
            return
        if self._chunks:
            last, octets = self._chunks[-1]
            if last == direction and len(octets) + len(data) <= _OCTETS:
                octets += data
                return
        self._chunks.append((direction, bytearray(data)))
        if len(self._chunks) > _CHUNKS:
            self._chunks.popleft()
            self._cut = True

    def lines(self, most: int = _LINES) -> list[str]:
        """Return the last lines: `> ` what was sent, `< ` what was received.

        What only steers the raw REPL is left out.
        """
        chunks = list(self._chunks)
        if self._cut:  # what is left of a request may be half a key
            while chunks and not (chunks[0][0] == ">" and chunks[0][1].startswith(_BEGINS)):
                del chunks[0]
        joined: list[tuple[str, str]] = []
        for direction, octets in chunks:
            text = _FLOW.sub(b"", bytes(octets)).decode("utf-8", "backslashreplace")
            if octets.startswith(b"\x05A"):
                text = text.removeprefix("A")
            if not text.strip("\r\n"):
                continue
            if joined and joined[-1][0] == direction:
                joined[-1] = (direction, joined[-1][1] + text)
            else:
                joined.append((direction, text))
        told = []
        for direction, text in joined:
            for said in self._told(text).splitlines():
                line = said.lstrip("> ") if direction == "<" else said  # without the prompt
                if line.strip():
                    told.append(f"{direction} {line[:_LINE]}{'…' if len(line) > _LINE else ''}")
        return told[-most:]

    def _told(self, text: str) -> str:
        for secret in self._secrets:
            text = re.sub(re.escape(secret), "(hidden)", text, flags=re.IGNORECASE)
        return text.replace("\x1b", "\\x1b")
