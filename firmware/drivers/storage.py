"""Keeps the meter's one record in a file, whole or not at all; knows nothing of what is in it."""

import errno
import os


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
                self._last = file.read()
        except OSError as error:
            if error.args[0] != errno.ENOENT:
                raise  # a record that cannot be read is not a record that is not there
            self._last = None
        return self._last

    def set_aside(self):
        """Keep a record that is of no use out of the way, for whoever wants to look at it."""
        try:
            os.rename(self.path, self.path + ".bad")
        except OSError:
            pass
        self._last = None

    def save(self, record):
        """Replace the record in one step; the same record again costs no flash cycle."""
        record = bytes(record)
        if record == self._last:
            return
        with open(self._new, "wb") as file:
            file.write(record)
        os.rename(self._new, self.path)
        self._last = record
