"""Fixtures: modelled boards whose time is controlled by the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from board_rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An esp32_lcd2004 with all of its parts, and a meter with credit."""
    with Rig("esp32_lcd2004", tmp_path) as found:
        found.provision()
        found.tick(5)
        yield found
