"""The pytest plugin, and the driver for labgrid."""
