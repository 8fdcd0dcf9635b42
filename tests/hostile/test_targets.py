"""Each target with its seeds, bent and broken, and with made-up octets, text and JSON."""

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

every = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)


def within_patience(target: Target, data: bytes) -> None:
    began = time.process_time()
    target(data)
    assert time.process_time() - began < PATIENCE_S


@every
def test_seeds_are_taken(target: Target) -> None:
    for seed in TARGETS[target]:
        within_patience(target, seed)


@every
def test_octets_of_every_value(target: Target) -> None:
    for octet in range(256):
        within_patience(target, bytes([octet]))
        for seed in TARGETS[target][:1]:
            at = octet * len(seed) // 256
            # One more, or in place of another, in turn.
            within_patience(target, seed[:at] + bytes([octet]) + seed[at + octet % 2 :])


@every
def test_seeds_cut_short_and_shuffled(target: Target) -> None:
    rnd = random.Random(1)
    for seed in TARGETS[target]:
        for _ in range(12):
            a, b = sorted(rnd.choices(range(len(seed) + 1), k=2))
            within_patience(target, seed[:a])
            within_patience(target, seed[a:b])
            within_patience(target, seed[:a] + seed[b:])
            within_patience(target, seed[:b] + seed[a:])


@every
@pytest.mark.parametrize("depth", [1000, 20_000])
def test_depth(target: Target, depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}"), ('["enter",', "]"), ('{"fields":', "}")):
        within_patience(target, (opening * depth).encode())
        within_patience(target, (opening * depth + "1" + closing * depth).encode())


@every
def test_lines_without_end(target: Target) -> None:
    for one in (b"a", b"9", b'"', b" ", b"\n", b"[", b"0,", b"\0", b"\xff", b"\xc3\xa9", b"7;1\n"):
        within_patience(target, one * 50_000)
    within_patience(target, b"[" + b"9" * 50_000 + b"]")
    within_patience(target, b'{"ea":' + b"9" * 50_000 + b"}")


def _bent(seed: bytes) -> st.SearchStrategy[bytes]:
    """Give a JSON seed with a value somewhere in it replaced, taken away or doubled."""
    try:
        values = [json.loads(line) for line in seed.split(b"\n")]
    except ValueError:
        return st.binary(max_size=200).map(lambda more: seed + more)

    @st.composite
    def bend(draw: st.DrawFn) -> bytes:
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

    return bend()


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


@every
def test_bent_seeds(target: Target) -> None:
    inputs = [st.binary(max_size=300), st.text(max_size=300).map(lambda s: s.encode("utf-8"))]
    inputs += [_bent(seed) for seed in TARGETS[target]]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(inputs))
    def check(data: bytes) -> None:
        within_patience(target, data)

    check()
