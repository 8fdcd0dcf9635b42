"""The files of a board whose timer runs in a thread: one thread at a time uses them.

On a chip nothing comes between the octets of a read from the flash. Here the timer's thread reads
a font while a program imports a module, and littlefs with its block device is not made for two at
once: they would get each other's octets, or bring the interpreter down. What the virtual board
mounts goes through here (jeton_host.virtual.board). What a start needs leaves as little as it can
between the modules on the heap.
"""

from _thread import allocate_lock
from io import IOBase

_lock = allocate_lock()
_CLOSE = 4  # MP_STREAM_CLOSE of py/stream.h: an import closes its file by it


def _alone(name):
    """Return a method that calls the one of this name while no other thread is here."""

    def call(self, *arguments):
        with _lock:
            return getattr(self._of, name)(*arguments)

    return call


class _File(IOBase):
    """An open file."""

    def __init__(self, of):
        self._of = of

    def readinto(self, buffer):
        with _lock:
            return self._of.readinto(buffer)

    def seek(self, offset, whence=0):
        with _lock:
            return self._of.seek(offset, whence)

    def close(self):
        with _lock:
            self._of.close()

    read = _alone("read")
    readline = _alone("readline")
    readlines = _alone("readlines")
    write = _alone("write")
    tell = _alone("tell")
    flush = _alone("flush")

    def ioctl(self, request, argument):
        """Do what the interpreter itself asks of a file."""
        if request != _CLOSE:
            return -22  # EINVAL
        self.close()
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __iter__(self):
        return self

    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration
        return line


class Files:
    """A file system to mount in place of the one it is given."""

    def __init__(self, of):
        self._of = of

    def stat(self, path):
        """Say what a path is; an import asks this three times."""
        with _lock:
            return self._of.stat(path)

    def open(self, path, mode):
        """Open a file."""
        with _lock:
            return _File(self._of.open(path, mode))

    mount = _alone("mount")
    umount = _alone("umount")
    statvfs = _alone("statvfs")
    mkdir = _alone("mkdir")
    rmdir = _alone("rmdir")
    remove = _alone("remove")
    rename = _alone("rename")
    chdir = _alone("chdir")
    getcwd = _alone("getcwd")

    def ilistdir(self, path):
        """List a folder; all of it at once."""
        with _lock:
            return iter(list(self._of.ilistdir(path)))
