"""Draws the display of a meter from the bytes that an adapter received on its I2C bus."""

import importlib
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from jeton_host.bench.adapter_pins import DISPLAYS
from jeton_host.errors import BoardError
from jeton_host.firmware.boards import Board

if TYPE_CHECKING:
    from PIL import Image

# First bytes of each transfer of firmware/drivers/ssd1306.py, and the length of that transfer: a
# stream of bytes without the ends of transfers can be split by them.
_TRANSFERS = {b"\x40": 17, b"\x00\x21": 7, b"\x00\xae": 25, b"\x00\xaf": 2}


class OutOfStep(Exception):
    """Bytes that no driver writes: some bytes are missing."""


class Glass:
    """The content of a board's display, from the bytes written to it over I2C."""

    def __init__(self, board: Board) -> None:
        part = board.parts["display"]
        if part["driver"] not in DISPLAYS:
            raise BoardError(
                f"the display of {board.name} is on {board.buses[part['bus']]['kind']}: an "
                "adapter reads only displays on I2C"
            )
        self._splits = part["driver"] == "ssd1306"
        # A bus this slow means that the chip is never busy: the times of the bytes are not known
        # here.
        bus = board.buses[part["bus"]] | {"freq": 1}
        slow = replace(board, buses=board.buses | {part["bus"]: bus})
        alone = SimpleNamespace(board=slow, now=lambda: 0.0, slept_s=None, i2c=lambda *_: None)
        module = importlib.import_module(f"jeton_host.virtual.models.{part['driver']}")
        self._model: Any = module.make(alone, "display", part)
        self._rest = b""
        self.forget()

    def forget(self) -> None:
        """Start again: the content is unknown, and the next byte begins a transfer."""
        self._rest = b""
        self._model.forget()

    def feed(self, data: bytes) -> None:
        """Process received bytes in order; raise OutOfStep if some are missing."""
        if not self._splits:
            self._model.write(data)
            return
        self._rest += data
        while self._rest:
            length = _TRANSFERS.get(self._rest[:1]) or _TRANSFERS.get(self._rest[:2])
            if length is None:
                if len(self._rest) < 2 and self._rest == b"\x00":
                    return
                raise OutOfStep
            if len(self._rest) < length:
                return
            self._model.write(self._rest[:length])
            self._rest = self._rest[length:]

    @property
    def whole(self) -> bool:
        """Return whether the last transfer is complete."""
        return not self._rest

    @property
    def known(self) -> bool:
        """Return whether the whole content has been received."""
        return bool(self._model.known)

    def text(self) -> list[str]:
        """Return the lines as text."""
        return list(self._model.text())

    def picture(self) -> "Image.Image":
        """Return the content as a picture."""
        picture: Image.Image = self._model.picture()
        return picture
