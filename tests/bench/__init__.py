"""Measurements for the figures in the README: `make bench`."""
