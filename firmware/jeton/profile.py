"""A maker's or utility's behaviour as data: settings as attributes, words in one language.

What a profile holds, and what its values may be, is checked where profiles are made:
host_tools/jeton_host/firmware/profiles.py.
"""

from .values import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import ports
    from .fields import Settings
else:
    Settings = object

# Languages that only a display of dots can draw; one of characters uses the profile's next.
_DRAWN = ("ar",)


class Profile(Settings):
    """The setting `credit.low_wh` is the attribute `credit_low_wh`, and so with all others.

    `credit_friendly` is flat: seconds of the week at which friendly hours begin and end.

    `profiles` is a port (`ports.Profiles`), whose ValueError goes through. Words that go from
    right to left (`rtl`) come shaped and in the order of the cells.
    `language` None is the first of those that the display can draw (`draws`: any script).
    """

    def __init__(self, profiles: "ports.Profiles", name, language=None, draws=False):
        data = profiles(name)
        for section, value in data.items():
            if isinstance(value, dict):
                for key in value:
                    setattr(self, section + "_" + key, value[key])
            else:
                setattr(self, section, value)
        self.languages = [code for code in data["languages"] if draws or code not in _DRAWN]
        if language is None:
            language = self.languages[0]
        elif language not in self.languages:
            known = ", ".join(self.languages)
            raise ValueError(
                "this meter and its display have no %s, only: %s" % (shown(language), known)
            )
        self.language = language
        self.rtl = language in _DRAWN
        self._words = profiles(name, language)

    @property
    def codes_show(self):
        """Return short code (or a range "301-350") → what it shows; made when it is asked for."""
        return dict([code.split(" ") for code in self.codes_list.split("\n") if code])

    def say(self, message, value=None):
        """Return a message; `value` takes the place of its {}."""
        name = ("\n%s=" % message).encode()
        start = self._words.find(name) + len(name)
        if start < len(name):
            raise ValueError("the profile has no message %s" % message)
        words = self._words[start : self._words.find(b"\n", start)].decode()
        return words if value is None else words.replace("{}", str(value))
