"""Stores the meter's record and its tick in files, as bytes.

On littlefs, or any file system whose rename replaces, each file has either its old or its new
content. An open file would be written when the heap is collected: `with` closes it at a known
moment.
"""

import os


class Storage:
    """The record in the file `path`, its tick beside it, and a copy of the record.

    The copy is in its own folder, so that one damaged sector cannot destroy both.
    """

    def __init__(self, path):
        self.path = path
        self.paths = (path, path + ".d/copy", path + ".tick")

    def load(self, which):
        """Return the record (0), its copy (1) or the tick (2) as bytes, None if there is none.

        The copy is the last file that a start reads.
        """
        from . import storage_start

        return storage_start.load(self, which)

    def renew(self):
        """Let littlefs begin a new log (see `storage_start`)."""
        from . import storage_start

        storage_start.renew(self.path)

    def set_aside(self):
        """Rename an unusable record, so that a person can examine it."""
        for path in self.paths:
            try:
                os.rename(path, path + ".bad")
            except OSError:
                pass

    def holds(self, parts, start, end):
        """Return whether the file equals these parts, except `start` to `end` of the first part.

        The file is read in small blocks: a whole copy of it would need more heap than the record.
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
        """Replace the record by these parts, in this order, in one atomic step; then the copy."""
        for path in self.paths[:2]:
            try:
                with open(path + ".new", "wb") as file:
                    for part in parts:
                        file.write(part)
                os.rename(path + ".new", path)
            except OSError:
                if path is self.path:
                    raise
                # The record is saved. An older copy must never be used in its place: a used token
                # would be accepted again. So remove the copy if there is no room for a new one.
                _remove(path)
                _remove(path + ".new")

    def save_tick(self, tick):
        """Replace the tick, in place: littlefs stores so small a file in its directory block."""
        with open(self.paths[2], "wb") as file:
            file.write(tick)


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass  # there is no such file


def _same(file, data):
    for at in range(0, len(data), 128):
        part = data[at : at + 128]
        if file.read(len(part)) != part:
            return False
    return True
