"""Writes the archive of a board's compiled modules, which firmware/pack.py mounts on the board.

One file in place of 60: an import finds its module without reading the logs of folders, and a new
firmware replaces the old one in one rename. Format (docs/reference/archive.md): magic, 2 bytes of
length, the index, the modules, the names. An entry of the index has the CRC-32 of a path and the
offset of its content, which is 0 for a folder; the last entry is the end of the modules.
"""

from binascii import crc32
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from jeton_host.errors import BoardError

FILE = "firmware.pack"  # on the flash
MOUNT = "fw"  # where its modules are found on a board
MAGIC = b"JetonPk1"
_ENTRY = 7


@dataclass(frozen=True)
class Archive:
    """The parts of an archive: its beginning, name -> module, and the names at its end."""

    head: bytes
    modules: dict[str, bytes]
    names: bytes

    @property
    def content(self) -> bytes:
        """Return the whole file."""
        return b"".join((self.head, *self.modules.values(), self.names))


def pack(modules: Mapping[str, bytes]) -> Archive:
    """Return the archive of modules, from their paths below the mount point.

    Raises:
        BoardError: Two paths have the same CRC-32 (rename one), or the archive is too large.
    """
    ordered = {name: modules[name] for name in sorted(modules)}
    folders = {"/"}
    for name in ordered:
        parts = name.split("/")[:-1]
        folders |= {"/" + "/".join(parts[: i + 1]) for i in range(len(parts))}
    paths = [*sorted(folders), *(f"/{name}" for name in ordered)]
    keys = [crc32(path.encode()) for path in paths]
    if len({0, *keys}) != len(keys) + 1:
        raise BoardError("two modules of the firmware have the same CRC-32: rename one of them")
    size = _ENTRY * (len(paths) + 1)
    ends = [len(MAGIC) + 2 + size]
    for content in ordered.values():
        ends.append(ends[-1] + len(content))
    if size >= 1 << 16 or ends[-1] >= 1 << 24:
        raise BoardError("the firmware has too many modules for its archive")
    offsets = [0] * len(folders) + ends
    index = b"".join(
        key.to_bytes(4, "big") + offset.to_bytes(3, "big")
        for key, offset in zip([*keys, 0], offsets, strict=True)
    )
    names = "".join(f"{path}\n" for path in paths).encode()
    return Archive(MAGIC + size.to_bytes(2, "little") + index, ordered, names)


def unpack(content: bytes) -> Archive:
    """Return the parts of an archive; BoardError if it is damaged."""
    start = len(MAGIC) + 2
    end = start + int.from_bytes(content[len(MAGIC) : start], "little")
    index = content[start:end]
    offsets = [int.from_bytes(index[at + 4 : at + _ENTRY]) for at in range(0, len(index), _ENTRY)]
    names = content[offsets[-1] :].decode(errors="replace").splitlines() if offsets else []
    ends = [offset for offset in offsets if offset]
    files = names[len(offsets) - len(ends) :]
    found = {
        name.removeprefix("/"): content[a:b]
        for name, (a, b) in zip(files, pairwise(ends), strict=False)
    }
    try:
        made = pack(found)
    except BoardError:
        made = None
    if made is None or made.content != content:
        raise BoardError("the archive of the firmware is damaged")
    return made
