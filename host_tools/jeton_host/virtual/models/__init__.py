"""Models of the parts of a board: their behaviour at the pins, and what a person sees."""
