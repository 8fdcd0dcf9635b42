"""The command `jeton`: options, and one module for each group of commands."""
