"""Words, parsing and drawing for people at a terminal."""
