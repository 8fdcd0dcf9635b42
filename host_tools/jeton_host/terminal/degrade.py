"""What a terminal without Unicode shows in place of what its encoding lacks."""

import codecs
import json
import sys

_ERRORS = "jeton.degrade"
_ASCII = {
    "\u202d": "",  # marks of direction take no cell
    "\u202c": "",
    "…": ".",
    "·": "-",
    "µ": "u",
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


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def use(*, as_json: bool = False) -> None:
    """Have the output degrade what it cannot encode, where it would be an error.

    Of JSON nothing is lost: it has its own escapes.
    """
    codecs.register_error(_ERRORS, _escape if as_json else _replace)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_ERRORS)
