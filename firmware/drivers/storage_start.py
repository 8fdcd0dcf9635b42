"""The parts of the store needed only at a start; then unloaded, to free heap."""

import os

_ENOENT = 2


def load(store, which):
    """Return the content of one of a store's files, None if there is none.

    For a tick (2) that cannot be read, return None: the record is valid without it.
    """
    try:
        with open(store.paths[which], "rb") as file:
            return file.read()
    except OSError as error:
        if which != 2 and error.args[0] != _ENOENT:
            raise  # an unreadable record is not a missing record
    finally:
        if which == 1:
            try:
                store.renew()
            except OSError:
                pass  # a full flash: the next save raises an error


def renew(path):
    """Let littlefs begin a new log: the end of the current one may be half written.

    Half-written flash cells can read as written now and as erased later; then all entries after
    them would be lost. Each of these names of more than 240 bytes takes a tenth of the log's 4 KB.
    """
    try:
        os.mkdir(path + ".d")
    except OSError:
        pass  # the folder exists
    names = [path + "-" * 240, path + "+" * 240]
    with open(names[0], "wb") as file:
        file.write(bytes(128))
    for i in range(12):
        os.rename(names[i & 1], names[~i & 1])
    os.remove(names[0])
