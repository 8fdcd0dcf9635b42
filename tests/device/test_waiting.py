"""Waiting for a display or an event, and advancing the clock until a condition is true."""

import re
from datetime import timedelta
from typing import Any

import pytest

from jeton_host.client import waiting
from jeton_host.client.answers import Status
from jeton_host.errors import BoardError, NeverCameError
from jeton_host.meter import Meter
from jeton_host.testing.meter_pos import MeterPos

pytestmark = pytest.mark.device


@pytest.fixture
def meter_config(meter_config: dict[str, Any]) -> dict[str, Any]:
    return meter_config | {"credit_wh": 20_000}


@pytest.fixture
def lit(meter: Meter) -> Meter:
    """A meter with 20 kWh, a stopped clock and a load of 700 W: one Wh takes 5.14 s."""
    meter.set_rate(0)
    meter.set_load(700)
    return meter


def test_a_text_on_the_display_is_waited_for(meter: Meter, meter_pos: MeterPos) -> None:
    meter.enter(meter_pos.credit(5).token)
    shown = meter.wait_display("+5.0 kWh")
    assert shown.lines == meter.display().lines
    assert meter.wait_display(re.compile(r"Accepted .*\+5")) == shown
    # The meter's clock runs: the credit replaces the result of the token on the display.
    meter.set_rate(10)
    meter.wait_display("25.00 kWh")


def test_a_missing_text_is_an_error(meter: Meter) -> None:
    meter.enter("0" * 20)
    with pytest.raises(NeverCameError) as caught:
        meter.wait_display("Accepted", timeout=0.05)
    assert isinstance(caught.value, BoardError)
    said = str(caught.value)
    assert f"meter {meter.name} does not show 'Accepted' within 0.05 s" in said
    assert "it shows 'Rejected" in said
    assert "token name=CRCError" in said
    assert "\n" not in said


def test_an_event_is_waited_for(meter: Meter, meter_pos: MeterPos) -> None:
    meter.enter(meter_pos.credit(1).token)
    first = meter.wait_event("token")
    assert first.details["amount_wh"] == 1000
    with pytest.raises(NeverCameError, match=f"logged no token after event {first.seq} within"):
        meter.wait_event("token", after=first.seq, timeout=0.05)
    meter.set_load(36_000)  # 10 Wh a second
    meter.set_rate(600)
    opened = meter.wait_event("switch_opened", after=first.seq)
    assert opened.details["reason"] == "no_credit"
    assert opened in meter.events()


