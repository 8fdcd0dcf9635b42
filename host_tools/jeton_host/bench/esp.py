"""Identifies an ESP32 and writes MicroPython onto it, by esptool in a separate process.

esptool is under the GPL and has many dependencies: it is an optional extra, and none of its
modules is imported here. It resets the chip by DTR and RTS before and after.
"""

import hashlib
import importlib.util
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jeton_host.errors import BoardError

INSTALL = "pip install 'jeton-meter[flash]'"
OLDEST = (1, 23)
_BAUD = "460800"
_PATIENCE = 300.0  # seconds for one run: 2 MB at 115200 baud take 180
_SMALLEST = 4  # MB of flash

# The chips of Jeton's boards: number in the header of an image, address of the image (ESP-IDF,
# application startup flow).
_IMAGES = {"ESP32": (0, 0x1000), "ESP32-C3": (5, 0x0)}
_MAGIC = 0xE9
_ABOUT = struct.pack("<I", 0xABCD5432)  # esp_app_desc_t; the version is 16 bytes after it
_LARGEST = 16 * 1024 * 1024
_TABLE, _ENTRY = 0x8000, struct.Struct("<HBBII16sI")  # the partition table (ESP-IDF)
_ENTRY_MAGIC = 0x50AA


@dataclass(frozen=True)
class Chip:
    """A chip as esptool reports it."""

    name: str
    mac: str = ""
    flash_mb: int | None = None

    def __str__(self) -> str:
        flash = f", {self.flash_mb} MB flash" if self.flash_mb else ""
        return f"{self.name}{flash}" + (f", MAC {self.mac}" if self.mac else "")


@dataclass(frozen=True)
class Image:
    """A MicroPython image for a chip; `version` is empty if the image does not state it.

    `partitions` is label -> (address, size in bytes).
    """

    path: Path
    sha256: str
    chip: str
    version: str
    partitions: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def file_system(self, flash_mb: int | None) -> tuple[int, int] | None:
        """Return address and size of the future file system; None if they are not known.

        MicroPython since 1.26 has no entry for it in its table: it uses the flash after the last
        partition.
        """
        for label in ("vfs", "ffat"):
            if label in self.partitions:
                return self.partitions[label]
        if not self.partitions or flash_mb is None:
            return None
        end = max(at + size for at, size in self.partitions.values())
        return end, flash_mb * 1024 * 1024 - end


def installed() -> bool:
    """Return whether esptool is installed."""
    return importlib.util.find_spec("esptool") is not None


def ask(device: str) -> Chip:
    """Reset a chip into its loader, identify it, reset it again; BoardError if esptool fails."""
    output = _run(["--port", device, "flash-id"], device)
    name = re.search(r"^Connected to (ESP[\w-]+)", output, re.MULTILINE)
    if name is None:
        raise BoardError(f"esptool does not report which chip is at {device}")
    mac = re.search(r"^(?:BASE )?MAC:\s+([0-9a-f:]{17})", output, re.MULTILINE | re.IGNORECASE)
    flash = re.search(r"^Detected flash size:\s+(\d+)MB", output, re.MULTILINE)
    return Chip(name[1], mac[1] if mac else "", int(flash[1]) if flash else None)


def check(chip: Chip, wanted: str, board: str) -> None:
    """Raise BoardError unless this is the chip of the board, with enough flash."""
    if chip.name != wanted:
        raise BoardError(f"the chip is an {chip.name}, but the board {board} has an {wanted}")
    if chip.flash_mb is not None and chip.flash_mb < _SMALLEST:
        raise BoardError(
            f"the chip has {chip.flash_mb} MB of flash: {_SMALLEST} MB are needed for MicroPython "
            "and a file system"
        )


