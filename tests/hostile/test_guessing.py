"""Tries a day against each profile, by wire and keypad, with power cycles and without."""

import guessing
import pytest

import both_support as support


@pytest.mark.parametrize("profile", support.PROFILES)
def test_tries_a_day(profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = guessing.measure(profile)
    with capsys.disabled():
        print("\n" + guessing.table({profile: found}).splitlines()[-1], end=" ")
    lockout = support.profiles(profile)["lockout"]
    if not lockout["after"]:
        return
    # The lock holds for the wire as for the keypad, whatever the speed: 71 years for a hit with
    # the doubling steps, 8 with the window.
    limit = 600 if lockout["within_s"] else 80
    assert found["wire"] <= limit
    assert found["keypad"] <= limit
    if lockout["cleared_by_power_cycle"]:
        # As the maker's manual says; a power cycle for each three tries is what it costs.
        cycle_ms = guessing.CYCLE_MS + lockout["after"] * guessing.WIRE_MS
        assert found["wire, power cycles"] <= lockout["after"] * guessing.DAY_MS // cycle_ms + 3
    else:
        assert found["wire, power cycles"] <= limit
