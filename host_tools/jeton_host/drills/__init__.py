"""The four utilities' stories as programs on the Meter client."""
