"""Wired boards for tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """The usual bench, with a meter that has credit."""
    with Rig("esp32_lcd2004", tmp_path) as found:
        found.provision()
        found.tick(5)
        yield found
