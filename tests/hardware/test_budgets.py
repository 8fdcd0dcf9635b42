"""What the firmware may take of a board: flash, heap after a start, the largest piece."""

import pytest

from jeton_host.firmware import boards
from tests.bench import heap

WIRED = [name for name in boards.names() if boards.load(name).parts]


@pytest.mark.parametrize("name", WIRED)
def test_flash(name: str) -> None:
    sizes = heap.flash(name)
    assert len(sizes) > 25
    assert sum(sizes.values()) <= heap.FLASH_LIMIT, sizes


@pytest.mark.parametrize("name", WIRED)
def test_heap_after_a_start(name: str) -> None:
    """With the largest profile, on each display: in 64-bit words, about 76 KB on a chip."""
    found = heap.after_start(name)
    assert len(found) >= 10
    assert max(used for used, _ in found.values()) <= heap.HEAP_LIMIT, found
    assert max(piece for _, piece in found.values()) <= heap.PIECE_LIMIT, found
    assert min(used for used, _ in found.values()) > 60_000  # it is the firmware, not nothing


@pytest.mark.parametrize("name", WIRED)
def test_everything_imports_into_the_heap_of_a_small_chip(name: str) -> None:
    """160 KiB are what the prompt of an ESP32 leaves, of smaller words."""
    assert heap.import_all(name, 160 * 1024) > 35


def test_a_table_of_what_each_module_takes() -> None:
    taken = heap.shares("esp32_lcd2004")
    assert {"jeton.console", "drivers.runtime"} <= set(taken)
    assert 40_000 < sum(taken.values()) <= heap.HEAP_LIMIT
