"""The vending side: decoder keys, token encoding and a point of sale (IEC 62055-41)."""
