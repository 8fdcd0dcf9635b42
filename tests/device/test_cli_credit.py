"""The commands for emergency credit, advances, the history and fault reports."""

import json
import re
from typing import Any

import pytest
from command import jeton, ran, refused, result_of

from jeton_host.vending.pos import PointOfSale

pytestmark = pytest.mark.virtual_only


@pytest.fixture
def home() -> str:
    """A meter that offers emergency credit and accepts advances."""
    jeton("new", "home", "--credit", "2", "--clock", "2026-01-30")
    return "home"


def _token(name: str, amount: str) -> str:
    return PointOfSale().credit(name, amount).token


def _check_ledger(ledger: dict[str, Any]) -> None:
    sources = sum(ledger[f"{what}_wh"] for what in ("initial", "tokens", "advances", "emergency"))
    uses = sum(ledger[f"{what}_wh"] for what in ("charged", "recovered", "cleared"))
    assert sources - uses == ledger["credit_wh"]


# Emergency credit


def test_emergency_credit_is_taken_once_and_repaid_first(home: str) -> None:
    assert jeton("emergency", home) == ("7.00 kWh left, 5.00 kWh of emergency credit to repay\n")
    said = ran("emergency", home)
    assert (said.status, said.out) == (1, "")
    assert said.err == (
        "jeton: no emergency credit: it was taken already: repay it first with a credit token\n"
    )
    assert "5.00 kWh of emergency credit to repay" in jeton("status", home)
    entered = result_of("enter", home, _token(home, "12"))
    assert (entered["amount_wh"], entered["repaid_wh"]) == (12000, 5000)
    ledger = result_of("grant", home)
    assert (ledger["credit_wh"], ledger["emergency_debt_wh"]) == (14000, 0)
    _check_ledger(ledger)


@pytest.mark.parametrize(
    ("profile", "credit", "reason", "says"),
    [
        ("clou", "0", "none", "this meter has no emergency credit"),
        ("generic", "3", "not_needed", "there is enough credit"),
    ],
)
def test_emergency_credit_is_refused_with_the_reason(
    profile: str, credit: str, reason: str, says: str
) -> None:
    jeton("new", "home", "--profile", profile, "--credit", credit)
    assert ran("emergency", "home").err == f"jeton: no emergency credit: {says}\n"
    said = ran("emergency", "home", "--json")
    assert (said.status, said.err) == (1, "")
    assert (said.json["taken"], said.json["reason"]) == (False, reason)
    _check_ledger(said.json["ledger"])


def test_emergency_credit_smaller_than_the_debts_is_refused() -> None:
    # On a Sunday, when meters of this profile do not disconnect.
    jeton("new", "sun", "--profile", "landis_gyr", "--credit", "1", "--clock", "2026-11-22")
    jeton("load", "sun", "1000")
    assert "-7.0" in jeton("advance", "sun", "8h")
    assert ran("emergency", "sun").err == (
        "jeton: no emergency credit: all of it would be used to repay debts\n"
    )
    assert ran("emergency", "sun", "--json").json["reason"] == "debt"


def test_emergency_credit_is_printed_as_json(home: str) -> None:
    found = result_of("emergency", home)
    assert (found["taken"], found["reason"]) == (True, None)
    assert found["ledger"]["credit_wh"] == 7000


# Advances and the ledger


def test_an_advance_is_granted_and_recovered(home: str) -> None:
    said = jeton("grant", home, "5")
    assert said == (
        "         2.000 kWh  initial credit\n"
        "+        0.000 kWh  tokens\n"
        "+        5.000 kWh  advances\n"
        "-        0.000 kWh  energy\n"
        "=        7.000 kWh  credit\n"
        "7.00 kWh left, 5.00 kWh of advances to repay\n"
    )
    entered = result_of("enter", home, _token(home, "6"))
    assert entered["recovered_wh"] == 3000  # this profile recovers half of each token
    ledger = result_of("grant", home)
    assert (ledger["credit_wh"], ledger["advance_debt_wh"]) == (10000, 2000)
    _check_ledger(ledger)
    assert result_of("enter", home, _token(home, "6"))["recovered_wh"] == 2000
    shown = jeton("grant", home)
    assert "-        5.000 kWh  repaid\n" in shown
    assert shown.endswith("14.00 kWh left, nothing owed\n")


