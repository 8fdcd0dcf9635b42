"""The meter: what a token, a key press, a load and the passing of time do to one record.

It knows no clock, file or pin: `now` is an argument (seconds since 2000-01-01 00:00 UTC), storage
and profiles are ports, energy arrives as Wh or as a load in W.
"""

from . import credit, events, screens, supply
from . import state as states
from .entry import Entry, check_keys
from .lockout import Lockout, counts
from .profile import Profile
from .sts import digits as token_digits
from .sts import keys
from .sts.results import NAMES, TokenResult
from .sts.tids import TidStore

# Consumption is saved each 0.01 kWh and at most every 10 s: flash wears (20 years at 23 kW).
SAVE_WH = 10
SAVE_S = 10


class Outcome:
    """What became of a token; the display, the log and the serial line all tell from this."""

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
            "repaid_wh": self.repaid_wh,
            "recovered_wh": self.recovered_wh,
            "missing": self.missing,
            "message": self.message,
            "earlier": [outcome.as_dict() for outcome in self.earlier],
        }


class Meter:
    """One prepayment meter.

    `storage` has `load(which)`, which returns the octets of the record (0), of its copy (1) or of
    the tick (2), or None; `save(parts)`, which keeps a list of octets as one record, and a copy,
    but no reference to them; `save_tick(octets)`; `holds(parts, start, end)`, which tells whether
    that is the record, but for what stands from start to end; and `set_aside()`. `profiles` is
    what `Profile` asks. Call `start` once, then `process` whenever its deadline comes.
    """

    def __init__(self, storage, profiles):
        self._storage = storage
        self._profiles = profiles
        self.state = states.State()
        # Packed in place: a heap in splinters has no room for a new one at each commit.
        self._record = bytearray(states.SIZE)
        self._tick = bytearray(states.TICK_OCTETS)
        self._at = 0
        self._saved_at = 0
        self._saved_total_wh = 0
        self._unsaved = False
        self._before = None  # type: tuple | None
        # Why there is no working meter (a damaged record), or why the last save failed.
        self.fault = ""
        self.store_error = ""

    # Life

    def start(self):
        """Load the record and return the time at which it was saved (0 for a new meter).

        If the store cannot be read or holds no intact record, it stays as it is: `fault` says why,
        the display shows it, and only `provision` leads on.
        """
        try:
            self._read()
            self._at = self._saved_at = self.state.clock
            self._setup()
        except MemoryError:
            raise  # it says nothing of the store
        except Exception as error:
            lock = self.state.lock  # a profile that cannot be read opens no meter
            self.state = states.State()
            self.state.lock = lock
            self.fault = describe(error)
            self._setup_bare()
            return 0
        state = self.state
        if state.provisioned:
            at = self._at
            state.power_fails = min(state.power_fails + 1, 0xFFFF)
            # A power cut in the second of a power-up says nothing new, and would push older
            # events out.
            if events.last(state) != (at, events.POWER_UP):
                events.record(state, at, events.POWER_DOWN)
                events.record(state, at, events.POWER_UP)
            self.lockout.power_up(at)
            if state.sections != bytes(len(state.sections)):
                from . import management

                management.recall_sections(self)
                self._plan()
            # What a cut has left half written may read differently later: it is written anew
            # before anybody acts on it.
            self._save_or_note(True)
        return self._at

    def _read(self):
        """Take the later of record and copy; one that is damaged counts only if both are."""
        head = failed = None
        tick = self._storage.load(2)
        for which in (0, 1):
            octets = None  # a small heap has no room for both
            try:
                octets = self._storage.load(which)
                if octets is not None:
                    found = states.unpack(octets, tick, head)
                    if found:
                        self.state, head = found, octets[: states.TICK_START]
            except (ValueError, OSError) as error:
                failed = failed or error
        if head:
            self._record[: states.TICK_START] = head
        elif failed:
            raise failed

    def provision(self, config, now):
        """Make this a new meter, all registers fresh (`setup.configured` describes `config`).

        Raise ValueError with one line for a value that is missing or wrong; then nothing changes.
        """
        from . import setup

        state = setup.configured(config, self._profiles)
        state.lock = self.state.lock  # who may set a locked meter up has not opened it
        if self.fault:
            self._storage.set_aside()

        def action():
            self.state = state
            self._at = self._saved_at = now
            state.day = now // credit.DAY_S
            self._setup()
            setup.begin(state, self.profile, now)

        self._atomically(action)
        self.fault = ""

    def _setup(self):
        """Make what is derived from the record, and forget what does not outlive a power cut."""
        state = self.state
        self.profile = profile = Profile(
            self._profiles,
            states.text(state.profile),
            states.text(state.language) or None,
            bool(state.graphic),
        )
        self.tids = TidStore(state.tids)
        self.screen = screens.Screen(state.rows, state.cols, profile.rtl)
        self.entry = Entry(profile)
        self.lockout = Lockout(profile, state)
        self.key_change = keys.KeyChange(
            state.ea, state.kct, profile.key_change_ordered, profile.key_change_window_s
        )
        self._decrypt = None
        self._saved_total_wh = state.total_wh
        self._trip_at = None
        self._find_load()
        self._plan()

    def _setup_bare(self):
        """Be a meter that only tells its fault."""
        state = self.state
        self.profile = None  # type: ignore[assignment]
        self.tids = TidStore(state.tids)
        self.screen = screens.Screen(state.rows, state.cols)
        self.entry = self.lockout = self._load = self._trip_at = None  # type: ignore[assignment]
        self._next = self._level = 0
        self.key_change = keys.KeyChange(state.ea, state.kct)
        self._decrypt = None

    def _check_fault(self):
        if self.fault:
            raise ValueError(self.fault + "; provision the meter anew")

    def use_key(self):
        """Decrypt with the key of the record from now on."""
        state = self.state
        key = state.decoder_key[: keys.key_octets(state.ea)]
        self._decrypt = keys.cipher(state.ea, key, bool(state.sample_tables))

    def _save(self, anew=False):
        """Save what has changed: the record, or a tick if that says it all; `anew` the record."""
        state = self.state
        state.tids = bytes(self.tids.octets)
        state.clock = self._at
        record, tick = self._record, self._tick
        parts = state.parts(record)
        failed, self._unsaved = self._unsaved, True
        if anew or not self._storage.holds(parts, states.TICK_START, states.TICK_END):
            states.seal(parts)
            self._storage.save(parts)
            states.tick_into(tick, record, True)
        elif states.tick_into(tick, record) or failed:
            self._storage.save_tick(tick)
        self._saved_at = self._at
        self._saved_total_wh = state.total_wh
        self._unsaved = False
        self.store_error = ""

    def _save_or_note(self, anew=False):
        """Save what time alone has changed; a failure is noted and tried again, time goes on.

        The switch is open meanwhile, save where a profile never opens it: a power cut would give
        back what was used.
        """
        state = self.state
        try:
            self._save(anew)
            if state.hold & supply.HOLD_STORE:
                supply.release(state, supply.HOLD_STORE, supply.CREDIT, self._at)
                self._plan()
                self._save()
        except OSError as error:
            self.store_error = describe(error)
            if not self.profile.credit_never_cut:
                supply.hold(state, supply.HOLD_STORE, supply.STORE, self._at)
                self._plan()

    def save(self, now):
        """Save all there is, as a meter does at the sign of a power failure."""
        self.process(now)
        if self.state.provisioned:
            self._save()

    def _atomically(self, action):
        """Run `action` and save; if either fails, be as before and let the error through."""
        self._begin()
        try:
            value = action()
            self._settle()
            self._save()
        except BaseException:
            self._undo()
            raise
        self._before = None
        return value

    def _begin(self):
        """Note how all is, until `_before` is None again.

        Ctrl-C may come between any two steps, and memory may run out: what was begun and has not
        ended has never happened. If not at once, it is seen to here, when the next thing begins.
        """
        if self._before:
            self._undo()
            self._unsaved = True
        change, load = self.key_change, self._load
        sections = dict(change.sections)
        parts = (self.profile, self.tids, self.tids.octets, self.screen, self.entry, self.lockout)
        more = (self._decrypt, change, self._at, self._saved_at, self._saved_total_wh)
        plan = (load, load and load.place, self._trip_at, self._next, self._level)
        self._before = (self.state.copy(), sections, parts, more, plan)

    def _undo(self):
        """Be as `_begin` found it. This only exchanges references: memory may have run out."""
        state, sections, parts, more, plan = self._before  # type: ignore[misc]
        self.state = state
        self.profile, self.tids, octets, self.screen, self.entry, self.lockout = parts
        self.tids.octets = octets
        self._decrypt, self.key_change, self._at, self._saved_at, self._saved_total_wh = more
        self.key_change.sections = sections
        self._load, place, self._trip_at, self._next, self._level = plan
        if place:
            self._load.place = place
            self._load.next = place[2]
        if self.lockout:
            self.lockout.state = state
        self._before = None

    def _settle(self):
        """Let switch and warnings follow what has changed."""
        at = self._at
        credit.watch(self.state, self.profile, at)
        supply.follow_credit(self.state, self.profile, at)
        self._plan()
        if self._next <= at:
            self._due(at)

    # Time and energy

    def process(self, now):
        """Let time pass up to `now` and return when something happens next by itself, or None.

        A clock that went back takes no time away.
        """
        if self._before or now > self._at:
            self._begin()
        seq = self.state.event_seq
        self._run(now)
        self.entry.process(now)
        ended = self.lockout.process(now)
        if self._unsaved or ended or self.state.event_seq != seq or self._save_due(now):
            self._save_or_note()
        self._before = None
        return self._deadline(now)

    def _run(self, now):
        """Go from event to event up to `now`: a step of the load, a level of credit, midnight."""
        state = self.state
        profile = self.profile
        at = self._at
        seq = state.event_seq
        while at < now:
            if state.event_seq - seq >= events.SPARE // 2:
                # The rings have no room to go back further.
                self._before = None
                self._begin()
                seq = state.event_seq
            end = max(at, min(self._next, now))
            if state.switch_closed and state.load_w:
                end = credit.draw(state, profile, at, end, self._level)
            self._at = at = end
            if state.credit_wh <= self._level:
                credit.watch(state, profile, at)
                supply.follow_credit(state, profile, at)
                self._plan()
            if at >= self._next:
                self._due(at)
        self._at = now

    def _due(self, at):
        """Do what is due at `at`, then find what comes next."""
        state = self.state
        if self._load is not None and self._load.next is not None and at >= self._load.next:
            state.load_w = self._load.step()
        if self._trip_at is not None and at >= self._trip_at:
            self._trip_at = None
            supply.trip(state, self.profile, at)
        if state.reconnect_at and at >= state.reconnect_at:
            supply.due(state, self.profile, at)
        deadline = self.key_change.deadline()
        if self.key_change.process(at):
            events.record(state, deadline, events.KEY_CHANGE_FORGOTTEN)
            state.sections = bytes(32)
        if at >= (state.day + 1) * credit.DAY_S:
            from . import history

            history.turn(state, at)
        if state.credit_wh <= 0:
            supply.follow_credit(state, self.profile, at)
        self._plan()

    def _plan(self):
        """Find when the next event comes by time, and at which credit."""
        state = self.state
        profile = self.profile
        found = (state.day + 1) * credit.DAY_S
        if self._load is not None and self._load.next is not None:
            found = min(found, self._load.next)
        if not supply.exceeds(state, profile):
            self._trip_at = None
        else:
            if self._trip_at is None:
                self._trip_at = self._at + profile.supply_limit_delay_s
            found = min(found, self._trip_at)
        if state.reconnect_at:
            found = min(found, state.reconnect_at)
        forgotten = self.key_change.deadline()
        if forgotten is not None:
            found = min(found, forgotten + 1)  # the last second of the window still counts
        if state.credit_wh <= 0 and state.switch_closed:
            found = min(found, credit.next_turn(profile, self._at))
        self._next = found
        self._level = credit.level(state, profile)

    def _save_due(self, now):
        used_wh = self.state.total_wh - self._saved_total_wh
        return used_wh >= SAVE_WH and now - self._saved_at >= SAVE_S

    def _deadline(self, now):
        found = [self.entry.deadline(), self.screen.deadline(now)]
        found.append(self.lockout.deadline())
        found.append(self._next)
        state = self.state
        if state.switch_closed and state.load_w and self._level > credit.NEVER:
            left_ws = (state.credit_wh - self._level) * credit.WS_PER_WH - state.rest_ws
            found.append(now + (left_ws + state.load_w - 1) // state.load_w)
        return min([deadline for deadline in found if deadline is not None])

    def change(self, now, change, *arguments):
        """Let time pass up to `now`, then do something to the record, in one commit."""
        self._check_fault()
        self.process(now)
        return self._atomically(lambda: change(self.state, *arguments))

    def set_load(self, load_w, now, unbalance_w=0):
        """Connect a load of `load_w` watts (0 to 4294967295) behind the switch.

        `unbalance_w` is how far its phases are apart.
        """
        states.whole("the load", load_w, 0, 0xFFFFFFFF)

        def change(state):
            state.load_steps = b""
            state.load_w = load_w
            state.unbalance_w = unbalance_w
            self._load = None

        self.change(now, change)

    def set_load_steps(self, steps, now, start=None, repeat_s=0, more=False):
        """Connect a load in steps [seconds, W] that begin at `start`, over and over if it repeats.

        With `more` they follow those that are there, and begin with them. ValueError for steps
        that are none; `load.STEPS` is the most a meter keeps.
        """
        from . import load

        def change(state):
            state.load_steps = load.packed(steps, repeat_s, state.load_steps if more else b"")
            if not more:
                state.load_from = now if start is None else start
            state.load_repeat_s = repeat_s
            state.unbalance_w = 0
            self._begin_load()

        self.change(now, change)

    def load_changes(self, seconds):
        """Return how often a load that repeats changes in so many seconds, 0 for any other."""
        state = self.state
        if not state.load_repeat_s:
            return 0
        return seconds // state.load_repeat_s * (len(state.load_steps) // 8)

    def _begin_load(self):
        """Find the place in the steps of a load, and draw what it says there."""
        self._find_load()
        watts = self._load.watts() if self._load else None
        if watts is not None:
            self.state.load_w = watts

    def _find_load(self):
        self._load = None
        if self.state.load_steps:
            from . import load

            self._load = load.Load(self.state, self._at)

    def use_energy(self, energy_wh, now):
        """Count energy that flowed, in Wh; refuse it (ValueError) while the switch is open."""
        states.whole("the energy", energy_wh, 0, 0xFFFFFFFF)

        def change(state):
            if not state.switch_closed:
                raise ValueError("no energy flows: the load switch is open")
            credit.charge(state, energy_wh, self.profile.credit_min_wh)

        self.change(now, change)

    def count(self, energy_wh, now):
        """Count energy that a sensor saw, in Wh, whatever the switch says.

        It is saved as what time uses is, not each time: flash wears.
        """
        self._check_fault()
        self.process(now)
        state = self.state
        seq = state.event_seq
        credit.charge(state, energy_wh, self.profile.credit_min_wh)
        self._settle()
        if state.event_seq != seq or self._save_due(now):
            self._save_or_note()

    def grant(self, amount_wh, now):
        """Add an advance of the utility, which later tokens repay; ValueError if refused."""
        states.whole("the advance", amount_wh, 1, 0xFFFFFFFF)
        self.change(now, credit.grant, self.profile, amount_wh, now)

    def emergency(self, now):
        """Take emergency credit; return (taken, why not: "none", "used", "not_needed" or "")."""
        self._check_fault()
        self.process(now)
        reason = credit.refusal(self.state, self.profile)
        if not reason:
            self.change(now, credit.take_emergency, self.profile, now)
        return not reason, reason

    def mute(self, now):
        """Silence the alarm until credit has been above its level again."""
        self._check_fault()
        self.process(now)
        if credit.alarm_sounds(self.state):
            self.change(now, credit.mute)

    def reconnect(self, now):
        """Close the switch by hand where it waits for that; tell whether that did anything."""
        self._check_fault()
        self.process(now)
        if not supply.waits_for_key(self.state, self.profile):
            return False
        return self.change(now, supply.by_key, self.profile, now)

    def set_language(self, language, now):
        """Show messages in another of the profile's languages; ValueError if it has not got it."""

        def change(state):
            profile = Profile(
                self._profiles, self.profile.name, language, bool(self.state.graphic)
            )
            state.language = profile.language.encode()
            self.profile = profile
            self.screen = screens.Screen(state.rows, state.cols, profile.rtl)

        self.change(now, change)

    def acknowledge(self, seq, now):
        """Let the fault reports up to number `seq` go; return how many still wait."""
        from . import reports

        return self.change(now, reports.acknowledge, seq, now)

    def set_tamper(self, on, now):
        """Raise or drop the tamper input; the condition stays until a token clears it."""
        self._check_fault()
        self.process(now)
        if on and not self.state.tamper:
            self.change(now, supply.set_tamper, self.profile, True, now)

    def clock_set(self, was, now):
        """Follow a clock that was set from `was` to `now`: time jumps, nothing is used."""
        self._check_fault()
        self.process(was)
        moved = now - was

        def action():
            state = self.state
            self._at = now
            self._saved_at += moved
            self.lockout.shift(moved)
            for name in ("reconnect_at", "reconnected", "sections_from"):
                at = getattr(state, name)
                if at:  # 0: none
                    setattr(state, name, max(1, min(at + moved, 0xFFFFFFFF)))
            if self._trip_at is not None:
                self._trip_at += moved
            if self._load is not None:
                if state.load_repeat_s and was >= state.load_from:
                    # Over and over is by the clock: a household's evening is in the evening.
                    turns = (now - state.load_from) // state.load_repeat_s
                    state.load_from += turns * state.load_repeat_s
                else:
                    state.load_from += moved
                self._begin_load()
            clipped = max(-0x80000000, min(moved, 0x7FFFFFFF))
            events.record(state, now, events.CLOCK_SET, 0, 0, clipped)
            if now // credit.DAY_S != state.day:
                from . import history

                history.turn(state, now)

        self.key_change.shift(moved)
        try:
            self._atomically(action)
        except BaseException:
            self.key_change.shift(-moved)
            raise
        for part in (self.entry, self.screen):
            part.shift(moved)

    # Keys and tokens

    def press(self, key, now):
        """Take one key (0 to 9, * backspace, # Enter, i); return the Outcome of a token it enters.

        A key that only quiets the alarm, turns a page or reconnects the supply returns None.
        """
        self._check_fault()
        check_keys(key, self.profile.codes_start)
        self.process(now)
        if self.profile.credit_mute_any_key:
            self.mute(now)
        if self.profile.entry_lock_while_result and self.screen.result(now):
            return None
        done = self.entry.press(key, now)
        if done is None:
            self.screen.clear()
        elif done[0] == "page":
            self._enter_key(now)
        elif done[0] == "code":
            from . import shortcodes

            pages = shortcodes.code(done[1], self, now)
            self.screen.show(pages, now, self.profile.screens_page_s)
        else:
            return self._enter_all(done[1], now)
        return None

    def _enter_key(self, now):
        """Do what Enter does where nothing is keyed: a page, the supply, emergency credit."""
        if self.screen.deadline(now) is not None:
            self.screen.next_page(now)
        elif self.reconnect(now):
            pass
        elif self.profile.credit_emergency_by == "enter" and credit.offered(
            self.state, self.profile
        ):
            from . import shortcodes

            pages = shortcodes.show("emergency", self, now)
            self.screen.show(pages, now, self.profile.screens_page_s)

    def enter(self, digits, now):
        """Take the digits of a token by the wire, as the keypad does; return its Outcome.

        One commit carries everything the token did; where a profile locks out, another before it
        has counted the try. Spaces and dashes between digits do not count. Of several tokens in
        one go the Outcome is the last one's, and has those before it as `earlier`.
        """
        self._check_fault()
        self.process(now)
        return self._enter_all(self.entry.tokens(token_digits.clean(digits)), now)

    def _enter_all(self, several, now):
        pages = []
        earlier = []
        for digits in several:
            outcome = self._enter(digits, now)
            pages += self._pages(outcome, digits)
            earlier.append(outcome)
        self._show(pages, outcome, now)
        outcome.earlier = earlier[:-1]
        return outcome

    def _enter(self, digits, now):
        outcome = Outcome()
        if not self.state.provisioned:
            outcome.result = TokenResult.NOT_READY
            outcome.message = "the meter has no key yet: provision it"
            return outcome
        decoded = None
        guess = _class(digits) not in (None, 1)
        left_s = self.lockout.blocked(now)
        if guess and left_s:
            outcome.result = TokenResult.LOCK_OUT
            outcome.message = "too many wrong tokens: wait %d s" % left_s
            outcome.value = "%d" % left_s
            if self.state.result == TokenResult.LOCK_OUT:
                return outcome  # logged once: a flood of them wears no flash and hides no event
        elif guess and self.profile.lockout_after:
            decoded = self._decode_counted(digits, outcome, now)
            if decoded is None:
                return outcome
        else:
            decoded = self._decode(digits)
        self._atomically(lambda: self._take(decoded, digits, outcome, now))
        return outcome

    def _decode(self, digits):
        from .sts.decoder import decode  # with the first token: a start has no need of it

        if self._decrypt is None:
            self.use_key()
        return decode(digits, self._decrypt, self.state.ea, self.state.mfr_code)

    def _decode_counted(self, digits, outcome, now):
        """Decode a token that is committed as a wrong one before; return None if it is wrong.

        So a power cut takes no guess back. A wrong token costs one save, another one two.
        """
        before = self.state.copy()
        try:
            self.lockout.wrong(now)
            self._log(outcome, now)
            self._save()
            decoded = self._decode(digits)
            if counts(decoded[0]):
                return None
        except BaseException:
            self._take_back(before)
            raise
        self._take_back(before)
        return decoded

    def _take_back(self, before):
        self.state = self.lockout.state = before
        self._unsaved = True

    def _pages(self, outcome, digits):
        return outcome.pages or screens.result_pages(outcome, digits, self)

    def _show(self, pages, outcome, now):
        profile = self.profile
        page_s = profile.screens_page_s
        if outcome.pages:
            self.screen.show(pages, now, page_s)
        else:
            page_s = profile.screens_amount_s or page_s
            self.screen.show(pages, now, page_s, profile.screens_result_s, True)

    def _take(self, decoded, digits, outcome, now):
        """Do what a decoded token says, and log it; the caller commits."""
        if decoded is not None:
            outcome.result, outcome.token, outcome.message = decoded
            self._obey(digits, outcome, now)
            # A token without a TID can be keyed for ever, and so could unlock for ever.
            if outcome.result == TokenResult.ACCEPT and outcome.token.tid is not None:
                self.lockout.accepted(now)
        self._log(outcome, now)

    def _log(self, outcome, now):
        token = outcome.token
        self.state.result = outcome.result
        events.record(
            self.state,
            now,
            events.TOKEN,
            outcome.result,
            events.NO_TOKEN if token is None else token.cls << 4 | token.sub,
            outcome.amount_wh or 0,
        )

    def _obey(self, digits, outcome, now):
        state = self.state
        token = outcome.token
        if outcome.result == TokenResult.ACCEPT and self._bars(token):
            outcome.result = TokenResult.NOT_READY
            outcome.message = "the meter was tampered with: a token must clear that first"
        if outcome.result == TokenResult.ACCEPT:
            outcome.result = self._validate(token)
        if outcome.result == TokenResult.ACCEPT:
            outcome.result = self._execute(token, outcome, now)
            if outcome.result == TokenResult.ACCEPT and token.tid is not None:
                self.tids.add(token.tid)
        if outcome.result == TokenResult.ACCEPT and token.cls == 0:
            state.last_token = token_digits.clean(digits).encode()
            state.last_tid = token.tid
            events.bought(state, now, outcome.amount_wh)

    def _bars(self, token):
        """Tell whether a tampered meter takes such a token only after that is cleared."""
        if not self.state.tamper or self.profile.supply_tamper_takes == "all":
            return False
        return token.cls == 0 or (token.cls == 2 and token.sub not in (1, 5))

    def _validate(self, token):
        """Return the ValidationResult, in the standard's order: DDTK, KEN, Used, Old."""
        if token.cls == 0 and self.state.kt == keys.DDTK:
            return TokenResult.DDTK
        if token.tid is None:
            return TokenResult.ACCEPT
        return self.tids.check(token.tid, self.state.ken)

    def _execute(self, token, outcome, now):
        if token.cls == 0:
            return self._credit(token, outcome, now)
        from . import management

        return management.execute(self, token, outcome, now)

    def _credit(self, token, outcome, now):
        if token.sub:
            return TokenResult.FUNCTION  # water, gas, time, money
        from .sts import tokens

        amount_wh = 100 * tokens.amount_value(token.fields["amount"])
        repaid, recovered = credit.shares(self.state, self.profile, amount_wh)
        if credit.overflows(self.state, self.profile, amount_wh - repaid - recovered):
            return TokenResult.OVERFLOW
        credit.add(self.state, amount_wh, repaid, recovered, now)
        outcome.repaid_wh, outcome.recovered_wh = repaid, recovered
        outcome.amount_wh = amount_wh
        outcome.value = "+" + screens.kwh(amount_wh, 1)
        return TokenResult.ACCEPT

    # What people and programs see

    def display(self, now):
        """Return what the display shows: `rows` strings of `cols` characters."""
        if not self.fault:
            self.process(now)
        fault = self.fault or self.store_error
        if fault:
            # The rest of the first two words is what fits sixteen characters.
            if fault.startswith(_FLASH):
                fault = fault[len(_FLASH) :]
            idle = ["STORE FAULT", fault[:16], fault[16:]]
        elif self.entry.digits or self.entry.code:
            idle = screens.entry(self.entry, self.profile, self.screen)
        else:
            idle = screens.idle(self.state, self.profile, self.screen, now)
        return self.screen.lines(now, idle)

    def flashes(self, now):
        """Tell whether what is shown flashes, as some meters show what became of a token."""
        return not self.fault and self.profile.screens_flash and self.screen.result(now)

    def status(self, now):
        """Return registers, key attributes and states as a dictionary; never a key."""
        from . import status

        if not self.fault:
            self.process(now)
        return status.status(self, now)

    def ledger(self, now):
        """Return what makes up the credit: the identity of `credit`, and what is owed."""
        from . import status

        self.process(now)
        return status.ledger(self.state)

    def led(self, now):
        """Return the LED: its pulses since the meter began, how many a kWh has, whether lit."""
        from . import status

        self.process(now)
        return status.led(self)

    def history(self, now):
        """Return what was used by day and month, oldest first."""
        from . import history

        self.process(now)
        return history.as_dict(self.state)

    def reports(self, now):
        """Return the fault reports that wait to be acknowledged, oldest first."""
        from . import reports

        self.process(now)
        if self._unsaved:
            # A number that is told must never be given to another fault.
            self._save()
        return reports.pending(self.state, supply.REASONS)

    def events(self, after=0, most=events.SLOTS):
        """Return the kept events with a number above `after`, the oldest `most` of them."""
        return events.since(self.state, after, supply.REASONS, most)


def _class(digits):
    """Return the class of a token, or None if these are no token's digits."""
    try:
        return token_digits.split(token_digits.clean(digits))[0]
    except ValueError:
        return None


def describe(error):
    """Return an error as one line for people: of an OSError MicroPython knows only the number.

    It has an end: what repeats what came may be longer than there is room for, even for a copy.
    """
    if isinstance(error, OSError) and error.args:
        number = error.args[0]
        return _FLASH + _ERRNO.get(number, "fails (error %s)" % number)
    first = error.args[0] if error.args else None
    text = first if isinstance(first, str) else str(error)
    if isinstance(error, TypeError) and "argument" in text:
        return "more or fewer arguments are needed"
    return text[:_LONGEST].replace("\n", " ") or error.__class__.__name__


_LONGEST = 400
_FLASH = "the flash "
_ERRNO = {5: "does not work", 28: "is full", 30: "is read-only", 84: "is damaged"}
