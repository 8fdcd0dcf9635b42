"""The page about the plugin, word for word, with only the wheel installed."""

from pathlib import Path

from tests.examples.docs import run_doc


def test_the_page(wheel_venv: Path, tmp_path: Path) -> None:
    run_doc(Path(__file__).with_name("PLUGIN.md"), wheel_venv, tmp_path / "empty")
