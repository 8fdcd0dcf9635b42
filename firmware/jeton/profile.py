"""A maker's or utility's behaviour as data, read from profiles/*.json."""

from .sts.results import NAMES

# Setting → the type it must have. Settings that may be null have None among their types.
_SETTINGS = {
    "name": (str,),
    "title": (str,),
    "languages": (list,),
    "entry.auto_enter": (bool,),
    "entry.idle_timeout_s": (int,),
    "entry.separator": (str,),
    "screens.result_s": (int,),
    "screens.page_s": (int,),
    "key_change.ordered": (bool,),
    "key_change.window_s": (int, None),
    "key_change.tokens": (int,),
    "credit.max_wh": (int,),
    "messages": (dict,),
}

_POSITIVE = ("entry.idle_timeout_s", "screens.result_s", "screens.page_s", "credit.max_wh")

# What a meter must be able to say, in every language of its profile: the results, by the
# standard's names, and the rest.
MESSAGES = NAMES[1:] + (
    # What goes with them; {} takes a number.
    "key_changed",
    "enter_code",
    "digits",
    # The idle and entry screens.
    "credit",
    "load",
    "index",
    "supply",
    "on",
    "off",
    "token",
    "not_provisioned",
    # The class 1 tests 1 to 18.
    "test1",
    "test2",
    "test3",
    "test4",
    "test5",
    "test6",
    "test7",
    "test8",
    "test9",
    "test10",
    "test11",
    "test13",
    "test14",
    "test15",
    "test16",
    "test17",
    "test18",
    "yes",
    "no",
    "ok",
)


def _get(data, path):
    for part in path.split("."):
        if not isinstance(data, dict) or part not in data:
            raise ValueError("the profile has no setting %s" % path)
        data = data[part]
    return data


def check(data):
    """Raise ValueError with one line if `data` is no whole profile."""
    for path, types in _SETTINGS.items():
        value = _get(data, path)
        if value is None and None in types:
            continue
        # bool is an int to isinstance; a number setting does not take it.
        if type(value) not in types:
            raise ValueError("profile setting %s is of the wrong type: %r" % (path, value))
        if path in _POSITIVE and value < 1:
            raise ValueError("profile setting %s must be 1 or more, not %d" % (path, value))
    if not data["languages"]:
        raise ValueError("the profile names no language")
    for language in data["languages"]:
        messages = _get(data, "messages." + language)
        for message in MESSAGES:
            if not isinstance(messages.get(message), str):
                raise ValueError("the profile has no message %s in %s" % (message, language))


class Profile:
    """The settings as attributes, the messages in the profile's first language."""

    def __init__(self, data):
        check(data)
        self.name = data["name"]
        self.language = data["languages"][0]
        self.auto_enter = data["entry"]["auto_enter"]
        self.idle_timeout_s = data["entry"]["idle_timeout_s"]
        self.separator = data["entry"]["separator"]
        self.result_s = data["screens"]["result_s"]
        self.page_s = data["screens"]["page_s"]
        self.key_change_ordered = data["key_change"]["ordered"]
        self.key_change_window_s = data["key_change"]["window_s"]
        self.key_change_tokens = data["key_change"]["tokens"]
        self.credit_max_wh = data["credit"]["max_wh"]
        self._messages = data["messages"][self.language]

    def say(self, message, value=None):
        """Return a message; `value` takes the place of its {}."""
        words = self._messages[message]
        return words if value is None else words.replace("{}", str(value))
