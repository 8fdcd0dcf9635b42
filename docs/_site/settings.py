"""The tables of the settings and words of a profile, from the tables that also make its schema."""

import json

from _site.tables import head, row
from jeton.sts.results import NAMES
from jeton_host.firmware import profiles

SECTIONS = {
    "entry": "Keying in",
    "codes": "Short codes",
    "lockout": "Lock-out after wrong tokens",
    "screens": "Display",
    "key_change": "Key change",
    "credit": "Credit",
    "supply": "Supply",
    "time": "Time zone",
}
_KINDS = {
    "M": "maker's manual",
    "U": "utility",
    "B": "blog",
    "assumed": "assumed",
}


def settings_tables() -> str:
    """Return a table for each section: setting, meaning, values, that of `generic`."""
    generic = profiles.load("generic")
    found = ""
    for section in dict.fromkeys(name.partition(".")[0] for name in profiles.SETTINGS):
        found += f"### {SECTIONS.get(section, section)}\n\n"
        found += head("setting", "meaning", "value", "`generic`")
        for name, setting in profiles.SETTINGS.items():
            if name.partition(".")[0] == section:
                key = name.partition(".")[2]
                value = json.dumps(generic[section][key], ensure_ascii=False)
                if setting.kind == "codes":
                    value = f"{len(generic[section][key])} codes"
                else:
                    value = f"`{value}`"
                found += row(f"`{name}`", setting.about, setting.wanted, value)
        found += "\n"
    return found


def profiles_table() -> str:
    """Return the profiles that ship, and from where their values come."""
    found = head("profile", "title", "languages", *_KINDS.values())
    for name in profiles.shipped():
        data = profiles.load(name)
        kinds = [source.partition(":")[0] for source in data["sources"].values()]
        counts = [kinds.count(kind) for kind in _KINDS]
        found += row(f"`{name}`", data["title"], ", ".join(data["languages"]), *counts)
    return found


def messages_table() -> str:
    """Return the words that a profile can change, with the shared English ones."""
    words = profiles.words(profiles.load("generic"), "en")
    found = head("message", "English", "columns", "`{}` is")
    for message in profiles.MESSAGES:
        longest = profiles.longest(message)
        hole = ""
        if message in profiles.ASKING:
            hole = "the next code of a key change, one of the `ordinals`"
            hole += " (optional)" if message in NAMES else ""
        elif message in NAMES:
            hole = "number of wrong tokens in a row (optional)"
        elif longest is not None:
            hole = f"a number, up to {longest}"
        found += row(f"`{message}`", f"`{words[message]}`", profiles.room(message), hole)
    return found
