"""Keeps the meter's one record in a file, whole or not at all; knows nothing of what is in it."""

import errno
import os
from binascii import crc32


class Storage:
    """One record in one file: littlefs, or any file system whose rename replaces."""

    def __init__(self, path):
        self.path = path
        self._new = path + ".new"
        self._last = None

    def load(self):
        """Return the record as bytes, None when there is none yet."""
        try:
            with open(self.path, "rb") as file:
                record = file.read()
        except OSError as error:
            if error.args[0] != errno.ENOENT:
                raise  # a record that cannot be read is not a record that is not there
            return None
        self._last = crc32(record)
        return record

    def set_aside(self):
        """Keep a record that is of no use out of the way, for whoever wants to look at it."""
        try:
            os.rename(self.path, self.path + ".bad")
        except OSError:
            pass
        self._last = None

    def save(self, parts):
        """Replace the record by these octets, one after the other, in one step.

        The same again costs no flash. What was saved last is known by its CRC: a copy would cost
        the heap more than the record.
        """
        crc = 0
        for part in parts:
            crc = crc32(part, crc)
        if crc == self._last:
            return
        with open(self._new, "wb") as file:
            for part in parts:
                file.write(part)
        os.rename(self._new, self.path)
        self._last = crc
