"""The power-cut laboratory: tests that the meter survives a power cut at any flash operation."""
