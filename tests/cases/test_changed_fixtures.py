"""A fixture whose attributes are changed has the key of these attributes.

Source: a test of a vending system with `meter_street(1, krn=2)`: the meter reported KRN 2 but had
the key of KRN 1, so right tokens were refused.
"""

from typing import Any

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.virtual_only

CHANGES = [
    {"krn": 2},
    {"ti": 7},
    {"bdt": "93"},
    {"drn": "00000000059"},
    {"ea": 11},
    {"kt": 1},
    {"krn": 2, "ti": 3, "credit_wh": 1000},
    {"krn": 2, "profile": "ceet"},
    {"ea": 11, "krn": 2, "profile": "hexing"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_street_with_changed_attributes_has_their_key(
    meter_street: Any, changes: dict[str, Any]
) -> None:
    (meter,) = meter_street(1, **changes)
    _check(meter, changes)


def _check(meter: Any, changes: dict[str, Any]) -> None:
    status = meter.status()
    assert {name: getattr(status, name) for name in changes} == changes
    pos = meter.pos
    assert pos.record.key.given is None  # the key is derived from the attributes
    assert meter.config["decoder_key"] == pos.pos.decoder_key(pos.record).hex()
    when = status.clock if changes.get("bdt") != "93" else status.clock.replace(year=2024, month=5)
    token = pos.tariff(1, at=when) if status.kt == 1 else pos.credit("5", at=when)
    assert meter.enter(token.token).good


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_changed_meter_config_has_the_key_of_its_attributes(
    pytester: pytest.Pytester, changes: dict[str, Any]
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture
        def meter_config(meter_config):
            return meter_config | {changes!r}

        def test_it(meter, meter_pos):
            assert meter_pos.record.key.given is None
            assert meter.config["decoder_key"] == meter_pos.pos.decoder_key(meter_pos.record).hex()
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_wrong_attributes_are_refused_in_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(meter_street): meter_street(2, krn=12)")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    assert any("key revision number 12 is out of range" in line for line in result.outlines)
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_key_of_ones_own_is_kept(meter_street: Any) -> None:
    (meter,) = meter_street(1, krn=2, decoder_key="0abc12def3456789")
    assert meter.config["decoder_key"] == "0abc12def3456789"
    assert meter.pos.record.key.given is not None
    assert meter.enter(meter.pos.credit("5").token).good
