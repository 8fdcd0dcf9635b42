"""The token's checksum: CRC-16, reflected polynomial 0xA001, start 0xFFFF (IEC 62055-41 6.3.7)."""


def _shifted(value):
    for _ in range(4):
        value = (value >> 1) ^ (0xA001 if value & 1 else 0)
    return value


# One entry for each value of 4 bits: a small table for a short checksum.
_NIBBLE = tuple([_shifted(n) for n in range(16)])


def crc16(data):
    """Return the checksum as it is in the token: the low byte first.

    crc16(00 00 4A 2D 90 0F F2) is 0x0FFA.
    """
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 4) ^ _NIBBLE[(crc ^ byte) & 15]
        crc = (crc >> 4) ^ _NIBBLE[(crc ^ (byte >> 4)) & 15]
    return (crc & 0xFF) << 8 | crc >> 8


def token_crc(cls, block, currency=False):
    """Return the checksum of a plain block of a token of class `cls`.

    Only the first 6 bytes of the block are used. `currency` adds the byte 0x01, which gives CRC_C
    (class 0, subclasses 4 to 7).
    """
    return crc16(bytes([cls]) + bytes(block[:6]) + (b"\x01" if currency else b""))
