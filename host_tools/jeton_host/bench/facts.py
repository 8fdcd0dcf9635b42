"""The facts about a board: its chip, its MicroPython and its firmware."""

import json
import re
from dataclasses import dataclass

from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware import remote
from jeton_host.firmware.boards import Board

_COMPUTERS = ("linux", "darwin")


@dataclass(frozen=True)
class Facts:
    """The facts that the MicroPython on a board reports."""

    version: tuple[int, int, int]
    mpy: int
    machine: str
    platform: str
    store: tuple[str, ...]  # the files of a meter's store
    firmware: tuple[str, ...]  # the lines of /firmware.id
    free: int  # bytes
    disk: tuple[int, int] | None = None  # address and size of the file system in the flash
    modelled: bool = False  # a virtual board with models of parts

    @property
    def virtual(self) -> bool:
        """Return whether it is a virtual board: MicroPython's unix port."""
        return self.platform in _COMPUTERS

    @property
    def chip(self) -> str:
        """Return the chip by its name in esptool, such as "ESP32-C3".

        Empty if the board does not report it.
        """
        if self.platform != "esp32":
            return ""
        # "Generic ESP32C3 module with ESP32C3", or a variant: ESP32-C3FH4, ESP32-PICO-D4.
        name = self.machine.rpartition(" with ")[2]
        family = re.match(r"ESP32-?(C61|C\d|H\d|P\d|S[23])", name)
        if family:
            return f"ESP32-{family[1]}"
        return "ESP32" if name.startswith("ESP32") else ""

    @property
    def shown(self) -> str:
        """Return the version as text."""
        return ".".join(map(str, self.version))


# The facts of a board with a locked meter, which reports none.
NOTHING = Facts((0, 0, 0), 0, "", "", (), (), 0)


def facts(meter: MeterClient) -> Facts:
    """Return the facts that the board reports."""
    answer = meter.run(remote.once("about", "facts"))
    try:
        found = json.loads(answer.strip().splitlines()[-1])
        if found["name"] != "micropython":
            raise BoardError(
                f"the board at {meter.port} runs {found['name']}: Jeton needs MicroPython"
            )
        return Facts(
            version=tuple(found["version"]),
            mpy=found["mpy"],
            machine=found["machine"],
            platform=found["platform"],
            store=tuple(sorted(found["store"])),
            firmware=tuple(line for line in found["firmware"] if line),
            free=found["free"],
            disk=tuple(found["disk"]) if found["disk"] else None,
            modelled=found["modelled"],
        )
    except (ValueError, KeyError, IndexError, TypeError):
        raise BoardError(f"the board at {meter.port} does not report what it is") from None


def as_before(meter: MeterClient, board: Board) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return how the board was flashed before: parts left out, active levels of others.

    Empty if another board or none was flashed, or if the meter is locked.
    """
    if meter.locked:
        return (), {}
    try:
        found = json.loads(meter.run(remote.once("about", "setup")).strip().splitlines()[-1])
        if found["board"] != board.name:
            return (), {}
        without = tuple(n for n in found["without"] if n in board.parts)
        active = {n: v for n, v in found["active"].items() if "active" in board.parts.get(n, {})}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return (), {}
    return without, active
