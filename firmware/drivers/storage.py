"""Keeps the meter's record and its tick in two files; knows nothing of what is in them.

On littlefs, or any file system whose rename replaces, each is there whole or not at all. A file
left open would be written whenever the heap is cleaned: `with` closes it at a known moment.
"""

import errno
import os

_PIECE = 128
_NAME = 240  # octets of a name; 255 is the most that littlefs takes


class Storage:
    """The record in the file `path`, its tick beside it."""

    def __init__(self, path):
        self.path = path
        self._new = path + ".new"
        self._tick = path + ".tick"

    def load(self):
        """Return the record as bytes, None when there is none yet."""
        record = None
        try:
            with open(self.path, "rb") as file:
                record = file.read()
        except OSError as error:
            if error.args[0] != errno.ENOENT:
                raise  # a record that cannot be read is not a record that is not there
        try:
            self._renew()
        except OSError:
            pass  # a full flash: whoever saves is told
        return record

    def _renew(self):
        """Let littlefs begin a new log: the end of this one may be half written.

        Such cells can read as written now and as erased later, and all that stands behind them
        would be lost. Each of these names takes a tenth of the log's 4 KB.
        """
        names = [self._new + "-" * _NAME, self._new + "+" * _NAME]
        with open(names[0], "wb") as file:
            file.write(bytes(_PIECE))
        for i in range(12):
            os.rename(names[i & 1], names[1 - (i & 1)])
        os.remove(names[0])

    def load_tick(self):
        """Return the tick as bytes, None when none can be read: the record stands without it."""
        try:
            with open(self._tick, "rb") as file:
                return file.read()
        except OSError:
            return None

    def set_aside(self):
        """Keep a record that is of no use out of the way, for whoever wants to look at it."""
        for path in (self._tick, self.path):
            try:
                os.rename(path, path + ".bad")
            except OSError:
                pass

    def holds(self, parts, start, end):
        """Tell whether the file is these octets, but for `start` to `end` in the first part.

        What was written is read again, in pieces: a copy would cost the heap more than the record.
        """
        try:
            with open(self.path, "rb") as file:
                first = memoryview(parts[0])
                if not _same(file, first[:start]) or len(file.read(end - start)) != end - start:
                    return False
                for part in [first[end:]] + parts[1:]:
                    if not _same(file, memoryview(part)):
                        return False
                return not file.read(1)
        except OSError:
            return False

    def save(self, parts):
        """Replace the record by these octets, one after the other, in one step."""
        with open(self._new, "wb") as file:
            for part in parts:
                file.write(part)
        os.rename(self._new, self.path)

    def save_tick(self, tick):
        """Replace the tick, in place: littlefs keeps so small a file beside its name."""
        with open(self._tick, "wb") as file:
            file.write(tick)


def _same(file, octets):
    piece = bytearray(_PIECE)
    for at in range(0, len(octets), _PIECE):
        part = octets[at : at + _PIECE]
        if file.readinto(memoryview(piece)[: len(part)]) != len(part):
            return False
        if memoryview(piece)[: len(part)] != part:
            return False
    return True
