"""The meter: the effects of tokens, keys, loads and time on one record.

The module uses no clock, file or pin: `now` is an argument (seconds since 2000-01-01 00:00 UTC),
storage and profiles are ports, energy arrives as Wh or as a load in W.
"""

from . import commit, credit, screens, timeline
from . import state as states
from .entry import ENTER, Entry, check_keys
from .lockout import Lockout
from .profile import Profile
from .sts import digits as token_digits
from .sts import keys
from .sts.tids import TidStore
from .values import short, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import ports
    from .load import Load  # noqa: F401


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
        self._load = None  # type: Load | None
        self._trip_at = None  # type: int | None
        self._next = self._level = 0
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
        from . import starting

        return starting.start(self, clock)

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

    def __getattr__(self, name):
        """Return an operation of the module `operations`, imported at the first such call."""
        if name[0] != "_":
            from . import operations

            function = getattr(operations, name, None)
            if callable(function):
                return lambda *given, **named: function(self, *given, **named)
        raise AttributeError(name)

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

    def count(self, energy_wh, now):
        """Count energy in Wh that a sensor measured, whatever the state of the switch.

        It is saved at the interval for consumption, not at each call, to limit flash wear.
        """
        self._check_fault()
        timeline.count(self, energy_wh, now)

    def mute(self, now):
        """Silence the alarm until credit has been above its level again."""
        self._check_fault()
        self.process(now)
        if credit.alarm_sounds(self.state):
            self.change(now, credit.mute)

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
        if self.screen.kind(now):
            from . import pages

            if pages.ignores(self, key, now):
                return None
        done = self.entry.press(key, now)
        if done is None:
            if key != ENTER:  # else it begins a code, or is a second Enter after a result
                self.screen.clear()
        elif done[0] == "page":
            self.enter_key(now)
        elif done[0] == "code":
            from . import shortcodes

            shown = shortcodes.code(done[1], self, now)
            self.screen.show(shown, now, self.profile.screens_page_s)
        else:
            return self._accept(done[1], now)
        return None

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
            from . import pages

            idle = pages.entry(self.entry, self.profile, self.screen)
        else:
            wanted = ""
            if self.key_change.sections:
                from . import pages

                wanted = pages.ask(self.profile, self.key_change.missing())
            idle = screens.idle(self, now, wanted)
        lines = self.screen.lines(now, idle)
        if self.screen.refused is not None:
            from . import pages

            pages.mark_refused(self, lines, now)
        return lines

    def flashes(self, now):
        """Return whether the display flashes, as some meters do to show a result."""
        shown = self.screen.kind(now)
        return not self.fault and self.profile.screens_flash and shown == screens.RESULT

    def status(self, now):
        """Return registers, key attributes and states as a dictionary; never a key."""
        from . import status

        if not self.fault:
            self.process(now)
        return status.status(self, now)
