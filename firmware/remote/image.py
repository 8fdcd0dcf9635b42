"""Writes, reads and starts flash images, in MicroPython on a computer."""

import errno
import json
import os
from binascii import hexlify

import vfs


class Flash:
    """A block device in a file, shared by mkfs, updates and the running board.

    Its sizes are those of the ESP32 port: blocks of 4096 bytes are erased; littlefs then reads and
    writes 32 bytes by default, with a cache of 128. An erased byte is 0xFF.

    `counts` are the operations so far: reads, bytes read, programs, bytes programmed, erases.
    """

    def __init__(self, path, mode="r+b"):
        self.file = open(path, mode)
        self.blocks = self.file.seek(0, 2) // 4096
        self.counts = [0] * 5

    def readblocks(self, block, buf, offset=0):
        """Read at an offset in a block."""
        counts = self.counts
        counts[0] += 1
        counts[1] += len(buf)
        self.file.seek(block * 4096 + offset)
        self.file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        """Program at an offset in a block."""
        counts = self.counts
        counts[2] += 1
        counts[3] += len(buf)
        self.file.seek(block * 4096 + offset)
        self.file.write(buf)

    def ioctl(self, op, arg):
        """Return the number of blocks (4) or their size (5), or erase one (6)."""
        if op == 4:
            return self.blocks
        if op == 5:
            return 4096
        if op == 6:
            self.counts[4] += 1
            self.file.seek(arg * 4096)
            for _ in range(16):
                self.file.write(b"\xff" * 256)
            return 0


class FlashToRead(Flash):
    """A block device that is read-only."""

    def writeblocks(self, block, buf, offset=0):
        """Raise OSError: read-only."""
        raise OSError(errno.EROFS)

    def ioctl(self, op, arg):
        """Raise OSError for an erase: read-only."""
        if op == 6:
            raise OSError(errno.EROFS)
        return Flash.ioctl(self, op, arg)


def _exists(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def discard(start, name):
    """Remove a file if it exists, and its folders if they are empty then."""
    try:
        os.remove(start + name)
        while "/" in name:
            name = name.rpartition("/")[0]
            os.rmdir(start + name)
    except OSError:
        pass


def write(image, tree, names, needs):
    """Bring the files of a flash image up to date and print the result.

    `names` are "new" (format it) or "update", the firmware's hash, and its files, which are in
    `tree`. If `needs` is not empty and the flash has none of those files, nothing is written.
    /firmware.id has the hash on the first line, then the installed files. It is written last, so
    that an interrupted update is repeated.

    Prints "written", "current" (no change needed), "lacking" (no file of `needs`) or "unreadable".
    """
    flash = Flash(image)
    if names[0] == "new":
        vfs.VfsLfs2.mkfs(flash)  # type: ignore[arg-type]
    try:
        vfs.mount(vfs.VfsLfs2(flash), "/flash")  # type: ignore[abstract, arg-type]
    except OSError:
        print("unreadable")
        return
    if needs and not [name for name in needs if _exists("/flash/" + name)]:
        print("lacking")
        return
    old = []
    try:
        with open("/flash/firmware.id") as file:
            old = file.read().split("\n")
    except (OSError, UnicodeError):
        pass  # there is no such file, or a damaged one
    if old and old[0] == names[1]:
        print("current")
        return
    try:
        os.remove("/flash/firmware.id")
    except OSError:
        pass
    for name in old[1:]:
        if name and name not in names:
            discard("/flash/", name)
    for name in names[2:]:
        parts = name.split("/")
        for i in range(1, len(parts)):
            try:
                os.mkdir("/flash/" + "/".join(parts[:i]))
            except OSError:
                pass
        with open(tree + "/" + name, "rb") as source, open("/flash/" + name, "wb") as target:
            target.write(source.read())
    with open("/flash/firmware.id", "w") as file:
        file.write("\n".join(names[1:]))
    vfs.umount("/flash")
    print("written")


def read(image, start, most):
    """Print the free blocks and the files whose names begin with `start`, as JSON.

    Each file has its first `most` bytes in hexadecimal, None if it cannot be read. The whole
    answer is null if the file system cannot be mounted.
    """
    try:
        flash = FlashToRead(image, "rb")
        system = vfs.VfsLfs2(flash)  # type: ignore[abstract, arg-type]
        vfs.mount(system, "/flash", readonly=True)
        found = {}  # type: dict[str, str | None]
        names = [name for name in os.listdir("/flash") if name.startswith(start)]
        for name in names:  # grows while it is read
            if os.stat("/flash/" + name)[0] & 0x4000:
                names += [name + "/" + one for one in os.listdir("/flash/" + name)]
            else:
                found[name] = None
        blocks, free = os.statvfs("/flash")[2:4]
        free = free if free <= blocks else 0  # littlefs counts some blocks twice
    except OSError:
        print(json.dumps(None))
        return
    for name in found:
        try:
            with open("/flash/" + name, "rb") as file:
                found[name] = hexlify(file.read(most)).decode()
        except OSError:
            pass
    print(json.dumps([free, found]))


def play(path, mark, files, shared):
    """Start a virtual board: mount its flash, then run these files of it, one after another.

    The state is that of a board: no file of the host, the current folder at the root, the board's
    path. `mark` is printed at the beginning and at the end of the board's own output. `shared` is
    the path of boards/virtual/modelled/files.py if a thread uses the files too, else "".

    As on an ESP32, `flashbdev.bdev` is the block device.
    """
    import sys

    flash = Flash(path)
    flash.bdev = flash  # type: ignore[attr-defined]
    sys.modules["flashbdev"] = flash  # type: ignore[assignment]
    system = vfs
    if shared:
        space = {}  # type: ignore[var-annotated]
        with open(shared) as file:
            exec(file.read(), space)  # noqa: S102
        system = sys.modules["vfs"] = space["Mounts"](vfs)
        del file, space
    vfs.umount("/")
    vfs.mount(system.VfsLfs2(flash), "/")  # type: ignore[abstract, arg-type]
    del system
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []
    print(mark, end="")
    for name in files:
        try:
            os.stat(name)
        except OSError:
            continue
        try:
            execfile(name)  # type: ignore[name-defined]  # noqa: F821
        except SystemExit:
            os.system("kill -TERM $PPID")  # noqa: S605, S607
        except BaseException as error:
            import io

            text = io.StringIO()
            sys.print_exception(error, text)  # type: ignore[attr-defined]
            lines = text.getvalue().split("\n")
            if '"/dev/fd/' in lines[1]:  # this program: a board's traceback lacks it
                del lines[1]
            print("\n".join(lines), end="")
            break
    import gc

    gc.collect()
    print(mark, end="")
