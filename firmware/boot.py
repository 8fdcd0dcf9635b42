"""Start the meter after every kind of reset: after a soft reset main.py may not run."""

# Ctrl-C must not end the start of a meter that may be locked.
__import__("micropython").kbd_intr(-1)


def _mount():
    """Mount the archive of the firmware at /fw; during the start only its modules are found."""
    del globals()["_mount"]
    import sys

    # Only MicroPython's own modules: a search on the flash costs a hundred reads.
    sys.path[:] = (".frozen",)
    import os
    from io import IOBase

    import vfs

    try:
        from flashbdev import bdev  # type: ignore[import-not-found]

        # By default littlefs reads 32 bytes at a time; the build puts the board's READ_SIZE here.
        system = vfs.VfsLfs2(bdev, readsize=128)  # type: ignore[abstract]
        vfs.umount("/")
        vfs.mount(system, "/")
        os.chdir("/")
    except Exception:  # noqa: S110
        pass  # another file system, or another place of it: it stays as MicroPython mounted it
    sys.path[:] = ("/lib",)
    import jeton_pack as pack  # type: ignore[import-not-found]  # firmware/pack.py

    class Kept(IOBase):
        """The open archive: an import reads it and does not close it."""

        def ioctl(self, request, argument):
            return 0

    pack.kept = kept = Kept()
    kept.readinto = pack.file.readinto  # type: ignore[attr-defined]
    vfs.mount(pack, "/fw")
    sys.path[:] = ("/fw",)


# Collect often, also during the start: else its objects are spread over the whole heap, which then
# has no contiguous block for an answer.
__import__("gc").threshold(16384)
try:
    _mount()
    # firmware/main.py, under its name on a board, so that a user's own /main.py cannot replace it.
    from jeton_main import meter  # type: ignore[import-not-found]  # noqa: F401
except Exception as error:
    # The check of the lock is in /lib too: it needs no archive. Unload the modules of the failed
    # start: it needs their memory.
    for _path in ("/lib", "/fw"):
        __import__("sys").path[:] = (_path,)
        __import__("sys").modules.clear()
        __import__("gc").collect()
        try:
            shut = __import__("drivers.shut").shut
            break
        except MemoryError:
            # It is not known whether the meter is locked: its REPL stays closed.
            __import__("time").sleep(5)
            __import__("machine").reset()
        except Exception:  # noqa: S110
            pass  # there is none, or it is damaged
    else:
        __import__("micropython").kbd_intr(3)
        raise error
    shut.start(error)
finally:
    # The firmware's modules come first: a user's own /board.py must not replace the board's.
    __import__("sys").path[:] = ("/fw", "", ".frozen", "/lib")

__import__("micropython").kbd_intr(3)
