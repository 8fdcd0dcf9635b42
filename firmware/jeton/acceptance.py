"""Process tokens: from 20 digits to a result and its effect on the meter.

Functions over a meter. This module is imported with the first token: start-up does not need it.
"""

from . import commit, credit, events, pages, screens
from .lockout import counts
from .sts import digits as token_digits
from .sts import keys, tokens
from .sts.decoder import decode
from .sts.results import NAMES, TokenResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter


_FORMER = "it was made for an earlier key of this meter"


class Outcome:
    """The result of a token and its details, for display, event log and serial line."""

    def __init__(self, result=TokenResult.CRC):
        self.result = result
        self.token = None
        self.amount_wh = None
        self.repaid_wh = 0
        self.recovered_wh = 0
        self.value = ""
        self.missing = []
        self.message = ""
        self.pages = None
        self.earlier = []

    def as_dict(self):
        """Return the outcome as a dictionary for the serial line."""
        token = self.token
        return {
            "result": self.result,
            "name": NAMES[self.result],
            "token": token.name if token else None,
            "class": token.cls if token else None,
            "subclass": token.sub if token else None,
            "tid": token.tid if token else None,
            "amount_wh": self.amount_wh,
            "repaid_wh": self.repaid_wh,
            "recovered_wh": self.recovered_wh,
            "missing": self.missing,
            "message": self.message,
            "earlier": [outcome.as_dict() for outcome in self.earlier],
        }


def class_of(digits):
    """Return the class of a token, or None if the digits are not a token."""
    try:
        return token_digits.split(token_digits.clean(digits))[0]
    except ValueError:
        return None


def enter(meter: "Meter", several, now):
    """Process tokens one after another and show their results; return the Outcome of the last.

    Its `earlier` holds the Outcomes of those before it. Raise OSError if a token could not be
    saved: that token was not accepted, those before it were.
    """
    shown = []
    earlier = []
    for digits in several:
        outcome = _enter(meter, digits, now)
        shown += _pages(meter, outcome, digits)
        earlier.append(outcome)
    _show(meter, shown, outcome, now)
    outcome.earlier = earlier[:-1]
    return outcome


def _enter(meter: "Meter", digits, now):
    outcome = Outcome()
    cls = class_of(digits)
    if cls in (0, 2) and not meter.state.provisioned:
        outcome.result = TokenResult.NOT_READY
        outcome.message = "the meter has no key yet: provision it"
        return outcome
    decoded = None
    guess = cls not in (None, 1)
    left_s = meter.lockout.blocked(now)
    if guess and left_s:
        outcome.result = TokenResult.LOCK_OUT
        outcome.message = "too many wrong tokens: wait %d s" % left_s
        outcome.value = "%d" % left_s
        if meter.state.result == TokenResult.LOCK_OUT:
            return outcome  # log only the first: repeats would wear the flash and push out events
    elif guess and meter.profile.lockout_after:
        decoded = _decode_counted(meter, digits, outcome, now)
        if decoded is None:
            return outcome
    else:
        decoded = _decode(meter, digits)
    meter.atomically(lambda: _take(meter, decoded, digits, outcome, now))
    return outcome


def _decode(meter: "Meter", digits):
    state = meter.state
    if meter._decrypt is None and state.provisioned:
        use_key(meter)
    decoded = decode(digits, meter._decrypt, state.ea, state.mfr_code)
    if decoded[0] == TokenResult.CRC and class_of(digits) in (0, 2):
        for at in range(0, len(state.former_keys), 16):
            key = state.former_keys[at : at + keys.key_bytes(state.ea)]
            if key != bytes(len(key)):
                former = keys.cipher(state.ea, key, bool(state.sample_tables))
                if decode(digits, former, state.ea)[0] != TokenResult.CRC:
                    return TokenResult.CRC, None, _FORMER
    return decoded


def use_key(meter: "Meter"):
    """Prepare decryption with the decoder key of the record."""
    state = meter.state
    key = state.decoder_key[: keys.key_bytes(state.ea)]
    meter._decrypt = keys.cipher(state.ea, key, bool(state.sample_tables))


