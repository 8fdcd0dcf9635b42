"""The page of the vending service works in a browser: "Try it out" sells a token.

Source: the page showed "does not specify a valid version field" in every browser: a Swagger UI 4
with an OpenAPI 3.1 document.
"""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from jeton_host import VendServer

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1200,2600",
)
WAIT_S = 60


@pytest.fixture
def server() -> Iterator[VendServer]:
    with VendServer() as server:
        yield server


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs Chromium and its driver (Debian: chromium chromium-driver)")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("SE_OFFLINE", "true")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in OPTIONS:
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def try_out(browser: Any, operation: str) -> tuple[str, Any]:
    """Open an operation, press "Try it out" and "Execute"; return status and answer."""
    wait = WebDriverWait(browser, WAIT_S)

    def part(css: str) -> Any:
        return wait.until(lambda _: block.find_element(By.CSS_SELECTOR, css))

    block = wait.until(lambda _: browser.find_element(By.CSS_SELECTOR, f"[id$='{operation}']"))
    part(".opblock-summary").click()
    part(".try-out__btn").click()
    part(".execute").click()
    status = part(".live-responses-table .response .response-col_status").text.split()[0]
    return status, json.loads(part(".live-responses-table .response .highlight-code code").text)


def test_a_token_is_sold_on_the_page(browser: Any, server: VendServer) -> None:
    browser.get(f"{server.url}/")
    assert browser.current_url == f"{server.url}/docs"
    status, meter = try_out(browser, "add_meter_meters_post")
    assert (status, meter["name"]) == ("201", "home")
    status, sale = try_out(browser, "purchase_meters__meter__purchases_post")
    assert (status, sale["kwh"]) == ("201", "12.5")
    assert len(sale["token"]) == 20
    assert "valid version field" not in browser.page_source
    status, change = try_out(browser, "key_change_meters__meter__key_change_post")
    assert (status, len(change["tokens"])) == ("201", 2)
    status, limit = try_out(browser, "management_meters__meter__management_post")
    assert (status, limit["what"]) == ("201", "maximum power limit of 5000 W")
    status, found = try_out(browser, "why_explain_post")
    assert (status, found["class"], found["result"]) == ("200", 1, "Accept")


def test_the_page_needs_no_other_server(server: VendServer) -> None:
    with urllib.request.urlopen(f"{server.url}/docs", timeout=20) as answer:
        page = answer.read().decode()
    assert "http://" not in page.replace(server.url, "")
    assert "https://" not in page
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        with urllib.request.urlopen(f"{server.url}/static/{name}", timeout=20) as answer:
            assert answer.read(1)


def test_each_request_has_an_example_that_fits_its_model(server: VendServer) -> None:
    from jeton_host.vending.service import messages

    with urllib.request.urlopen(f"{server.url}/openapi.json", timeout=20) as answer:
        schemas = json.load(answer)["components"]["schemas"]
    for name in ("NewMeter", "Purchase", "KeyChange", "Management", "Question", "Faults"):
        (example,) = schemas[name]["examples"]
        getattr(messages, name).model_validate(example)
