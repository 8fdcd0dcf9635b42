"""Tests of drivers without hardware, in CPython; the board tests run them in MicroPython."""

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
    """Milliseconds that a test can change; they wrap as on an ESP32, 500 ms after the start."""
    now = [_ESP32_PERIOD - 500]
    half = _ESP32_PERIOD // 2
    monkeypatch.setattr(clock_module, "ticks_ms", lambda: now[0] % _ESP32_PERIOD)
    monkeypatch.setattr(
        clock_module, "ticks_diff", lambda a, b: (a - b + half) % _ESP32_PERIOD - half
    )
    return now


def test_the_clock_has_no_drift_when_ticks_wrap(
    clock_module: ModuleType, ticks: list[int]
) -> None:
    clock = clock_module.Clock(800_000_000)
    for step in (1, 333, 17, 999, 650) * 1000:
        ticks[0] += step
        clock.now()
    assert clock.now() == 800_000_000 + 2000
    ticks[0] += 6 * 86400 * 1000
    assert clock.now() == 800_000_000 + 2000 + 6 * 86400


def test_the_clock_runs_at_its_rate(clock_module: ModuleType, ticks: list[int]) -> None:
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


def test_linger_runs_a_fast_clock_at_rate_1_for_a_while(
    clock_module: ModuleType, ticks: list[int]
) -> None:
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
    clock.rate = 60  # setting the rate ends the slow phase
    ticks[0] += 1000
    assert clock.now() == 5 + 180
    clock.rate = 0
    clock.linger(5)
    ticks[0] += 1000
    assert clock.now() == 5 + 180


def test_the_clock_can_be_set_and_advanced(clock_module: ModuleType, ticks: list[int]) -> None:
    clock = clock_module.Clock()
    ticks[0] += 700
    clock.set(100)
    ticks[0] += 999
    assert clock.now() == 100
    assert clock.advance(30) == 130
    ticks[0] += 1
    assert clock.now() == 131
    assert isinstance(clock.now(), int)


def test_the_storage_replaces_the_whole_record(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    path = tmp_path / "meter" / "record"
    storage = Storage(str(path))
    assert storage.load(2) is storage.load(0) is storage.load(1) is None
    storage.save([bytearray(b"one"), b"", b" and more"])
    assert storage.load(0) == path.read_bytes() == b"one and more"
    storage.save([b"two"])
    assert Storage(str(path)).load(0) == b"two"
    storage.save_tick(bytearray(b"tick 1"))
    storage.save_tick(b"tick")
    assert Storage(str(path)).load(2) == b"tick"
    assert storage.load(1) == b"two"
    names = ["meter", "meter.copy", "meter.copy/record", "meter/record", "meter/record.tick"]
    assert sorted(file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")) == names


def test_the_files_of_older_firmware_are_moved(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    def older() -> None:
        (tmp_path / "meter.bin.d").mkdir()
        (tmp_path / "meter.bin").write_bytes(b"record")
        (tmp_path / "meter.bin.tick").write_bytes(b"tick")
        (tmp_path / "meter.bin.d" / "copy").write_bytes(b"copy")

    older()
    storage = Storage(str(tmp_path / "meter" / "record"))
    assert [storage.load(which) for which in (2, 0, 1)] == [b"tick", b"record", b"copy"]  # type: ignore[arg-type]
    names = ["meter", "meter.copy", "meter.copy/record", "meter/record", "meter/record.tick"]
    assert sorted(file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")) == names
    # Files in the old place do not replace those of a store that is there already.
    older()
    (tmp_path / "meter.bin").write_bytes(b"another")
    assert Storage(str(tmp_path / "meter" / "record")).load(2) == b"tick"
    assert (tmp_path / "meter" / "record").read_bytes() == b"record"


def test_holds_compares_with_the_file(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    path = tmp_path / "record"
    storage = Storage(str(path))
    parts = [bytes(range(256)) * 2, b"", b"steps" * 60]
    assert not storage.holds(parts, 14, 48)
    storage.save(parts)
    assert storage.holds(parts, 14, 48)
    whole = b"".join(parts)
    for at in range(0, len(whole), 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert Storage(str(path)).holds(parts, 14, 48) == (14 <= at < 48)
    for wrong in (whole[:-1], whole + b"x", whole[:30], b""):
        path.write_bytes(wrong)
        assert not Storage(str(path)).holds(parts, 14, 48)


def test_a_failed_save_keeps_the_old_record(
    clock_module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import drivers.storage as module

    storage = module.Storage(str(tmp_path / "record"))
    storage.save([b"old"])
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(28)

        patch.setattr(module.os, "rename", fail)
        with pytest.raises(OSError, match="28"):
            storage.save([b"longer"])
    assert module.Storage(storage.path).load(0) == b"old"
    storage.save([b"longer"])
    assert module.Storage(storage.path).load(0) == b"longer"


def test_saving_works_without_a_copy(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    (tmp_path / "meter").mkdir()
    (tmp_path / "meter.copy").write_bytes(b"not a folder")
    storage = Storage(str(tmp_path / "meter" / "record"))
    storage.save([b"record"])
    assert storage.load(0) == b"record"


def test_an_outdated_copy_is_removed(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    storage = Storage(str(tmp_path / "meter" / "record"))
    storage.load(2)  # creates the folders
    storage.save([b"first"])
    storage.save([b"a second"])
    assert storage.load(1) == b"a second"
    (tmp_path / "meter.copy" / "record.new").mkdir()  # makes the copy fail, as a full flash does
    storage.save([b"third"])
    assert storage.load(0) == b"third"
    assert storage.load(1) is None


def test_a_record_that_cannot_be_read_is_an_error(
    clock_module: ModuleType, tmp_path: Path
) -> None:
    from drivers.storage import Storage

    (tmp_path / "record").mkdir()
    with pytest.raises(OSError, match="directory"):
        Storage(str(tmp_path / "record")).load(0)
    assert Storage(str(tmp_path / "none.bin")).load(0) is None


def test_a_damaged_record_is_renamed(clock_module: ModuleType, tmp_path: Path) -> None:
    from drivers.storage import Storage

    path = tmp_path / "record"
    path.write_bytes(b"useless")
    storage = Storage(str(path))
    storage.save_tick(b"tick")
    storage.set_aside()
    assert storage.load(0) is storage.load(1) is storage.load(2) is None
    assert (tmp_path / "record.bad").read_bytes() == b"useless"
    assert (tmp_path / "record.tick.bad").read_bytes() == b"tick"
    storage.set_aside()
