"""The meter: pure logic without pins, clocks, files or serial lines."""

__version__ = "0.2.0"
