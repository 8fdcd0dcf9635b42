"""What a second meter on a board is made with: a store that keeps nothing, and the profiles."""

import json


class Memory:
    """A store that keeps nothing, so a meter in it is gone with the board's power."""

    def load(self, which):
        """Return no record."""

    def save(self, parts):
        """Keep nothing."""

    def save_tick(self, tick):
        """Keep nothing."""

    def holds(self, parts, start, end):
        """Return that the record is not there."""
        return False

    def set_aside(self):
        """Keep nothing."""


def profile(name, language=None):
    """Return a profile's settings or, with a language, its messages."""
    try:
        with open("/profiles/%s.%s" % (name, language or "json"), "rb") as file:
            return file.read() if language else json.load(file)
    except OSError:
        raise ValueError("no profile %s on this board" % name)
