"""Keeps the meter's record and its tick in files; knows nothing of what is in them.

On littlefs, or any file system whose rename replaces, each is there whole or not at all. A file
left open would be written whenever the heap is cleaned: `with` closes it at a known moment.
"""

import os


class Storage:
    """The record in the file `path`, its tick beside it, and a copy of the record.

    The copy stands in a folder of its own: one damaged sector is never all there is.
    """

    def __init__(self, path):
        self.path = path
        self.paths = (path, path + ".d/copy", path + ".tick")

    def load(self, which):
        """Return the record (0), its copy (1) or the tick (2) as bytes, None when there is none.

        The copy is the last that a start asks for.
        """
        from . import storage_start

        return storage_start.load(self, which)

    def renew(self):
        """Let littlefs begin a new log (see `storage_start`)."""
        from . import storage_start

        storage_start.renew(self.path)

    def set_aside(self):
        """Keep a record that is of no use out of the way, for whoever wants to look at it."""
        for path in self.paths:
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
        """Replace the record by these octets, one after the other, in one step; then the copy."""
        for path in self.paths[:2]:
            try:
                with open(path + ".new", "wb") as file:
                    for part in parts:
                        file.write(part)
                os.rename(path + ".new", path)
            except OSError:
                if path is self.path:
                    raise
                # The record is saved. An older copy must not stand in for it one day: a token
                # that is used would pass again. So there is none where there is no room for it.
                _remove(path)
                _remove(path + ".new")

    def save_tick(self, tick):
        """Replace the tick, in place: littlefs keeps so small a file beside its name."""
        with open(self.paths[2], "wb") as file:
            file.write(tick)


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass  # it is not there


def _same(file, octets):
    for at in range(0, len(octets), 128):
        part = octets[at : at + 128]
        if file.read(len(part)) != part:
            return False
    return True
