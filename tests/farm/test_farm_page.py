"""Runs docs/hardware/farm.md as written, in an empty folder, with only the built wheel."""

import os
from pathlib import Path

from farm_support import free_port

from tests.examples.docs import ROOT, run_doc


def test_the_page_works_as_written(wheel_venv: Path, tmp_path: Path) -> None:
    links = f"/dev/shm/jeton-page-{os.getpid()}"
    run_doc(
        ROOT / "docs" / "hardware" / "farm.md",
        wheel_venv,
        tmp_path / "empty",
        replace={
            "127.0.0.1:20408": f"127.0.0.1:{free_port()}",
            "7001": str(free_port()),
            "/dev/shm/meter": f"{links}-meter",
        },
    )
