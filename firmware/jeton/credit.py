"""The credit register: energy bought, energy used, and how long what is left will last.

Energy is counted in whole Wh; fractions are kept in watt-seconds and never lost.
"""

WS_PER_WH = 3600


def overflows(state, profile, amount_wh):
    """Tell whether adding `amount_wh` would exceed what the profile's register can hold."""
    return state.credit_wh + amount_wh > profile.credit_max_wh


def add(state, amount_wh):
    """Add bought energy."""
    state.credit_wh += amount_wh


def clear(state):
    """Set the register to zero, as ClearCredit does; energy in flight still counts as used."""
    state.credit_wh = 0


def use_energy(state, energy_wh):
    """Count `energy_wh` as used, from a meter's pulses; return what credit did not cover.

    The total counts all of it: the energy has flowed. The register stops at zero.
    """
    state.total_wh += energy_wh
    covered = min(energy_wh, max(state.credit_wh, 0))
    state.credit_wh -= covered
    return energy_wh - covered


def seconds_left(state):
    """Return after how many seconds at the present load the credit reaches zero, or None."""
    if not state.load_w:
        return None
    left_ws = max(state.credit_wh * WS_PER_WH - state.rest_ws, 0)
    return (left_ws + state.load_w - 1) // state.load_w


def use_load(state, elapsed_s):
    """Count what the load uses in `elapsed_s` seconds, at most the credit; return how long.

    Less than `elapsed_s` is returned when the credit reached zero first: supply ends there, in the
    middle of that last second, with exactly the credit used.
    """
    if not state.load_w:
        return elapsed_s
    left_s = seconds_left(state)
    if left_s is not None and elapsed_s >= left_s:
        state.total_wh += max(state.credit_wh, 0)
        state.credit_wh = min(state.credit_wh, 0)
        state.rest_ws = 0
        return left_s
    used_ws = state.rest_ws + state.load_w * elapsed_s
    used_wh = used_ws // WS_PER_WH
    state.rest_ws = used_ws - used_wh * WS_PER_WH
    state.credit_wh -= used_wh
    state.total_wh += used_wh
    return elapsed_s
