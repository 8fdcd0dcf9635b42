"""The meter: what a token, a key press, a load and the passing of time do to one record.

It knows no clock, file or pin: `now` is an argument (seconds since 2000-01-01 00:00 UTC), storage
and profiles are ports, energy arrives as Wh or as a load in W.
"""

from . import __version__, credit, events, screens, setup, supply
from . import state as states
from .entry import Entry
from .profile import Profile
from .sts import digits as token_digits
from .sts import keys, tokens
from .sts.decoder import decode
from .sts.results import GOOD, NAMES, SECTION, TokenResult
from .sts.tids import TidStore

# Consumption is saved each 0.01 kWh and at most every 10 s: flash wears (20 years at 23 kW).
SAVE_WH = 10
SAVE_S = 10

# ClearCredit: the electricity register and all; 1 to 7 are registers this meter does not have.
_REGISTER_ELECTRICITY = 0
_REGISTER_LAST = 7
_REGISTER_ALL = 0xFFFF

# Section number of a key change token, by subclass.
_SECTIONS = {3: 1, 4: 2, 8: 3, 9: 4}

_TESTS = 18


class Outcome:
    """What became of a token; the display, the log and the serial line all tell from this."""

    def __init__(self, result=TokenResult.CRC):
        self.result = result
        self.token = None
        self.amount_wh = None
        self.value = ""
        self.missing = []
        self.message = ""
        self.pages = None

    def as_dict(self):
        """Return the outcome for the wire."""
        token = self.token
        return {
            "result": self.result,
            "name": NAMES[self.result],
            "token": token.name if token else None,
            "class": token.cls if token else None,
            "subclass": token.sub if token else None,
            "tid": token.tid if token else None,
            "amount_wh": self.amount_wh,
            "missing": self.missing,
            "message": self.message,
        }


