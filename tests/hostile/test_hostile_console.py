"""Tests of the console with hostile lines: it answers each one and works as before."""

import json
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from console_rig import CONFIG, KEY, Rig
from hypothesis import HealthCheck, given, settings

import both_support as support
from jeton import setup
from jeton.console import VERBS

EXAMPLES = 700
NAMES = (*setup._KEYS, "other")


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig() as one:
        # Call verbs that import modules on first use (load, reports, calendar): those keep heap.
        check_meter_works(one)
        for request in (["load_profile", [[0, 1]]], ["events"], ["press", "0#"], ["reports"]):
            one.call(*request)
        one.call("clock", support.T0 + 86_400)
        one.call("provision", {**CONFIG, "ea": 11, "decoder_key": 2 * KEY})
        one.call("enter", support.class1(0))
        assert "error" in one.ask('["lock", "short"]')
        check_meter_works(one)
        yield one


def check_meter_works(rig: Rig) -> None:
    """Provision the meter again and enter a good token, so that the heap use is comparable."""
    rig.call("provision", CONFIG)
    entered = rig.call("enter", support.credit(2000))
    assert entered["name"] == "Accept"


# Verbs with arguments of the right type, and with values close to valid ones.
whole = st.one_of(
    st.integers(-2, 300),
    st.sampled_from([2**31, 2**32 - 1, 2**32, 2**63, 2**64, 10**40, -(2**31), -(10**30)]),
)
words = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "generic", "../meter", "en", "\0", "0" * 20, "i#*"]),
    st.text("0123456789 -#*i", max_size=120),
)
plain = st.one_of(st.none(), st.booleans(), whole, st.floats(), words)
anything = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(words, inner, max_size=5)
    ),
    max_leaves=15,
)
steps = st.lists(st.lists(whole, min_size=2, max_size=2), max_size=300)
loads = st.fixed_dictionaries(
    {}, optional={"steps": steps, "repeat_s": whole, "at": whole, "more": st.booleans()}
)
configs = st.builds(
    lambda changes, base: {**base, **changes},
    st.dictionaries(
        st.sampled_from(
            [
                "drn",
                "ea",
                "tables",
                "decoder_key",
                "kt",
                "sgc",
                "ti",
                "krn",
                "ken",
                "bdt",
                "kct",
                "mfr_code",
                "profile",
                "tid0",
                "credit_wh",
                "clock",
                "display",
                "other",
            ]
        ),
        anything,
        max_size=3,
    ),
    st.just(CONFIG),
)
arguments = st.one_of(anything, whole, words, loads, steps, configs)
requests = st.one_of(
    st.tuples(st.sampled_from(VERBS), arguments).map(list),
    st.tuples(st.sampled_from(VERBS)).map(list),
    st.lists(arguments, max_size=4),
    st.tuples(st.sampled_from(VERBS), arguments, arguments).map(list),
    anything,
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(requests)
def check_requests(rig: Rig, request: Any) -> None:
    rig.ask(json.dumps(request))


def test_any_json_request_is_answered(rig: Rig) -> None:
    check_meter_works(rig)
    before = rig.used
    check_requests(rig)
    check_meter_works(rig)
    assert abs(rig.used - before) < 2_000


def test_lines_that_are_not_json_are_answered(rig: Rig) -> None:
    check_meter_works(rig)
    before = rig.used
    good = json.dumps(["enter", "0" * 20])
    lines: list[str | bytes] = [bytes([byte]) for byte in range(256)]
    lines += [bytes([byte]) * 50 for byte in range(256)]
    lines += [good.encode()[:length] for length in range(len(good))]
    lines += [good.encode()[:9] + bytes([byte]) + good.encode()[9:] for byte in range(256)]
    lines += [
        "",
        " ",
        "nul",
        "[",
        '["',
        '["enter',
        "]",
        "{}",
        "[]",
        "[[]]",
        "[{}]",
        '"enter"',
        "1",
    ]
    lines += [b'["enter", "\xff\xfe"]', b'["\xc3"]', b"\xef\xbb\xbf" + good.encode()]
    lines += ['["status"] ["status"]', "NaN", "[Infinity]", '["tid", 1e400]', '["load", 1e5]']
    lines += ['["status", "\\ud800"]', '["press", "\\u0000"]', "[1,]", '["enter",]', "//", "\r\n"]
    for line in lines:
        rig.ask(line)
    check_meter_works(rig)
    assert abs(rig.used - before) < 2_000


@pytest.mark.parametrize("depth", [10, 100, 1000, 4000])
@pytest.mark.parametrize(
    "way", ["[", '{"a":', '["enter",', '["provision", {"drn":', '["load_profile",[']
)
def test_deeply_nested_json_is_answered(rig: Rig, depth: int, way: str) -> None:
    check_meter_works(rig)
    before = rig.used
    opened = way * depth
    closing = "".join({"[": "]", "{": "}"}[c] for c in reversed(opened) if c in "[{")
    rig.ask(opened)
    rig.ask(opened + "1" + closing)
    rig.ask('["enter", ' + opened + "1" + closing + "]")
    rig.ask('["provision", ' + opened + "1" + closing + "]")
    check_meter_works(rig)
    assert abs(rig.used - before) < 2_000


@pytest.mark.parametrize("size", [100, 1000, 5000, 20_000, 60_000])
def test_long_lines_are_answered(rig: Rig, size: int) -> None:
    check_meter_works(rig)
    before = rig.used
    for line in (
        "x" * size,
        json.dumps(["x" * size]),
        json.dumps(["enter", "7" * size]),
        json.dumps(["enter", " " * size]),
        json.dumps(["press", "7" * size]),
        json.dumps(["press", "x" * size]),
        json.dumps(["language", "x" * size]),
        json.dumps(["provision", {"x" * size: 1}]),
        json.dumps(["provision", {**CONFIG, "profile": "x" * size}]),
        json.dumps(["provision", {**CONFIG, "drn": "9" * size}]),
        json.dumps(["load_profile", [[i, 1] for i in range(size // 8)]]),
        json.dumps(["status", *range(size // 6)]),
        "[" + "9" * size + "]",
        '["load", ' + "9" * size + "]",
        "[" + '"",' * (size // 4) + "1]",
    ):
        rig.ask(line)
    check_meter_works(rig)
    assert abs(rig.used - before) < 2_000


def test_an_advance_over_any_load_ends_in_time(rig: Rig) -> None:
    """A dense load over 100 years is the most work that one call can do."""
    for steps_, repeat_s in (
        ([[0, 1000]], 1),
        ([[i, 900 + i % 2] for i in range(256)], 256),
        ([[i * 2000, 900 + i % 2] for i in range(256)], 604_800),
    ):
        rig.call("provision", {**CONFIG, "credit_wh": 9_999_999_990, "clock": 0})
        rig.ask(json.dumps(["load_profile", {"steps": steps_, "repeat_s": repeat_s}]))
        for days in (1, 36_500):
            rig.ask(json.dumps(["advance", days * 86_400]), patience_s=15)
    check_meter_works(rig)
