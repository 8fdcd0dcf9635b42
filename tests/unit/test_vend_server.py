"""Tests of the vending service: tokens, idempotency, faults, pages, the command."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import typer
from typer.testing import CliRunner

from jeton_host.cli import server as cli_server
from jeton_host.errors import VendingError
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.service.app import make_app
from jeton_host.vending.service.server import VendServer

app = typer.Typer()
cli_server.register(app)


@pytest.fixture(scope="module")
def running() -> Iterator[VendServer]:
    with VendServer() as server:
        yield server


@pytest.fixture
def server(running: VendServer) -> Iterator[VendServer]:
    yield running
    running.set_faults()


@pytest.fixture
def drn(server: VendServer) -> str:
    answer = requests.post(server.url + "/meters", json={}, timeout=10)
    assert answer.status_code == 201
    found: str = answer.json()["drn"]
    return found


class Ask:
    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(
        self, method: str, path: str, body: Any = None, key: str | None = None
    ) -> requests.Response:
        headers = {"Idempotency-Key": key} if key is not None else {}
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=20)


@pytest.fixture
def ask(server: VendServer) -> Ask:
    return Ask(server.url)


# -- tokens


def test_a_meter_is_found_by_name_number_and_pan(ask: Ask) -> None:
    made = ask("POST", "/meters", {"name": "home", "sgc": "123456", "ti": 7, "ea": 11}).json()
    assert (made["name"], made["sgc"], made["ti"], made["ea"]) == ("home", "123456", 7, 11)
    for name in ("home", made["drn"], made["pan"]):
        assert ask("GET", f"/meters/{name}").json()["pan"] == made["pan"]
    assert made["name"] in [meter["name"] for meter in ask("GET", "/meters").json()]
    again = ask("POST", "/meters", {"name": "home"})
    assert (again.status_code, "already" in again.json()["error"]) == (422, True)


def test_no_answer_contains_a_key(ask: Ask, server: VendServer, drn: str) -> None:
    ask("POST", f"/meters/{drn}/purchases", {"kwh": 1})
    change = ask("POST", f"/meters/{drn}/key-change", {"krn": 3}).text
    key = server.pos.decoder_key(server.pos.find_meter(drn)).hex()
    texts = [change, *(ask("GET", path).text for path in ("/meters", "/tokens", "/tokens.csv"))]
    assert key not in "".join(texts).lower()
    assert "nkho" not in "".join(texts)


@pytest.mark.parametrize("kwh", ["12.5", 12.5, "12.45"])
def test_a_purchase_returns_a_token_and_is_stored(ask: Ask, drn: str, kwh: Any) -> None:
    answer = ask("POST", f"/meters/{drn}/purchases", {"kwh": kwh, "paid": "5 000 FCFA"})
    bought = answer.json()
    assert answer.status_code == 201
    assert (bought["drn"], bought["kwh"], bought["paid"]) == (drn, "12.5", "5 000 FCFA")
    assert re.fullmatch("[0-9]{20}", bought["token"])
    assert ask("GET", f"/purchases/{bought['id']}").json() == bought
    assert ask("GET", f"/meters/{drn}/purchases").json() == [bought]
    (found,) = ask("GET", f"/tokens?token={bought['token']}").json()
    assert found["meter"] == bought["meter"]


def test_management_and_test_tokens_are_issued(ask: Ask, drn: str) -> None:
    for kind, value, name in (
        ("power-limit", 5000, "SetMaximumPowerLimit"),
        ("unbalance-limit", "200", "SetMaximumPhasePowerUnbalanceLimit"),
        ("clear-credit", None, "ClearCredit"),
        ("clear-credit", "all", "ClearCredit"),
        ("clear-tamper", None, "ClearTamperCondition"),
        ("tariff", 3, "SetTariffRate"),
        ("test", [4, 5], "InitiateMeterTest/Display"),
        ("test", 0, "InitiateMeterTest/Display"),
    ):
        answer = ask("POST", f"/meters/{drn}/management", {"kind": kind, "value": value})
        assert (answer.status_code, answer.json()["name"]) == (201, name)


def test_after_a_key_change_tokens_use_the_new_key(ask: Ask, drn: str) -> None:
    changed = ask("POST", f"/meters/{drn}/key-change", {"krn": 2}).json()
    assert len(changed["tokens"]) == 2
    assert (changed["from"]["krn"], changed["to"]["krn"]) == (1, 2)
    assert ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}).json()["krn"] == 2


def test_explain_returns_the_cause(ask: Ask, drn: str) -> None:
    token = ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}).json()["token"]
    ask("POST", f"/meters/{drn}/key-change", {"krn": 2})
    status = {"krn": 2, "kt": 2, "ti": 1, "ken": 255, "sgc": "201457", "bdt": "14"}
    question = {"token": token, "meter": drn, "status": status}
    assert ask("POST", "/explain", question).json()["cause"] == "previous-key"
    assert ask("POST", "/explain", {"token": "12"}).json()["cause"] == "not-a-token"


@pytest.mark.parametrize(
    "status",
    [
        {"krn": "x"},
        {"krn": 10**30},
        {"ken": "a"},
        {"krn": 2, "ken": None},
        {"tid_newest": "a"},
        {"tid_oldest": 10**30},
        {"pending": 1},
        {"clock": "noon", "lock_until": "later"},
        {"clock": [], "lock_until": 1},
        {"profile": {}},
        {"credit_wh": "much"},
        {"bdt": "12"},
        {"sgc": 1},
        [1],
        "status",
    ],
)
def test_an_invalid_status_is_refused(ask: Ask, drn: str, status: Any) -> None:
    token = ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}).json()["token"]
    answer = ask("POST", "/explain", {"token": token, "meter": drn, "status": status})
    assert answer.status_code == 422, answer.text
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    "status",
    [
        {"krn": 0, "kt": 3, "ti": 0, "ken": 0, "kct": 0},
        {"krn": 2},
        {"credit_wh": 10**12},
        {"clock": "2026-01-01T00:00", "lock_until": "2026-01-01T00:10Z"},
        {"tid_newest": 0, "tid_oldest": 0},
        {"profile": "../x", "tamper": True},
        {"bdt": None, "other": 1},
    ],
)
def test_a_status_may_be_incomplete(ask: Ask, drn: str, status: Any) -> None:
    token = ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}).json()["token"]
    answer = ask("POST", "/explain", {"token": token, "meter": drn, "status": status})
    assert answer.status_code == 200, answer.text
    assert answer.json()["summary"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/meters/absent/purchases", {"kwh": 1}, 404),
        ("GET", "/meters/absent", None, 404),
        ("GET", "/purchases/nothing", None, 404),
        ("GET", "/tokens?meter=absent", None, 404),
        ("POST", "/meters/{drn}/purchases", {"kwh": "1e9"}, 422),
        ("POST", "/meters/{drn}/purchases", {"kwh": 1e9}, 422),
        ("POST", "/meters/{drn}/purchases", {"kwh": 0}, 422),
        ("POST", "/meters/{drn}/purchases", {"kwh": -1}, 422),
        ("POST", "/meters/{drn}/purchases", {"kwh": True}, 422),
        ("POST", "/meters/{drn}/purchases", {"kwh": "9" * 70}, 422),
        ("POST", "/meters/{drn}/purchases", {"kwh": [1]}, 422),
        ("POST", "/meters/{drn}/purchases", {"kWh": 1}, 422),
        ("POST", "/meters/{drn}/purchases", {"kwh": 1, "at": "1990-01-01T00:00"}, 422),
        ("POST", "/meters/{drn}/purchases", [1], 422),
        ("POST", "/meters/{drn}/key-change", {}, 422),
        ("POST", "/meters/{drn}/key-change", {"krn": 10}, 422),
        ("POST", "/meters/{drn}/management", {"kind": "tariff"}, 422),
        ("POST", "/meters/{drn}/management", {"kind": "tariff", "value": [1]}, 422),
        ("POST", "/meters/{drn}/management", {"kind": "tariff", "value": 10**30}, 422),
        ("POST", "/meters/{drn}/management", {"kind": "free"}, 422),
        ("POST", "/meters", {"drn": "12345678904"}, 422),
        ("POST", "/meters", {"name": "../x"}, 422),
        ("POST", "/meters", {"profile": "../x"}, 422),
        ("POST", "/meters", {"krn": 10**30}, 422),
        ("PUT", "/admin/faults", {"out_of_service_s": -1}, 422),
        ("PUT", "/admin/faults", {"out_of_service_s": 1e99}, 422),
        ("PUT", "/admin/faults", {"nothing": 1}, 422),
    ],
)
def test_a_refused_order_is_one_line_of_error(
    ask: Ask, drn: str, method: str, path: str, body: Any, status: int
) -> None:
    answer = ask(method, path.format(drn=drn), body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error
    assert "\n" not in error
    assert ask("GET", f"/meters/{drn}/purchases").json() == []


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\xff\xfe", b"{" * 10_000, b'{"kwh": NaN}', b"null"]
)
def test_an_invalid_body_is_refused(server: VendServer, drn: str, body: bytes) -> None:
    answer = requests.post(f"{server.url}/meters/{drn}/purchases", data=body, timeout=10)
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"error"}


# -- idempotency


def test_an_order_with_the_same_key_is_done_once(ask: Ask, drn: str) -> None:
    first = ask("POST", f"/meters/{drn}/purchases", {"kwh": "10"}, "key-1")
    again = ask("POST", f"/meters/{drn}/purchases", {"kwh": "10"}, "key-1")
    assert again.json() == first.json()
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(ask("GET", f"/meters/{drn}/purchases").json()) == 1
    assert len(ask("GET", f"/tokens?meter={drn}").json()) == 1


def test_the_same_key_for_another_order_is_refused(ask: Ask, drn: str) -> None:
    ask("POST", f"/meters/{drn}/purchases", {"kwh": "10"}, "key-2")
    for path, body in (("purchases", {"kwh": "11"}), ("key-change", {"krn": 2})):
        answer = ask("POST", f"/meters/{drn}/{path}", body, "key-2")
        assert (answer.status_code, "another order" in answer.json()["error"]) == (422, True)
    assert len(ask("GET", f"/tokens?meter={drn}").json()) == 1


def test_a_key_can_be_used_again_after_a_refusal(ask: Ask, drn: str) -> None:
    assert ask("POST", f"/meters/{drn}/purchases", {"kwh": "0"}, "key-3").status_code == 422
    assert ask("POST", f"/meters/{drn}/purchases", {"kwh": "1"}, "key-3").status_code == 201


def test_a_repeated_key_change_is_done_once(ask: Ask, drn: str) -> None:
    first = ask("POST", f"/meters/{drn}/key-change", {"krn": 2}, "key-4").json()
    assert ask("POST", f"/meters/{drn}/key-change", {"krn": 2}, "key-4").json() == first
    assert ask("GET", f"/meters/{drn}").json()["krn"] == 2


def test_purchases_at_the_same_time_have_different_tids(ask: Ask, drn: str) -> None:
    """Twelve orders, each sent twice at the same time, give twelve tokens."""
    start = threading.Barrier(8)

    def buy(number: int) -> dict[str, Any]:
        if number < 8:
            start.wait()
        found: dict[str, Any] = ask(
            "POST", f"/meters/{drn}/purchases", {"kwh": 1}, f"{drn}-{number // 2}"
        ).json()
        return found

    with ThreadPoolExecutor(8) as pool:
        bought = list(pool.map(buy, range(24)))
    assert all(one == other for one, other in zip(bought[::2], bought[1::2], strict=True))
    assert len({order["tid"] for order in bought}) == 12
    assert len({order["token"] for order in bought}) == 12
    assert len(ask("GET", f"/tokens?meter={drn}").json()) == 12


def test_an_order_and_its_token_are_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash between the two neither is stored; the retry is a new purchase."""
    pos = PointOfSale(tmp_path / "pos.sqlite")
    pos.add_meter("m")
    credit = PointOfSale.credit

    def crash(*arguments: Any, **options: Any) -> Any:
        credit(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(PointOfSale, "credit", crash)
    with pytest.raises(KeyboardInterrupt), pos.together():
        pos.credit("m", 1)
    assert pos.issued("m") == []
    monkeypatch.setattr(PointOfSale, "credit", credit)
    with pos.together():
        pos.credit("m", 1)
        assert len(pos.issued("m")) == 1  # the transaction sees its own changes
    assert len(pos.issued("m")) == 1


def test_a_restarted_service_knows_earlier_orders(tmp_path: Path) -> None:
    file = tmp_path / "pos.sqlite"
    with VendServer(file) as server:
        ask = Ask(server.url)
        drn = ask("POST", "/meters", {}).json()["drn"]
        first = ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}, "key").json()
    with VendServer(file) as server:
        ask = Ask(server.url)
        assert ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}, "key").json() == first


