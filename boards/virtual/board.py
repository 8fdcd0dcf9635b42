"""Parts of the virtual board: MicroPython's unix port behind a pseudo-terminal."""

NAME = "virtual"
DISPLAY = (2, 16)  # rows, columns; a meter's own set-up may say otherwise
STATE_FILE = "/meter.bin"