class Meter:
    """One prepayment meter.

    `storage` has `load()`, which returns octets or None, and `save(octets)`; `profiles`
    is what `profile.Profile` asks. Call `start` once, then `process` whenever
    its deadline comes.
    """

    def __init__(self, storage, profiles):
        self._storage = storage
        self._profiles = profiles
        self.state = states.State()
        self._at = 0
        self._saved_at = 0
        self._saved_total_wh = 0

    # Life

    def start(self):
        """Load the record and return the time at which it was saved (0 for a new meter).

        Raise ValueError if the store holds something that is no intact record; it stays as it is.
        """
        octets = self._storage.load()
        if octets is not None:
            self.state = states.unpack(octets)
        self._setup()
        self._at = self._saved_at = self.state.clock
        if self.state.provisioned:
            events.record(self.state, self._at, events.POWER_UP)
            self._save()
        return self._at

    def provision(self, config, now):
        """Make this a new meter, all registers fresh (`setup.configured` describes `config`).

        Raise ValueError with one line for a value that is missing or wrong; then nothing changes.
        """
        state = setup.configured(config, self._profiles)
        before = self.state.pack()
        self.state = state
        self._setup()
        self._at = self._saved_at = now
        state.clock = now
        events.record(state, now, events.PROVISIONED)
        supply.follow_credit(state, now, supply.NOT_PROVISIONED)
        self._commit(before)

    def _setup(self):
        """Make what is derived from the record, and forget what does not outlive a power cut."""
        state = self.state
        self.profile = Profile(self._profiles, states.text(state.profile))
        self.tids = TidStore(state.tids)
        self.screen = screens.Screen(state.rows, state.cols)
        self.entry = Entry(self.profile.auto_enter, self.profile.idle_timeout_s)
        self.key_change = keys.KeyChange(
            state.ea, state.kct, self.profile.key_change_ordered, self.profile.key_change_window_s
        )
        self._decrypt = self._cipher(state) if state.provisioned else None

    @staticmethod
    def _cipher(state):
        key = state.decoder_key[: keys.key_octets(state.ea)]
        return keys.cipher(state.ea, key, bool(state.sample_tables))

    def _save(self):
        state = self.state
        state.tids = bytes(self.tids.octets)
        state.clock = self._at
        self._storage.save(state.pack())
        self._saved_at = self._at
        self._saved_total_wh = state.total_wh

    def _commit(self, before):
        """Save the record; if that fails, be again as `before` and let the error through."""
        try:
            self._save()
        except Exception:
            self.state = states.unpack(before)
            self._setup()
            raise

    # Time and energy

    def process(self, now):
        """Let time pass up to `now` and return when something happens next by itself, or None.

        A clock that went back takes no time away.
        """
        state = self.state
        elapsed = now - self._at
        switched = False
        if elapsed > 0 and state.switch_closed:
            used_s = credit.use_load(state, elapsed)
            if state.credit_wh <= 0:
                supply.open_switch(state, supply.NO_CREDIT, self._at + used_s)
                switched = True
        self._at = now
        deadline = self.key_change.deadline()
        if self.key_change.process(now):
            events.record(state, deadline, events.KEY_CHANGE_FORGOTTEN)
        self.entry.process(now)
        if switched or self._save_due(now):
            self._save()
        return self._deadline(now)

    def _save_due(self, now):
        used_wh = self.state.total_wh - self._saved_total_wh
        return used_wh >= SAVE_WH and now - self._saved_at >= SAVE_S

    def _deadline(self, now):
        found = [self.key_change.deadline(), self.entry.deadline(), self.screen.deadline(now)]
        if self.state.switch_closed:
            left_s = credit.seconds_left(self.state)
            found.append(None if left_s is None else now + left_s)
        found = [deadline for deadline in found if deadline is not None]
        return min(found) if found else None

    def set_load(self, load_w, now):
        """Connect a load of `load_w` watts (0 to 4294967295) behind the switch."""
        setup.whole("the load", load_w, 0, 0xFFFFFFFF)
        self.process(now)
        self.state.load_w = load_w
        self._save()

    def use_energy(self, energy_wh, now):
        """Count energy that flowed, in Wh; refuse it (ValueError) while the switch is open."""
        setup.whole("the energy", energy_wh, 0, 0xFFFFFFFF)
        self.process(now)
        if not self.state.switch_closed:
            raise ValueError("no energy flows: the load switch is open")
        credit.use_energy(self.state, energy_wh)
        if self.state.credit_wh <= 0:
            supply.open_switch(self.state, supply.NO_CREDIT, now)
        self._save()

    def set_tamper(self, on, now):
        """Raise or drop the tamper input; the condition stays until a token clears it."""
        self.process(now)
        if on and not self.state.tamper:
            self.state.tamper = 1
            events.record(self.state, now, events.TAMPER, value=1)
            self._save()

    def clock_set(self, was, now):
        """Follow a clock that was set from `was` to `now`: time jumps, nothing is used."""
        self.process(was)
        moved = now - was
        self._at = now
        self._saved_at += moved
        self.key_change.shift(moved)
        self.entry.shift(moved)
        self.screen.shift(moved)
        clipped = max(-0x80000000, min(moved, 0x7FFFFFFF))
        events.record(self.state, now, events.CLOCK_SET, value=clipped)
        self._save()

    # Keys and tokens

    def press(self, key, now):
        """Take one key (0 to 9, * backspace, # Enter); return the Outcome of a token it enters."""
        self.process(now)
        entered = self.entry.press(key, now)
        if entered is None:
            self.screen.clear()
            return None
        if not entered:
            self.screen.next_page(now)
            return None
        return self.enter(entered, now)

    def enter(self, digits, now):
        """Take the digits of a token, from keypad or wire; return its Outcome.

        One commit carries everything the token did. Spaces and dashes between digits do not count.
        """
        self.process(now)
        state = self.state
        before = state.pack()
        outcome = Outcome()
        if state.provisioned:
            self._decode(digits, outcome, now)
        else:
            outcome.result = TokenResult.NOT_READY
            outcome.message = "the meter has no key yet: provision it"
        token = outcome.token
        state.result = outcome.result
        events.record(
            state,
            now,
            events.TOKEN,
            outcome.result,
            events.NO_TOKEN if token is None else token.cls << 4 | token.sub,
            outcome.amount_wh or 0,
        )
        if state.provisioned:
            self._commit(before)
        pages = outcome.pages or [self._result_page(outcome, digits)]
        seconds = self.profile.screens_page_s if len(pages) > 1 else self.profile.screens_result_s
        self.screen.show(pages, now, seconds)
        return outcome

    def _decode(self, digits, outcome, now):
        state = self.state
        result, token, message = decode(digits, self._decrypt, state.ea, state.mfr_code)
        outcome.result, outcome.token, outcome.message = result, token, message
        if result == TokenResult.ACCEPT:
            outcome.result = self._validate(token)
        if outcome.result == TokenResult.ACCEPT:
            outcome.result = self._execute(token, outcome, now)
            if outcome.result == TokenResult.ACCEPT and token.tid is not None:
                self.tids.add(token.tid)

    def _validate(self, token):
        """Return the ValidationResult, in the standard's order: DDTK, KEN, Used, Old."""
        if token.cls == 0 and self.state.kt == keys.DDTK:
            return TokenResult.DDTK
        if token.tid is None:
            return TokenResult.ACCEPT
        return self.tids.check(token.tid, self.state.ken)

    def _execute(self, token, outcome, now):
        if token.cls == 2 and token.sub in _SECTIONS:
            return self._key_section(token, outcome, now)
        action = _ACTIONS.get((token.cls, token.sub))
        if action is None:
            return TokenResult.FUNCTION
        return action(self, token.fields, outcome, now)

    def _credit(self, fields, outcome, now):
        amount_wh = 100 * tokens.amount_value(fields["amount"])
        if credit.overflows(self.state, self.profile, amount_wh):
            return TokenResult.OVERFLOW
        credit.add(self.state, amount_wh)
        supply.follow_credit(self.state, now)
        outcome.amount_wh = amount_wh
        outcome.value = "+" + screens.kwh(amount_wh, 1)
        return TokenResult.ACCEPT

    def _power_limit(self, fields, outcome, now):
        self.state.max_power_limit_w = tokens.amount_value(fields["mpl"])
        outcome.value = "%d W" % self.state.max_power_limit_w
        return TokenResult.ACCEPT

    def _unbalance_limit(self, fields, outcome, now):
        self.state.phase_unbalance_limit_w = tokens.amount_value(fields["mppul"])
        outcome.value = "%d W" % self.state.phase_unbalance_limit_w
        return TokenResult.ACCEPT

    def _clear_credit(self, fields, outcome, now):
        register = fields["register"]
        if register not in (_REGISTER_ELECTRICITY, _REGISTER_ALL):
            known = register <= _REGISTER_LAST
            return TokenResult.FUNCTION if known else TokenResult.RANGE
        credit.clear(self.state)
        supply.follow_credit(self.state, now, supply.CLEAR_CREDIT)
        outcome.value = screens.kwh(self.state.credit_wh)
        return TokenResult.ACCEPT

    def _tariff(self, fields, outcome, now):
        self.state.tariff_rate = fields["rate"]
        outcome.value = "%d" % fields["rate"]
        return TokenResult.ACCEPT

    def _clear_tamper(self, fields, outcome, now):
        if fields["pad"]:
            return TokenResult.FORMAT
        if self.state.tamper:
            self.state.tamper = 0
            events.record(self.state, now, events.TAMPER, value=0)
        return TokenResult.ACCEPT

    def _test(self, fields, outcome, now):
        control = fields["control"]
        every = (1 << (36 if outcome.token.sub == 0 else 28)) - 1
        if control == every:
            # Test 0: all that the meter has but 1, which interrupts the supply.
            wanted = list(range(2, _TESTS + 1))
        else:
            wanted = [n + 1 for n in range(36) if control >> n & 1]
        pages = []
        for number in wanted:
            page = screens.test_page(number, self.state, self.profile, __version__)
            if page:
                pages.append(page)
            elif control != every:
                return TokenResult.FUNCTION
        if not pages:
            return TokenResult.RANGE
        if control != every and 1 in wanted and self.state.switch_closed:
            supply.open_switch(self.state, supply.TEST, now)
            supply.close_switch(self.state, supply.TEST, now)
        outcome.pages = pages
        return TokenResult.ACCEPT

    def _key_section(self, token, outcome, now):
        change = self.key_change
        number = _SECTIONS[token.sub]
        if not change.accepts(number):
            return TokenResult.FUNCTION
        result = change.add(number, token.fields, now)
        outcome.missing = change.missing()
        if result == TokenResult.NOT_READY:
            outcome.message = (
                "the codes of a key change go in order; code %d is next" % (outcome.missing[0])
            )
        if result != TokenResult.ACCEPT:
            return result
        new = change.combine(self.state.kt)
        change.forget()
        if not isinstance(new, dict):
            return new
        self._change_key(new, now)
        return TokenResult.ACCEPT

    def _change_key(self, new, now):
        """Take a whole key change in one step; credit and the other registers stay."""
        state = self.state
        for name in ("krn", "kt", "ti", "ken"):
            setattr(state, name, new[name])
        state.decoder_key = new["key"] + bytes(16 - len(new["key"]))
        if new["sgc"] is not None:
            state.sgc = new["sgc"]
        if new["ro"]:
            self.tids.fill(0)
            state.bdt = 0  # the new base date is not transferred
        self._decrypt = self._cipher(state)
        events.record(state, now, events.KEY_CHANGED, state.krn, 0, new["ro"])

    # What people and programs see

    def display(self, now):
        """Return what the display shows: `rows` strings of `cols` characters."""
        self.process(now)
        idle = screens.idle(self.state, self.profile, self.screen)
        if self.entry.digits:
            idle = screens.entry(self.entry.digits, self.profile, self.screen)
        return self.screen.lines(now, idle)

    def _result_page(self, outcome, digits):
        say = self.profile.say
        token = outcome.token
        lines = [say(NAMES[outcome.result])]
        if outcome.result == TokenResult.FORMAT and token is None:
            lines.append(say("digits", len(token_digits.clean(digits))))
        elif outcome.result in SECTION or outcome.result == TokenResult.NOT_READY:
            if outcome.missing:
                lines.append(say("enter_code", outcome.missing[0]))
        elif outcome.result == TokenResult.ACCEPT and token and token.sub in _SECTIONS:
            if token.cls == 2:
                lines.append(say("key_changed"))
        if outcome.value:
            lines.append(outcome.value)
        if outcome.result in GOOD and self.screen.rows >= 4:
            cols = self.screen.cols
            value = screens.kwh(self.state.credit_wh)
            lines.append(screens.row(say("credit"), value, cols))
        return lines

    def status(self, now):
        """Return registers, key attributes and states as a dictionary; never a key."""
        self.process(now)
        state = self.state
        return {
            "clock": now,
            "provisioned": bool(state.provisioned),
            "profile": self.profile.name,
            "drn": states.text(state.drn),
            "ea": state.ea,
            "kct": state.kct,
            "krn": state.krn,
            "kt": state.kt,
            "ti": state.ti,
            "sgc": "%06d" % state.sgc,
            "ken": state.ken,
            "bdt": "%02d" % state.bdt if state.bdt else None,
            "credit_wh": state.credit_wh,
            "total_wh": state.total_wh,
            "load_w": state.load_w,
            "power_w": supply.power_w(state),
            "switch": "closed" if state.switch_closed else "open",
            "switch_reason": supply.REASONS[state.switch_reason],
            "max_power_limit_w": state.max_power_limit_w,
            "phase_unbalance_limit_w": state.phase_unbalance_limit_w,
            "tariff_rate": state.tariff_rate,
            "tamper": bool(state.tamper),
            "result": state.result,
            "result_name": NAMES[state.result],
            "pending": sorted(self.key_change.sections),
            "tid_newest": self.tids.newest,
            "tid_oldest": self.tids.oldest,
        }

    def events(self, after=0):
        """Return the kept events with a number above `after`, oldest first."""
        return events.since(self.state, after, supply.REASONS)


_ACTIONS = {
    (0, 0): Meter._credit,
    (1, 0): Meter._test,
    (1, 1): Meter._test,
    (2, 0): Meter._power_limit,
    (2, 1): Meter._clear_credit,
    (2, 2): Meter._tariff,
    (2, 5): Meter._clear_tamper,
    (2, 6): Meter._unbalance_limit,
}
