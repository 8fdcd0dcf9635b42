"""Finds a part on I2C; unloaded after start-up."""


def found(i2c, addresses, data):
    """Return the first address that acknowledges the data; OSError if none does."""
    for address in addresses:
        try:
            i2c.writeto(address, data)
            return address
        except OSError as error:
            failed = error
    raise failed
