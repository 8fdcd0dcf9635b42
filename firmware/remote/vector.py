"""Computes the parts of a token on the board, as published vectors ask for them."""

from jeton.sts import crc, digits, keys


def decipher(ea, key, sample, block):
    """Decipher a block, all in hexadecimal; `sample` takes the standard's sample tables."""
    print(keys.cipher(ea, bytes.fromhex(key), sample)(bytes.fromhex(block)).hex())


def checksum(data):
    """Print the CRC of bytes in hexadecimal."""
    print("%04x" % crc.crc16(bytes.fromhex(data)))


def check_digit(number):
    """Print whether a number's last digit is the right one (ISO/IEC 7812-1)."""
    print(digits.luhn_ok(number))
