"""`jeton run` on a terminal: a meter with keypad, LEDs, events and a point of sale."""
