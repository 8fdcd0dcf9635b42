"""Stores the meter's record and its tick in files, as bytes.

On littlefs a file that is overwritten has its old content until it is flushed. The record stays
open: to find a file in its folder takes up to a hundred reads of the flash, to overwrite it ten.
Each open file takes 0.7 KB of the heap, so the copy and the tick are closed again.
"""

import os


class Storage:
    """The record in the file `path`, its tick beside it, and a copy of the record.

    Record and tick are in a folder of their own, whose log in the flash stays short. The copy is
    in another folder, so that one damaged sector cannot destroy both.
    """

    def __init__(self, path):
        folder, _, name = path.rpartition("/")
        self.path = path
        self.paths = (path, "%s.copy/%s" % (folder, name), path + ".tick")
        self._files = [None, None, None]  # type: list
        # Whether an interrupt left a record that is written in part, not yet on the flash.
        self._partial = False

    def load(self, which):
        """Return the record (0), its copy (1) or the tick (2) as bytes, None if there is none.

        The tick is the first file that a start reads, the copy the last.
        """
        from . import storage_start

        return storage_start.load(self, which)

    def renew(self):
        """Let littlefs begin a new log (see `storage_start`)."""
        from . import storage_start

        storage_start.renew(self)

    def set_aside(self):
        """Rename an unusable record, so that a person can examine it."""
        for which in range(3):
            self._close(which)
            path = self.paths[which]
            try:
                os.rename(path, path + ".bad")
            except OSError:
                pass

    def holds(self, parts, start, end):
        """Return whether the file equals these parts, except `start` to `end` of the first part.

        The file is read in small blocks: a whole copy of it would need more heap than the record.
        """
        try:
            file = self._open(0)
            if self._partial or not file:
                return False
            file.seek(0)
            first = memoryview(parts[0])
            if not _same(file, first[:start]) or len(file.read(end - start)) != end - start:
                return False
            for part in [first[end:]] + parts[1:]:
                if not _same(file, memoryview(part)):
                    return False
            return not file.read(1)
        except OSError:
            self._close(0)
            return False

    def save(self, parts):
        """Replace the record by these parts, in this order, in one atomic step; then the copy."""
        self._partial = True
        self._write(0, parts)
        self._partial = False
        try:
            self._write(1, parts)
            self._close(1)
        except OSError:
            # The record is saved. An older copy must never be used in its place: a used token
            # would be accepted again. So remove the copy if there is no room for a new one.
            path = self.paths[1]
            _remove(path)
            _remove(path + ".new")

    def save_tick(self, tick):
        """Replace the tick, in place: littlefs stores so small a file in its directory block."""
        try:
            self._write(2, (tick,))
        finally:
            self._close(2)

    def _open(self, which):
        """Return an open file; None if it does not exist."""
        if not self._files[which]:
            try:
                self._files[which] = open(self.paths[which], "r+b")
            except OSError:
                return None
        return self._files[which]

    def _close(self, which):
        file, self._files[which] = self._files[which], None
        if file:
            file.close()

    def _write(self, which, parts):
        """Replace a file; OSError if that fails, and then it has its old content."""
        path = self.paths[which]
        try:
            file = self._open(which)
            if file and file.seek(0, 2) == sum([len(part) for part in parts]):
                file.seek(0)
                for part in parts:
                    file.write(part)
                file.flush()
                return
            # An open file cannot become shorter, and a new file is empty for a moment.
            self._close(which)
            with open(path + ".new", "wb") as file:
                for part in parts:
                    file.write(part)
            os.rename(path + ".new", path)
        except OSError:
            # After an error littlefs ignores all that is written to the open file.
            self._close(which)
            raise


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
