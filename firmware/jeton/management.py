"""The effects of tokens of class 1 and 2: tests, limits, clearing, key changes.

Imported with the first such token: most tokens are credit tokens.
"""

from . import credit, events, screens, supply
from .sts import tokens
from .sts.results import TokenResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter

# ClearCredit: the electricity register, or all; registers 1 to 7 do not exist in this meter.
_REGISTER_ELECTRICITY = 0
_REGISTER_LAST = 7
_REGISTER_ALL = 0xFFFF

# Section number of a key change token, by subclass.
SECTIONS = {3: 1, 4: 2, 8: 3, 9: 4}
_KEPT = 32  # bytes: four sections, each as a block

_TESTS = 18


def execute(meter: "Meter", token, outcome, now):
    """Execute an authentic token that was not used before; return its TokenResult."""
    if token.cls == 1 and token.sub <= 1:
        return _test(meter, token, outcome, now)
    if token.cls == 2:
        if token.sub in SECTIONS:
            return _key_section(meter, token, outcome, now)
        action = _ACTIONS.get(token.sub)
        if action:
            return action(meter, token.fields, outcome, now)
    return TokenResult.FUNCTION


def _power_limit(meter: "Meter", fields, outcome, now):
    from . import shortcodes

    limit_w = tokens.amount_value(fields["mpl"])
    meter.state.max_power_limit_w = limit_w
    events.record(meter.state, now, events.LIMIT, 0, 0, limit_w)
    outcome.value = shortcodes.limit(limit_w, meter.profile)
    return TokenResult.ACCEPT


def _unbalance_limit(meter: "Meter", fields, outcome, now):
    from . import shortcodes

    limit_w = tokens.amount_value(fields["mppul"])
    meter.state.phase_unbalance_limit_w = limit_w
    outcome.value = shortcodes.limit(limit_w, meter.profile)
    return TokenResult.ACCEPT


def _clear_credit(meter: "Meter", fields, outcome, now):
    state = meter.state
    register = fields["register"]
    if register not in (_REGISTER_ELECTRICITY, _REGISTER_ALL):
        known = register <= _REGISTER_LAST
        return TokenResult.FUNCTION if known else TokenResult.RANGE
    credit.clear(state)
    supply.follow_credit(state, meter.profile, now, supply.CLEAR_CREDIT)
    outcome.value = screens.kwh(state.credit_wh)
    return TokenResult.ACCEPT


def _tariff(meter: "Meter", fields, outcome, now):
    meter.state.tariff_rate = fields["rate"]
    outcome.value = "%d" % fields["rate"]
    return TokenResult.ACCEPT


def _clear_tamper(meter: "Meter", fields, outcome, now):
    if fields["pad"]:
        return TokenResult.FORMAT
    supply.set_tamper(meter.state, meter.profile, 0, now)
    return TokenResult.ACCEPT


_ACTIONS = {
    0: _power_limit,
    1: _clear_credit,
    2: _tariff,
    5: _clear_tamper,
    6: _unbalance_limit,
}


def _test(meter: "Meter", token, outcome, now):
    from . import shortcodes

    control = token.fields["control"]
    every = (1 << (36 if token.sub == 0 else 28)) - 1
    if control == every:
        # Test 0: all tests of this meter except 1, which interrupts the supply.
        wanted = list(range(2, _TESTS + 1))
    else:
        wanted = [n + 1 for n in range(36) if control >> n & 1]
    pages = []
    for number in wanted:
        page = shortcodes.test_page(number, meter)
        if page:
            pages.append(page)
        elif control != every:
            return TokenResult.FUNCTION
    if not pages:
        return TokenResult.RANGE
    if control != every and 1 in wanted:
        supply.test(meter.state, now)
    outcome.pages = pages
    return TokenResult.ACCEPT


def _key_section(meter: "Meter", token, outcome, now):
    change = meter.key_change
    number = SECTIONS[token.sub]
    if not change.accepts(number):
        return TokenResult.FUNCTION
    result = change.add(number, token.fields, now)
    _keep_section(meter, token, now)
    outcome.missing = change.missing()
    if result == TokenResult.NOT_READY:
        outcome.message = (
            "the codes of a key change go in order; code %d is next" % (outcome.missing[0])
        )
    if result != TokenResult.ACCEPT:
        return result
    new = change.combine(meter.state.kt)
    change.forget()
    meter.state.sections = bytes(_KEPT)
    if not isinstance(new, dict):
        return new
    _change_key(meter, new, now)
    return TokenResult.ACCEPT


def _change_key(meter: "Meter", new, now):
    """Apply a complete key change in one step; credit and the other registers stay."""
    state = meter.state
    for name in ("krn", "kt", "ti", "ken"):
        setattr(state, name, new[name])
    key = new["key"] + bytes(16 - len(new["key"]))
    if key != state.decoder_key:
        state.former_keys = state.decoder_key + state.former_keys[:-16]
        state.decoder_key = key
    if new["sgc"] is not None:
        state.sgc = new["sgc"]
    if new["ro"]:
        meter.tids.fill(0)
        state.bdt = 0  # the new base date is not transferred
    meter._decrypt = None  # prepared again from the new key with the next token
    events.record(state, now, events.KEY_CHANGED, state.krn, 0, new["ro"])


def _keep_section(meter: "Meter", token, now):
    """Store a section of a key change as it was sent, if the profile keeps it over power cuts."""
    change = meter.key_change
    state = meter.state
    number = SECTIONS[token.sub]
    # A refused section does not replace the earlier one.
    taken = change.sections.get(number) is token.fields
    if meter.profile.key_change_keep_at_power_up and taken:
        at = 8 * (number - 1)
        block = tokens.pack(2, token.sub, token.fields, state.ea)
        state.sections = state.sections[:at] + block + state.sections[at + 8 :]
        window_s = meter.profile.key_change_window_s
        state.sections_from = now if window_s is None else change.deadline() - window_s


def recall_sections(meter: "Meter"):
    """Restore the stored sections after a power cut, with their original window."""
    state = meter.state
    kept = state.sections
    if not meter.profile.key_change_keep_at_power_up:
        state.sections = bytes(_KEPT)
        return
    for at in range(0, _KEPT, 8):
        block = kept[at : at + 8]
        if block != bytes(8):
            _, _, fields, _ = tokens.unpack(2, block, state.ea)
            meter.key_change.add(at // 8 + 1, fields, state.sections_from)
