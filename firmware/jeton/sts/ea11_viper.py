"""The rounds of EA11 (MISTY1) in native code: 16-bit words and tables, no allocation."""

import sys

from ._native import micropython, ptr8, ptr16

NATIVE = sys.implementation.name == "micropython"


@micropython.viper
def rounds(block: ptr8, ek: ptr16, s7: ptr8, s9: ptr16):
    """Decrypt the 8 bytes of `block` in place under the 16 words of the expanded key `ek`.

    RFC 2994 2.3. All functions are inline: a call would cost more than the work in it.
    """
    b0 = block[0] << 8 | block[1]
    b1 = block[2] << 8 | block[3]
    a0 = block[4] << 8 | block[5]
    a1 = block[6] << 8 | block[7]
    n = 4
    while True:
        # Inverse of FL, numbers 2n and 2n + 1.
        a0 ^= a1 | ek[8 + (n + 6 & 7)]
        a1 ^= a0 & ek[n]
        b0 ^= b1 | ek[n + 4 & 7]
        b1 ^= b0 & ek[8 + (n + 2 & 7)]
        if n == 0:
            break
        # FO number 2n - 1 of b, XORed into a; then number 2n - 2 of a, XORed into b.
        k = 2 * n - 1
        half = 0
        while half < 2:
            if half == 0:
                x = b0
                y = b1
            else:
                x = a0
                y = a1
            step = 0
            while step < 3:
                if step == 0:
                    own = k
                    inner = k + 5
                elif step == 1:
                    own = k + 2
                    inner = k + 1
                else:
                    own = k + 7
                    inner = k + 3
                x ^= ek[own & 7]
                kk = ek[8 + (inner & 7)]
                nine = s9[x >> 7] ^ (x & 127)
                seven = s7[x & 127] ^ (nine & 127) ^ (kk >> 9)
                nine = s9[nine ^ (kk & 511)] ^ seven
                t = (seven << 9 | nine) ^ y
                x = y
                y = t
                step += 1
            x ^= ek[k + 4 & 7]
            if half == 0:
                a0 ^= x
                a1 ^= y
            else:
                b0 ^= x
                b1 ^= y
            k -= 1
            half += 1
        n -= 1
    block[0] = a0 >> 8
    block[1] = a0 & 255
    block[2] = a1 >> 8
    block[3] = a1 & 255
    block[4] = b0 >> 8
    block[5] = b0 & 255
    block[6] = b1 >> 8
    block[7] = b1 & 255
