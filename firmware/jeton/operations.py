"""Operations of a meter that are rare: `Meter.__getattr__` imports them at the first call of one.

Functions over a meter: `meter.grant(amount_wh, now)` is `grant(meter, amount_wh, now)`.
"""

from . import commit, credit, screens, supply, timeline
from .profile import Profile
from .values import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter
    from .state import State


def provision(meter: "Meter", config, now):
    """Set this up as a new meter with new registers (`setup.configured` describes `config`).

    Raise ValueError with one line for a value that is missing or wrong; then nothing changes.
    """
    from . import setup

    state = setup.configured(config, meter._profiles)
    state.lock = meter.state.lock  # a set-up does not unlock a locked meter
    if meter.fault:
        meter._storage.set_aside()

    def action():
        meter.state = state
        meter._at = meter._saved_at = now
        meter._setup()
        setup.begin(state, meter.profile, now)
        meter.fault = ""

    meter.atomically(action)


def set_load(meter: "Meter", load_w, now, unbalance_w=0):
    """Connect a load of `load_w` watts (0 to 4294967295) behind the switch.

    `unbalance_w` is the difference between the largest and the smallest phase.
    """
    whole("the load", load_w, 0, 0xFFFFFFFF)

    def change(state: "State"):
        state.load_steps = b""
        state.load_w = load_w
        state.unbalance_w = unbalance_w
        meter._load = None

    meter.change(now, change)


def set_load_steps(meter: "Meter", steps, now, start=None, repeat_s=0, more=False):
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
        timeline.begin_load(meter)

    meter.change(now, change)


def load_changes(meter: "Meter", seconds):
    """Return how often a repeated load changes in so many seconds; 0 for any other load."""
    state = meter.state
    if not state.load_repeat_s:
        return 0
    return seconds // state.load_repeat_s * (len(state.load_steps) // 8)


def use_energy(meter: "Meter", energy_wh, now):
    """Count energy in Wh that flowed; raise ValueError while the switch is open."""
    whole("the energy", energy_wh, 0, 0xFFFFFFFF)

    def change(state: "State"):
        if not state.switch_closed:
            raise ValueError("no energy flows: the load switch is open")
        credit.charge(state, energy_wh, meter.profile.credit_min_wh)

    meter.change(now, change)


def grant(meter: "Meter", amount_wh, now):
    """Add an advance of the utility, which later tokens repay; ValueError if refused."""
    whole("the advance", amount_wh, 1, 0xFFFFFFFF)
    meter.change(now, credit.grant, meter.profile, amount_wh, now)


def emergency(meter: "Meter", now):
    """Take emergency credit; return (taken, reason).

    The reason is "" if it was taken, else that of `credit.refusal`.
    """
    meter._check_fault()
    meter.process(now)
    reason = credit.refusal(meter.state, meter.profile)
    if not reason:
        meter.change(now, credit.take_emergency, meter.profile, now)
    return not reason, reason


def set_language(meter: "Meter", language, now):
    """Show messages in another language of the profile; ValueError if it is not there."""

    def change(state: "State"):
        profile = Profile(meter._profiles, meter.profile.name, language, bool(state.graphic))
        state.language = profile.language.encode()
        meter.profile = profile
        meter.screen = screens.Screen(state.rows, state.cols, profile.rtl)

    meter.change(now, change)


def acknowledge(meter: "Meter", seq, now):
    """Remove the fault reports up to number `seq`; return how many are left."""
    from . import reports

    return meter.change(now, reports.acknowledge, seq, now)


def set_tamper(meter: "Meter", kind, now):
    """Set the tamper input (`supply.COVER` or MAGNET); it stays until a token clears it."""
    meter._check_fault()
    meter.process(now)
    if kind and not meter.state.tamper:
        meter.change(now, supply.set_tamper, meter.profile, int(kind), now)


def clock_set(meter: "Meter", was, now):
    """Adjust to a clock that was set from `was` to `now`, without consumption in between."""
    meter._check_fault()
    meter.process(was)
    meter.atomically(lambda: timeline.jump(meter, was, now))
    for part in (meter.entry, meter.screen):
        part.shift(now - was)


def ledger(meter: "Meter", now):
    """Return the parts of the credit (the sum in `credit`) and the debts."""
    from . import status

    meter.process(now)
    return status.ledger(meter.state)


def led(meter: "Meter", now):
    """Return the LED: pulses since the meter began, pulses a kWh, and whether it is lit."""
    from . import status

    meter.process(now)
    return status.led(meter)


def history(meter: "Meter", now):
    """Return the consumption by day and month, oldest first, and the time zone."""
    from . import history, status

    meter.process(now)
    found = history.as_dict(meter.state)
    found["timezone"] = status.zone_name(meter.state)
    return found


def reports(meter: "Meter", now):
    """Return the fault reports not acknowledged yet, oldest first."""
    from . import reports

    meter.process(now)
    if meter._unsaved:
        # A reported number must never be used again for another fault.
        commit.save(meter)
    return reports.pending(meter.state, supply.REASONS)


def enter_key(meter: "Meter", now):
    """Handle Enter without digits: turn the page, reconnect, or take emergency credit."""
    if meter.screen.deadline(now) is not None:
        meter.screen.next_page(now)
    elif meter.reconnect(now):
        pass
    elif meter.profile.credit_emergency_by == "enter" and credit.offered(
        meter.state, meter.profile
    ):
        from . import shortcodes

        pages = shortcodes.show("emergency", meter, now)
        meter.screen.show(pages, now, meter.profile.screens_page_s)


def reconnect(meter: "Meter", now):
    """Close the switch by key if it waits for that; return whether that had an effect."""
    meter._check_fault()
    meter.process(now)
    if not supply.waits_for_key(meter.state, meter.profile):
        return False
    return meter.change(now, supply.by_key, meter.profile, now)


def events(meter: "Meter", after=0, most=100):
    """Return the stored events with a number above `after`, the oldest `most` of them."""
    from . import reports

    return reports.since(meter.state, after, supply.REASONS, most)
