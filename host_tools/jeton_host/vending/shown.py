"""Quote a user's input in a message, but never a text that could be a key at the wrong place."""

import re

_SHORT = 8  # characters or digits; the shortest key has 16
_PATH = re.compile(r"[\w ./\\~+@=,:%#()-]{1,200}")
_KEY = re.compile(r"[0-9A-Fa-f]{16}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,14}")


def value(given: str | int) -> str:
    """Return a wrong value for a message, or only its length if it could be a key."""
    if isinstance(given, str):
        return repr(given) if len(given) <= _SHORT else f"of {len(given)} characters"
    return str(given) if abs(given) < 10**_SHORT else "of more digits"


def is_path(given: str) -> bool:
    """Return whether a text looks like the path of a file, not like JSON or a key."""
    return bool(_PATH.fullmatch(given)) and ": " not in given and not _KEY.search(given)


def path(given: str) -> str:
    """Return a path for a message, or a neutral text if it could contain a key."""
    return given if is_path(given) else "(name not shown)"


def is_name(given: str) -> bool:
    """Return whether a text looks like the name of a field: shorter than a key, not a number."""
    return bool(_NAME.fullmatch(given))
