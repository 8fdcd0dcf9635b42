"""Lock-out after wrong tokens: guessing is slowed down, by the steps of the profile.

The counters are fields of the record. The meter saves a token of class 0, 2 or 3 as wrong before
it decrypts it, so no power cut gives an uncounted attempt. Class 1 is not encrypted and allows no
guessing: it is neither counted nor refused.
"""

from . import events
from .sts.results import TokenResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .profile import Profile
    from .state import State


def counts(result):
    """Return whether a token with this result counts as wrong: it was not made with our key.

    A used or old token is authentic, and 19 digits are a typing error, not a guess. Class 1 uses
    no key: the meter calls this only for the other classes. Also not counted: a token of one of
    the last three keys, such as a code of a key change that was done.
    """
    return result == TokenResult.CRC


class Lockout:
    """The number of wrong tokens, and the time until which the meter accepts none.

    Without a window, consecutive wrong tokens count; with one, those within so many seconds of the
    first. From the limit on, each wrong token locks the meter for the next step of the profile;
    the last step repeats.
    """

    def __init__(self, profile: "Profile", state: "State"):
        self._after = profile.lockout_after
        self._within_s = profile.lockout_within_s
        self._steps_s = profile.lockout_steps_s
        self._by_power = profile.lockout_cleared_by_power_cycle
        self.state = state

    def blocked(self, now):
        """Return for how many more seconds no token is accepted, or 0."""
        return max(self.state.lock_until - now, 0)

    def deadline(self):
        """Return when the lock or the window ends, or None."""
        state = self.state
        if state.lock_until:
            return state.lock_until
        if self._within_s and state.lock_count:
            return state.lock_first + self._within_s
        return None

    def process(self, now):
        """End a lock and drop wrong tokens outside the window; return whether anything ended."""
        state = self.state
        ended = bool(state.lock_until) and now >= state.lock_until
        if ended:
            state.lock_until = 0
        if self._within_s and state.lock_count and now >= state.lock_first + self._within_s:
            # A lock that has not ended keeps its time; only the count restarts.
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
        """Clear the count and the lock: a token with the key of this meter was accepted."""
        self.state.lock_count = self.state.lock_until = 0

    def power_up(self, now):
        """Clear the count and the lock at power up if the profile says so."""
        if self._by_power:
            self.accepted(now)

    def shift(self, seconds):
        """Adjust to a clock that was set forward by `seconds` (negative: back)."""
        state = self.state
        if state.lock_until:
            state.lock_until = max(state.lock_until + seconds, 1)
        if state.lock_count:
            state.lock_first = max(state.lock_first + seconds, 0)
