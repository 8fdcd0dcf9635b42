"""Rows of Markdown tables."""


def row(*cells: object) -> str:
    """Return a row; a bar in a cell is escaped."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"


def head(*titles: str) -> str:
    """Return the first two rows of a table."""
    return row(*titles) + row(*["---"] * len(titles))
