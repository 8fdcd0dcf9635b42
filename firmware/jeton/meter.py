"""The meter: what a token, a key press, a load and the passing of time do to one record.

It knows no clock, file or pin: `now` is an argument (seconds since 2000-01-01 00:00 UTC), storage
and profiles are ports, energy arrives as Wh or as a load in W.
"""

from . import commit, credit, events, screens, supply, timeline
from . import state as states
from .entry import Entry, check_keys
from .lockout import Lockout
from .profile import Profile
from .sts import digits as token_digits
from .sts import keys
from .sts.tids import TidStore
from .values import describe, short, text, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import ports
    from .state import State


class Meter:
    """One prepayment meter.

    `storage` and `profiles` are ports (`ports.Storage`, `ports.Profiles`). Call `start` once, then
    `process` whenever its deadline comes. An attribute that an action changes belongs into
    `commit.KEPT`.
    """

    def __init__(self, storage: "ports.Storage", profiles: "ports.Profiles"):
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
        self._before = None  # type: list | None
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
            from . import reading

            self.state = reading.latest(self._storage, self._record) or self.state
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
                timeline.plan(self)
            # What a cut has left half written may read differently later: it is written anew
            # before anybody acts on it.
            timeline.save_or_note(self, True)
        return self._at

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
            self.fault = ""

        self.atomically(action)

    def _setup(self):
        """Make what is derived from the record, and forget what does not outlive a power cut."""
        state = self.state
        self.profile = profile = Profile(
            self._profiles,
            text(state.profile),
            text(state.language) or None,
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
        timeline.find_load(self)
        timeline.plan(self)

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

    def save(self, now):
        """Save all there is, as a meter does at the sign of a power failure."""
        self.process(now)
        if self.state.provisioned:
            commit.save(self)

    def atomically(self, action):
        """Run `action` and save; if either fails, be as before and let the error through."""
        commit.begin(self)
        try:
            value = action()
            timeline.settle(self)
            commit.save(self)
        except BaseException:
            commit.undo(self)
            raise
        self._before = None
        return value

    # Time and energy

    def process(self, now):
        """Let time pass up to `now` and return when something happens next by itself, or None.

        A clock that went back takes no time away.
        """
        return timeline.process(self, now)

    def change(self, now, change, *arguments):
        """Let time pass up to `now`, then do something to the record, in one commit."""
        self._check_fault()
        self.process(now)
        return self.atomically(lambda: change(self.state, *arguments))

    def set_load(self, load_w, now, unbalance_w=0):
        """Connect a load of `load_w` watts (0 to 4294967295) behind the switch.

        `unbalance_w` is how far its phases are apart.
        """
        whole("the load", load_w, 0, 0xFFFFFFFF)

        def change(state: "State"):
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

        def change(state: "State"):
            state.load_steps = load.packed(steps, repeat_s, state.load_steps if more else b"")
            if not more:
                state.load_from = now if start is None else start
            state.load_repeat_s = repeat_s
            state.unbalance_w = 0
            timeline.begin_load(self)

        self.change(now, change)

    def load_changes(self, seconds):
        """Return how often a load that repeats changes in so many seconds, 0 for any other."""
        state = self.state
        if not state.load_repeat_s:
            return 0
        return seconds // state.load_repeat_s * (len(state.load_steps) // 8)

    def use_energy(self, energy_wh, now):
        """Count energy that flowed, in Wh; refuse it (ValueError) while the switch is open."""
        whole("the energy", energy_wh, 0, 0xFFFFFFFF)

        def change(state: "State"):
            if not state.switch_closed:
                raise ValueError("no energy flows: the load switch is open")
            credit.charge(state, energy_wh, self.profile.credit_min_wh)

        self.change(now, change)

    def count(self, energy_wh, now):
        """Count energy that a sensor saw, in Wh, whatever the switch says.

        It is saved as what time uses is, not each time: flash wears.
        """
        self._check_fault()
        timeline.count(self, energy_wh, now)

    def grant(self, amount_wh, now):
        """Add an advance of the utility, which later tokens repay; ValueError if refused."""
        whole("the advance", amount_wh, 1, 0xFFFFFFFF)
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

        def change(state: "State"):
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
        self.atomically(lambda: timeline.jump(self, was, now))
        for part in (self.entry, self.screen):
            part.shift(now - was)

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
            return self._accept(done[1], now)
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
        return self._accept(self.entry.tokens(token_digits.clean(digits)), now)

    def _accept(self, several, now):
        from . import acceptance  # with the first token: a start has no need of it

        return acceptance.enter(self, several, now)

    # What people and programs see

    def display(self, now):
        """Return what the display shows: `rows` strings of `cols` characters."""
        if not self.fault:
            self.process(now)
        fault = self.fault or self.store_error
        if fault:
            # The rest of the first two words is what fits sixteen characters.
            fault = short(fault)
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
            commit.save(self)
        return reports.pending(self.state, supply.REASONS)

    def events(self, after=0, most=events.SLOTS):
        """Return the kept events with a number above `after`, the oldest `most` of them."""
        from . import reports

        return reports.since(self.state, after, supply.REASONS, most)
