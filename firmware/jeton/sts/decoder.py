"""Decode 20 digits into an authenticated token under a key (IEC 62055-41 7.3.2 to 7.3.4)."""

from . import digits as _digits
from . import tokens
from .results import TokenResult


class Token:
    """A decoded token: its class and subclass, its name in the standard, and its fields."""

    def __init__(self, cls, sub, name, fields):
        self.cls = cls
        self.sub = sub
        self.name = name
        self.fields = fields

    @property
    def tid(self):
        """Return the token identifier, or None for a token without one."""
        return self.fields.get("tid")


def decode(digits, decrypt, ea, mfr_code=0):
    """Return (result, token, message) of 20 digits; `decrypt` is a function from `keys.cipher`.

    The result is ACCEPT for an authentic token; else FORMAT (with a message and no token), CRC (no
    token) or MFR_CODE. `mfr_code` is the code of this meter's maker; a token with code 0 works on
    every meter.
    """
    try:
        cls, block = _digits.split(_digits.clean(digits))
    except ValueError as error:
        return TokenResult.FORMAT, None, str(error)
    if cls == 0 or cls == 2:
        block = decrypt(block)
    sub, name, fields, crc_ok = tokens.unpack(cls, block, ea)
    if not crc_ok:
        return TokenResult.CRC, None, ""
    token = Token(cls, sub, name, fields)
    if cls == 1 and fields.get("mfr_code", 0) not in (0, mfr_code):
        return TokenResult.MFR_CODE, token, ""
    return TokenResult.ACCEPT, token, ""
