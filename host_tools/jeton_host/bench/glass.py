"""Draws what an adapter heard on the bus of a display."""

import importlib
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from jeton_host.errors import BoardError
from jeton_host.firmware.boards import Board

if TYPE_CHECKING:
    from PIL import Image

from typing import TYPE_CHECKING

from jeton_host.bench.adapter_pins import DISPLAYS

# The first octets of what firmware/drivers/ssd1306.py and its start write in one transfer, and
# how many those are: without the ends of transfers a stream of octets can be cut up by them.
_TRANSFERS = {b"\x40": 17, b"\x00\x21": 7, b"\x00\xae": 25, b"\x00\xaf": 2}


class OutOfStep(Exception):
    """Octets came that no driver writes."""


class Glass:
    """What stands on a board's display, from the octets that are written to it over I2C."""

    def __init__(self, board: Board) -> None:
        part = board.parts["display"]
        if part["driver"] not in DISPLAYS:
            raise BoardError(
                f"the display of {board.name} hangs on {board.buses[part['bus']]['kind']}: an "
                "adapter reads only those on I2C"
            )
        self._cut = part["driver"] == "ssd1306"
        # So slow a bus that the chip is never busy: when the octets came is not known here.
        bus = board.buses[part["bus"]] | {"freq": 1}
        slow = replace(board, buses=board.buses | {part["bus"]: bus})
        alone = SimpleNamespace(board=slow, now=lambda: 0.0, slept_s=None, i2c=lambda *_: None)
        module = importlib.import_module(f"jeton_host.virtual.models.{part['driver']}")
        self._model: Any = module.make(alone, "display", part)
        self._rest = b""
        self.forget()

    def forget(self) -> None:
        """Begin anew: what stands there is not known, and a transfer comes next."""
        self._rest = b""
        self._model.forget()

    def feed(self, octets: bytes) -> None:
        """Take octets as they came; OutOfStep where some are missing."""
        if not self._cut:
            self._model.write(octets)
            return
        self._rest += octets
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
        """Return whether the last transfer came to its end."""
        return not self._rest

    @property
    def known(self) -> bool:
        """Return whether all that stands there was heard."""
        return bool(self._model.known)

    def text(self) -> list[str]:
        """Return the lines as a person reads them."""
        return list(self._model.text())

    def picture(self) -> "Image.Image":
        """Return what it looks like."""
        picture: Image.Image = self._model.picture()
        return picture
