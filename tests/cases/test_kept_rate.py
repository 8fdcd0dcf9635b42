"""A restart keeps the rate of the meter's clock.

Source: a test bench whose meters ran at an hour a second, until one of them was reset.
"""

from jeton_host.meter import Meter


def test_the_rate_of_the_clock_is_kept_over_restarts() -> None:
    with Meter.open("virtual") as meter:
        for rate in (0, 60):
            meter.set_rate(rate)
            meter.reset()
            assert meter.status().rate == rate
            meter.power_cut()
            meter.power_on()
            assert meter.status().rate == rate
            meter.soft_reset()
            assert meter.status().rate == rate
