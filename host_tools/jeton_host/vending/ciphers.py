"""Token encryption, which a meter does not need, and fast decryption for the host.

EA07 works here on bytes: one large table does the substitution and the permutation of a round. The
meter's own code (`jeton.sts.ea07`) is written for the small memory of a chip. Both use the same
published tables, and a test compares their results. EA11 (MISTY1, RFC 2994) uses the functions of
`jeton.sts.ea11`.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache

from jeton.sts import ea07, ea11
from jeton_host.errors import VendingError
from jeton_host.vending import shown

KEY_BYTES = {7: 8, 11: 16}
TABLES = {"certified": ea07.CERTIFIED, "sample": ea07.SAMPLE}

_Rows = tuple[Sequence[int], ...]
_MASK = (1 << 64) - 1


def check_ea(ea: int) -> int:
    """Return `ea` if it is a supported encryption algorithm."""
    if ea == 9:
        raise VendingError("EA09 (single DES) is withdrawn: use EA07 or EA11")
    if ea not in KEY_BYTES:
        raise VendingError(f"EA {shown.value(ea)} does not exist: use 7 (STA) or 11 (MISTY1)")
    return ea


def check_key(key: bytes, ea: int) -> bytes:
    """Return `key` if its length is right for `ea`; the message never shows the key."""
    if len(key) != KEY_BYTES[check_ea(ea)]:
        raise VendingError(
            f"a decoder key for EA{ea:02d} must have {KEY_BYTES[ea]} bytes "
            f"({2 * KEY_BYTES[ea]} hex digits); this one has {len(key)}"
        )
    return key


def encrypt(ea: int, key: bytes, block: bytes, tables: str = "certified") -> bytes:
    """Return the encrypted block of 8 bytes; only EA07 uses `tables`."""
    check_key(key, ea)
    if ea == 11:
        return _misty1_encrypt(_misty1_schedule(key), block)
    return _run_rounds(_encrypt_rounds(key, tables), block)


def decrypt(ea: int, key: bytes, block: bytes, tables: str = "certified") -> bytes:
    """Return the decrypted block of 8 bytes; only EA07 uses `tables`."""
    check_key(key, ea)
    if ea == 11:
        return ea11.decrypt_expanded(_misty1_schedule(key), block)
    return _run_rounds(_decrypt_rounds(key, tables), block)


def _run_rounds(rounds: tuple[_Rows, ...], block: bytes) -> bytes:
    """Return a block of 8 bytes after these rounds of EA07, to encrypt or to decrypt."""
    state = int.from_bytes(block, "big")
    for r in rounds:
        b = state.to_bytes(8, "little")
        state = (
            r[0][b[0]] | r[1][b[1]] | r[2][b[2]] | r[3][b[3]]
            | r[4][b[4]] | r[5][b[5]] | r[6][b[6]] | r[7][b[7]]
        )  # fmt: skip
    return state.to_bytes(8, "big")


def _spread(to: Callable[[int], int]) -> list[list[int]]:
    """Return a table [i][v]: the block with the bits of value v of byte i moved by `to`."""
    rows = []
    for number in range(8):
        row = [0] * 256
        for bit in range(8):
            row[1 << bit] = 1 << to(8 * number + bit)
        for value in range(1, 256):
            low = value & -value
            row[value] = row[low] | row[value ^ low]
        rows.append(row)
    return rows


def _substituted(rows: list[list[int]], one: bytes, two: bytes) -> list[list[list[int]]]:
    """Return a table [byte][two key bits]: `rows` after the substitution of both nibbles.

    Each key bit selects the box (`one` or `two`) of one nibble.
    """
    boxes = (one, two)
    return [
        [
            [row[boxes[pair >> 1][v >> 4] << 4 | boxes[pair & 1][v & 15]] for v in range(256)]
            for pair in range(4)
        ]
        for row in rows
    ]


@cache
def _engine(name: str) -> tuple[list[list[int]], list[list[list[int]]], list, list]:
    """Return 4 byte tables: inverse permutation, encryption, decryption, last decryption round."""
    tables = TABLES.get(name)
    if tables is None:
        raise VendingError(f"tables {shown.value(name)} do not exist: use certified or sample")
    p = tables.p
    inverse = bytearray(64)
    for source, target in enumerate(p):
        inverse[target] = source
    # D1 is the inverse of S2, and D2 of S1: jeton.sts.ea07 has them in this order.
    boxes = bytes(tables.boxes)
    undo = _spread(lambda bit: inverse[bit])
    return (
        undo,
        _substituted(_spread(lambda bit: p[bit]), tables.s1, tables.s2),
        _substituted(undo, boxes[:16], boxes[16:]),
        _substituted(_spread(lambda bit: bit), boxes[:16], boxes[16:]),
    )


def _select(table: list[list[list[int]]], key: int, first: int) -> _Rows:
    """Return one row for each byte; key bit `first` + 4n selects the box of nibble n."""
    return tuple(
        table[i][(key >> 8 * i + 4 + first & 1) << 1 | key >> 8 * i + first & 1] for i in range(8)
    )


@lru_cache(maxsize=1024)
def _encrypt_rounds(key: bytes, tables: str) -> tuple[_Rows, ...]:
    engine = _engine(tables)
    k = ~int.from_bytes(key, "big") & _MASK
    k = (k >> 12 | k << 52) & _MASK
    rounds = []
    for _ in range(16):
        rounds.append(_select(engine[1], k, 3))
        k = (k << 1 | k >> 63) & _MASK
    return tuple(rounds)


@lru_cache(maxsize=1024)
def _decrypt_rounds(key: bytes, tables: str) -> tuple[_Rows, ...]:
    # Each table does a substitution and then the inverse permutation of the next round. So the
    # first inverse permutation and the last substitution have tables of their own.
    undo, _, middle, last = _engine(tables)
    k = int.from_bytes(key, "big")
    rounds: list[_Rows] = [tuple(undo)]
    for n in range(16):
        rounds.append(_select(middle if n < 15 else last, k, 0))
        k = k >> 1 | (k & 1) << 63
    return tuple(rounds)


@lru_cache(maxsize=1024)
def _misty1_schedule(key: bytes) -> Sequence[int]:
    return ea11.schedule(key)


def _misty1_encrypt(ek: Sequence[int], block: bytes) -> bytes:
    """Return the encrypted block (RFC 2994 2.3), the inverse of `jeton.sts.ea11.decrypt`."""
    a0, a1, b0, b1 = (block[i] << 8 | block[i + 1] for i in (0, 2, 4, 6))
    for k in (0, 2, 4, 6):
        a0, a1 = ea11.fl(ek, a0, a1, k)
        b0, b1 = ea11.fl(ek, b0, b1, k + 1)
        high, low = ea11.fo(ek, a0, a1, k)
        b0 ^= high
        b1 ^= low
        high, low = ea11.fo(ek, b0, b1, k + 1)
        a0 ^= high
        a1 ^= low
    a0, a1 = ea11.fl(ek, a0, a1, 8)
    b0, b1 = ea11.fl(ek, b0, b1, 9)
    return b"".join(v.to_bytes(2, "big") for v in (b0, b1, a0, a1))
