"""The built wheel works alone: firmware, profiles, boards and command, without a checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_wheel_runs_the_drill_outside_a_checkout(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(site)
    for part in (
        "firmware/main.py",
        "firmware/remote/flash.py",
        "firmware/profiles/ceet.json",
        "boards/virtual/board.py",
    ):
        assert f"host_tools/jeton_host/_data/{part}" in names
    assert "host_tools/jeton_host/_data/firmware/profiles/profile.schema.json" in names
    for part in ("sts.jsonl", "README.md"):
        shipped = (site / "host_tools" / "_data" / "vectors" / part).read_bytes()
        assert shipped == (ROOT / "tests" / "vectors" / part).read_bytes()
    for part in ("conformance.css", "conformance.html.jinja", "conformance.md.jinja"):
        assert f"host_tools/{part}" in names
    assert "jeton/meter.py" in names
    assert not [name for name in names if name.endswith(".pyc")]
    # -P and PYTHONPATH: the wheel comes before the checkout that this environment has installed.
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
    assert where.stdout.strip() == str(site / "host_tools" / "_data" / "firmware")
