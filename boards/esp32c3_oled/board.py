"""Parts of a bench with few pins: an ESP32-C3, display and keypad on one I2C bus, a relay."""

NAME = "esp32c3_oled"
CHIP = "ESP32-C3"
DISPLAY = (4, 16, 1)  # rows, columns, graphic; the set-up of a meter may differ
STATE_FILE = "/meter/record"

BUSES = {
    "i2c": {"kind": "I2C", "id": 0, "scl": 7, "sda": 6, "freq": 100_000},
}

PARTS = {
    "display": {"driver": "ssd1306", "bus": "i2c", "addresses": (0x3C, 0x3D)},
    "keypad": {
        "driver": "expander",
        "bus": "i2c",
        "addresses": (0x20, 0x38),
        "keys": "123A456B789C*0#D",
    },
    "relay": {"pin": 5, "active": 1},
    "credit": {"pin": 4, "active": 1},
    "led": {"pin": 3, "active": 1},
    "buzzer": {"pin": 10, "freq": 2700},
    "pulses": {"driver": "pulses", "pin": 1, "edge": "falling", "per_kwh": 1000, "pull": "up"},
    "tamper": {"pin": 0, "active": 1, "pull": "up"},
}