def _decode_counted(meter: "Meter", digits, outcome, now):
    """Decode a token that was first saved as a wrong one; return None if it is wrong.

    So a power cut cannot undo the count of a guess. A wrong token costs one save, any other costs
    two.
    """
    if meter._decrypt is None:
        use_key(meter)  # before the snapshot, because undo would drop it
    commit.begin(meter)
    try:
        meter.lockout.wrong(now)
        _log(meter, outcome, now)
        commit.save(meter)
        decoded = _decode(meter, digits)
        if counts(decoded[0]) and decoded[2] != _FORMER:
            meter._before = None
            return None
    except BaseException:
        _undo_count(meter)
        raise
    _undo_count(meter)
    return decoded


def _undo_count(meter: "Meter"):
    meter._unsaved = True  # the stored record still counts it
    commit.undo(meter)


def _pages(meter: "Meter", outcome, digits):
    return outcome.pages or pages.result_pages(outcome, digits, meter)


def _show(meter: "Meter", shown, outcome, now):
    profile = meter.profile
    page_s = profile.screens_page_s
    if outcome.pages:
        meter.screen.show(shown, now, page_s, None, screens.TEST)
    else:
        page_s = profile.screens_amount_s or page_s
        first_s = pages.result_s(meter)
        meter.screen.show(shown, now, page_s, first_s, screens.RESULT)


def _take(meter: "Meter", decoded, digits, outcome, now):
    """Execute a decoded token and log it; the caller commits."""
    if decoded is not None:
        outcome.result, outcome.token, outcome.message = decoded
        _apply(meter, digits, outcome, now)
        # A token without a TID can be entered again and again: it must not end a lock-out.
        if outcome.result == TokenResult.ACCEPT and outcome.token.tid is not None:
            meter.lockout.accepted(now)
    _log(meter, outcome, now)


def _log(meter: "Meter", outcome, now):
    token = outcome.token
    meter.state.result = outcome.result
    events.record(
        meter.state,
        now,
        events.TOKEN,
        outcome.result,
        events.NO_TOKEN if token is None else token.cls << 4 | token.sub,
        outcome.amount_wh or 0,
    )


def _apply(meter: "Meter", digits, outcome, now):
    state = meter.state
    token = outcome.token
    if outcome.result == TokenResult.ACCEPT and _blocked_by_tamper(meter, token):
        outcome.result = TokenResult.NOT_READY
        outcome.message = "the meter was tampered with: a token must clear that first"
    if outcome.result == TokenResult.ACCEPT:
        outcome.result = _validate(meter, token)
    if outcome.result == TokenResult.ACCEPT:
        outcome.result = _execute(meter, token, outcome, now)
        if outcome.result == TokenResult.ACCEPT and token.tid is not None:
            meter.tids.add(token.tid)
    if outcome.result == TokenResult.ACCEPT and token.cls == 0:
        state.last_token = token_digits.clean(digits).encode()
        state.last_tid = token.tid
        events.bought(state, now, outcome.amount_wh)


def _blocked_by_tamper(meter: "Meter", token):
    """Return whether a tampered meter refuses this token until the tamper condition is cleared."""
    if not meter.state.tamper or meter.profile.supply_tamper_takes == "all":
        return False
    return token.cls == 0 or (token.cls == 2 and token.sub not in (1, 5))


def _validate(meter: "Meter", token):
    """Return the ValidationResult, checked in the standard's order: DDTK, KEN, Used, Old."""
    if token.cls == 0 and meter.state.kt == keys.DDTK:
        return TokenResult.DDTK
    if token.tid is None:
        return TokenResult.ACCEPT
    return meter.tids.check(token.tid, meter.state.ken)


def _execute(meter: "Meter", token, outcome, now):
    if token.cls == 0:
        return _credit(meter, token, outcome, now)
    from . import management  # imported late: most tokens are credit tokens

    return management.execute(meter, token, outcome, now)


def _credit(meter: "Meter", token, outcome, now):
    if token.sub:
        return TokenResult.FUNCTION  # water, gas, time or currency
    amount_wh = 100 * tokens.amount_value(token.fields["amount"])
    repaid, recovered = credit.shares(meter.state, meter.profile, amount_wh)
    if credit.overflows(meter.state, meter.profile, amount_wh - repaid - recovered):
        return TokenResult.OVERFLOW
    credit.add(meter.state, amount_wh, repaid, recovered, now)
    outcome.repaid_wh, outcome.recovered_wh = repaid, recovered
    outcome.amount_wh = amount_wh
    outcome.value = "+" + screens.kwh(amount_wh, 1)
    return TokenResult.ACCEPT
