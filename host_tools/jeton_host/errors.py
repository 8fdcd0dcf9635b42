"""Errors for people: each message is one line that says what was wrong and what to do.

All errors are subclasses of `JetonError`. The errors for a wrong argument are also subclasses of
the built-in `TypeError` or `ValueError`.
"""


class JetonError(Exception):
    """An error that the user can correct; the command prints its message and exits with 1."""


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


class BusyError(VendingError):
    """Another program has locked the point of sale; the same call may succeed later."""


class ProfileError(JetonError):
    """A profile does not exist or does not fit the schema."""
