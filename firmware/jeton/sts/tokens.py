"""The table of token layouts, and packing and unpacking by it (IEC 62055-41 6.2, 6.3).

The decoder on the device and the encoder on the host use the same table. Blocks are plain here:
keys, meters and time are outside this module.
"""

from .crc import token_crc

BODY_BITS = 44

# Class and subclass (hexadecimal), name, then the fields with their bits, most significant first.
# One string: as tuples in a dictionary the table would take 8 KB of a small heap. + is the 3rd
# section under EA07, p and q are proprietary subclasses, ? is a token whose layout no public text
# gives.
_TABLE = """
00 TransferCredit:Electricity rnd:4 tid:24 amount:16
01 TransferCredit:Water rnd:4 tid:24 amount:16
02 TransferCredit:Gas rnd:4 tid:24 amount:16
03 TransferCredit:Time rnd:4 tid:24 amount:16
04 TransferCredit:ElectricityCurrency se:4 tid:24 amount:16
05 TransferCredit:WaterCurrency se:4 tid:24 amount:16
06 TransferCredit:GasCurrency se:4 tid:24 amount:16
07 TransferCredit:TimeCurrency se:4 tid:24 amount:16
10 InitiateMeterTest/Display control:36 mfr_code:8
11 InitiateMeterTest/Display control:28 mfr_code:16
12 ExtendedTokenSetRead control:28 mfr_code:16
1p Proprietary control:28 mfr_code:16
1q Proprietary control:36 mfr_code:8
20 SetMaximumPowerLimit rnd:4 tid:24 mpl:16
21 ClearCredit rnd:4 tid:24 register:16
22 SetTariffRate rnd:4 tid:24 rate:16
23 Set1stSectionDecoderKey kenho:4 krn:4 ro:1 kct3:1 kt:2 nkho:32
24 Set2ndSectionDecoderKey kenlo:4 ti:8 nklo:32
25 ClearTamperCondition rnd:4 tid:24 pad:16
26 SetMaximumPhasePowerUnbalanceLimit rnd:4 tid:24 mppul:16
27 SetWaterMeterFactor rnd:4 tid:24 wmfactor:16
28 Set3rdSectionDecoderKey sgclo:12 nkmo2:32
2+ Set3rdSectionDecoderKey sgc:24 pad:20
29 Set4thSectionDecoderKey sgcho:12 nkmo1:32
2a ExtendedTokenSetWrite rnd:4 tid:24 value:16
2p Proprietary value:44
?? Reserved value:44
"""


def layout(cls, sub, ea=7):
    """Return (name, ((field, bits), …)) of a token, most significant field first, 44 bits in all.

    Proprietary subclasses are not in the standard's table, but have a known form. `ea` (7 or 11)
    matters only for Set3rdSectionDecoderKey: under EA07 it carries the whole SGC. A reserved token
    has the name "Reserved" and one field.
    """
    form = "%x" % sub
    if ea == 7 and cls == 2 and sub == 8:
        form = "+"
    elif cls == 1 and sub >= 6:
        form = "p" if sub <= 10 else "q"
    elif cls == 2 and sub >= 11:
        form = "p"
    start = _TABLE.find("\n%d%s " % (cls, form))
    if start < 0:
        start = _TABLE.find("\n?")
    name, *places = _TABLE[start + 4 : _TABLE.find("\n", start + 1)].split(" ")
    found = []
    for place in places:
        field, bits = place.split(":")
        found.append((field, int(bits)))
    return name, tuple(found)


def is_currency(cls, sub):
    """Return whether a token carries currency, and so CRC_C instead of CRC."""
    return cls == 0 and 4 <= sub <= 7


def pack(cls, sub, fields, ea=7):
    """Return the plain block of 8 bytes, checksum included, from a dictionary of field values.

    Raise ValueError with one line if a field is missing, unknown or too large for its bits.
    """
    name, places = layout(cls, sub, ea)
    value = sub
    for field, bits in places:
        if field not in fields:
            raise ValueError("%s needs the field %s" % (name, field))
        part = fields[field]
        if not 0 <= part < 1 << bits:
            raise ValueError(
                "%s: %s must be 0 to %d, not %d" % (name, field, (1 << bits) - 1, part)
            )
        value = value << bits | part
    if len(fields) > len(places):
        known = [field for field, _ in places]
        extra = ", ".join(sorted([field for field in fields if field not in known]))
        raise ValueError("%s has no field %s; its fields: %s" % (name, extra, ", ".join(known)))
    block = value.to_bytes(6, "big")
    return block + token_crc(cls, block, is_currency(cls, sub)).to_bytes(2, "big")


def unpack(cls, block, ea=7):
    """Return (subclass, name, fields, crc_ok) of a plain block of 8 bytes."""
    sub = block[0] >> 4
    name, places = layout(cls, sub, ea)
    value = int.from_bytes(block[:6], "big")
    fields = {}
    shift = BODY_BITS
    for field, bits in places:
        shift -= bits
        fields[field] = value >> shift & ((1 << bits) - 1)
    crc = token_crc(cls, block, is_currency(cls, sub))
    return sub, name, fields, crc == (block[6] << 8 | block[7])


def _base(exponent):
    """Return the first value of an exponent's range: the sum of 2^14·10^(n-1), n to `exponent`."""
    return (10**exponent - 1) // 9 << 14


def _value(exponent, mantissa):
    return 10**exponent * mantissa + _base(exponent)


def amount_value(code):
    """Return the units (0.1 kWh, W, …) that a 16-bit amount encodes: 0 to 18201624."""
    return _value(code >> 14, code & 0x3FFF)


MAX_AMOUNT = _value(3, 0x3FFF)
MAX_CURRENCY = _value(31, 0x3FFF)


def _series_code(units, exponents, up):
    """Return (exponent, mantissa) of the nearest value >= (`up`) or <= `units`."""
    exponent = 0
    while exponent + 1 < exponents and units >= _base(exponent + 1):
        exponent += 1
    step = 10**exponent
    mantissa = (units - _base(exponent) + (step - 1 if up else 0)) // step
    if mantissa >= 1 << 14:
        # `units` is between the last value of one exponent and the first of the next.
        if up:
            return exponent + 1, 0
        mantissa = (1 << 14) - 1
    return exponent, mantissa


def amount_code(units):
    """Return the smallest 16-bit amount worth at least `units`: rounded in the customer's favour.

    Raise ValueError if `units` is negative or above MAX_AMOUNT.
    """
    if not 0 <= units <= MAX_AMOUNT:
        raise ValueError("an amount must be 0 to %d units, not %d" % (MAX_AMOUNT, units))
    exponent, mantissa = _series_code(units, 4, True)
    return exponent << 14 | mantissa


def currency_value(se, amount):
    """Return units of 1e-5 of the currency from an S&E nibble and an amount; sign 1 deducts."""
    value = _value((se & 7) << 2 | amount >> 14, amount & 0x3FFF)
    return -value if se & 8 else value


def currency_code(units):
    """Return (S&E nibble, amount) for units of 1e-5 of the currency.

    The value is rounded towards plus infinity. Raise ValueError if the magnitude is above
    MAX_CURRENCY.
    """
    if not -MAX_CURRENCY <= units <= MAX_CURRENCY:
        raise ValueError("a currency amount must be at most %d units of 1e-5" % MAX_CURRENCY)
    exponent, mantissa = _series_code(abs(units), 32, units >= 0)
    sign = 8 if units < 0 else 0
    return sign | exponent >> 2, (exponent & 3) << 14 | mantissa
