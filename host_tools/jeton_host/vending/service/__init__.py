"""The point of sale as an HTTP service."""
