"""`jeton run` on a terminal: a meter to look at, with keypad, lamps, events and a vending desk."""
