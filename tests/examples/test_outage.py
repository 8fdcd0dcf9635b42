"""A vending system with an outage; Eneo's lasted for days."""

import pytest
import requests


def test_a_purchase_is_retried_until_the_service_works(meter, vending):
    vending.let_fail(out_of_service_requests=3, retry_after_s=0)

    assert meter.enter(vending.buy("5")).name == "Accept"


def test_a_lost_answer_causes_no_second_purchase(meter, vending):
    vending.let_fail(lost_answers=1)

    token = vending.buy("5")  # the retry returns the answer of the first request

    assert [bought["token"] for bought in vending.purchases()] == [token]


def test_a_token_that_was_sold_before_is_detected(meter, vending):
    meter.enter(vending.buy("5"))
    vending.let_fail(repeated_tokens=1)

    refused = meter.enter(vending.buy("7"))

    assert refused.name == "UsedError"
    assert meter.status().credit_wh == 5_000


@pytest.mark.meter_profile("eneo")
def test_emergency_credit_bridges_an_outage(meter, vending):
    meter.set_load(2000)
    meter.enter(vending.buy("20"))
    vending.let_fail(out_of_service_requests=6, retry_after_s=0)
    with pytest.raises(requests.RequestException):
        vending.buy("25")

    meter.advance_until(emergency=True)  # hours pass until the meter offers emergency credit
    meter.press("811#")
    lent_wh = meter.status().emergency_debt_wh
    assert lent_wh > 0
    meter.advance_until("switch_opened")  # the emergency credit is used up too

    bought = meter.enter(vending.buy("25"))
    assert bought.repaid_wh == lent_wh
    assert meter.status().switch == "closed"
    assert meter.status().emergency_debt_wh == 0