def image(path: Path, chip: str, sha256: str | None) -> Image:
    """Return a MicroPython image, checked before any board is changed."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _LARGEST else b""
    except OSError as error:
        raise BoardError(f"{path} cannot be read: {error.strerror}") from None
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != digest(sha256):
        raise BoardError(f"{path} is not the expected image: its SHA-256 is {found}")
    if len(data) < 32 or data[0] != _MAGIC:
        raise BoardError(
            f"{path} is not a MicroPython image for an Espressif chip: use the .bin file"
        )
    number = struct.unpack_from("<H", data, 12)[0]
    if number != _IMAGES[chip][0]:
        whose = [name for name, (known, _) in _IMAGES.items() if known == number]
        raise BoardError(
            f"{path} is an image for {whose[0] if whose else 'another chip'}, not for {chip}"
        )
    version = _version(data)
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if numbers and numbers < OLDEST:
        raise BoardError(
            f"{path} is MicroPython {version}: {OLDEST[0]}.{OLDEST[1]} or newer is needed"
        )
    partitions = _partitions(data, _IMAGES[chip][1])
    if not partitions:
        raise BoardError(
            f"{path} has no partition table: it is an app image for updates; use the .bin file"
        )
    return Image(path, found, chip, version, partitions)


def digest(text: str) -> str:
    """Return the SHA-256 in a text: alone, as sha256:HEX, or in a line of sha256sum."""
    found = re.fullmatch(r"(?:sha256:)?([0-9a-f]{64})(?:\s.*)?", text.strip().lower())
    if found is None:
        raise BoardError(
            f"{text!r} is not a SHA-256: give its 64 hexadecimal digits, or the line of sha256sum"
        )
    return found[1]


def _version(data: bytes) -> str:
    at = data.find(_ABOUT)
    text = data[at + 16 : at + 48].split(b"\0")[0] if at >= 0 else b""
    return text.decode().removeprefix("v") if re.fullmatch(rb"v\d+\.\d+[ -~]*", text) else ""


def _partitions(data: bytes, base: int) -> dict[str, tuple[int, int]]:
    found = {}
    at = _TABLE - base
    while at + _ENTRY.size <= len(data):
        magic, _, _, address, size, label, _ = _ENTRY.unpack_from(data, at)
        if magic != _ENTRY_MAGIC:
            break
        found[label.rstrip(b"\0").decode("ascii", "replace")] = address, size
        at += _ENTRY.size
    return found


def write(device: str, found: Image, progress: Callable[[int], None]) -> None:
    """Write an image, verified by esptool; `progress` receives per cent.

    The file system, with the meter in it, stays if its place is the same in the image.
    """
    # Write only the file that was checked.
    if hashlib.sha256(found.path.read_bytes()).hexdigest() != found.sha256:
        raise BoardError(f"{found.path} has changed since the check: nothing was written")
    where = hex(_IMAGES[found.chip][1])
    output = _run(
        [
            *("--chip", found.chip.lower().replace("-", ""), "--port", device, "--baud", _BAUD),
            *("write-flash", where, str(found.path)),
        ],
        device,
        progress,
    )
    if "Hash of data verified" not in output:
        raise BoardError(f"esptool wrote {found.path.name} but did not verify it: run this again")


def _run(arguments: list[str], device: str, progress: Callable[[int], None] | None = None) -> str:
    """Run esptool and return its output."""
    if not installed():
        raise BoardError(f"esptool is required here but not installed: {INSTALL}")
    process = subprocess.Popen(
        [sys.executable, "-m", "esptool", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )
    assert process.stdout is not None
    output = b""
    try:
        while chunk := os.read(process.stdout.fileno(), 4096):
            output += chunk
            if progress is not None and (per_cent := re.findall(rb"(\d+)(?:\.\d+)?\s?%", chunk)):
                progress(int(per_cent[-1]))
        status = process.wait(_PATIENCE)
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    text = output.decode(errors="replace").replace("\r", "\n")
    if status:
        raise BoardError(f"esptool: {_why(text)} (port {device})")
    return text


def _why(text: str) -> str:
    """Return esptool's reason in one line, with the most useful advice."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if "fatal error" in line.lower()]
    why = fatal[-1].split("occurred:", 1)[-1].strip() if fatal else (lines or ["it failed"])[-1]
    if "Failed to connect" in why or "No serial data" in why:
        return (
            f"{why.split(':')[0].rstrip('. ')}: hold the board's BOOT button down while this "
            "connects, or try another cable"
        )
    return why
