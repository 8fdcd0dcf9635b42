"""Tests that the lock-out limits guesses per day, over the serial line and by keypad."""

import guessing
import pytest

import both_support as support


@pytest.mark.parametrize("profile", support.PROFILES)
def test_lock_out_limits_the_tries_per_day(
    profile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = guessing.measure(profile)
    with capsys.disabled():
        print("\n" + guessing.table({profile: found}).splitlines()[-1], end=" ")
    lockout = support.profiles(profile)["lockout"]
    if not lockout["after"]:
        return
    # The lock-out applies to the serial line and the keypad, at any speed. One hit takes 71 years
    # on average with doubling steps, 8 years with a window.
    limit = 600 if lockout["within_s"] else 80
    assert found["wire"] <= limit
    assert found["keypad"] <= limit
    if lockout["cleared_by_power_cycle"]:
        # By the maker's manual a power cycle ends the lock: one cycle per `after` tries.
        cycle_ms = guessing.CYCLE_MS + lockout["after"] * guessing.WIRE_MS
        assert found["wire, power cycles"] <= lockout["after"] * guessing.DAY_MS // cycle_ms + 3
    else:
        assert found["wire, power cycles"] <= limit
