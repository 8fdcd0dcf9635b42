"""From purchase to light."""

import uuid


def test_a_purchase_switches_the_light_on(meter, vending):
    meter.set_load(60)  # a lamp
    assert meter.status().switch == "open"  # no energy was paid for yet

    token = vending.buy("12.5")
    meter.press(token + "#")

    meter.wait_display("12.5 kWh")
    assert meter.status().switch == "closed"
    assert meter.status().power_w == 60
    assert meter.advance(3600).credit_wh == 12_500 - 60


def test_a_repeated_order_is_charged_once(meter, vending):
    before = len(vending.purchases())
    order = f"receipt {uuid.uuid4()}"
    first = vending.buy("10", order=order)
    again = vending.buy("10", order=order)

    assert again == first
    assert len(vending.purchases()) == before + 1


def test_a_token_entered_twice_is_credited_once(meter, vending):
    token = vending.buy("10")

    assert meter.enter(token).name == "Accept"
    assert meter.enter(token).name == "UsedError"
    assert meter.status().credit_wh == 10_000


def test_two_purchases_in_a_minute_are_two_tokens(meter, vending):
    for token in (vending.buy("10"), vending.buy("10")):
        assert meter.enter(token).name == "Accept"
    assert meter.status().credit_wh == 20_000
