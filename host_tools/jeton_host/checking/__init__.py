"""Check many issued tokens at once, on virtual boards (`jeton check-tokens`)."""
