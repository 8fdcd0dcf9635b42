"""What goes onto a board: boards, profiles, fonts, compiled firmware."""
