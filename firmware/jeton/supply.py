"""The load switch: when it opens and closes, and why."""

from . import events

# Reason numbers are stored: append only.
REASONS = ("not_provisioned", "credit", "no_credit", "test", "clear_credit")
NOT_PROVISIONED, CREDIT, NO_CREDIT, TEST, CLEAR_CREDIT = range(5)


def _switch(state, closed, reason, now):
    if bool(state.switch_closed) == closed:
        return
    state.switch_closed = int(closed)
    state.switch_reason = reason
    kind = events.SWITCH_CLOSED if closed else events.SWITCH_OPENED
    events.record(state, now, kind, reason)


def open_switch(state, reason, now):
    """Open the load switch, if it is closed, and log it."""
    _switch(state, False, reason, now)


def close_switch(state, reason, now):
    """Close the load switch, if it is open, and log it."""
    _switch(state, True, reason, now)


def follow_credit(state, now, reason=NO_CREDIT):
    """Open the switch at zero credit and close it when there is credit again."""
    if state.credit_wh > 0:
        close_switch(state, CREDIT, now)
    else:
        open_switch(state, reason, now)


def power_w(state):
    """Return the active power through the meter: the load's, while the switch is closed."""
    return state.load_w if state.switch_closed else 0
