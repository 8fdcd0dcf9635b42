"""What a store does once, at a start; a board whose heap is small lets it go after that."""

import os

_ENOENT = 2


def load(store, which):
    """Return the octets of one of the files of a store, None when there is none.

    A tick (2) that cannot be read is none: the record stands without it.
    """
    try:
        with open(store.paths[which], "rb") as file:
            return file.read()
    except OSError as error:
        if which != 2 and error.args[0] != _ENOENT:
            raise  # a record that cannot be read is not a record that is not there
    finally:
        if which == 1:
            try:
                store.renew()
            except OSError:
                pass  # a full flash: whoever saves is told


def renew(path):
    """Let littlefs begin a new log: the end of this one may be half written.

    Such cells can read as written now and as erased later, and all that stands behind them would
    be lost. Each of these names of 240 octets and more takes a tenth of the log's 4 KB.
    """
    try:
        os.mkdir(path + ".d")
    except OSError:
        pass  # it is there
    names = [path + "-" * 240, path + "+" * 240]
    with open(names[0], "wb") as file:
        file.write(bytes(128))
    for i in range(12):
        os.rename(names[i & 1], names[~i & 1])
    os.remove(names[0])
