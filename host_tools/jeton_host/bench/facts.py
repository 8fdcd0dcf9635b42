"""What a board is: its chip, its MicroPython and the firmware that it has."""

import json
import re
from dataclasses import dataclass

from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware import remote
from jeton_host.firmware.boards import Board

_PLAYED = ("linux", "darwin")


@dataclass(frozen=True)
class Facts:
    """What the MicroPython on a board says of itself."""

    version: tuple[int, int, int]
    mpy: int
    machine: str
    platform: str
    store: tuple[str, ...]  # the files of a meter's store
    firmware: tuple[str, ...]  # the lines of /firmware.id
    free: int  # octets
    disk: tuple[int, int] | None = None  # where the file system is in the flash, and how large
    modelled: bool = False  # a virtual board with models of parts

    @property
    def played(self) -> bool:
        """Return whether the unix port plays it: a virtual board."""
        return self.platform in _PLAYED

    @property
    def chip(self) -> str:
        """Return the chip, as esptool names it: "ESP32-C3"; nothing where it does not say."""
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
        """Return the version for people."""
        return ".".join(map(str, self.version))


# What a locked meter says of its board.
NOTHING = Facts((0, 0, 0), 0, "", "", (), (), 0)


def facts(meter: MeterClient) -> Facts:
    """Return what the board says of itself."""
    answer = meter.run(remote.once("about", "facts"))
    try:
        said = json.loads(answer.strip().splitlines()[-1])
        if said["name"] != "micropython":
            raise BoardError(
                f"the board at {meter.port} runs {said['name']}: Jeton needs MicroPython"
            )
        return Facts(
            version=tuple(said["version"]),
            mpy=said["mpy"],
            machine=said["machine"],
            platform=said["platform"],
            store=tuple(sorted(said["store"])),
            firmware=tuple(line for line in said["firmware"] if line),
            free=said["free"],
            disk=tuple(said["disk"]) if said["disk"] else None,
            modelled=said["modelled"],
        )
    except (ValueError, KeyError, IndexError, TypeError):
        raise BoardError(f"the board at {meter.port} does not say what it is") from None


def as_before(meter: MeterClient, board: Board) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return what the board of an open line was flashed with: parts left out, levels of others.

    Where another board, or none, was flashed there, it is nothing; a locked meter does not say.
    """
    if meter.locked:
        return (), {}
    try:
        said = json.loads(meter.run(remote.once("about", "setup")).strip().splitlines()[-1])
        if said["board"] != board.name:
            return (), {}
        without = tuple(n for n in said["without"] if n in board.parts)
        active = {n: v for n, v in said["active"].items() if "active" in board.parts.get(n, {})}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return (), {}
    return without, active
