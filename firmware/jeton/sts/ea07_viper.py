"""The rounds of EA07 in native code: 32-bit halves and tables, no allocation."""

import sys

from ._native import micropython, ptr8, ptr32

NATIVE = sys.implementation.name == "micropython"


@micropython.viper
def rounds(block: ptr8, key: ptr8, spread: ptr32, boxes: ptr8):
    """Decrypt the 8 bytes of `block` in place under the 8 bytes of `key`.

    `spread` and `boxes` are those of `ea07.Tables`.
    """
    low = block[7] | block[6] << 8 | block[5] << 16 | block[4] << 24
    high = block[3] | block[2] << 8 | block[1] << 16 | block[0] << 24
    r = 0
    while r < 16:
        new_low = 0
        new_high = 0
        i = 0
        while i < 8:
            at = i << 5 | (low >> (i << 2) & 15) << 1
            new_low |= spread[at]
            new_high |= spread[at + 1]
            at = (i + 8) << 5 | (high >> (i << 2) & 15) << 1
            new_low |= spread[at]
            new_high |= spread[at + 1]
            i += 1
        low = 0
        high = 0
        i = 0
        while i < 8:
            n = i << 2
            bit = n + r & 63
            box = (key[7 - (bit >> 3)] >> (bit & 7) & 1) << 4
            low |= boxes[box | (new_low >> n & 15)] << n
            bit = n + 32 + r & 63
            box = (key[7 - (bit >> 3)] >> (bit & 7) & 1) << 4
            high |= boxes[box | (new_high >> n & 15)] << n
            i += 1
        r += 1
    i = 0
    while i < 4:
        n = 24 - (i << 3)
        block[i] = high >> n & 255
        block[i + 4] = low >> n & 255
        i += 1
