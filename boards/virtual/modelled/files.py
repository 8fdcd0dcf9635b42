"""The files of a board whose timer runs in a thread: only one thread at a time uses them.

On a chip nothing interrupts a read from the flash. Here the timer's thread reads a font while a
program imports a module. littlefs and its block device are not thread-safe: the threads would get
each other's bytes, or crash the interpreter. The virtual board mounts this file system around its
own (jeton_host.virtual.board). The module uses as few objects as possible, because those left
between the modules of a start fragment the heap.
"""

from _thread import allocate_lock
from io import IOBase

_lock = allocate_lock()
_CLOSE = 4  # MP_STREAM_CLOSE of py/stream.h: an import closes its file with it


def _alone(name):
    """Return a method that calls the method of this name under the lock."""

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

    def seek(self, offset, origin=0):
        with _lock:
            return self._of.seek(offset, origin)

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
        """Handle the stream requests of the interpreter."""
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
    """A file system that wraps another one, with the lock."""

    def __init__(self, of):
        self._of = of

    def stat(self, path):
        """Return the status of a path; an import calls this three times."""
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
        """Return an iterator over the complete listing of a folder."""
        with _lock:
            return iter(list(self._of.ilistdir(path)))


class Mounts:
    """The module `vfs`: a littlefs that a program mounts is shared too."""

    def __init__(self, of):
        self._of = of

    def VfsLfs2(self, *arguments, **named):
        """Return a littlefs with the lock."""
        return Files(self._of.VfsLfs2(*arguments, **named))

    def __getattr__(self, name):
        return getattr(self._of, name)
