"""Parts of a second meter on a board: a store that keeps nothing, and the profiles."""

import json


class Memory:
    """A store that keeps nothing: the meter exists only in RAM."""

    def load(self, which):
        """Return None: there is no record."""

    def save(self, parts):
        """Do nothing."""

    def save_tick(self, tick):
        """Do nothing."""

    def holds(self, parts, start, end):
        """Return False: there is no record."""
        return False

    def set_aside(self):
        """Do nothing."""


def profile(name, language=None):
    """Return a profile's settings or, with a language, its messages."""
    try:
        with open("/profiles/%s.%s" % (name, language or "json"), "rb") as file:
            return file.read() if language else json.load(file)
    except OSError:
        raise ValueError("no profile %s on this board" % name)
