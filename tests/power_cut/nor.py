"""A model of a NOR flash as a block device: 4 KB erase blocks; programming only clears bits.

Runs in MicroPython. The power fails at operation number `cut_at` (programs and erases, counted
from 1) in one of the `MODES`. After that, writes fail.
"""

import random

BLOCK = 4096
_ERASED = b"\xff" * BLOCK
_EIO = -5

MODES = ("nothing", "prefix", "random", "all", "garbage", "metastable", "late")


def noise(size):
    """Return random bytes from the seeded generator."""
    data = bytearray(size)
    for at in range(0, size, 4):
        word = random.getrandbits(32)
        data[at : at + 4] = word.to_bytes(4, "little")[: size - at]
    return data


def _and(a, b):
    size = len(a)
    return (int.from_bytes(a, "big") & int.from_bytes(b, "big")).to_bytes(size, "big")


def _or(a, b):
    size = len(a)
    return (int.from_bytes(a, "big") | int.from_bytes(b, "big")).to_bytes(size, "big")


def _torn(old, done):
    """Return a torn write: each bit that differs has its old or its new value at random."""
    size = len(old)
    mask = noise(size)
    others = (int.from_bytes(mask, "big") ^ ((1 << 8 * size) - 1)).to_bytes(size, "big")
    return _or(_and(old, mask), _and(done, others))


class Nor:
    """A flash; its blocks are shared with snapshots until they are changed (copy on write).

    If `log` is a list, each operation is added to it with the blocks before it, for `cut`.
    `unsettled` are torn cells that will read differently later: (block, offset, data). They change
    when `settle` is called, or after `settle_at` reads.
    """

    def __init__(self, blocks, unsettled=None, settle_at=0):
        self.blocks = list(blocks)
        self._views = [memoryview(block) for block in blocks]
        self._own = set()
        self.ops = 0
        self.cut_at = 0
        self.mode = "nothing"
        self.dead = False
        self.erases = None
        self.log = None
        self.unsettled = unsettled
        self.settle_at = settle_at
        self._again = False  # torn cells were programmed again: a bit that is 0 in either is 0
        views = self._views

        def readblocks(block, buf, offset=0):
            buf[:] = views[block][offset : offset + len(buf)]

        def readblocks_late(block, buf, offset=0):
            self.settle_at -= 1
            if not self.settle_at:
                self.settle()
            buf[:] = views[block][offset : offset + len(buf)]

        # 90 % of all calls: functions without attribute look-ups are faster than methods.
        self.readblocks = readblocks_late if settle_at else readblocks

    def snapshot(self):
        """Return the blocks as they are now."""
        self._own = set()
        return list(self.blocks)

    def cut(self, i, mode):
        """Return a flash as a power cut in operation `i` of the log leaves it."""
        blocks, block, offset, data = self.log[i]
        other = Nor(blocks)
        other.cut_at, other.mode = 1, mode
        if data is None:
            other.ioctl(6, block)
        else:
            other.writeblocks(block, data, offset)
        return other

    def settle(self):
        """Give torn cells their final values."""
        if self.unsettled:
            block, offset, data = self.unsettled
            self.unsettled = None
            mine = self._mine(block)
            end = offset + len(data)
            if self._again:
                data = _and(mine[offset:end], data)
            mine[offset:end] = data

    def _mine(self, block):
        if block not in self._own:
            self._replace(block, bytearray(self.blocks[block]))
        return self.blocks[block]

    def _replace(self, block, data):
        self._own.add(block)
        self.blocks[block] = data
        self._views[block] = memoryview(data)

    def writeblocks(self, block, buf, offset=0):
        """Program bytes: bits that are 0 stay 0."""
        if self.dead:
            return _EIO
        if self.log is not None:
            self.log.append((self.snapshot(), block, offset, bytes(buf)))
        mine = self._mine(block)
        end = offset + len(buf)
        if self.unsettled and self.unsettled[0] == block:
            first = self.unsettled[1]
            self._again = self._again or (first < end and offset < first + len(self.unsettled[2]))
        old = bytes(mine[offset:end])
        done = bytes(buf) if old == _ERASED[: len(old)] else _and(old, buf)
        garbage = _and(old, noise(len(old))) if self._last() else b""
        return self._do(block, offset, old, done, garbage)

    def ioctl(self, op, arg):
        """Return the number of blocks (4) or the block size (5), or erase a block (6)."""
        if op == 4:
            return len(self.blocks)
        if op == 5:
            return BLOCK
        if op == 6:
            if self.dead:
                return _EIO
            if self.erases is not None:
                self.erases[arg] += 1
            if self.log is not None:
                self.log.append((self.snapshot(), arg, 0, None))
            old = b"" if not self._last() else bytes(self.blocks[arg])
            return self._do(arg, 0, old, _ERASED, noise(BLOCK) if old else b"")
        return 0

    def _last(self):
        return self.ops + 1 == self.cut_at

    def _do(self, block, offset, old, done, garbage):
        self.ops += 1
        if self.ops != self.cut_at:
            if self.unsettled and self.unsettled[0] == block and len(done) == BLOCK:
                self.unsettled = None
            self._put(block, offset, done)
            return 0
        self.dead = True
        mode = self.mode
        size = len(done)
        if mode == "all":
            self._put(block, offset, done)
        elif mode == "prefix":
            self._put(block, offset, done[: random.randrange(1, size)])
        elif mode == "random":
            self._put(block, offset, _torn(old, done))
        elif mode == "garbage":
            self._put(block, offset, garbage)
        elif mode in ("metastable", "late"):
            both = [old, done, _torn(old, done)]
            first = both.pop(random.randrange(3))
            self._put(block, offset, first)
            self.unsettled = (block, offset, both[random.randrange(2)])
            self.settle_at = random.randrange(1, 60) if mode == "late" else 0
        return _EIO

    def _put(self, block, offset, data):
        if len(data) == BLOCK:
            self._replace(block, bytearray(data))
        else:
            self._mine(block)[offset : offset + len(data)] = data
