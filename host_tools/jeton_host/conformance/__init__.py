"""The conformance sheet: its cases, the run on a board, and the output formats."""
