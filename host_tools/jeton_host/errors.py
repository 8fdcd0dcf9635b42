"""Errors meant for people: each message is one line that says what was wrong and what to do.

All of them are `JetonError`. What is wrong with an argument is also the built-in error of that
kind.
"""


class JetonError(Exception):
    """Something the user can mend; the command prints the message and exits with status 1."""


class WrongTypeError(JetonError, TypeError):
    """An argument of a wrong type."""


class WrongValueError(JetonError, ValueError):
    """An argument of the right type that can never be right."""


class BoardError(JetonError):
    """A board that is missing, silent, busy, or that refused a request."""


class ClosedError(BoardError):
    """A meter that this program has closed."""


class NotBegunError(BoardError):
    """The board restarts again and again: what it was asked for has not begun."""


class BrokenOffError(BoardError):
    """The board restarted before it answered: what it was asked for is done, or it is not."""


class PortError(BoardError):
    """A port that cannot be opened."""


class PortUnavailableError(PortError):
    """A port that another program has open, or that does not exist any more."""


class NeverCameError(BoardError, AssertionError):
    """What was waited for did not come; the message says what came in its place."""


class OutOfOrderError(BoardError):
    """A board that was reported already; it is not tried again."""


class VendingError(JetonError):
    """A token, key or number that the vending side must not issue or cannot read."""


class BusyError(VendingError):
    """A point of sale that another program keeps locked: the same call again may succeed."""


class ProfileError(JetonError):
    """A profile that does not exist or does not fit the schema."""
