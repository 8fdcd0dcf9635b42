"""The meter: pure logic that knows no pins, clocks, files or serial lines."""

__version__ = "0.1.0"
