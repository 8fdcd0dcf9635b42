"""Every test has a home of its own; compiled firmware is shared, also between xdist's workers.

All of them, and what they start, run as if the session had begun at one moment (`NOW`): no test
depends on the date or on the time of day.
"""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

# Where a shell runs the tests in the background, Ctrl-C is ignored, by all that they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
# Workers of xdist inherit it.
os.environ.setdefault("JETON_CLOCK_OFFSET", f"{(NOW - datetime.now(UTC)).total_seconds():.0f}")

try:
    from hypothesis import settings
except ImportError:
    pass  # the farm's environment has none
else:
    # No test is one of time: a machine may have other work.
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
    """For fixtures that outlive one test."""
    before = os.environ.get("JETON_HOME")
    os.environ["JETON_HOME"] = str(_home(tmp_path_factory.mktemp("session"), shared_cache))
    os.environ.pop("JETON_KEYS", None)
    yield
    if before is None:
        del os.environ["JETON_HOME"]
    else:
        os.environ["JETON_HOME"] = before


@pytest.fixture(autouse=True)
def jeton_home(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    home = _home(tmp_path_factory.mktemp("jeton"), shared_cache)
    monkeypatch.setenv("JETON_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def wheel_venv(shared_cache: Path) -> Path:
    """Return a virtual environment that has only the built wheel, for all that run at once."""
    from jeton_host.locks import alone
    from tests.examples import docs

    folder = shared_cache.with_name("jeton-venv")
    with alone(shared_cache.with_name("jeton-venv.lock")):
        return docs.make_venv(folder)
