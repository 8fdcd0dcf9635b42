"""EA07, the STA block cipher: decryption under a 64-bit key (IEC 62055-41 6.5.4, 7.2).

A meter only decrypts; encryption is in the vending package of the host. This module is ordinary
Python; where the interpreter has a native emitter, `ea07_viper` does the same rounds some hundred
times faster.
"""

from array import array


class Tables:
    """One set of substitution and permutation tables.

    `s1`, `s2`: 16 nibbles each. `p`: in encryption, input bit i goes to output bit p[i]; bit 0 is
    the least significant.
    """

    def __init__(self, s1, s2, p):
        self.s1 = s1
        self.s2 = s2
        self.p = p
        self._boxes = None
        self._spread = None

    @property
    def boxes(self):
        """Return D1 and D2, 32 bytes.

        D1 inverts S2 and D2 inverts S1, because encryption complements the key.
        """
        if self._boxes is None:
            boxes = bytearray(32)
            for n in range(16):
                boxes[self.s2[n]] = n
                boxes[16 + self.s1[n]] = n
            self._boxes = boxes
        return self._boxes

    @property
    def spread(self):
        """Return the inverse permutation of each nibble, as 32-bit words (2 KiB).

        Words 2·(16·i + v) and 2·(16·i + v) + 1 are the low and the high half of the inverse
        permutation of a block in which nibble i has the value v and all others are 0.
        """
        if self._spread is None:
            to = bytearray(64)
            for i in range(64):
                to[self.p[i]] = i
            spread = array("I", bytes(4 * 512))
            for i in range(16):
                for v in range(16):
                    low = high = 0
                    for b in range(4):
                        if v >> b & 1:
                            bit = to[4 * i + b]
                            if bit < 32:
                                low |= 1 << bit
                            else:
                                high |= 1 << (bit - 32)
                    spread[2 * (16 * i + v)] = low
                    spread[2 * (16 * i + v) + 1] = high
            self._spread = spread
        return self._spread


# Tables of certified meters.
CERTIFIED = Tables(
    bytes((14, 10, 7, 9, 12, 3, 2, 5, 13, 0, 15, 1, 4, 8, 6, 11)),
    bytes((12, 8, 2, 13, 7, 6, 1, 3, 11, 5, 9, 15, 0, 4, 10, 14)),
    bytes((55, 42, 10, 18, 24, 21, 44, 35, 2, 22, 56, 43, 27, 58, 9, 50))
    + bytes((6, 36, 12, 61, 37, 38, 53, 16, 62, 3, 7, 4, 32, 20, 63, 25))
    + bytes((51, 52, 54, 33, 49, 19, 46, 29, 48, 31, 23, 30, 41, 28, 13, 5))
    + bytes((40, 60, 39, 11, 15, 17, 1, 0, 57, 34, 59, 8, 47, 14, 45, 26)),
)

# Tables of the standard's worked example; no real meter uses them.
SAMPLE = Tables(
    bytes((12, 10, 8, 4, 3, 15, 0, 2, 14, 1, 5, 13, 6, 9, 7, 11)),
    bytes((6, 9, 7, 4, 3, 10, 12, 14, 2, 13, 1, 15, 0, 11, 8, 5)),
    bytes((29, 27, 34, 9, 16, 62, 55, 2, 40, 49, 38, 25, 33, 61, 30, 23))
    + bytes((1, 41, 21, 57, 42, 15, 5, 58, 19, 53, 22, 17, 48, 28, 24, 39))
    + bytes((3, 60, 36, 14, 11, 52, 54, 12, 31, 51, 10, 26, 0, 45, 37, 43))
    + bytes((44, 6, 59, 4, 7, 35, 56, 50, 13, 18, 32, 47, 46, 63, 20, 8)),
)


def decrypt_plain(key, block, tables=CERTIFIED):
    """Return the plain block (8 bytes) of `block` under `key` (8 bytes), in ordinary Python."""
    spread = tables.spread
    boxes = tables.boxes
    low = int.from_bytes(block[4:], "big")
    high = int.from_bytes(block[:4], "big")
    for r in range(16):
        new_low = new_high = 0
        for i in range(8):
            at = 2 * (16 * i + (low >> 4 * i & 15))
            new_low |= spread[at]
            new_high |= spread[at + 1]
            at = 2 * (16 * i + 128 + (high >> 4 * i & 15))
            new_low |= spread[at]
            new_high |= spread[at + 1]
        low = high = 0
        for i in range(8):
            # Bit 4i of the key, rotated right r times, selects D1 or D2 for nibble i.
            bit = (4 * i + r) & 63
            box = (key[7 - (bit >> 3)] >> (bit & 7) & 1) << 4
            low |= boxes[box | (new_low >> 4 * i & 15)] << 4 * i
            bit = (4 * i + 32 + r) & 63
            box = (key[7 - (bit >> 3)] >> (bit & 7) & 1) << 4
            high |= boxes[box | (new_high >> 4 * i & 15)] << 4 * i
    return high.to_bytes(4, "big") + low.to_bytes(4, "big")


def _decrypt_viper(key, block, tables=CERTIFIED):
    """Return the result of `decrypt_plain`, computed by native code."""
    out = bytearray(block)
    _rounds(out, key, tables.spread, tables.boxes)
    return bytes(out)


try:
    from .ea07_viper import NATIVE
    from .ea07_viper import rounds as _rounds
except (ImportError, ValueError):
    NATIVE = False  # this chip's MicroPython has no native emitter

decrypt = _decrypt_viper if NATIVE else decrypt_plain
