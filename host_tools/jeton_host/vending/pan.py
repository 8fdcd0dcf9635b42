"""Meter numbers: the check digit, the DRN (printed on the meter) and the PAN (for key derivation).

This module must not use keys or tokens. Sources: IEC 62055-41 6.1.2; ISO/IEC 7812 for the
check digit.
"""

import re

from jeton.sts import digits as sts_digits
from jeton_host.errors import VendingError
from jeton_host.vending import shown

IIN_11 = "600727"
"""Issuer identification number (IIN) of meters with an 11-digit DRN."""
IIN_13 = "0000"
"""Issuer identification number (IIN) of meters with a 13-digit DRN."""

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_DIGITS = re.compile(r"[0-9]+")


def luhn_digit(digits: str) -> str:
    """Return the check digit to append to `digits`."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = ord(char) - 48
        total += _DOUBLED[value] if place % 2 == 0 else value
    return str(-total % 10)


def luhn_valid(digits: str) -> bool:
    """Return whether the last digit is the right check digit for the digits before it."""
    return sts_digits.is_digits(digits) and sts_digits.luhn_ok(digits)


def check_drn(drn: str) -> str:
    """Return `drn` without spaces and dashes; raise VendingError if it is not valid."""
    clean = drn.replace(" ", "").replace("-", "")
    if not _DIGITS.fullmatch(clean):
        raise VendingError(f"meter number {drn!r} contains characters that are not digits")
    if len(clean) not in (11, 13):
        whole = with_zeros(clean)
        zeros = f"; with the leading zeros that a spreadsheet removes it is {whole}"
        raise VendingError(
            f"meter number {clean} has {len(clean)} digits: a DRN must have 11 or 13"
            + (zeros if whole else "")
        )
    right = luhn_digit(clean[:-1])
    if clean[-1] != right:
        raise VendingError(
            f"meter number {clean} has check digit {clean[-1]}, but it should be {right}: "
            "look for a typing error"
        )
    return clean


def with_zeros(number: str) -> str:
    """Return the DRN or PAN that is this number with leading zeros; empty if there is none."""
    width = next((width for width in (11, 13, 18) if len(number) < width), 0)
    whole = number.zfill(width)
    if len(number) in (11, 13) or not width or not luhn_valid(whole) or not int(whole):
        return ""
    if width == 18 and not (whole.startswith(IIN_13) and luhn_valid(whole[len(IIN_13) : -1])):
        return ""
    return whole


def padded(drn: str) -> str:
    """Return a warning if a DRN of 13 digits may be one of 11 digits with zeros; else nothing.

    Leading zeros do not change the check digit, but the two numbers have different keys.
    """
    if len(drn) != 13 or not drn.startswith("00"):
        return ""
    return (
        f"meter number {drn} has 13 digits and begins with 00: if a program has padded the meter "
        f"number {drn[2:]}, its tokens have another key; give the 11 digits then"
    )


def make_drn(serial: int, *, maker: int = 0, digits: int = 11) -> str:
    """Return the DRN of a meter from its serial number and maker code.

    A DRN is the maker code (2 digits of 11, or 4 of 13), 8 digits of serial number and a check
    digit.
    """
    if digits not in (11, 13):
        raise VendingError(f"a DRN must have 11 or 13 digits, not {digits}")
    width = digits - 9
    if not 0 <= maker < 10**width:
        raise VendingError(f"maker code {maker} does not fit into {width} digits")
    if not 0 <= serial < 10**8:
        raise VendingError(f"serial number {serial} does not fit into 8 digits")
    body = f"{maker:0{width}d}{serial:08d}"
    return body + luhn_digit(body)


def meter_pan(drn: str) -> str:
    """Return the 18-digit PAN of a meter: IIN, DRN and check digit."""
    clean = check_drn(drn)
    body = (IIN_11 if len(clean) == 11 else IIN_13) + clean
    return body + luhn_digit(body)


def split_pan(pan: str) -> tuple[str, str]:
    """Return (IIN, DRN) of an 18-digit PAN; raise VendingError if it is not valid."""
    clean = pan.replace(" ", "").replace("-", "")
    if not _DIGITS.fullmatch(clean):
        raise VendingError(f"PAN {shown.value(pan)} contains characters that are not digits")
    if len(clean) != 18:
        raise VendingError(f"the PAN has {len(clean)} digits: it must have 18")
    if clean.startswith(IIN_11):
        iin = IIN_11
    elif clean.startswith(IIN_13):
        iin = IIN_13
    else:
        raise VendingError(
            f"PAN {clean} begins with neither {IIN_11} (11-digit DRN) nor {IIN_13} (13-digit DRN)"
        )
    right = luhn_digit(clean[:-1])
    if clean[-1] != right:
        raise VendingError(
            f"PAN {clean} has check digit {clean[-1]}, but it should be {right}: "
            "look for a typing error"
        )
    return iin, check_drn(clean[len(iin) : -1])
