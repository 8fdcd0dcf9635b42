"""Errors meant for people: each message is one line that says what was wrong and what to do."""


class JetonError(Exception):
    """Something the user can mend; the command prints the message and exits with status 1."""


class BoardError(JetonError):
    """A board that is missing, silent, busy, or that refused a request."""


class VendingError(JetonError):
    """A token, key or number that the vending side must not issue or cannot read."""


class BusyError(VendingError):
    """A point of sale that another program keeps locked: the same again may work."""


class ProfileError(JetonError):
    """A profile that does not exist or does not fit the schema."""
