"""Tests of `make flaky` and `make dates`: failed tests are listed, and busy loops end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import dates, flaky

# Fails in every second run.
SOMETIMES = """
from pathlib import Path

def test_good():
    pass

def test_sometimes():
    file = Path(__file__).with_name("runs")
    count = len(file.read_text()) if file.exists() else 0
    file.write_text("." * (count + 1))
    assert count % 2 == 0, "this time it fails"
"""


def _ends(pid: int) -> bool:
    """Return whether a process ends within 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_failed_tests_are_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(SOMETIMES)
    quiet = ["-p", "no:cacheprovider", str(file)]
    assert flaky.main(["--runs", "4", "--busy", "1", *quiet]) == 1
    output = capfd.readouterr().out
    assert "test_some::test_sometimes: failed in 2 of 4 (run [2, 4])" in output
    assert "this time it fails" in output
    assert "run 3 of 4, beside 0 busy loops" in output
    assert f"run 4 of 4, beside {os.cpu_count()} busy loops" in output
    assert output.endswith("1 tests failed at least once in 4 runs\n")
    assert flaky.main(["--runs", "1", "-k", "good", *quiet]) == 0


def test_a_run_that_does_not_end_normally_is_listed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "test_gone.py"
    file.write_text("import os\n\ndef test_gone():\n    os._exit(7)\n")
    assert flaky.main(["--runs", "1", "-p", "no:cacheprovider", str(file)]) == 1
    assert "run 1 ended with status 7" in capfd.readouterr().out


def test_busy_loops_end_with_their_parent() -> None:
    with flaky.busy(2) as loops:
        assert len(loops) == 2
        for pid in loops:
            os.kill(pid, 0)
    assert all(_ends(pid) for pid in loops)
    killed = (
        "import os\nfrom tests import flaky\n"
        "with flaky.busy(1) as loops:\n"
        "    print(*loops, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", killed], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == -9
    assert _ends(int(done.stdout))


def test_dates_needs_faketime(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert dates.main([]) == 1
    assert "no `faketime`: install it" in capsys.readouterr().out


def test_dates_include_ends_of_years_and_months_and_leap_days() -> None:
    days = [moment[5:10] for moment, _ in dates.MOMENTS]
    assert {"12-31", "02-29", "04-30"} <= set(days)
    assert {moment[:4] for moment, _ in dates.MOMENTS} >= {"2028", "2037", "2045"}
    assert {zone for _, zone in dates.MOMENTS} == {"Africa/Douala", "Asia/Kathmandu"}
