"""Parts of the usual bench: an ESP32 DevKit, a 20x4 character LCD, a 4x4 keypad, a relay."""

NAME = "esp32_lcd2004"
CHIP = "ESP32"
DISPLAY = (4, 20)  # rows, columns; the set-up of a meter may differ
STATE_FILE = "/meter/record"

BUSES = {
    "i2c": {"kind": "I2C", "id": 0, "scl": 22, "sda": 21, "freq": 100_000},
}

# On a WROVER module GPIO16 and 17 belong to the PSRAM: move that column and the buzzer there.
# GPIO34 and 35 have no internal pull-up: the bench has a resistor at each.
PARTS = {
    "display": {"driver": "lcd", "bus": "i2c", "addresses": (0x27, 0x3F)},
    "keypad": {
        "driver": "matrix",
        "rows": (32, 33, 25, 26),
        "columns": (27, 14, 13, 16),
        "keys": "123A456B789C*0#D",
    },
    "relay": {"pin": 23, "active": 1},
    "credit": {"pin": 19, "active": 1},
    "led": {"pin": 18, "active": 1},
    "buzzer": {"pin": 17, "freq": 2700},
    "pulses": {"driver": "pulses", "pin": 34, "edge": "falling", "per_kwh": 1000},
    "tamper": {"pin": 35, "active": 1},
}
