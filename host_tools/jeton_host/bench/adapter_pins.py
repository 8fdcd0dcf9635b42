"""The pins of an adapter, and the parts that it can be wired to."""

from typing import NamedTuple


class Bus(NamedTuple):
    """An I2C controller of the adapter, and its pins."""

    number: int
    sda: int
    scl: int


# The adapter's GPIOs. The first two lines are S0 and S1 of a 74HC4051 each.
ROW = (2, 3)
COLUMN = (6, 7)
INHIBIT = 8  # of both
I2C = Bus(0, 4, 5)
INPUTS = {"relay": 10, "credit": 11, "led": 12, "buzzer": 13}
SIGNS = {"pulses": 14, "tamper": 15}
KEYPADS = ("matrix", "expander")  # drivers whose keys join wires
DISPLAYS = ("lcd", "ssd1306")  # drivers that only write, over I2C