def test_an_event_is_reached_to_the_second(lit: Meter) -> None:
    before = lit.status()
    status = lit.advance_until("switch_opened")
    opened = lit.events()[-1]
    assert opened.kind == "switch_opened"
    assert status.clock == opened.time
    # 20 kWh at 700 W, rounded up to whole seconds.
    assert status.clock - before.clock == timedelta(seconds=-(-20_000 * 3600 // 700))
    assert status.credit_wh == 0


@pytest.mark.parametrize("credit_wh", [19_999, 12_345, 1])
def test_a_credit_is_reached_to_the_second(lit: Meter, credit_wh: int) -> None:
    before = lit.status()
    status = lit.advance_until(credit_wh=credit_wh)
    seconds = -(-(20_000 - credit_wh) * 3600 // 700)
    assert status.clock - before.clock == timedelta(seconds=seconds)
    assert status.credit_wh == credit_wh
    assert lit.advance_until(credit_wh=credit_wh).clock == status.clock


def test_a_function_of_the_status_is_a_condition(lit: Meter) -> None:
    before = lit.status().clock

    def evening(status: Status) -> bool:
        return status.clock >= before + timedelta(hours=7, seconds=11)

    assert lit.advance_until(evening).clock == before + timedelta(hours=7, seconds=11)
    assert lit.advance_until(lambda status: status.total_wh >= 6_000).total_wh == 6_000
    status = lit.advance_until(switch="open", switch_reason="no_credit")
    assert status.credit_wh == 0


def test_an_index_is_reached_under_a_changing_load(lit: Meter) -> None:
    lit.set_load_steps([(0, 100), (1800, 3000), (5400, 0)], start=lit.clock())
    before = lit.clock()
    assert lit.advance_until(load_w=3000).clock - before == timedelta(minutes=30)
    assert lit.advance_until(total_wh=1050).clock - before == timedelta(minutes=50)
    assert lit.advance_until(load_w=0).clock - before == timedelta(minutes=90)


def test_a_clock_is_reached_or_passed(lit: Meter) -> None:
    when = lit.clock() + timedelta(hours=5, seconds=7)
    assert lit.advance_until(clock=when).clock == when
    assert lit.advance_until(clock=when - timedelta(hours=1)).clock == when
    later = when + timedelta(days=2)
    assert lit.advance_until(clock=later.replace(tzinfo=None)).clock == later


def test_a_short_condition_is_not_skipped(lit: Meter) -> None:
    hour = (lit.clock() + timedelta(hours=3)).replace(minute=30, second=0)
    found = lit.advance_until(
        lambda status: (status.clock.hour, status.clock.minute) == (hour.hour, hour.minute)
    )
    assert found.clock == hour
    assert lit.advance_until(lambda status: status.credit_wh == 1500).credit_wh == 1500
    lit.set_load(0)
    minute = lit.clock().replace(second=0) + timedelta(minutes=5)
    found = lit.advance_until(lambda status: status.clock == minute + timedelta(seconds=7), step=1)
    assert found.clock == minute + timedelta(seconds=7)


def test_the_number_of_display_reads_is_limited(
    lit: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_MOST_READS", 5)
    before = lit.clock()
    with pytest.raises(NeverCameError, match=r"in 5 reads, within 0:04:00 \(give a limit="):
        lit.advance_until(display="nothing", step=60)
    assert lit.clock() - before == timedelta(minutes=4)
    with pytest.raises(NeverCameError, match=r"'nothing' within 0:10:00"):
        lit.advance_until(display="nothing", step=60, limit=600)


def test_a_display_is_searched_by_events_and_by_steps(lit: Meter) -> None:
    lit.set_load(0)
    lit.press("1")
    lit.advance_until(display="20.00 kWh")  # the digit is dropped: the idle screen again
    lit.set_load(700)
    before = lit.clock()
    status = lit.advance_until(display="19.99 kWh", step=1)
    assert 1 <= (status.clock - before).total_seconds() <= 52
    assert status.credit_wh < 20_000


def test_the_clock_runs_as_before(lit: Meter) -> None:
    lit.set_rate(60)
    assert lit.advance_until(credit_wh=19_000).rate == 0
    assert lit.status().rate == 60


def test_a_condition_that_does_not_become_true_is_an_error(lit: Meter) -> None:
    before = lit.clock()
    with pytest.raises(NeverCameError, match=r"did not reach tamper = True within 1:00:00"):
        lit.advance_until(tamper=True, limit=timedelta(hours=1))
    assert lit.clock() - before == timedelta(hours=1)
    with pytest.raises(NeverCameError, match=r"an event trip within 0:10:00: it shows '.*kWh"):
        lit.advance_until("trip", limit=600)
    with pytest.raises(NeverCameError, match="a display with 'nothing'"):
        lit.advance_until(display="nothing", limit=60)
    with pytest.raises(NeverCameError, match="did not reach the condition within"):
        lit.advance_until(lambda status: False, limit=60)
    assert lit.status().rate == 0


def test_wrong_conditions_are_refused(lit: Meter) -> None:
    with pytest.raises(TypeError, match="give exactly one condition"):
        lit.advance_until()
    with pytest.raises(TypeError, match="give exactly one condition"):
        lit.advance_until("trip", display="x")
    with pytest.raises(TypeError, match="has no colour; there are clock, provisioned, "):
        lit.advance_until(colour="red")
    before = lit.clock()
    for call, said in (
        (lambda: lit.advance_until(as_dict=1), "has no as_dict"),
        (lambda: lit.advance_until(switch="opened"), "switch must be one of closed, open, not"),
        (lambda: lit.advance_until(switch_reason="x"), "one of not_provisioned, credit, "),
        (lambda: lit.advance_until(credit_wh="1500"), "credit_wh must be int, not '1500'"),
        (lambda: lit.advance_until(clock=5), "clock must be datetime, not 5"),
        (lambda: lit.advance_until("switch_open"), "'switch_open'; there are provisioned, "),
        (lambda: lit.wait_event("opened"), "no event is called 'opened'; there are "),
        (lambda: lit.advance_until("trip", step=0), "step must be 1 s or more, not 0"),
        (lambda: lit.advance_until(display=" "), "every display shows the text ' '"),
        (lambda: lit.wait_display(""), "every display shows the text ''"),
        (lambda: lit.wait_display(None), "not None"),  # type: ignore[arg-type]
    ):
        with pytest.raises((TypeError, ValueError), match=said) as refusal:
            call()
        assert "\n" not in str(refusal.value)
    assert lit.clock() == before
