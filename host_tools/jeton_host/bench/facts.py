"""What a board is: its chip, its MicroPython and the firmware that it has."""

import json
import re
from dataclasses import dataclass

from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware.boards import Board

_PLAYED = ("linux", "darwin")

_ASK = """
def _ask():
    import gc, json, os, sys
    about = sys.implementation
    gc.collect()
    found = {
        "name": about.name,
        "version": list(about.version[:3]),
        "mpy": getattr(about, "_mpy", 0),
        "machine": getattr(about, "_machine", ""),
        "platform": sys.platform,
        "store": [],
        "firmware": [],
        "disk": None,
        "wired": bool(getattr(os, "getenv", lambda name: None)("JETON_BENCH")),
    }
    for name in os.listdir("/"):
        if name.startswith("meter.bin"):
            if not os.stat("/" + name)[0] & 0x4000 or os.listdir("/" + name):
                found["store"].append(name)
    try:
        from esp32 import Partition
        for label in ("vfs", "ffat"):
            for part in Partition.find(Partition.TYPE_DATA, label=label):
                found["disk"] = part.info()[2:4]
    except ImportError:
        pass
    size = os.statvfs("/")
    # littlefs counts some blocks twice: more in use than there are come out as very many free.
    found["free"] = size[0] * size[3] if size[3] <= size[2] else 0
    try:
        with open("/firmware.id") as file:
            found["firmware"] = file.read().split("\\n")
    except (OSError, UnicodeError):
        pass  # none is there, or a damaged one
    print(json.dumps(found))
_ask()
del _ask
"""

_AS_BEFORE = """
def _ask():
    import json, sys
    found = {"board": None, "without": (), "active": {}}
    try:
        import board, wiring
        found["board"] = board.NAME
        found["without"] = getattr(wiring, "WITHOUT", ())
        found["active"] = getattr(wiring, "ACTIVE", {})
    except Exception:
        pass  # none is there, or a damaged one
    sys.modules.pop("wiring", None)
    print(json.dumps(found))
_ask()
del _ask
"""


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
    wired: bool = False  # a virtual board with models of parts

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
    answer = meter.run(_ASK)
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
            wired=said["wired"],
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
        said = json.loads(meter.run(_AS_BEFORE).strip().splitlines()[-1])
        if said["board"] != board.name:
            return (), {}
        without = tuple(n for n in said["without"] if n in board.parts)
        active = {n: v for n, v in said["active"].items() if "active" in board.parts.get(n, {})}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return (), {}
    return without, active
