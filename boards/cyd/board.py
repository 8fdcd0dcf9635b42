"""Parts of the ESP32-2432S028R: an ESP32 and a touch display on one board."""

NAME = "cyd"
CHIP = "ESP32"
DISPLAY = (4, 20, 1)  # rows, columns, graphic; the set-up of a meter may differ
STATE_FILE = "/meter/record"
READ_SIZE = 64  # bytes that littlefs reads at a time: a large display leaves less heap

BUSES = {
    "spi": {"kind": "SPI", "id": 1, "baudrate": 40_000_000, "sck": 14, "mosi": 13, "miso": 12},
    "touch": {"kind": "SPI", "id": 2, "baudrate": 1_000_000, "sck": 25, "mosi": 32, "miso": 39},
}

PARTS = {
    "display": {
        "driver": "ili9341",
        "bus": "spi",
        "cs": 15,
        "dc": 2,
        "backlight": 21,
        "keypad": True,
    },
    "keypad": {
        "driver": "xpt2046",
        "bus": "touch",
        "cs": 33,
        "irq": 36,
        "keys": "123456789*0#A",  # A is the text area above the others
        # The readings at the left and right edge of the picture, at its top and its bottom.
        "across": (3800, 240),
        "down": (200, 3700),
    },
    "relay": {"pin": 27, "active": 1},
    "credit": {"pin": 16, "active": 0},
    "led": {"pin": 4, "active": 0},
    "buzzer": {"pin": 26, "freq": 2700},
    "pulses": {"driver": "pulses", "pin": 35, "edge": "falling", "per_kwh": 1000},
}

# Strapping pins that the board's maker has wired, in a safe way.
STRAPPING_OK = (2, 12, 15)
