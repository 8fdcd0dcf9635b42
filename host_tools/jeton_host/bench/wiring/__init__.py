"""The wires of a board as tables, pictures and simulator files."""
