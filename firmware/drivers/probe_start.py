"""Finds a part on I2C; a start lets this go again."""


def found(i2c, addresses, octets):
    """Return the first address that takes the octets; OSError where none does."""
    for address in addresses:
        try:
            i2c.writeto(address, octets)
            return address
        except OSError as error:
            failed = error
    raise failed
