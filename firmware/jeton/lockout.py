"""Lock-out after wrong tokens: guessing is slowed down, by the profile's steps.

The counters are fields of the record. The meter commits a token of class 0, 2 or 3 as a wrong one
before it decrypts it: no cut and no power cycle gives a try for nothing. Class 1 is not encrypted,
so that nothing can be guessed with it: it is neither counted nor refused.
"""

from . import events
from .sts.results import TokenResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .profile import Profile
    from .state import State


def counts(result):
    """Tell whether a token with this result counts as wrong: it was made under no key of ours.

    A used or old token is authentic, and 19 digits are a slip of the finger, not a guess. Class 1
    is under no key at all: the meter asks only for the other classes.
    """
    return result == TokenResult.CRC


class Lockout:
    """How many tokens were wrong, and until when the meter takes no more.

    Without a window the tokens must be wrong in a row; with one, wrong within so many seconds of
    the first. Every wrong token from the limit on locks for the next of the profile's steps, the
    last of which repeats.
    """

    def __init__(self, profile: "Profile", state: "State"):
        self._after = profile.lockout_after
        self._within_s = profile.lockout_within_s
        self._steps_s = profile.lockout_steps_s
        self._by_power = profile.lockout_cleared_by_power_cycle
        self.state = state

    def blocked(self, now):
        """Return for how many seconds more no token is taken, or 0."""
        return max(self.state.lock_until - now, 0)

    def deadline(self):
        """Return when the lock ends or the window is over, or None."""
        state = self.state
        if state.lock_until:
            return state.lock_until
        if self._within_s and state.lock_count:
            return state.lock_first + self._within_s
        return None

    def process(self, now):
        """Let a lock end and wrong tokens fall out of the window; return whether any did."""
        state = self.state
        ended = bool(state.lock_until) and now >= state.lock_until
        if ended:
            state.lock_until = 0
        if self._within_s and state.lock_count and now >= state.lock_first + self._within_s:
            # A lock still on keeps its time; only the count starts anew.
            state.lock_count = 0
            ended = True
        return ended

    def wrong(self, now):
        """Count a wrong token; return for how many seconds it locks the meter, or 0."""
        if not self._after:
            return 0
        self.process(now)
        state = self.state
        if not state.lock_count:
            state.lock_first = now
        state.lock_count = min(state.lock_count + 1, 255)
        step = state.lock_count - self._after
        if step < 0:
            return 0
        seconds = self._steps_s[min(step, len(self._steps_s) - 1)]
        state.lock_until = now + seconds
        events.record(state, now, events.LOCKED_OUT, state.lock_count, 0, seconds)
        return seconds

    def accepted(self, now):
        """Forget wrong tokens: a token made for this very meter was accepted."""
        self.state.lock_count = self.state.lock_until = 0

    def power_up(self, now):
        """Forget them at power up too, where the profile says so."""
        if self._by_power:
            self.accepted(now)

    def shift(self, seconds):
        """Follow a clock that was set forward by `seconds` (negative: back)."""
        state = self.state
        if state.lock_until:
            state.lock_until = max(state.lock_until + seconds, 1)
        if state.lock_count:
            state.lock_first = max(state.lock_first + seconds, 0)