# -- faults


def test_the_service_can_be_out_of_service_for_some_requests(ask: Ask, drn: str) -> None:
    ask("PUT", "/admin/faults", {"out_of_service_requests": 2, "retry_after_s": 7})
    for path in ("/health", f"/meters/{drn}"):
        answer = ask("GET", path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
        assert "out of service" in answer.json()["error"]
    assert ask("GET", "/health").json()["status"] == "ok"


def test_the_service_can_be_out_of_service_for_a_time(ask: Ask, drn: str) -> None:
    ask("PUT", "/admin/faults", {"out_of_service_s": 3000})
    answer = ask("POST", f"/meters/{drn}/purchases", {"kwh": 1})
    assert answer.status_code == 503
    assert 2900 < int(answer.headers["Retry-After"]) <= 3000
    assert 2900 < ask("GET", "/admin/faults").json()["out_of_service_s"] <= 3000
    assert ask("GET", "/docs").status_code == 200
    ask("DELETE", "/admin/faults")
    assert ask("GET", f"/tokens?meter={drn}").json() == []


def test_a_lost_answer_is_repeated_with_the_same_key(ask: Ask, drn: str) -> None:
    ask("PUT", "/admin/faults", {"lost_answers": 1})
    assert ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}, f"{drn}-x").status_code == 504
    (done,) = ask("GET", f"/meters/{drn}/purchases").json()
    assert ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}, f"{drn}-x").json() == done


