"""Fixtures for the tests of a vending system: the system, and its interface."""

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from jeton_host import VendServer


class Vending:
    """Client of the vending system. Change the addresses to those of your system."""

    def __init__(self, url: str, drn: str) -> None:
        self.url = url
        self.drn = drn
        self.http = requests.Session()
        # Six attempts at most; each waits as long as Retry-After says.
        retry = Retry(5, status_forcelist=(503, 504), allowed_methods=None)
        self.http.mount(url, HTTPAdapter(max_retries=retry))

    def buy(self, kwh: str, order: str | None = None) -> str:
        """Buy energy and return the token; repeating an order is not a second purchase."""
        headers = {"Idempotency-Key": order or str(uuid.uuid4())}
        path = f"/meters/{self.drn}/purchases"
        return self._ask("POST", path, json={"kwh": kwh}, headers=headers).json()["token"]

    def purchases(self) -> list[dict[str, Any]]:
        """Return the purchases of the meter."""
        return self._ask("GET", f"/meters/{self.drn}/purchases").json()

    def change_key(self, **to: Any) -> list[str]:
        """Return the tokens of a key change."""
        return self._ask("POST", f"/meters/{self.drn}/key-change", json=to).json()["tokens"]

    def explain(self, token: str, status: dict[str, Any]) -> dict[str, Any]:
        """Return a description of a token and the reason why such a meter refuses it."""
        question = {"token": token, "meter": self.drn, "status": status}
        return self._ask("POST", "/explain", json=question).json()

    def issued(self) -> bytes:
        """Return all tokens of the meter as a file for check-tokens."""
        return self._ask("GET", "/tokens.csv", params={"meter": self.drn}).content

    def let_fail(self, **faults: Any) -> None:
        """Set the faults of the vending system; faults that are not named are off."""
        if self.http.put(f"{self.url}/admin/faults", json=faults, timeout=10).status_code != 200:
            pytest.skip("this vending system cannot be made to fail")

    def _ask(self, method: str, path: str, **what: Any) -> requests.Response:
        answer = self.http.request(method, self.url + path, timeout=10, **what)
        answer.raise_for_status()
        return answer


@pytest.fixture
def vending(meter_pos: Any) -> Iterator[Vending]:
    """The vending system at $VENDING_URL; by default, a local one for the meter of this test."""
    url = os.environ.get("VENDING_URL")
    if url:
        yield Vending(url, meter_pos.drn)
        return
    with VendServer(meter_pos.path) as server:
        yield Vending(server.url, meter_pos.drn)
