"""Tests that the built wheel works without a checkout: firmware, profiles, boards, command."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PURCHASE = """\
from datetime import datetime

from jeton_host import EnterResult, JetonError, Meter, PointOfSale, TokenResult, make_config


def buy(meter: Meter, pos: PointOfSale, kwh: str) -> tuple[EnterResult, datetime]:
    sold = pos.credit("home", kwh)
    result = meter.enter(sold.token)
    if result.result is not TokenResult.ACCEPT:
        raise JetonError(result.name)
    return result, meter.advance(3600).clock


with Meter.open("virtual", config=make_config(profile="ceet")) as opened:
    left_wh: int = opened.status().credit_wh
    lines: tuple[str, ...] = opened.display().lines
"""

WRONG = """\
from jeton_host import Meter

with Meter.open("virtual") as meter:
    meter.advance("2h")
    meter.enter(12)
    print(meter.status().creditt_wh)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the content of the built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_contains_two_packages(site: Path) -> None:
    top = sorted(path.name for path in site.iterdir() if not path.name.endswith(".dist-info"))
    assert top == ["jeton", "jeton_host"]
    assert [path.name for path in site.glob("*.dist-info")] == ["jeton_meter-0.2.0.dist-info"]
    assert (site / "jeton_host" / "py.typed").exists()


def test_the_public_names_pass_strict_mypy(site: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    for part in site.iterdir():
        (packages / part.name).symlink_to(part)
    (tmp_path / "purchase.py").write_text(PURCHASE)
    (tmp_path / "wrong.py").write_text(WRONG)

    def mypy(file: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull),
                *("--python-executable", str(environment / "bin" / "python"), file),
            ],
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if k != "MYPYPATH"},
            capture_output=True,
            text=True,
            check=False,
        )

    good = mypy("purchase.py")
    assert good.returncode == 0, good.stdout
    wrong = mypy("wrong.py").stdout
    for error in (
        '"advance" of "MeterClient"',
        '"enter" of "MeterClient"',
        'has no attribute "creditt_wh"',
    ):
        assert error in wrong
    assert "Found 3 errors" in wrong


def test_the_wheel_runs_a_drill_without_a_checkout(site: Path, tmp_path: Path) -> None:
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    for part in (
        "firmware/main.py",
        "firmware/remote/flash.py",
        "firmware/profiles/ceet.json",
        "firmware/profiles/profile.schema.json",
        "boards/virtual/board.py",
    ):
        assert f"jeton_host/_data/{part}" in names
    for part in ("sts.jsonl", "README.md"):
        shipped = (site / "jeton_host" / "_data" / "vectors" / part).read_bytes()
        assert shipped == (ROOT / "tests" / "vectors" / part).read_bytes()
    for part in ("conformance.css", "conformance.html.jinja", "conformance.md.jinja"):
        assert f"jeton_host/conformance/{part}" in names
    assert "jeton/meter.py" in names
    assert not [name for name in names if name.endswith(".pyc")]
    # With -P and PYTHONPATH the wheel comes before the checkout, which this environment contains.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "jeton_host", "drill", "ceet", "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]
    where = subprocess.run(
        [sys.executable, "-P", "-c", "from jeton_host import paths; print(paths.firmware_dir())"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.strip() == str(site / "jeton_host" / "_data" / "firmware")
