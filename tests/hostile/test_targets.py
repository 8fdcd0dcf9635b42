"""Tests of each target with changed seeds, and with random bytes, text and JSON."""

import json
import random
import time
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from targets import TARGETS

EXAMPLES = 150
PATIENCE_S = 5.0
Target = Callable[[bytes], None]

for_every_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)


def run_in_time(target: Target, data: bytes) -> None:
    started = time.process_time()
    target(data)
    assert time.process_time() - started < PATIENCE_S


@for_every_target
def test_seeds_are_accepted(target: Target) -> None:
    for seed in TARGETS[target]:
        run_in_time(target, seed)


@for_every_target
def test_any_byte_value_is_handled(target: Target) -> None:
    for byte in range(256):
        run_in_time(target, bytes([byte]))
        for seed in TARGETS[target][:1]:
            at = byte * len(seed) // 256
            # Even values are inserted, odd values replace a byte.
            run_in_time(target, seed[:at] + bytes([byte]) + seed[at + byte % 2 :])


@for_every_target
def test_parts_of_seeds_are_handled(target: Target) -> None:
    rnd = random.Random(1)
    for seed in TARGETS[target]:
        for _ in range(12):
            a, b = sorted(rnd.choices(range(len(seed) + 1), k=2))
            run_in_time(target, seed[:a])
            run_in_time(target, seed[a:b])
            run_in_time(target, seed[:a] + seed[b:])
            run_in_time(target, seed[:b] + seed[a:])


@for_every_target
@pytest.mark.parametrize("depth", [1000, 20_000])
def test_deeply_nested_json_is_handled(target: Target, depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}"), ('["enter",', "]"), ('{"fields":', "}")):
        run_in_time(target, (opening * depth).encode())
        run_in_time(target, (opening * depth + "1" + closing * depth).encode())


@for_every_target
def test_very_long_lines_are_handled(target: Target) -> None:
    for one in (b"a", b"9", b'"', b" ", b"\n", b"[", b"0,", b"\0", b"\xff", b"\xc3\xa9", b"7;1\n"):
        run_in_time(target, one * 50_000)
    run_in_time(target, b"[" + b"9" * 50_000 + b"]")
    run_in_time(target, b'{"ea":' + b"9" * 50_000 + b"}")


def _changed(seed: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy: a JSON seed with up to three values replaced, others with bytes added."""
    try:
        values = [json.loads(line) for line in seed.split(b"\n")]
    except ValueError:
        return st.binary(max_size=200).map(lambda more: seed + more)

    @st.composite
    def change(draw: st.DrawFn) -> bytes:
        value = json.loads(json.dumps(draw(st.sampled_from(values))))
        for _ in range(draw(st.integers(1, 3))):
            at = value
            while isinstance(at, (dict, list)) and at:
                names = list(at) if isinstance(at, dict) else list(range(len(at)))
                name = draw(st.sampled_from(names))
                inner = at[name]
                deeper = isinstance(inner, (dict, list)) and inner and draw(st.integers(0, 3))
                if not deeper:
                    at[name] = draw(_values)
                    break
                at = inner
        return json.dumps(value).encode()

    return change()


_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 300),
        st.sampled_from([2**31, 2**32, 2**63, 2**64, 10**30, -1, 1e308, float("nan"), 0.5]),
        st.text(max_size=20),
        st.sampled_from(["generic", "certified", "0", "00000000000", "en", "ar", "07", "\ud800"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@for_every_target
def test_changed_seeds_and_random_input_are_handled(target: Target) -> None:
    inputs = [st.binary(max_size=300), st.text(max_size=300).map(lambda s: s.encode("utf-8"))]
    inputs += [_changed(seed) for seed in TARGETS[target]]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(inputs))
    def check(data: bytes) -> None:
        run_in_time(target, data)

    check()
