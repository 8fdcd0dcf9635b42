"""Lists the folders of the archive of modules (firmware/pack.py); for people and for tools."""


def ilistdir(path):
    """Yield the name, kind, inode (0) and size of each file and folder in a folder.

    The names are at the end of the archive, one a line, in the order of its index.
    """
    prefix = path.rstrip("/") + "/"
    with open("/firmware.pack", "rb") as file:
        head = file.read(10)
        index = file.read(head[8] | head[9] << 8)
        ends = [int.from_bytes(index[at + 4 : at + 7], "big") for at in range(0, len(index), 7)]
        file.seek(ends[-1])
        names = file.read().decode().split("\n")
    if path not in names:
        raise OSError(2)
    for i in range(len(ends) - 1):
        name = names[i][len(prefix) :]
        if names[i].startswith(prefix) and name and "/" not in name:
            size = ends[i + 1] - ends[i] if ends[i] else 0
            yield name, 0x8000 if ends[i] else 0x4000, 0, size
