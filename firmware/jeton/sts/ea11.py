"""EA11: MISTY1 with 8 rounds, 128-bit key, 64-bit block (RFC 2994; IEC 62055-41 6.5.5).

A meter only decrypts. The functions that encryption needs too (key schedule, FO, FL) are public.
This module is ordinary Python; where the interpreter has a native emitter, `ea11_viper` does the
same.
"""

from array import array

# S7 and S9 of RFC 2994: two hex digits an entry in S7, three in S9.
_S7 = bytearray(
    bytes.fromhex(
        "1b32335a3b1017545b1a72736b2c66491f24136c372e3f4a5d0f405625511c040b46200d7b3544422b1e41144b79156f"
        "0e550936740c6753280a7e38020760291912652f303908685f782a4c6445753d594803577c4f623c1d215e276a704d3a"
        "016d6e6318772305267600312d7a7f61502211064716524e713e6943345c587d"
    )
)
_S9_HEX = (
    "1c30cb15319f1e30e90fb0351810b91171eb13300902d0d30c714a03707e0eb1641931d80a311e05502c01d1a2163118"
    "14b1521d200f02b03013a0e511113818e0630e30c81f401b00109d0f81a016d1f301c14607d0d10821ea18312d0f419e"
    "1d30dd1e21281e00ec05909101112f0260dc0b018c10f1f70e716c0b60f90d815110114c1030b815412b1ae01707100c"
    "04705807f1a413412908415d19d1b21a304807c0511ca02313d1a716503b0420da1920ce0c106b09f1f112c1840fa196"
    "1e116917d03118010a0941da18613e11c0601751cf06711906506809915000800717c0b70240190de1270db0e41a9052"
    "10909019c1c10281b313516a1760df1e51880c516e1de1b10c31df0360ee1ee0f009304909a1b606908112500b05e0b4"
    "1491c717403e13b1b708e1c60ae0100951ef04e0f21fd0850fd0f60a016f08308a15609b13c1071670981d01e90031fe"
    "0bd1220890d218f01203306a1420ed17011b0e214f15813114705d1131cd0791611a517909e1b40cc02213201a0e8004"
    "1871ed1970391bf1d702718b0c609c0d014e06c0341f206e0ca0250ba1910fe01310602f1ad1721db0c010b1d60f51ec"
    "10d0761141ab07510c1e415905411f04b0c41be0f70290a400e1f007704d17a08608b0b31710bf10e10409715b160168"
    "0d70bb0661ce0fc0921c506f01604a0a11390af0f119000a1aa14317b05618d1660d41fb14d19419a0871f81230a71b8"
    "14103c1f914002a15511a1a11980d51261af06112e1571dc07218a0aa0961150ef04507b08d14505305f1780b202e020"
    "1d503f1c91e71ac0440380140b116b0ab0b505a1821c81d40181770640cf06d10019913015a0051201bb1bd0e004f0d6"
    "13f1c412a0150060ff19b0a604308805015f1e812107317e0bc0c20c91731891f50741cc1e61a819501f04100d1ba032"
    "03d1d10800a80571b91621480d910506207a0211ff1121081c00a911d1b01a60cd0f305c10205b1d91441f60ad0a503a"
    "1cb13617f0460e101e1dd0e61371fa18508c08f0401b50be0780000ac11015e1240021bc0a20ea0701fc11615c04c1c2"
)
_S9 = array("H", bytes(2 * 512))
for _i in range(512):
    _S9[_i] = int(_S9_HEX[3 * _i : 3 * _i + 3], 16)


def fi(x, k):
    """Return FI of RFC 2994 2.3.2 of the 16 bits `x` under the 16 key bits `k`."""
    nine = _S9[x >> 7] ^ (x & 127)
    seven = _S7[x & 127] ^ (nine & 127) ^ (k >> 9)
    nine = _S9[nine ^ (k & 511)] ^ seven
    return seven << 9 | nine


def schedule(key):
    """Return the expanded key of 16 bytes: 16 words, EK[0] to EK[15] (RFC 2994 2.2)."""
    ek = array("H", bytes(32))
    for i in range(8):
        ek[i] = key[2 * i] << 8 | key[2 * i + 1]
    for i in range(8):
        ek[8 + i] = fi(ek[i], ek[(i + 1) & 7])
    return ek


def fo(ek, high, low, k):
    """Return FO of RFC 2994 2.3.1 of two 16-bit halves, as (high, low); `k` is 0 to 7."""
    a, b = high, low
    for own, inner in ((0, 5), (2, 1), (7, 3)):
        a = fi(a ^ ek[(k + own) & 7], ek[8 + ((k + inner) & 7)]) ^ b
        a, b = b, a
    return a ^ ek[(k + 4) & 7], b


def fl_keys(ek, k):
    """Return the two words that FL number `k` (0 to 9) uses: for its AND, for its OR."""
    n = k >> 1
    if k & 1:
        return ek[8 + ((n + 2) & 7)], ek[(n + 4) & 7]
    return ek[n], ek[8 + ((n + 6) & 7)]


def fl(ek, high, low, k):
    """Return FL of RFC 2994 2.3.3 of two 16-bit halves, as (high, low)."""
    conjoined, disjoined = fl_keys(ek, k)
    low ^= high & conjoined
    return high ^ (low | disjoined), low


def _fl_inverse(ek, high, low, k):
    conjoined, disjoined = fl_keys(ek, k)
    high ^= low | disjoined
    return high, low ^ (high & conjoined)


def decrypt_plain(ek, block):
    """Return the plain block (8 bytes) of `block` under an expanded key, in ordinary Python."""
    b0, b1, a0, a1 = [block[i] << 8 | block[i + 1] for i in (0, 2, 4, 6)]
    for k in (8, 6, 4, 2, 0):
        a0, a1 = _fl_inverse(ek, a0, a1, k)
        b0, b1 = _fl_inverse(ek, b0, b1, k + 1)
        if k:
            high, low = fo(ek, b0, b1, k - 1)
            a0 ^= high
            a1 ^= low
            high, low = fo(ek, a0, a1, k - 2)
            b0 ^= high
            b1 ^= low
    return bytes([v >> s & 255 for v in (a0, a1, b0, b1) for s in (8, 0)])


def _decrypt_viper(ek, block):
    """Return the result of `decrypt_plain`, computed by native code."""
    out = bytearray(block)
    _rounds(out, ek, _S7, _S9)
    return bytes(out)


try:
    from .ea11_viper import NATIVE
    from .ea11_viper import rounds as _rounds
except (ImportError, ValueError):
    NATIVE = False  # this chip's MicroPython has no native emitter

decrypt_expanded = _decrypt_viper if NATIVE else decrypt_plain


def decrypt(key, block):
    """Return the plain block (8 bytes) of `block` under `key` (16 bytes)."""
    return decrypt_expanded(schedule(key), block)
