"""The meter: the effects of tokens, keys, loads and time on one record.

The module uses no clock, file or pin: `now` is an argument (seconds since 2000-01-01 00:00 UTC),
storage and profiles are ports, energy arrives as Wh or as a load in W.
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


_SET_FROM = 366 * 86400  # the end of 2000, in which a clock begins that was never set


class Meter:
    """One prepayment meter.

    `storage` and `profiles` are ports (`ports.Storage`, `ports.Profiles`). Call `start` once, then
    `process` at each deadline. An attribute that an action changes must be listed in
    `commit.KEPT`.
    """

    def __init__(self, storage: "ports.Storage", profiles: "ports.Profiles"):
        self._storage = storage
        self._profiles = profiles
        self.state = states.State()
        # Packed in place at each commit: a fragmented heap has no contiguous block for a new
        # record.
        self._record = bytearray(states.SIZE)
        self._tick = bytearray(states.TICK_BYTES)
        self._at = 0
        self._saved_at = 0
        self._saved_total_wh = 0
        self._unsaved = False
        self._before = None  # type: list | None
        # `fault`: why there is no working meter (a damaged record). `store_error`: why the last
        # save failed.
        self.fault = ""
        self.store_error = ""

    # Start, set-up and saving

    def start(self, clock=None):
        """Load the record and return the time: that at which it was saved (0 for a new meter).

        `clock` is the time of a clock that runs without supply, None if there is none. It is the
        time instead if it can be right: it is set (not in 2000) and not before the saved time.

        If the store cannot be read or holds no intact record, it is left unchanged: `fault` gives
        the reason, the display shows it, and only `provision` makes a working meter.
        """
        try:
            from . import reading

            self.state = reading.latest(self._storage, self._record) or self.state
            self._at = self._saved_at = self.state.clock
            self._setup()
        except MemoryError:
            raise  # a lack of memory is not a fault of the store
        except Exception as error:
            lock = self.state.lock  # an unreadable profile must not unlock a meter
            self.state = states.State()
            self.state.lock = lock
            self.fault = describe(error)
            self._setup_bare()
            return 0
        state = self.state
        at = now = self._at
        if clock is not None and max(at, _SET_FROM) <= clock <= 0xFFFFFFFF:
            now = clock
        if state.provisioned:
            state.power_fails = min(state.power_fails + 1, 0xFFFF)
            # A second power-up at the same meter time, or soon after it, adds no information, and
            # would push older events out of the log.
            seen, kind = events.last(state)
            if kind != events.POWER_UP or (seen != at if now == at else now - seen > 60):
                events.record(state, at, events.POWER_DOWN)
                events.record(state, now, events.POWER_UP)
            self.lockout.power_up(at)
            if state.sections != bytes(len(state.sections)):
                from . import management

                management.recall_sections(self)
                timeline.plan(self)
            if now != at:
                from . import outage

                outage.end(self, now)
                timeline.settle(self)
            # Data half written at a power cut may read differently later: write the record again
            # before it is used.
            timeline.save_or_note(self, True)
        self._at = now
        return now

    def provision(self, config, now):
        """Set this up as a new meter with new registers (`setup.configured` describes `config`).

        Raise ValueError with one line for a value that is missing or wrong; then nothing changes.
        """
        from . import setup

        state = setup.configured(config, self._profiles)
        state.lock = self.state.lock  # a set-up does not unlock a locked meter
        if self.fault:
            self._storage.set_aside()

        def action():
            self.state = state
            self._at = self._saved_at = now
            self._setup()
            setup.begin(state, self.profile, now)
            self.fault = ""

        self.atomically(action)

    def _setup(self):
        """Create the parts derived from the record; drop state that ends with a power cut."""
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
        """Set up a meter that can only report its fault."""
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
            raise ValueError(self.fault + "; provision the meter again")

    def save(self, now):
        """Save everything, as a meter does when its supply fails."""
        self.process(now)
        if self.state.provisioned:
            commit.save(self)

    def atomically(self, action):
        """Run `action` and save; if either fails, roll back and raise the error."""
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
        """Advance the meter to time `now`; return when the next timed event is due, or None.

        A clock that was set back does not turn the meter back.
        """
        return timeline.process(self, now)

    def change(self, now, change, *arguments):
        """Advance the meter to time `now`, then apply a change to the record, in one commit."""
        self._check_fault()
        self.process(now)
        return self.atomically(lambda: change(self.state, *arguments))

    def set_load(self, load_w, now, unbalance_w=0):
        """Connect a load of `load_w` watts (0 to 4294967295) behind the switch.

        `unbalance_w` is the difference between the largest and the smallest phase.
        """
        whole("the load", load_w, 0, 0xFFFFFFFF)

        def change(state: "State"):
            state.load_steps = b""
            state.load_w = load_w
            state.unbalance_w = unbalance_w
            self._load = None

        self.change(now, change)

    def set_load_steps(self, steps, now, start=None, repeat_s=0, more=False):
        """Connect a load in steps [seconds, W] that begin at `start`.

        The steps repeat every `repeat_s` seconds, if not 0. With `more`, append the steps to those
        already there, whose start they share. Raise ValueError for invalid steps; a meter keeps at
        most `load.STEPS`.
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
        """Return how often a repeated load changes in so many seconds; 0 for any other load."""
        state = self.state
        if not state.load_repeat_s:
            return 0
        return seconds // state.load_repeat_s * (len(state.load_steps) // 8)

    def use_energy(self, energy_wh, now):
        """Count energy in Wh that flowed; raise ValueError while the switch is open."""
        whole("the energy", energy_wh, 0, 0xFFFFFFFF)

        def change(state: "State"):
            if not state.switch_closed:
                raise ValueError("no energy flows: the load switch is open")
            credit.charge(state, energy_wh, self.profile.credit_min_wh)

        self.change(now, change)

    def count(self, energy_wh, now):
        """Count energy in Wh that a sensor measured, whatever the state of the switch.

        It is saved at the interval for consumption, not at each call, to limit flash wear.
        """
        self._check_fault()
        timeline.count(self, energy_wh, now)

    def grant(self, amount_wh, now):
        """Add an advance of the utility, which later tokens repay; ValueError if refused."""
        whole("the advance", amount_wh, 1, 0xFFFFFFFF)
        self.change(now, credit.grant, self.profile, amount_wh, now)

    def emergency(self, now):
        """Take emergency credit; return (taken, reason).

        The reason is "" if it was taken, else that of `credit.refusal`.
        """
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
        """Close the switch by key if it waits for that; return whether that had an effect."""
        self._check_fault()
        self.process(now)
        if not supply.waits_for_key(self.state, self.profile):
            return False
        return self.change(now, supply.by_key, self.profile, now)

    def set_language(self, language, now):
        """Show messages in another language of the profile; ValueError if it is not there."""

        def change(state: "State"):
            profile = Profile(
                self._profiles, self.profile.name, language, bool(self.state.graphic)
            )
            state.language = profile.language.encode()
            self.profile = profile
            self.screen = screens.Screen(state.rows, state.cols, profile.rtl)

        self.change(now, change)

    def acknowledge(self, seq, now):
        """Remove the fault reports up to number `seq`; return how many are left."""
        from . import reports

        return self.change(now, reports.acknowledge, seq, now)

    def set_tamper(self, on, now):
        """Set the tamper input; the condition stays until a token clears it."""
        self._check_fault()
        self.process(now)
        if on and not self.state.tamper:
            self.change(now, supply.set_tamper, self.profile, True, now)

    def clock_set(self, was, now):
        """Adjust to a clock that was set from `was` to `now`, without consumption in between."""
        self._check_fault()
        self.process(was)
        self.atomically(lambda: timeline.jump(self, was, now))
        for part in (self.entry, self.screen):
            part.shift(now - was)

    # Keys and tokens

    def press(self, key, now):
        """Handle one key (0 to 9, * backspace, # Enter, i); return the Outcome of a token.

        Return None for a key that completes no token: a digit, or a key that only silences the
        alarm, turns a page or reconnects the supply.
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
        """Handle Enter without digits: turn the page, reconnect, or take emergency credit."""
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
        """Enter the digits of a token over the serial line; return its Outcome.

        The effect is the same as from the keypad. One commit carries everything that the token
        changes; if the profile has a lock-out, an earlier commit has counted the attempt. Spaces
        and dashes between digits are ignored. Of several tokens at once, the Outcome is that of
        the last, with those before it in `earlier`.
        """
        self._check_fault()
        self.process(now)
        return self._accept(self.entry.tokens(token_digits.clean(digits)), now)

    def _accept(self, several, now):
        from . import acceptance  # imported late: start-up does not need it

        return acceptance.enter(self, several, now)

    # Display and status

    def display(self, now):
        """Return the display's content: `rows` strings of `cols` characters."""
        if not self.fault:
            self.process(now)
        fault = self.fault or self.store_error
        if fault:
            # Sixteen characters are left for the reason, on each of two lines.
            fault = short(fault)
            idle = ["STORE FAULT", fault[:16], fault[16:]]
        elif self.entry.digits or self.entry.code:
            idle = screens.entry(self.entry, self.profile, self.screen)
        else:
            idle = screens.idle(self.state, self.profile, self.screen, now)
        return self.screen.lines(now, idle)

    def flashes(self, now):
        """Return whether the display flashes, as some meters do to show a result."""
        return not self.fault and self.profile.screens_flash and self.screen.result(now)

    def status(self, now):
        """Return registers, key attributes and states as a dictionary; never a key."""
        from . import status

        if not self.fault:
            self.process(now)
        return status.status(self, now)

    def ledger(self, now):
        """Return the parts of the credit (the sum in `credit`) and the debts."""
        from . import status

        self.process(now)
        return status.ledger(self.state)

    def led(self, now):
        """Return the LED: pulses since the meter began, pulses a kWh, and whether it is lit."""
        from . import status

        self.process(now)
        return status.led(self)

    def history(self, now):
        """Return the consumption by day and month, oldest first, and the time zone."""
        from . import history, status

        self.process(now)
        found = history.as_dict(self.state)
        found["timezone"] = status.zone_name(self.state)
        return found

    def reports(self, now):
        """Return the fault reports not acknowledged yet, oldest first."""
        from . import reports

        self.process(now)
        if self._unsaved:
            # A reported number must never be used again for another fault.
            commit.save(self)
        return reports.pending(self.state, supply.REASONS)

    def events(self, after=0, most=events.SLOTS):
        """Return the stored events with a number above `after`, the oldest `most` of them."""
        from . import reports

        return reports.since(self.state, after, supply.REASONS, most)
