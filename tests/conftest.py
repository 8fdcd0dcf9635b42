"""Fixtures of all tests: each test has its own $JETON_HOME; all share the compiled firmware.

All tests, and the processes that they start, run as if the session had begun at `NOW`. So no test
depends on the date or on the time of day.
"""

import gc
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

# A shell that runs the tests in the background ignores Ctrl-C, and child processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
# The workers of xdist inherit this variable.
os.environ.setdefault("JETON_CLOCK_OFFSET", f"{(NOW - datetime.now(UTC)).total_seconds():.0f}")

try:
    from hypothesis import settings
except ImportError:
    pass  # the environment of the farm tests does not contain Hypothesis
else:
    # No test has a time limit: the machine may be busy with other work.
    settings.register_profile("jeton", deadline=None)
    settings.load_profile("jeton")


def _home(folder: Path, shared: Path) -> Path:
    home = folder / "home"
    home.mkdir()
    (home / "cache").symlink_to(shared)
    return home


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    cache = base / "jeton-cache"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(scope="session", autouse=True)
def _session_home(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[None]:
    """Set $JETON_HOME for fixtures that live longer than one test."""
    before = os.environ.get("JETON_HOME")
    os.environ["JETON_HOME"] = str(_home(tmp_path_factory.mktemp("session"), shared_cache))
    os.environ.pop("JETON_KEYS", None)
    yield
    if before is None:
        del os.environ["JETON_HOME"]
    else:
        os.environ["JETON_HOME"] = before


@pytest.fixture(scope="module", autouse=True)
def _quick_garbage_collection() -> None:
    """Exclude all existing objects from garbage collection, such as modules and collected tests.

    Tests and the firmware under test call gc.collect() thousands of times, for small heaps.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def jeton_home(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    home = _home(tmp_path_factory.mktemp("jeton"), shared_cache)
    monkeypatch.setenv("JETON_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def wheel_venv(shared_cache: Path) -> Path:
    """Return a virtual environment with only the built wheel; parallel sessions share it."""
    from jeton_host.locks import alone
    from tests.examples import docs

    folder = shared_cache.with_name("jeton-venv")
    with alone(shared_cache.with_name("jeton-venv.lock")):
        return docs.make_venv(folder)