def test_the_service_can_sell_a_token_twice(ask: Ask, drn: str) -> None:
    ask("PUT", "/admin/faults", {"repeated_tokens": 1})
    bought = [ask("POST", f"/meters/{drn}/purchases", {"kwh": n}).json() for n in (1, 2, 3)]
    assert bought[0]["token"] == bought[1]["token"] != bought[2]["token"]
    assert len({order["id"] for order in bought}) == 3


def test_the_service_can_ignore_idempotency_keys(ask: Ask, drn: str) -> None:
    ask("PUT", "/admin/faults", {"ignore_idempotency": True})
    for _ in range(2):
        ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}, f"{drn}-y")
    assert len(ask("GET", f"/meters/{drn}/purchases").json()) == 2


def test_the_service_can_use_the_old_key(ask: Ask, drn: str) -> None:
    ask("PUT", "/admin/faults", {"old_key": True})
    assert ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}).json()["krn"] == 1
    ask("POST", f"/meters/{drn}/key-change", {"krn": 2})
    assert ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}).json()["krn"] == 1
    ask("DELETE", "/admin/faults")
    assert ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}).json()["krn"] == 2


def test_an_order_with_a_late_answer_is_stored(ask: Ask, server: VendServer, drn: str) -> None:
    """The client ends its request before the answer, but the purchase is done."""
    server.set_faults(slow_s=60)
    order = {"json": {"kwh": 1}, "headers": {"Idempotency-Key": f"{drn}-z"}}
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{server.url}/meters/{drn}/purchases", timeout=0.5, **order)  # type: ignore
    server.set_faults()
    again = ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}, f"{drn}-z").json()
    assert ask("GET", f"/meters/{drn}/purchases").json() == [again]