@pytest.mark.parametrize(
    "amount",
    ["-5", "0", "0.0001", "1e999", "-1e999", "9e10", "nan", "inf", "five", "", "9" * 5000, "1e-9"],
)
def test_a_wrong_advance_is_refused(home: str, amount: str) -> None:
    assert "kWh" in refused("grant", home, amount)
    assert result_of("grant", home)["advances_wh"] == 0


def test_a_meter_whose_profile_recovers_no_advances_is_granted_none() -> None:
    jeton("new", "home", "--profile", "clou")
    assert "takes no advances" in refused("grant", "home", "5")


# History


def test_history_is_printed_by_day_and_month(home: str) -> None:
    jeton("load", home, "10")
    jeton("advance", home, "100h")
    found = result_of("history", home)
    assert found["days"] == [
        {"date": "2026-01-30", "wh": 240},
        {"date": "2026-01-31", "wh": 240},
        {"date": "2026-02-01", "wh": 240},
        {"date": "2026-02-02", "wh": 240},
        {"date": "2026-02-03", "wh": 40},
    ]
    assert found["months"] == [{"month": "2026-01", "wh": 480}, {"month": "2026-02", "wh": 520}]
    lines = jeton("history", home).splitlines()
    assert lines[0] == "2026-01-30        0.240 kWh  " + "#" * 30
    assert lines[4] == "2026-02-03        0.040 kWh  " + "#" * 5
    assert lines[6] == "2026-02           0.520 kWh  " + "#" * 30


def test_the_history_of_a_new_meter_is_empty(home: str) -> None:
    assert jeton("history", home) == ("2026-01-30        0.000 kWh\n2026-01           0.000 kWh\n")


# Fault reports


def _kinds(reports: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(report["seq"], report["kind"]) for report in reports]


def test_a_fault_report_is_kept_until_acknowledged_and_sent_once(home: str) -> None:
    assert jeton("reports", home) == "no fault reports to acknowledge\n"
    assert result_of("reports", home) == []
    jeton("tamper", home)
    jeton("enter", home, PointOfSale().power_limit(home, 1000).token)
    jeton("load", home, "1500")
    jeton("advance", home, "40s")  # longer than the limit's delay
    waiting = result_of("reports", home)
    assert _kinds(waiting) == [(1, "tamper"), (2, "trip")]
    assert waiting[1]["power_w"] == 1500
    assert result_of("reports", home) == waiting  # kept over a power cut and after reading
    lines = jeton("reports", home).splitlines()
    assert re.fullmatch(r" +1  2026-01-30 00:0\d:\d\d UTC  tamper  on True", lines[0])
    assert re.fullmatch(r" +2  2026-01-30 00:0\d:\d\d UTC  trip  power_w 1500, trips 1", lines[1])
    assert _kinds(result_of("reports", home, "--ack", "1")) == [(2, "trip")]
    assert _kinds(result_of("reports", home, "--ack", "1")) == [(2, "trip")]  # the answer was lost
    assert jeton("reports", home, "--ack", "2") == "no fault reports to acknowledge\n"
    assert result_of("reports", home) == []


def test_a_missing_report_cannot_be_acknowledged(home: str) -> None:
    assert "no fault report 5 to acknowledge; the last is 0" in refused(
        "reports", home, "--ack", "5"
    )
    for wrong in ("x", "-1", "1.5"):
        assert "--ack" in refused("reports", home, "--ack", wrong, status=2)


@pytest.mark.parametrize("command", ["emergency", "grant", "history", "reports"])
def test_a_missing_meter_is_refused(command: str) -> None:
    assert "there is no meter 'absent'" in refused(command, "absent")


def test_a_long_json_result_is_one_line(home: str) -> None:
    for command in ("emergency", "grant", "history", "reports"):
        assert json.loads(ran(command, home, "--json").out) is not None
