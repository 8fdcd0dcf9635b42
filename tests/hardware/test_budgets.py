"""Limits of the firmware on a board: flash, heap after a start, the largest heap block."""

import pytest

from jeton_host.firmware import boards
from tests.bench import heap

WIRED = [name for name in boards.names() if boards.load(name).parts]


@pytest.mark.parametrize("name", WIRED)
def test_the_firmware_fits_its_flash_budget(name: str) -> None:
    sizes = heap.flash(name)
    assert len(sizes) > 25
    assert sum(sizes.values()) <= heap.FLASH_LIMIT, sizes


@pytest.mark.parametrize("name", WIRED)
def test_the_heap_after_a_start_is_within_its_budget(name: str) -> None:
    """Use the largest profile and each display; 110 KiB in 64-bit words are 76 KB on a chip."""
    found = heap.after_start(name)
    assert len(found) >= 10
    assert max(used for used, _ in found.values()) <= heap.HEAP_LIMIT, found
    assert max(piece for _, piece in found.values()) <= heap.PIECE_LIMIT, found
    assert min(used for used, _ in found.values()) > 60_000  # the firmware is included


@pytest.mark.parametrize("name", WIRED)
def test_all_modules_fit_into_the_heap_of_a_small_chip(name: str) -> None:
    """160 KiB is the free heap at the prompt of an ESP32, whose words are smaller."""
    assert heap.import_all(name, 160 * 1024) > 35


def test_the_flash_and_heap_of_each_module_are_listed() -> None:
    taken = heap.shares("esp32_lcd2004")
    assert {"jeton.console", "drivers.runtime"} <= set(taken)
    assert 40_000 < sum(taken.values()) <= heap.HEAP_LIMIT
