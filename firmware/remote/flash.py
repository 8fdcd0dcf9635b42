"""Writes, verifies and removes files on a board's flash; the host sends the contents in pieces."""

import os
from binascii import a2b_base64, hexlify
from hashlib import sha256

import vfs

from .image import discard


def erase(*starts):
    """Remove what is in the root folder and has a name that begins with one of `starts`.

    The name of a folder ends with a slash.
    """
    for name in os.listdir("/"):
        path = "/" + name
        slash = "/" if os.stat(path)[0] & 0x4000 else ""
        if [start for start in starts if (name + slash).startswith(start)]:
            _remove(path)


def erase_meter():
    """Remove the store of a meter, of this firmware or of older firmware."""
    erase("meter/", "meter.copy/", "meter.new/", "meter.bin")


def _remove(path):
    if os.stat(path)[0] & 0x4000:
        for name in os.listdir(path):
            _remove(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)


def unmount(path):
    """Unmount a file system if there is one."""
    try:
        vfs.umount(path)
    except OSError:
        pass


def forget_meter():
    """Remove the meter's store, and keep the running meter from writing it again."""
    import jeton_main  # type: ignore[import-not-found]

    # A meter that is not set up saves nothing when the board is reset.
    jeton_main.core.state.provisioned = 0
    erase_meter()


class Files:
    """Files being replaced: NAME.new is written beside NAME, then renamed."""

    def __init__(self):
        self._file = None
        self._buffer = bytearray(512)
        os.chdir("/")

    def begin(self, name):
        """Create NAME.new, and its folders."""
        parts = name.split("/")
        for i in range(1, len(parts)):
            try:
                os.mkdir("/".join(parts[:i]))
            except OSError:
                pass
        self._file = open(name + ".new", "wb")

    def put(self, text):
        """Append bytes in base64 to the open file."""
        assert self._file
        self._file.write(a2b_base64(text))

    def close(self):
        """Close the open file, if any: else its rest would be written at a heap collection."""
        if self._file:
            self._file.close()
            self._file = None

    def read(self, file, size, each):
        """Call `each` with the next bytes of a file, in pieces."""
        buffer = memoryview(self._buffer)
        count = file.readinto(buffer[:size])
        while count:
            each(buffer[:count])
            size -= count
            count = file.readinto(buffer[:size])

    def hash(self, name, start=0, size=1 << 24):
        """Return the SHA-256 of a file, or of a part, as hexadecimal digits; None without it."""
        found = sha256()
        try:
            with open(name, "rb") as file:
                file.seek(start)
                self.read(file, size, found.update)
        except OSError:
            return None
        return hexlify(found.digest()).decode()

    def take(self, name, start, size):
        """Append a part of another file to the open file."""
        assert self._file
        with open(name, "rb") as file:
            file.seek(start)
            self.read(file, size, self._file.write)

    def hashes(self, names):
        """Print each name with the hashes of NAME and of NAME.new."""
        for name in names:
            print(name, self.hash(name), self.hash(name + ".new"))

    def parts(self, name, first, count):
        """Print the offsets, sizes and hashes of some modules of an archive (firmware/pack.py)."""
        with open(name, "rb") as file:
            head = file.read(10)
            index = file.read(int.from_bytes(head[8:], "little"))
        if head[:8] != b"JetonPk1":
            return
        ends = [int.from_bytes(index[i : i + 3], "big") for i in range(4, len(index), 7)]
        ends = [end for end in ends if end]
        for i in range(first, min(first + count, len(ends) - 1)):
            start, size = ends[i], ends[i + 1] - ends[i]
            print(start, size, self.hash(name, start, size))

    def note(self, lines):
        """Replace /firmware.id."""
        with open("firmware.id.new", "w") as file:
            for line in lines:
                file.write(line + "\n")
        self.place("firmware.id")

    def place(self, name):
        """Rename NAME.new to NAME."""
        try:
            os.rename(name + ".new", name)
        except OSError:
            self.remove(name)  # on a file system whose rename does not replace
            os.rename(name + ".new", name)

    def remove(self, name):
        """Remove a file if it exists, and its folders if they are empty then."""
        discard("", name)

    def keep(self, name):
        """Rename a file to a free name, NAME.old (or NAME.old-, …), and print that name."""
        there, other = os.listdir("/"), name + ".old"
        while other in there:
            other += "-"
        os.rename(name, other)
        print(other)
