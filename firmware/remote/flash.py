"""Writes, verifies and removes files on a board's flash; the host sends the contents in pieces."""

import os
from binascii import a2b_base64, hexlify
from hashlib import sha256


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

    def hash(self, name):
        """Return the SHA-256 of a file as hexadecimal digits, None if there is no file."""
        found = sha256()
        buffer = self._buffer
        try:
            with open(name, "rb") as file:
                count = file.readinto(buffer)
                while count:
                    found.update(memoryview(buffer)[:count])
                    count = file.readinto(buffer)
        except OSError:
            return None
        return hexlify(found.digest()).decode()

    def hashes(self, names):
        """Print each name with the hashes of NAME and of NAME.new."""
        for name in names:
            print(name, self.hash(name), self.hash(name + ".new"))

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
        """Remove a file if it exists."""
        try:
            os.remove(name)
        except OSError:
            pass

    def keep(self, name):
        """Rename a file to a free name, NAME.old (or NAME.old-, …), and print that name."""
        there, other = os.listdir("/"), name + ".old"
        while other in there:
            other += "-"
        os.rename(name, other)
        print(other)
