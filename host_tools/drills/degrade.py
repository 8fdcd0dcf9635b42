"""What a terminal without Unicode shows in place of what its encoding lacks."""

import codecs
import sys

_ERRORS = "jeton.degrade"
_ASCII = {
    "\u202d": "",  # marks of direction take no cell
    "\u202c": "",
    "…": ".",
    "·": "-",
    "│": "|",
    "─": "-",
} | dict.fromkeys("┌┐└┘├┤┬┴┼", "+")


def degraded(text: str) -> str:
    """Return the text in ASCII, a cell for a cell; ? stands for what has no likeness there."""
    return "".join(sign if sign.isascii() else _ASCII.get(sign, "?") for sign in text)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return degraded(error.object[error.start : error.end]), error.end


def use() -> None:
    """Have standard output degrade what it cannot encode, where it would be an error."""
    codecs.register_error(_ERRORS, _replace)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=_ERRORS)
