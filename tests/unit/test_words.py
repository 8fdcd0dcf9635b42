"""The words on the displays: each fits its place, no word is cut, letter case is consistent."""

import re

import pytest

from jeton_host.firmware import profiles

LANGUAGES = sorted(path.stem for path in profiles.languages_dir().glob("*.json"))
CASES = {"en": "sentence", "fr": "capitals", "pt": "sentence", "ar": None}

# States beside a label are in small letters; those that warn or confirm are in capitals.
STATES = {"on", "yes", "no"}
SIGNS = {"off", "ok"}
NAMES = {"Enter"}  # the word on the key
UNITS = {"s"}
OWN = [
    (name, language, message)
    for name in profiles.shipped()
    for language, spoken in profiles.load(name)["messages"].items()
    for message in spoken
    if profiles.source_of(profiles.load(name), language, message).startswith("assumed:")
]


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.replace("{}", " "))


def wrong_case(message: str, text: str, case: str | None) -> str | None:
    """Return the first word whose letters are not as the language writes them."""
    for at, word in enumerate(words_of(text)):
        if case == "capitals":
            right = word.isupper() or word in UNITS
        elif case is None or word in NAMES | UNITS or (word.isupper() and len(word) > 1):
            right = True  # an abbreviation, such as KRN
        elif message in SIGNS:
            right = word.isupper()
        elif message in STATES or at or text.startswith("{}"):
            right = word.islower()
        else:
            right = word[0].isupper() and word[1:] == word[1:].lower()
        if not right:
            return word
    return None


@pytest.mark.parametrize("language", LANGUAGES)
def test_letter_case_is_that_of_the_language(language: str) -> None:
    spoken = profiles.read(profiles.languages_dir() / f"{language}.json")["messages"]
    wrong = {m: text for m, text in spoken.items() if wrong_case(m, text, CASES[language])}
    assert not wrong


@pytest.mark.parametrize(("name", "language", "message"), OWN)
def test_our_own_words_in_a_profile_follow_the_language(
    name: str, language: str, message: str
) -> None:
    """A maker's published words, such as rEJEct, are as the maker writes them."""
    text = profiles.load(name)["messages"][language][message]
    assert wrong_case(message, text, CASES[language]) is None


def test_the_lint_finds_words_of_the_wrong_case() -> None:
    for message, text, case in (
        ("emergency_debt", "Dette trop forte", "capitals"),
        ("friendly", "Friendly Hours", "sentence"),
        ("Accept", "accepted", "sentence"),
        ("off", "Off", "sentence"),
        ("on", "On", "sentence"),
    ):
        assert wrong_case(message, text, case), text
    for message, text, case in (
        ("wait", "ATTENDRE {} s", "capitals"),
        ("test4", "KRN / key type", "sentence"),
        ("emergency_offer", "Emergency? Enter", "sentence"),
    ):
        assert wrong_case(message, text, case) is None, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_message_fits_its_place(language: str) -> None:
    """Its place is a line of 16 columns, or what a value on the same line leaves of it."""
    spoken = profiles.read(profiles.languages_dir() / f"{language}.json")["messages"]
    for message, text in spoken.items():
        value = profiles.longest(message) or ""
        cells = profiles.cells_of(language, text.replace("{}", value))
        assert len(cells) <= profiles.room(message), (message, text)


# Beginnings of other words: whole words themselves, or abbreviations with a point.
WHOLE: dict[str, set[str]] = {
    "en": set(),
    "fr": {"TARIF"},
    "pt": {"Tarifa", "Codigo", "Emerg", "Desequil"},
}


@pytest.mark.parametrize("language", sorted(WHOLE))
def test_no_word_is_cut(language: str) -> None:
    """A word of one place is whole elsewhere: a beginning of another word is a word cut off."""
    spoken = profiles.read(profiles.languages_dir() / f"{language}.json")["messages"]
    found = {word for text in spoken.values() for word in words_of(text) if len(word) > 3}
    cut = {
        word
        for word in found
        for other in found
        if other != word and other.startswith(word) and len(other) > len(word) + 2
    }
    assert cut <= WHOLE[language]


def test_no_result_reads_as_a_label() -> None:
    """A result is a sentence about the token or its key, not a name beside a value."""
    for language, labels in {
        "en": {"Key type", "Default key"},
        "fr": {"TYPE DE CLE", "CLE PAR DEFAUT", "REJET"},
        "pt": {"Tipo de chave", "Chave de fabrica"},
        "ar": {"مفتاح المصنع"},
    }.items():
        spoken = profiles.read(profiles.languages_dir() / f"{language}.json")["messages"]
        assert labels.isdisjoint(spoken.values()), language
