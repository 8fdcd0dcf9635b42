"""The parts of the store needed only at a start; then unloaded, to free heap."""

import os

_ENOENT = 2
_TICK, _COPY = 2, 1


def load(store, which):
    """Return the content of one of a store's files, None if there is none.

    For a tick (2) that cannot be read, return None: the record is valid without it.
    """
    if which == _TICK:
        _folder(store)
    try:
        with open(store.paths[which], "rb") as file:
            return file.read()
    except OSError as error:
        if which != _TICK and error.args[0] != _ENOENT:
            raise  # an unreadable record is not a missing record
    finally:
        if which == _COPY:
            try:
                store.renew()
            except OSError:
                pass  # a full flash: the next save raises an error


def _folder(store):
    """Make the folders of the store; move the files of older firmware into them.

    Older firmware kept the store of /meter/record in /meter.bin. The folder gets its name last, in
    one step: a start after a power cut before that begins again.
    """
    folder, _, name = store.path.rpartition("/")
    try:
        os.stat(folder or "/")
        return
    except OSError:
        pass
    new, old = folder + ".new", folder + ".bin"
    _mkdir(new)
    _mkdir(folder + ".copy")
    for path, other in (
        (old + ".d/copy", store.paths[_COPY]),
        (old + ".tick", new + "/" + name + ".tick"),
        (old, new + "/" + name),
    ):
        try:
            os.rename(path, other)
        except OSError:
            pass  # there is no such file
    try:
        os.rename(new, folder)
        os.rmdir(old + ".d")
    except OSError:
        pass


def _mkdir(path):
    try:
        os.mkdir(path)
    except OSError:
        pass  # it exists, or the flash is full


def renew(store):
    """Let littlefs begin a new log for the folder of the store and for the root folder.

    The end of the current log may be half written. Half-written flash cells can read as written
    now and as erased later; then all entries after them would be lost. Each of these saves takes
    160 bytes of the 4 KB of a log.
    """
    folder = store.path.rpartition("/")[0]
    _mkdir(folder + ".copy")
    for scratch in (folder + ".log", store.path + ".log"):
        with open(scratch, "wb") as file:
            for _ in range(24):
                file.seek(0)
                file.write(bytes(126))
                file.flush()
        os.remove(scratch)
