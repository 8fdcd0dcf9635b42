"""Helpers for values: text of the record, checks of what callers give, errors as one line."""

_LONGEST = 400
_FLASH = "the flash "
_ERRNO = {5: "does not work", 28: "is full", 30: "is read-only", 84: "is damaged"}


def text(octets):
    """Return a fixed-width text field as str, without the NULs that fill it."""
    return octets.rstrip(b"\0").decode()


def whole(what, value, low, high):
    """Return `value` if it is a whole number from `low` to `high`, else raise ValueError."""
    # bool is an int to isinstance; True watts is a mistake.
    if type(value) is not int or not low <= value <= high:
        raise ValueError(
            "%s must be a whole number from %d to %d, not %s" % (what, low, high, shown(value))
        )
    return value


def shown(value):
    """Return a value for an error, of a list or dictionary only that: a key may be in it."""
    return type(value).__name__ if isinstance(value, (list, dict)) else repr(value)


def describe(error):
    """Return an error as one line for people: of an OSError MicroPython knows only the number.

    It has an end: what repeats what came may be longer than there is room for, even for a copy.
    """
    if isinstance(error, OSError) and error.args:
        number = error.args[0]
        return _FLASH + _ERRNO.get(number, "fails (error %s)" % number)
    first = error.args[0] if error.args else None
    text = first if isinstance(first, str) else str(error)
    if isinstance(error, TypeError) and "argument" in text:
        return "more or fewer arguments are needed"
    return text[:_LONGEST].replace("\n", " ") or error.__class__.__name__


def short(fault):
    """Return a line of `describe` without the words that every fault of the flash begins with."""
    return fault[len(_FLASH) :] if fault.startswith(_FLASH) else fault
