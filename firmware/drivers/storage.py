"""Keeps the meter's one record in a file, whole or not at all; knows nothing of what is in it."""

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
        except OSError:
            self._last = None
        return self._last

    def save(self, record):
        """Replace the record in one step; the same record again costs no flash cycle."""
        record = bytes(record)
        if record == self._last:
            return
        with open(self._new, "wb") as file:
            file.write(record)
        os.rename(self._new, self.path)
        self._last = record
