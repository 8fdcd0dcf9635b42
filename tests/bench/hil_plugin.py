"""Measures the pytest plugin: an empty run, new boards, and a street of 50 meters."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKERS = 2
STREET = 50
_MANY = 200
_FEW = 40

_FRESH = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_fresh(meter, number):
    assert meter.enter("0" * 20).name == "CRCError"
    assert meter.status().credit_wh == 0
"""
_PURCHASE = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_purchase(meter, meter_pos, number):
    assert meter.enter(meter_pos.credit(5).token).good
    assert meter.status().credit_wh == 5000
"""
_STREET = """
import os, time
from pathlib import Path

def family():
    parents = {{}}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    mine = {{os.getpid()}}
    while more := {{p for p, parent in parents.items() if parent in mine and p not in mine}}:
        mine |= more
    return mine

def test_street(meter_street):
    began = time.perf_counter()
    street = meter_street({count})
    took = time.perf_counter() - began
    assert len({{meter.status().drn for meter in street}}) == {count}
    kib = 0
    for process in family():
        for line in Path(f"/proc/{{process}}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    Path("measured").write_text(f"{{kib / 1024}} {{took}}")
"""
_EMPTY = "def test_nothing(): pass\n"


def seconds(folder: Path, source: str, *options: str) -> float:
    """Return the seconds that pytest takes for a file of tests; all must pass."""
    (folder / "test_it.py").write_text(source)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"the benchmark's own tests fail:\n{done.stdout}{done.stderr}")
    return took


def processor_s() -> float:
    """Return the processor time, in s, of all child processes until now."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def each_ms(folder: Path, source: str) -> tuple[float, float]:
    """Return (elapsed, processor) ms per test with all workers, without their start.

    On a busy machine only the processor time is meaningful.
    """
    took, used = [], []
    for count in (_FEW, _MANY):
        before = processor_s()
        took.append(seconds(folder, source.format(count=count), f"-n{WORKERS}"))
        used.append(processor_s() - before)
    tests = _MANY - _FEW
    return 1000 * (took[1] - took[0]) / tests, 1000 * (used[1] - used[0]) / tests


def rows() -> list[tuple[str, float, str, float | None]]:
    """Return (name, value, unit, limit) of each measurement."""
    with tempfile.TemporaryDirectory(prefix="jeton-") as made:
        folder = Path(made)
        (folder / "pytest.ini").write_text("[pytest]\n")
        pairs = [
            (seconds(folder, _EMPTY), seconds(folder, _EMPTY, "-p", "no:jeton")) for _ in range(7)
        ]
        # The shortest time of each: other programs can only add time.
        cost = min(a for a, _ in pairs) - min(b for _, b in pairs)
        seconds(folder, _FRESH.format(count=2))  # compiles the firmware, which is then cached
        fresh, fresh_used = each_ms(folder, _FRESH)
        purchase, purchase_used = each_ms(folder, _PURCHASE)
        seconds(folder, _STREET.format(count=STREET))
        mib, took = map(float, (folder / "measured").read_text().split())
    return [
        ("plugin, added to an empty pytest run, quickest of 7", cost, "s", 0.3),
        (f"a test with a fresh board, {WORKERS} workers: 15 a second", fresh, "ms", 1000 / 15),
        ("  processor time of one", fresh_used, "ms", None),
        ("  with a purchase", purchase, "ms", None),
        ("  processor time of one", purchase_used, "ms", None),
        (f"{STREET} virtual boards at once and their test, memory", mib, "MiB", 1000),
        ("  all of them set up", took, "s", None),
    ]


if __name__ == "__main__":
    for what, value, unit, limit in rows():
        print(f"{what}: {value:.3g} {unit}" + (f" (at most {limit:.3g})" if limit else ""))
