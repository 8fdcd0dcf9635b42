"""Measurements behind what the README claims: `make bench`."""
