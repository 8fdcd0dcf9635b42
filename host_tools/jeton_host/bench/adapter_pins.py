"""The pins of an adapter, and the parts that it can be wired to."""

from typing import NamedTuple


class Bus(NamedTuple):
    """An I2C controller of the adapter, and its pins."""

    number: int
    sda: int
    scl: int


# The adapter's GPIOs. ROW and COLUMN are the lines S0 and S1 of one 74HC4051 each.
ROW = (2, 3)
COLUMN = (6, 7)
INHIBIT = 8  # of both multiplexers
I2C = Bus(0, 4, 5)
INPUTS = {"relay": 10, "credit": 11, "led": 12, "buzzer": 13}
SIGNS = {"pulses": 14, "tamper": 15}
KEYPADS = ("matrix", "expander")  # drivers whose keys connect a row with a column
DISPLAYS = ("lcd", "ssd1306")  # drivers that only write over I2C
