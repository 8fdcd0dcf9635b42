"""A vending system that still uses the old key after a key change, as CEET's did."""


def test_a_purchase_after_a_key_change_is_accepted(meter, vending):
    *first, last = [meter.enter(token) for token in vending.change_key(krn=2)]

    assert [result.name for result in first] == ["1stKCT"]
    assert last.name == "Accept"
    assert meter.status().krn == 2
    assert meter.enter(vending.buy("5")).name == "Accept"


def test_a_purchase_with_the_old_key_is_refused(meter, vending):
    for token in vending.change_key(krn=2):
        meter.enter(token)
    vending.let_fail(old_key=True)

    token = vending.buy("5")

    assert meter.enter(token).name == "CRCError"
    why = vending.explain(token, meter.status().as_dict())
    assert why["cause"] == "previous-key"
    assert "under the meter's previous key" in why["summary"]


def test_an_unused_purchase_is_invalid_after_the_key_change(meter, vending):
    token = vending.buy("5")
    for section in vending.change_key(krn=2):
        meter.enter(section)

    assert meter.enter(token).name == "CRCError"
