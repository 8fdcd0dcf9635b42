"""The meter: pure logic that knows no pins, clocks, files or serial lines."""

__version__ = "0.2.0"
