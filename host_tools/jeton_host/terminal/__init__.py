"""Text for people at a terminal, parsing of what they type, and drawings."""
