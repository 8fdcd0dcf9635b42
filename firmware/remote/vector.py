"""Computes parts of a token on the board, for published test vectors."""

from jeton.sts import crc, digits, keys


def decipher(ea, key, sample, block):
    """Print a decrypted block, all in hexadecimal; `sample` selects the sample tables."""
    print(keys.cipher(ea, bytes.fromhex(key), sample)(bytes.fromhex(block)).hex())


def checksum(data):
    """Print the CRC of bytes in hexadecimal."""
    print("%04x" % crc.crc16(bytes.fromhex(data)))


def check_digit(number):
    """Print whether the last digit of a number is correct (ISO/IEC 7812-1)."""
    print(digits.luhn_ok(number))
