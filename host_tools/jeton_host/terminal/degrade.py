"""Replaces characters that a terminal's encoding does not support."""

import codecs
import json
import sys

_ERRORS = "jeton.degrade"
_ASCII = {
    "\u202d": "",  # direction marks take no cell
    "\u202c": "",
    "…": ".",
    "·": "-",
    "µ": "u",
    "│": "|",
    "─": "-",
} | dict.fromkeys("┌┐└┘├┤┬┴┼", "+")


def degraded(text: str) -> str:
    """Return the text in ASCII, one cell for each cell; ? replaces unsupported characters."""
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
    """Replace characters that standard output and error cannot encode, instead of an error.

    In JSON they are written as \\u escapes, so that nothing is lost.
    """
    codecs.register_error(_ERRORS, _escape if as_json else _replace)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_ERRORS)
