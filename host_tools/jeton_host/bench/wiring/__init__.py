"""The wiring of a board as tables, pictures and simulator files."""
