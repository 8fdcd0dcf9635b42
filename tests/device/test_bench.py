"""`jeton bench` on virtual boards: it measures every figure and leaves the meter unchanged."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from command import jeton, refused, result_of

from jeton_host.bench import facts, flash_use, measuring
from jeton_host.bench.measuring import Figure
from jeton_host.meter import Meter
from jeton_host.meters.named import make_config
from jeton_host.virtual.board import VirtualBoard

pytestmark = pytest.mark.virtual_only


@pytest.fixture(autouse=True, scope="module")
def few_tokens() -> Iterator[None]:
    """Count the flash for fewer tokens: tests/hardware/test_budgets.py counts it for many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flash_use, "TOKENS", 5)
        yield


@pytest.fixture(scope="module", params=["virtual", "esp32_lcd2004"])
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    with VirtualBoard(board=request.param) as board:
        with Meter(board.path) as meter:
            meter.provision(make_config() | {"credit_wh": 12_340})
            meter.set_rate(0)
            before = meter.status()
        value: dict[str, Any] = result_of("bench", board.path)
        with Meter(board.path) as meter:
            after = meter.status()
            names = meter.run("import os\nprint(os.listdir('/'))")
        # The board's own meter is unchanged, and the meter of the measurement is removed.
        assert (after.drn, after.credit_wh, after.tid_newest) == (
            before.drn, before.credit_wh, before.tid_newest,
        )  # fmt: skip
        assert "bench.bin" not in names
    assert value["board"] == request.param
    return value


def test_all_figures_are_measured(found: dict[str, Any]) -> None:
    figures = {figure["name"].strip(): figure for figure in found["figures"]}
    assert set(figures) >= {
        *("start to first display", "EA07, a block", "EA11, a block with key schedule"),
        *("token to result, saved on flash", "heap free after a start", ".mpy files"),
    }
    assert all(figure["value"] >= 0 for figure in figures.values())
    targets = {name: figure["target"] for name, figure in figures.items() if figure["target"]}
    assert targets[".mpy files"] == 96
    assert targets["token to result, without the flash"] == 150
    assert targets["key to echo, two scans of 20 ms with it"] == 50
    assert targets["its imports"] == 2000
    # The first token also loads modules, so it has a figure of its own.
    first = figures["first token after a start, its modules loaded with it"]
    assert first["value"] > figures["token to result, saved on flash"]["value"]
    # The figures are those of a chip: the models of the parts are not counted.
    in_use = figures["heap in use after a start"]
    assert in_use["target"] == 110
    assert 50 < in_use["value"] <= 110
    assert in_use["value"] + 1 < figures["after the first token"]["value"] < 150
    total = sum(found["mpy_octets"].values())
    assert figures[".mpy files"]["value"] == pytest.approx(total / 1024, abs=0.001)
    assert "jeton/meter.mpy" in found["mpy_octets"]


def test_the_use_of_the_flash_is_counted(found: dict[str, Any]) -> None:
    uses = {use["name"]: use for use in found["flash"]}
    assert list(uses) == [
        *("start", "first token after a start", "token, the median of 5", "key change"),
        "an hour with 2,000 W",
    ]
    for use in uses.values():
        assert min(use["reads"], use["programs"]) > 0
        assert use["bytes_read"] >= 32 * use["reads"]
        assert use["chip_ms"] > 0.1 * use["reads"]
    token = uses["token, the median of 5"]
    assert token["worst"]["reads"] >= token["reads"]
    assert uses["key change"]["programs"] >= token["programs"]


def test_an_esp32_is_estimated_and_the_method_is_printed(found: dict[str, Any]) -> None:
    figures = {figure["name"].strip(): figure for figure in found["figures"]}
    block = figures["EA07, a block"]
    assert block["estimate_esp32"] == pytest.approx(block["value"] * 330 / 11.6, rel=0.01)
    token = figures["token to result, without the flash"]
    assert token["estimate_esp32"] == pytest.approx(token["value"] * 28 / 1.311, rel=0.01)
    assert figures["start to first display"]["estimate_esp32"] is None
    assert found["method"].startswith("Estimated for an ESP32 at 160 MHz, not measured there")


def test_a_chip_is_measured_and_not_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    whole = facts.facts
    monkeypatch.setattr(
        "jeton_host.bench.facts.facts", lambda m: replace(whole(m), platform="esp32")
    )
    with VirtualBoard() as board:
        value = result_of("bench", board.path)
    figures = {figure["name"].strip(): figure for figure in value["figures"]}
    assert value["method"] is value["flash"] is None
    assert all(figure["estimate_esp32"] is None for figure in figures.values())
    assert figures["start to first display"]["target"] == 2000
    assert figures["token to result, saved on flash"]["target"] == 150


@pytest.mark.parametrize(
    ("figure", "slow"),
    [
        (Figure("x", 60, "ms", 50), True),
        (Figure("x", 40, "ms", 50), False),
        (Figure("x", 4, "ms", 50, 60), True),
        (Figure("x", 60, "ms", 50, 40), False),
        (Figure("x", 60, "ms"), False),
    ],
)
def test_a_figure_is_compared_with_its_target(figure: Figure, slow: bool) -> None:
    assert figure.slow is slow
    assert figure.as_dict()["slow"] is slow


def test_the_figures_are_printed_as_a_table() -> None:
    with VirtualBoard() as board:
        said = jeton("bench", board.path, "--modules")
    assert "ESP32, estimated" in said
    assert "token to result" in said
    assert "jeton/meter.mpy" in said
    assert "<= 96 KiB" in said
    assert "chip: its time by a model" in said
    assert "key change" in said


def test_a_terminal_without_unicode_gets_plain_characters() -> None:
    with VirtualBoard() as board:
        done = subprocess.run(
            [sys.executable, "-m", "jeton_host", "bench", board.path],
            env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            capture_output=True,
            check=True,
        )
    assert re.search(rb"EA07, a block .* [0-9.]+ us ", done.stdout)
    assert b"?" not in done.stdout


def test_wrong_uses_are_refused() -> None:
    assert "does not exist" in refused("bench", "/dev/nonesuch")
    with VirtualBoard() as board:
        with Meter(board.path) as meter:
            meter.provision(make_config())
            meter.lock("correct horse")
        assert "is locked, and measuring needs its REPL" in refused("bench", board.path)


def test_a_failed_measurement_leaves_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "encode", lambda *_, **__: "0" * 20)
    with VirtualBoard() as board:
        assert refused("bench", board.path).endswith("failed: ValueError: the token was refused")
        with Meter(board.path) as meter:
            assert "bench.bin" not in meter.run("import os\nprint(os.listdir('/'))")
