"""Measures `check-tokens`: 10,000 tokens for 1,000 meters, ten each, in the order of a file."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jeton_host.checking import check as checking
from jeton_host.checking.rows import read
from jeton_host.vending.pan import make_drn
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import describe_meter
from jeton_host.vending.tokens import encode

METERS = 1000
TOKENS = 10  # tokens per meter
LIMIT_S = 60
_TID = 6_000_000


def issued(meters: int, tokens: int) -> bytes:
    """Return a file of tokens: the first of every meter, then the second of every meter, …"""
    pos = PointOfSale(Path("absent.sqlite"))
    records = [describe_meter("m", drn=make_drn(number)) for number in range(1, meters + 1)]
    keys = [pos.decoder_key(record) for record in records]
    lines = ["meter,token,expected kWh"]
    for minute in range(tokens):
        fields = {"rnd": 1, "tid": _TID + minute, "amount": 125}
        for record, key in zip(records, keys, strict=True):
            lines.append(f"{record.drn},{encode(0, 0, fields, key=key)},12.5")
    return "\n".join(lines).encode()


def seconds(meters: int = METERS, tokens: int = TOKENS) -> float:
    """Return the seconds from the bytes of a file to the results of all rows."""
    data = issued(meters, tokens)
    with tempfile.TemporaryDirectory(prefix="jeton-") as folder:
        pos = PointOfSale(Path(folder) / "pos.sqlite")
        start = time.perf_counter()
        found = checking.check(read(data).rows, pos=pos, jobs=os.cpu_count() or 1)
        took = time.perf_counter() - start
    if len(found) != meters * tokens or not all(checked.as_expected for checked in found):
        raise SystemExit("the benchmark's own tokens were refused")
    return took


def measure(row: Callable[..., None]) -> None:
    """Add the measurements to the table of `make bench`."""
    took = seconds()
    row(f"check-tokens, {METERS * TOKENS} tokens for {METERS} meters", took, "s", LIMIT_S)
    row("  tokens a second", METERS * TOKENS / took, "")


if __name__ == "__main__":
    measure(lambda what, value, unit, limit=None: print(f"{what}: {value:.4g} {unit}"))
