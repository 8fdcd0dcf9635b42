"""Transcript: the last data on a serial line in both directions, to explain a failed test."""

import re
from collections import deque

_CHUNKS = 64  # kept
_CHUNK_SIZE = 1024  # bytes of a chunk
_LINE = 200  # characters shown of a line
_LINES = 24  # lines returned

# Control bytes of the raw REPL.
_CONTROL = re.compile(rb"R\x01..|[\x00-\x06\x0e-\x1a\x1c-\x1f]", re.DOTALL)
_BEGINS = (b"\x05", b"\r", b"[", b"\x01")  # the first bytes of a request
_SHORTEST_SECRET = 4  # characters; hiding a shorter text would hide too much


class Transcript:
    """The last data that was sent and received, without the secrets given to `hide`."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[str, bytearray]] = deque()
        self._secrets: set[str] = set()
        self._cut = False

    def hide(self, secret: object) -> None:
        """Replace this key or code with (hidden) in all lines."""
        if isinstance(secret, str) and len(secret) >= _SHORTEST_SECRET:
            self._secrets.add(secret)

    def sent(self, data: bytes) -> None:
        """Add data that was sent."""
        self._add(">", data)

    def received(self, data: bytes) -> None:
        """Add data that was received."""
        self._add("<", data)

    def _add(self, direction: str, data: bytes) -> None:
        if not data:
            return
        if self._chunks:
            last, chunk = self._chunks[-1]
            if last == direction and len(chunk) + len(data) <= _CHUNK_SIZE:
                chunk += data
                return
        self._chunks.append((direction, bytearray(data)))
        if len(self._chunks) > _CHUNKS:
            self._chunks.popleft()
            self._cut = True

    def lines(self, most: int = _LINES) -> list[str]:
        """Return the last lines, at most `most`: `> ` marks what was sent, `< ` what was received.

        The control bytes of the raw REPL are removed.
        """
        chunks = list(self._chunks)
        if self._cut:  # remove an incomplete request: it may contain a part of a key
            while chunks and not (chunks[0][0] == ">" and chunks[0][1].startswith(_BEGINS)):
                del chunks[0]
        joined: list[tuple[str, str]] = []
        for direction, chunk in chunks:
            text = _CONTROL.sub(b"", bytes(chunk)).decode("utf-8", "backslashreplace")
            if chunk.startswith(b"\x05A"):
                text = text.removeprefix("A")
            if not text.strip("\r\n"):
                continue
            if joined and joined[-1][0] == direction:
                joined[-1] = (direction, joined[-1][1] + text)
            else:
                joined.append((direction, text))
        found = []
        for direction, text in joined:
            for shown in self._redacted(text).splitlines():
                line = shown.lstrip("> ") if direction == "<" else shown  # without the prompt
                if line.strip():
                    found.append(f"{direction} {line[:_LINE]}{'…' if len(line) > _LINE else ''}")
        return found[-most:]

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = re.sub(re.escape(secret), "(hidden)", text, flags=re.IGNORECASE)
        return text.replace("\x1b", "\\x1b")
