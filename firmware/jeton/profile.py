"""A profile: how a maker's or a utility's meter behaves, as attributes, and its messages.

The content of a profile is checked where profiles are made:
host_tools/jeton_host/firmware/profiles.py.
"""

from .values import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import ports
    from .fields import Settings
else:
    Settings = object

# Languages that need a graphic display; a character display uses the profile's next language.
_DRAWN = ("ar",)


class Profile(Settings):
    """The settings as attributes: `credit.low_wh` is `credit_low_wh`, and so on.

    `credit_friendly` is flat: seconds of the week at which friendly hours begin and end.

    `profiles` is a port (`ports.Profiles`), whose ValueError is passed on. Right-to-left words
    (`rtl`) arrive shaped and in the order of the cells. `language` None selects the first language
    that the display can draw (`draws`: it draws any script).
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
        """Return short code (or a range "301-350") → what it shows; built at each call."""
        return dict([code.split(" ") for code in self.codes_list.split("\n") if code])

    def say(self, message, value=None):
        """Return a message; `value` replaces its {}."""
        name = ("\n%s=" % message).encode()
        start = self._words.find(name) + len(name)
        if start < len(name):
            raise ValueError("the profile has no message %s" % message)
        words = self._words[start : self._words.find(b"\n", start)].decode()
        return words if value is None else words.replace("{}", str(value))
