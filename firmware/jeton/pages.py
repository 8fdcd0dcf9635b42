"""The pages that show the result of a token, and the keys that have no effect meanwhile.

Imported with the first token: the idle screen needs it only while a key change is incomplete.
"""

from .entry import ENTER
from .screens import RESULT, kwh, row
from .sts.digits import DIGITS, clean, grouped
from .sts.results import GOOD, NAMES, SECTION, TokenResult

# The longest time for which a result stays because its token was keyed slowly, s.
_LONGEST_S = 15

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter
    from .profile import Profile


def ask(profile: "Profile", missing):
    """Return the words that ask for the first of the missing codes of a key change."""
    return profile.say("enter_code", _ordinal(profile, missing))


def _ordinal(profile: "Profile", missing):
    return profile.say("ordinals").split(" ")[missing[0] - 1] if missing else "-"


def result_words(profile: "Profile", result, missing, count):
    """Return the words of a result.

    Their {} is the next code of a key change, or how many wrong tokens were entered in a row.
    """
    return profile.say(NAMES[result], _ordinal(profile, missing) if result in SECTION else count)


def result_pages(outcome, digits, meter: "Meter"):
    """Return the pages that show the result of a token."""
    state, profile, screen = meter.state, meter.profile, meter.screen
    say = profile.say
    result, token = outcome.result, outcome.token
    lines = [result_words(profile, result, outcome.missing, state.lock_count)]
    count = len(clean(digits))
    if result == TokenResult.FORMAT and count != DIGITS:
        lines.append(say("digits", count))
    elif result == TokenResult.LOCK_OUT:
        lines.append(say("wait", outcome.value))
        return [lines]
    elif result in SECTION or result == TokenResult.NOT_READY:
        if outcome.missing:
            wanted = ask(profile, outcome.missing)
            if wanted != lines[0]:
                lines.append(wanted)
        elif state.tamper:
            lines.append(say("tampered"))
    elif result == TokenResult.ACCEPT and token.cls == 2 and token.sub in (3, 4, 8, 9):
        lines.append(say("key_changed"))
    pages = [lines]
    back_wh = outcome.repaid_wh + outcome.recovered_wh
    if outcome.value:
        if profile.screens_amount_s:
            pages.append([])
        pages[-1].append(outcome.value)
    if result in GOOD and screen.rows >= 4:
        pages[-1].append(screen.row(say("credit"), kwh(state.credit_wh)))
    if back_wh:
        pages.append([say("repaid"), kwh(back_wh)])
    return pages


def result_s(meter: "Meter"):
    """Return how long a result is shown.

    Where digit 20 enters a token, a person who keys slowly may not have seen that yet: the result,
    and with it the lock of the keypad, lasts for two of the longest pauses between the digits.
    """
    shown_s, pause_s = meter.profile.screens_result_s, meter.entry.pause
    meter.entry.pause = 0
    if meter.profile.entry_auto_enter:
        return max(shown_s, min(2 * pause_s, _LONGEST_S))
    return shown_s


def ignores(meter: "Meter", key, now):
    """Return whether a key has no effect because pages of a token are shown; note such a key.

    Where digit 20 enters a token, one digit more must not begin the next entry: a key that bounced
    would make each later token wrong. For the same reason a key then restarts the time of the last
    page: who keys on must not begin an entry in the middle of a token.
    """
    profile, screen = meter.profile, meter.screen
    auto = profile.entry_auto_enter
    if screen.kind(now) == RESULT:
        if not (auto or profile.entry_lock_while_result):
            return False
    elif not auto or not key.isdigit():
        return False  # keys turn the pages of a test
    if key != ENTER:  # a second Enter is a habit
        screen.refused = now
        at = screen._page(now)
        if auto and at == len(screen._pages) - 1:
            screen._pages = screen._pages[at:]
            screen._since = now
            if at:
                screen._first_s = screen._page_s
    return True


def mark_refused(meter: "Meter", lines, now):
    """Say in the last line that a key had no effect; beside other text each second second."""
    screen = meter.screen
    if screen._page(now) is not None:
        if not lines[-1].strip() or (now - screen.refused) % 2 == 0:
            lines[-1] = screen._fit(meter.profile.say("keys_locked"))


def entry(keyed, profile: "Profile", screen):
    """Return the lines while a token or short code is keyed in; `keyed` is the Entry.

    Digits enter at the right and scroll to the left; a display of four lines shows all of them.
    """
    digits = keyed.digits
    if keyed.code:
        return [profile.say("code"), screen.row("", profile.codes_start + digits)]
    counter = "%d/%d" % (len(digits), DIGITS) if profile.entry_counter else ""
    label = screen.row(profile.say("token"), counter)
    separator = profile.entry_separator
    keyed = grouped(digits, separator)
    if screen.rows >= 4 and len(digits) <= DIGITS:
        first = 3 * (4 + len(separator))
        return [label, row(keyed[:first], "", screen.cols), row(keyed[first:], "", screen.cols)]
    return [label, row("", keyed[-screen.cols :], screen.cols)]
