"""The functions that a meter has: which tokens it can use, whatever its credit and its clock.

The meters are electricity meters that count kWh. The rules are those of the firmware
(`jeton.acceptance`, `jeton.management`, `jeton.shortcodes`); a test enters each kind of token.
"""

from jeton_host.vending.keys import DDTK
from jeton_host.vending.records import MeterRecord
from jeton_host.vending.tokens import REGISTERS, TESTS, Decoded, describe, tests_of

KEY_CHANGE_SUBS = {3: 1, 4: 2, 8: 3, 9: 4}
"""The section of a key change, by subclass of class 2."""
NO_TESTS = (12,)
"""The tests up to 18 that an electricity meter does not have: the water factor."""
LAST_TEST = 18

_NOT_ITS = "an electricity meter that counts kWh"
_MANAGEMENT = (0, 1, 2, 5, 6)  # subclasses of class 2, apart from those of a key change
_ELECTRICITY = (REGISTERS["electricity"], REGISTERS["all"])


def refusal(meter: MeterRecord, decoded: Decoded) -> tuple[str, str] | None:
    """Return (result, reason) if the meter refuses each such token; None if it can accept it."""
    cls, sub = decoded.cls, decoded.sub or 0
    name = f"meter {meter.name}" if meter.name else "the meter"
    if cls == 0 and meter.key.kt == DDTK:
        return (
            "DDTKError",
            f"{name} has a default key (KT 1, DDTK), which accepts no credit: vend a key change "
            "with kt 2 first",
        )
    if cls == 0:
        if sub == 0:
            return None
        return "FunctionError", f"{name} is {_NOT_ITS} and refuses a {describe(decoded)}"
    if cls == 1:
        return _refusal_of_test(meter, decoded, name)
    if sub in KEY_CHANGE_SUBS:
        return None
    if sub not in _MANAGEMENT:
        return "FunctionError", f"{name} is {_NOT_ITS} and refuses: {describe(decoded)}"
    if sub == 1 and decoded.fields["register"] not in _ELECTRICITY:
        known = decoded.fields["register"] in REGISTERS.values()
        return (
            "FunctionError" if known else "RangeError",
            f"{name} is {_NOT_ITS} and refuses the {describe(decoded)}",
        )
    return None


def _refusal_of_test(meter: MeterRecord, decoded: Decoded, name: str) -> tuple[str, str] | None:
    maker = decoded.fields.get("mfr_code", 0)
    if maker not in (0, meter.mfr_code):
        return (
            "MfrCodeError",
            f"{name} is of maker {meter.mfr_code} and refuses a token for meters of maker {maker}",
        )
    if decoded.sub not in (0, 1):
        return "FunctionError", f"{name} refuses: {describe(decoded)}"
    numbers = tests_of(decoded)
    missing = [n for n in numbers if n in NO_TESTS or n > LAST_TEST]
    if missing:
        words = [f"{n} ({TESTS[n]})" if n < len(TESTS) else str(n) for n in missing]
        return "FunctionError", f"{name} has no test {', '.join(words)}"
    if not numbers:
        return "RangeError", f"{name} refuses a test token that requests no test"
    return None
