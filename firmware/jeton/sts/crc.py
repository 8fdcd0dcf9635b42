"""The token's checksum: CRC-16, reflected polynomial 0xA001, start 0xFFFF (IEC 62055-41 6.3.7)."""


def _shifted(value):
    for _ in range(4):
        value = (value >> 1) ^ (0xA001 if value & 1 else 0)
    return value


# Four bits at a time: a small table for a short checksum.
_NIBBLE = tuple([_shifted(n) for n in range(16)])


def crc16(octets):
    """Return the checksum as it stands in the token, its two octets exchanged.

    crc16(00 00 4A 2D 90 0F F2) is 0x0FFA.
    """
    crc = 0xFFFF
    for octet in octets:
        crc = (crc >> 4) ^ _NIBBLE[(crc ^ octet) & 15]
        crc = (crc >> 4) ^ _NIBBLE[(crc ^ (octet >> 4)) & 15]
    return (crc & 0xFF) << 8 | crc >> 8


def token_crc(cls, block, currency=False):
    """Return the checksum of a plain block (its first 6 octets count) of a token of class `cls`.

    `currency` adds the octet 0x01 that makes CRC_C (class 0, subclasses 4 to 7).
    """
    return crc16(bytes([cls]) + bytes(block[:6]) + (b"\x01" if currency else b""))
