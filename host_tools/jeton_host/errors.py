"""Errors for people: each message is one line that says what was wrong and what to do.

All errors are subclasses of `JetonError`. The errors for a wrong argument are also subclasses of
the built-in `TypeError` or `ValueError`.
"""

import re

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST = 2000  # characters of a message


class JetonError(Exception):
    """An error that the user can correct; the command prints its message and exits with 1.

    The message is one line, also if it quotes a text with line breaks.
    """

    def __str__(self) -> str:
        """Return the message; control characters are escaped, and the end of a long one is cut."""
        text = super().__str__()
        if len(text) > _LONGEST:
            text = text[:_LONGEST] + "…"
        return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class WrongTypeError(JetonError, TypeError):
    """An argument of the wrong type."""


class WrongValueError(JetonError, ValueError):
    """An argument of the right type with a value that is never valid."""


class BoardError(JetonError):
    """A board is missing, silent or busy, or it refused a request."""


class ClosedError(BoardError):
    """This program has closed the meter, so it cannot be used any more."""


class NotBegunError(BoardError):
    """The board restarts again and again; it has not begun to process the request."""


class BrokenOffError(BoardError):
    """The board restarted before it answered; it may or may not have processed the request."""


class PortError(BoardError):
    """A port cannot be opened."""


class PortUnavailableError(PortError):
    """A port is open in another program, or it does not exist any more."""


class NeverCameError(BoardError, AssertionError):
    """A condition was not reached in time; the message says what the meter shows instead."""


class OutOfOrderError(BoardError):
    """A board failed before and that was reported; it is not tried again."""


class VendingError(JetonError):
    """A token, key or number that must not be issued, or that cannot be read."""


class UnusableError(VendingError):
    """A token that its meter would always refuse; `result` is the meter's answer.

    It is issued if it is asked for by name: `anyway=True`, or `--anyway` for the command.
    """

    def __init__(self, why: str, result: str, way: str):
        super().__init__(f"{why} ({result}); to issue it anyway, {way}")
        self.why = why
        self.result = result

    def with_way(self, way: str) -> "UnusableError":
        """Return the same error with another way to issue the token anyway."""
        return UnusableError(self.why, self.result, way)


class BusyError(VendingError):
    """Another program has locked the point of sale; the same call may succeed later."""


class ProfileError(JetonError):
    """A profile does not exist or does not fit the schema."""
