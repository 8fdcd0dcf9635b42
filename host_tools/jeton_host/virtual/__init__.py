"""Virtual boards: the firmware in the MicroPython interpreter on this computer."""
