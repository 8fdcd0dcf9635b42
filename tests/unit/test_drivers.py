"""The drivers that need no hardware, on CPython; the board tests use them in MicroPython."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from jeton_host.paths import firmware_dir

_ESP32_PERIOD = 1 << 30  # of ticks_ms


@pytest.fixture
def clock_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(firmware_dir()))
    import drivers.clock as module

    yield module
    for name in ("drivers", "drivers.clock", "drivers.storage"):
        sys.modules.pop(name, None)


@pytest.fixture
def ticks(clock_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Milliseconds that a test moves on; they wrap as on an ESP32, just before the start even."""
    now = [_ESP32_PERIOD - 500]
    half = _ESP32_PERIOD // 2
    monkeypatch.setattr(clock_module, "ticks_ms", lambda: now[0] % _ESP32_PERIOD)
    monkeypatch.setattr(
        clock_module, "ticks_diff", lambda a, b: (a - b + half) % _ESP32_PERIOD - half
    )
    return now


def test_seconds_pass_without_drift_across_the_wrap(
    clock_module: ModuleType, ticks: list[int]
) -> None:
    clock = clock_module.Clock(800_000_000)
    for step in (1, 333, 17, 999, 650) * 1000:
        ticks[0] += step
        clock.now()
    assert clock.now() == 800_000_000 + 2000
    ticks[0] += 6 * 86400 * 1000
    assert clock.now() == 800_000_000 + 2000 + 6 * 86400


def test_rate(clock_module: ModuleType, ticks: list[int]) -> None:
    clock = clock_module.Clock(0)
    clock.rate = 3600
    ticks[0] += 500
    assert clock.now() == 1800
    clock.rate = 0
    ticks[0] += 10**6
    assert clock.now() == 1800
    clock.rate = 1
    ticks[0] += 999
    assert clock.now() == 1800
    ticks[0] += 1
    assert clock.now() == 1801
    assert clock.rate == 1
    for wrong in (-1, 0.5):
        with pytest.raises(ValueError, match="whole number"):
            clock.rate = wrong


def test_a_fast_clock_lingers(clock_module: ModuleType, ticks: list[int]) -> None:
    clock = clock_module.Clock(0)
    clock.linger(5)
    clock.rate = 60
    clock.linger(5)
    ticks[0] += 3000
    assert (clock.now(), clock.rate) == (3, 60)
    ticks[0] += 3000
    assert clock.now() == 5 + 60
    ticks[0] += 1000
    assert clock.now() == 5 + 120
    clock.linger(5)
    clock.rate = 60  # who sets the rate means it
    ticks[0] += 1000
    assert clock.now() == 5 + 180
    clock.rate = 0
    clock.linger(5)
    ticks[0] += 1000
    assert clock.now() == 5 + 180


def test_set_and_advance(clock_module: ModuleType, ticks: list[int]) -> None:
    clock = clock_module.Clock()
    ticks[0] += 700
    clock.set(100)
    ticks[0] += 999
    assert clock.now() == 100
    assert clock.advance(30) == 130
    ticks[0] += 1
    assert clock.now() == 131
    assert isinstance(clock.now(), int)


def test_storage_replaces_whole(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    path = tmp_path / "meter.bin"
    storage = Storage(str(path))
    assert storage.load(0) is storage.load(1) is storage.load(2) is None
    storage.save([bytearray(b"one"), b"", b" and more"])
    assert storage.load(0) == path.read_bytes() == b"one and more"
    storage.save([b"two"])
    assert Storage(str(path)).load(0) == b"two"
    storage.save_tick(bytearray(b"tick 1"))
    storage.save_tick(b"tick")
    assert Storage(str(path)).load(2) == b"tick"
    assert storage.load(1) == b"two"
    names = ["meter.bin", "meter.bin.d", "meter.bin.tick"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert [file.name for file in (tmp_path / "meter.bin.d").iterdir()] == ["copy"]


def test_what_the_store_holds_is_read_again(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    path = tmp_path / "meter.bin"
    storage = Storage(str(path))
    parts = [bytes(range(256)) * 2, b"", b"steps" * 60]
    assert not storage.holds(parts, 14, 48)
    storage.save(parts)
    assert storage.holds(parts, 14, 48)
    whole = b"".join(parts)
    for at in range(0, len(whole), 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert storage.holds(parts, 14, 48) == (14 <= at < 48)
    for wrong in (whole[:-1], whole + b"x", whole[:30], b""):
        path.write_bytes(wrong)
        assert not storage.holds(parts, 14, 48)


def test_a_failed_save_keeps_the_old_record(
    clock_module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import drivers.storage as module

    storage = module.Storage(str(tmp_path / "meter.bin"))
    storage.save([b"old"])
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(28)

        patch.setattr(module.os, "rename", fail)
        with pytest.raises(OSError, match="28"):
            storage.save([b"new"])
    assert module.Storage(storage.path).load(0) == b"old"
    storage.save([b"new"])
    assert module.Storage(storage.path).load(0) == b"new"


def test_without_room_for_a_copy_there_is_none(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    (tmp_path / "meter.bin.d").write_bytes(b"in the way")
    storage = Storage(str(tmp_path / "meter.bin"))
    storage.save([b"record"])
    assert storage.load(0) == b"record"


def test_an_older_copy_does_not_stand_in_for_the_record_one_day(
    clock_module: ModuleType, tmp_path: Path
) -> None:
    from drivers.storage import Storage

    storage = Storage(str(tmp_path / "meter.bin"))
    storage.save([b"first"])
    storage.load(1)  # makes the folder of the copy
    storage.save([b"second"])
    assert storage.load(1) == b"second"
    (tmp_path / "meter.bin.d" / "copy.new").mkdir()  # in the way, as a full flash is
    storage.save([b"third"])
    assert storage.load(0) == b"third"
    assert storage.load(1) is None


def test_a_record_that_cannot_be_read_is_not_one_that_is_not_there(
    clock_module: ModuleType, tmp_path: Path
) -> None:
    from drivers.storage import Storage

    (tmp_path / "meter.bin").mkdir()
    with pytest.raises(OSError, match="directory"):
        Storage(str(tmp_path / "meter.bin")).load(0)
    assert Storage(str(tmp_path / "none.bin")).load(0) is None


def test_a_useless_record_is_set_aside(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    path = tmp_path / "meter.bin"
    path.write_bytes(b"useless")
    storage = Storage(str(path))
    storage.save_tick(b"tick")
    storage.set_aside()
    assert storage.load(0) is storage.load(1) is storage.load(2) is None
    assert (tmp_path / "meter.bin.bad").read_bytes() == b"useless"
    assert (tmp_path / "meter.bin.tick.bad").read_bytes() == b"tick"
    storage.set_aside()
