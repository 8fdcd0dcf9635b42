"""Helpers for values: text fields of the record, checks of arguments, errors as one line."""

_LONGEST = 400
_FLASH = "the flash "
_ERRNO = {5: "does not work", 28: "is full", 30: "is read-only", 84: "is damaged"}


def text(field):
    """Return a fixed-width text field as str, without the NULs that pad it."""
    return field.rstrip(b"\0").decode()


def whole(what, value, low, high):
    """Return `value` if it is a whole number from `low` to `high`, else raise ValueError."""
    # isinstance would accept a bool: True watts is an error.
    if type(value) is not int or not low <= value <= high:
        raise ValueError(
            "%s must be a whole number from %d to %d, not %s" % (what, low, high, shown(value))
        )
    return value


def shown(value):
    """Return a value for an error message.

    Of a list or dictionary return only the type: it may hold a key.
    """
    return type(value).__name__ if isinstance(value, (list, dict)) else repr(value)


def describe(error):
    """Return an error as one line for people; of an OSError MicroPython gives only the number.

    The line is cut: a long input repeated in it may not fit the heap.
    """
    if isinstance(error, OSError) and error.args:
        number = error.args[0]
        return _FLASH + _ERRNO.get(number, "fails (error %s)" % number)
    first = error.args[0] if error.args else None
    text = first if isinstance(first, str) else str(error)
    if isinstance(error, TypeError) and "argument" in text:
        return "wrong number of arguments"
    return text[:_LONGEST].replace("\n", " ") or error.__class__.__name__


def short(fault):
    """Return a line of `describe` without the words that begin every flash error."""
    return fault[len(_FLASH) :] if fault.startswith(_FLASH) else fault
