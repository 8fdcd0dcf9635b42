"""Everything that is installed on a board: its description, profiles, fonts, firmware."""
