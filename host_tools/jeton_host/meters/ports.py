"""Finds the port of a board: by path, URL, MAC, serial number, meter's name or `auto`."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware import remote
from jeton_host.meters import named as meters

_MAC = re.compile(r"[0-9a-f]{2}(?:[:-]?[0-9a-f]{2}){5}", re.IGNORECASE)
_PATIENCE = 2.0  # seconds to wait for the MAC of a board


@dataclass(frozen=True)
class Port:
    """A serial port; `usb` is true for a port on USB, where a chip may be connected."""

    device: str
    usb: bool = False
    about: str = ""
    serial_number: str = ""

    def __str__(self) -> str:
        parts = [self.about, f"serial number {self.serial_number}" if self.serial_number else ""]
        parts = [part for part in parts if part and part != "n/a"]
        return f"{self.device} ({', '.join(parts)})" if parts else self.device


def usb_ports() -> list[Port]:
    """Return the serial ports on USB, sorted by path."""
    return [
        Port(port.device, True, port.product or port.description or "", port.serial_number or "")
        for port in sorted(list_ports.comports(), key=lambda port: port.device)
        if port.vid is not None
    ]


def _digits(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.lower())


def find(wanted: str) -> Port:
    """Return the port that a text names; BoardError if none or several match.

    `auto` means the only port on USB. A MAC is compared with the USB serial numbers first, because
    a chip with its own USB has its MAC there. Then each board that runs MicroPython is asked for
    its MAC; this resets no board.
    """
    if not wanted:
        raise BoardError("the name of the port is empty: give a path, a MAC or auto")
    found = usb_ports()
    if wanted == "auto":
        return _only(found, "no board was found on USB: is the cable for power only?")
    if "://" in wanted:
        return Port(wanted)
    if meters.exists(wanted):
        return _served(wanted)
    if os.sep in wanted or Path(wanted).exists():
        real = os.path.realpath(wanted)
        usb = [port for port in found if os.path.realpath(port.device) == real]
        return Port(wanted, True, usb[0].about, usb[0].serial_number) if usb else Port(wanted)
    named = [port for port in found if port.serial_number and port.serial_number == wanted]
    if not named and _MAC.fullmatch(wanted):
        named = [port for port in found if _digits(port.serial_number) == _digits(wanted)]
        if not named:
            named = [port for port in found if _mac(port) == _digits(wanted)]
    known = ", ".join(map(str, found)) or "none"
    return _only(named, f"no port, meter, MAC or serial number {wanted!r}; ports on USB: {known}")


def seen(wanted: str) -> str | None:
    """Return the device that a text names, None if that is not clear without opening a port."""
    if "://" in wanted:
        return wanted
    if meters.exists(wanted):
        served = meters.find(wanted).port()
        return os.path.realpath(served) if served else None
    if os.sep in wanted or Path(wanted).exists():
        return os.path.realpath(wanted)
    found = usb_ports()
    if wanted != "auto":
        digits = _digits(wanted)
        found = [port for port in found if digits and _digits(port.serial_number) == digits]
    return os.path.realpath(found[0].device) if len(found) == 1 else None


def _only(found: list[Port], none: str) -> Port:
    if not found:
        raise BoardError(none)
    if len(found) > 1:
        raise BoardError(f"several ports match, give one of them: {', '.join(map(str, found))}")
    return found[0]


def _served(name: str) -> Port:
    port = meters.find(name).port()
    if not port:
        raise BoardError(
            f"meter {name} has no port: it is not served. Run `jeton serve {name}` in another "
            "terminal"
        )
    return Port(port)


def _mac(port: Port) -> str:
    """Return the MAC of a board that runs MicroPython, else an empty string."""
    try:
        with MeterClient(port.device, timeout=_PATIENCE) as meter:
            return meter.run(remote.once("about", "mac")).strip()
    except BoardError:
        return ""
