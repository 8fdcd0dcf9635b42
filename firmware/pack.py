"""The archive of the firmware's modules, /firmware.pack, as a read-only file system for imports.

This module itself is the file system: boot.py mounts it at /fw. With 60 files in a few folders
each import would read the logs of these folders several times. Here `stat` reads nothing, and an
import reads little more than its module. The format is in docs/reference/archive.md; the host
writes it (jeton_host.firmware.archive).

An open file begins at its module and ends with the archive: an .mpy file contains its length.
"""

import sys

sys.path.clear()  # binascii is MicroPython's own: nothing is searched for on the flash
from binascii import crc32

from micropython import const

_PATH = const("/firmware.pack")
_ENTRY = const(7)  # bytes: the CRC-32 of a path, the offset of its content; 0 for a folder
_ENOENT, _EISDIR, _EROFS = const(2), const(21), const(30)

_open = open
file = open(_PATH, "rb")
kept = None  # returned by `open` in place of `file`, and not closed by an import
index = file.read(10)  # magic, length of the index
if index[:8] != b"JetonPk1":
    raise ValueError("/firmware.pack is damaged")
index = file.read(index[8] | index[9] << 8)


def _find(path):
    """Return the offset of a module, 0 for a folder; raise OSError for anything else."""
    key = crc32(path).to_bytes(4, "big")
    at = index.find(key)
    while at >= 0 and at % _ENTRY:
        at = index.find(key, at + 1)
    if at < 0:
        raise OSError(_ENOENT)
    return int.from_bytes(index[at + 4 : at + _ENTRY], "big")


def stat(path):
    """Return the status of a path, without its size; an import asks for a folder, .py and .mpy."""
    return (0x8000 if _find(path) else 0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def open(path, mode):
    """Return the archive as a file, at the beginning of a module."""
    start = _find(path)
    if not start or mode not in ("rb", "r"):
        raise OSError(_EROFS if start else _EISDIR)
    found = file or _open(_PATH, "rb")
    found.seek(start)
    return kept or found


def done():
    """Close the archive at the end of a start; from now on each import opens it."""
    global file, kept
    if file:
        file.close()
        file = kept = None  # type: ignore[assignment]


def __getattr__(name):
    """Return an operation that an import does not need; the file system is read-only.

    Removing has no effect and is no error: a program that removes all files of a board reaches
    /firmware.pack too, and with it the modules are gone.
    """
    if name in ("mount", "umount", "remove", "rmdir"):
        return lambda *_: None
    if name != "ilistdir":
        raise OSError(_EROFS)
    from drivers import packed

    return packed.ilistdir
