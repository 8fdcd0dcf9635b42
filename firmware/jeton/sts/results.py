"""The enumeration of token results (IEC 62055-41 8.2 and 8.3)."""


class TokenResult:
    """Result numbers; the display, the serial line and the event log all use them.

    1 to 16 are those of the token result register that Conlog meters show (M); 17 and 18 extend it
    to the third and fourth section of a key change.
    """

    ACCEPT = 1
    KCT1 = 2
    KCT2 = 3
    OVERFLOW = 4
    KEY_TYPE = 5
    FORMAT = 6
    RANGE = 7
    FUNCTION = 8
    OLD = 9
    USED = 10
    KEY_EXPIRED = 11
    DDTK = 12
    CRC = 13
    MFR_CODE = 14
    LOCK_OUT = 15
    NOT_READY = 16
    KCT3 = 17
    KCT4 = 18


# The names in the standard, by number; 0 means "no token yet".
NAMES = (
    "None",
    "Accept",
    "1stKCT",
    "2ndKCT",
    "OverflowError",
    "KeyTypeError",
    "FormatError",
    "RangeError",
    "FunctionError",
    "OldError",
    "UsedError",
    "KeyExpiredError",
    "DDTKError",
    "CRCError",
    "MfrCodeError",
    "LockOut",
    "NotReady",
    "3rdKCT",
    "4thKCT",
)

# Result of a section of a key change set that is not complete yet, by section number - 1.
SECTION = (TokenResult.KCT1, TokenResult.KCT2, TokenResult.KCT3, TokenResult.KCT4)

# Results that mean "the token was executed".
GOOD = (TokenResult.ACCEPT,) + SECTION