def test_an_open_order_is_answered_when_the_server_stops(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = VendServer()
    started = threading.Event()
    with ThreadPoolExecutor() as pool:
        with server:
            drn = Ask(server.url)("POST", "/meters", {}).json()["drn"]
            sell = server.pos.credit
            monkeypatch.setattr(
                server.pos, "credit", lambda *a, **k: (started.set(), sell(*a, **k))[1]
            )
            server.set_faults(slow_s=60)
            late = pool.submit(Ask(server.url), "POST", f"/meters/{drn}/purchases", {"kwh": 1})
            assert started.wait(10)
        assert late.result().status_code == 201
    assert caplog.text == ""


def test_a_locked_file_makes_the_service_unavailable(
    ask: Ask, server: VendServer, drn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jeton_host.vending.store.BUSY_S", 0.01)
    with contextlib.closing(sqlite3.connect(server.pos.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for method, path, body in (
            ("POST", f"/meters/{drn}/purchases", {"kwh": 1}),
            ("POST", "/meters", {}),
            ("GET", f"/meters/{drn}", None),
            ("GET", "/tokens", None),
        ):
            answer = ask(method, path, body)
            assert answer.status_code == 503, answer.text
            assert answer.headers["Retry-After"] == "1"
            assert "locked" in answer.json()["error"]
    assert ask("POST", f"/meters/{drn}/purchases", {"kwh": 1}).status_code == 201


# -- pages


def test_the_api_page_needs_no_internet(server: VendServer) -> None:
    page = requests.get(server.url + "/docs", timeout=10).text
    assert "http" not in re.sub(r"SwaggerUI\w*", "", page).replace("http-equiv", "")
    parts = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(parts) >= 3
    for part in parts:
        assert requests.get(server.url + part, timeout=10).status_code == 200, part
    described = requests.get(server.url + "/openapi.json", timeout=10).json()
    assert "/meters/{meter}/purchases" in described["paths"]
    assert all(
        operation.get("summary") for path in described["paths"].values()
        for operation in path.values()
    )  # fmt: skip


def fits(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Return whether a value fits its OpenAPI schema and has no other fields."""
    if "$ref" in schema:
        schema = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return any(fits(value, one, whole) for one in schema["anyOf"])
    kinds = {"string": str, "integer": int, "boolean": bool, "null": type(None), "array": list}
    kind = schema.get("type")
    if kind == "array":
        return isinstance(value, list) and all(fits(v, schema["items"], whole) for v in value)
    if kind != "object":
        return isinstance(value, kinds[kind])
    if "properties" not in schema:
        return isinstance(value, dict)
    parts = schema["properties"]
    return (
        isinstance(value, dict)
        and set(schema.get("required", ())) <= set(value) <= set(parts)
        and all(fits(value[name], parts[name], whole) for name in value)
    )


def test_answers_fit_the_openapi_description(ask: Ask, server: VendServer, drn: str) -> None:
    whole = make_app(server.pos).openapi()
    error = {"$ref": "#/components/schemas/Error"}
    for path, operations in whole["paths"].items():
        for name, operation in operations.items():
            responses = operation["responses"]
            assert responses["422"]["content"]["application/json"]["schema"] == error, (path, name)
            assert ("503" in responses) == (not path.startswith("/admin"))
            assert ("404" in responses) == (path not in ("/health", "/meters", "/admin/faults")), (
                path,
                name,
            )
    assert "HTTPValidationError" not in whole["components"]["schemas"]

    def answered(
        method: str, path: str, body: Any = None, like: str = "", status: int = 200
    ) -> Any:
        answer = ask(method, path, body, f"{drn}{path}" if status == 201 else None)
        assert answer.status_code == status, answer.text
        operation = whole["paths"][like or path][method.lower()]
        schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        assert fits(answer.json(), schema, whole), answer.text
        return answer.json()

    meter, one = f"/meters/{drn}", "/meters/{meter}"
    answered("GET", "/health")
    answered("POST", "/meters", {}, status=201)
    answered("GET", "/meters")
    answered("GET", meter, like=one)
    sold = answered("POST", f"{meter}/purchases", {"kwh": 1}, f"{one}/purchases", 201)
    assert ask("GET", f"/purchases/{sold['id']}").json() == sold
    answered("GET", f"/purchases/{sold['id']}", like="/purchases/{number}")
    answered("GET", f"{meter}/purchases", like=f"{one}/purchases")
    answered("POST", f"{meter}/key-change", {"krn": 2}, f"{one}/key-change", 201)
    for order in ({"kind": "clear-tamper"}, {"kind": "test", "value": 0}):
        body = f"{meter}/management"
        assert fits(ask("POST", body, order).json(), {"$ref": "#/components/schemas/Issue"}, whole)
    answered("GET", "/tokens")
    for question in (
        {"token": sold["token"], "meter": drn},
        {"token": sold["token"][::-1], "meter": drn},
        {"token": "12"},
    ):
        answered("POST", "/explain", question)
    answered("POST", "/explain", {}, status=422)
    answered("GET", "/meters/absent", like=one, status=404)
    server.set_faults(out_of_service_requests=1)
    answered("GET", "/meters", status=503)
    server.set_faults(lost_answers=1)
    answered("POST", f"{meter}/purchases", {"kwh": 1}, f"{one}/purchases", 504)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        ("GET", "/nowhere", None, 404, "there is no such address"),
        ("DELETE", "/meters", None, 405, "this address does not support DELETE"),
        ("POST", "/explain", {"token": 5}, 422, "token: must be a string"),
        ("POST", "/explain", {}, 422, "token: it is missing"),
        ("POST", "/explain", [], 422, "the body: must be an object"),
        ("POST", "/explain", {"token": "1", "x": 1}, 422, "x: there is no such field"),
        (
            "POST",
            "/explain",
            {"token": "1", "status": {"krn": "x"}},
            422,
            "status.krn: must be a whole number",
        ),
        ("POST", "/meters/1/purchases", {"kwh": [1]}, 422, "kwh: must be a string or a number"),
        (
            "POST",
            "/meters/1/purchases",
            {"kwh": "9" * 70},
            422,
            "kwh: must be at most 64 characters long",
        ),
        (
            "POST",
            "/meters/1/management",
            {"kind": "free"},
            422,
            "kind: must be 'power-limit', 'unbalance-limit', 'clear-credit', 'clear-tamper', "
            "'tariff' or 'test'",
        ),
        ("PUT", "/admin/faults", {"slow_s": -1}, 422, "slow_s: must be at least 0"),
    ],
)
def test_errors_have_one_format_and_plain_words(
    ask: Ask, method: str, path: str, body: Any, status: int, expected: str
) -> None:
    answer = ask(method, path, body)
    assert (answer.status_code, answer.json()) == (status, {"error": expected})


def test_tokens_csv_is_a_file_for_check_tokens(ask: Ask, drn: str) -> None:
    ask("POST", f"/meters/{drn}/purchases", {"kwh": 2})
    ask("POST", f"/meters/{drn}/key-change", {"krn": 2})
    ask("POST", f"/meters/{drn}/management", {"kind": "clear-tamper"})
    answer = requests.get(f"{ask.url}/tokens.csv?meter={drn}", timeout=10)
    assert answer.headers["Content-Type"].startswith("text/csv")
    head, *lines = [line.split(",") for line in answer.text.splitlines()]
    assert head[:4] == ["meter", "token", "expected kWh", "expected result"]
    assert [line[2:4] for line in lines] == [
        ["2.0 kWh", ""],
        ["", "1stKCT"],
        ["", "Accept"],
        ["", "Accept"],
    ]
    assert {line[head.index("krn")] for line in lines} == {"1"}


# -- the command and the class


def test_a_stopped_server_leaves_no_file_and_no_thread() -> None:
    with VendServer() as server:
        file, url = server.pos.path, server.url
        assert file.exists()
    assert not file.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(url + "/health", timeout=5)
    assert not [
        t for t in threading.enumerate() if t.name == "jeton-vend-server" and url in t.name
    ]


def test_a_port_in_use_is_one_line_of_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(VendingError, match=f"cannot listen on 127.0.0.1:{port}"):
            VendServer(port=port).start()
    for host in ("nowhere.invalid", "1.2.3.4", "\0"):
        with pytest.raises(VendingError, match="cannot listen"):
            VendServer(host=host).start()


def test_a_file_that_is_not_a_database_is_one_line_of_error(tmp_path: Path) -> None:
    file = tmp_path / "pos.sqlite"
    file.write_bytes(b"no database" * 100)
    with pytest.raises(VendingError, match="not a database"):
        make_app(PointOfSale(file))


@pytest.mark.parametrize(("end", "as_json"), [(signal.SIGINT, False), (signal.SIGTERM, True)])
def test_the_command_serves_until_a_signal(
    tmp_path: Path, end: signal.Signals, as_json: bool
) -> None:
    file = tmp_path / "shop.sqlite"
    command = [sys.executable, "-m", "jeton_host", "vend-server", "--pos", str(file)]
    with subprocess.Popen(
        [*command, "--fault", "lost_answers=3", *(["--json"] if as_json else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        url = json.loads(first)["url"] if as_json else first
        if not as_json:
            assert f"{url}/docs" in process.stdout.readline()
        assert Ask(url)("GET", "/admin/faults").json()["lost_answers"] == 3
        assert Ask(url)("POST", "/meters", {}).status_code == 504
        process.send_signal(end)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors
        assert errors == ""
    assert len(PointOfSale(file).meters()) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--fault", "x"], "NAME=VALUE"),
        (["--fault", "x=1"], "fault x is not valid"),
        (["--fault", "slow_s=fast"], "fault slow_s is not valid"),
        (["--host", "1.2.3.4"], "cannot listen"),
        (["--keys", "nothing.json"], "cannot be read"),
    ],
)
def test_invalid_options_of_the_command_are_one_line_of_error(
    arguments: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    done = CliRunner().invoke(app, ["vend-server", *arguments][1:])
    assert isinstance(done.exception, VendingError), (done.output, done.exception)
    assert expected in str(done.exception)
    assert "\n" not in str(done.exception)


def test_a_missing_package_is_named() -> None:
    program = (
        "import sys\nsys.modules['fastapi'] = None\nfrom jeton_host.cli.app import main\n"
        "sys.argv[1:] = ['vend-server']\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr
        == "jeton: the vending service needs fastapi: pip install 'jeton-meter[server]'\n"
    )
