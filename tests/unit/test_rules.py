"""The rules of the house that a reader cannot be asked to check each time."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIRMWARE = ROOT / "firmware"
CORE = sorted((FIRMWARE / "jeton").rglob("*.py"))
PROFILES = sorted((FIRMWARE / "profiles").glob("*.json"))

# The core may import these and itself; nothing that knows a pin, a clock, a file or a task.
ALLOWED = {"array", "binascii", "gc", "hashlib", "json", "struct", "sys", "micropython"}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(FIRMWARE).as_posix())
def test_core_is_pure(path: Path) -> None:
    assert imported(path) <= ALLOWED
    # `open` needs no import.
    calls = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
    assert not calls & {"open", "__import__", "exec", "eval"}


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(FIRMWARE).as_posix())
def test_core_imports_in_cpython(path: Path) -> None:
    name = ".".join(path.relative_to(FIRMWARE).with_suffix("").parts).removesuffix(".__init__")
    assert importlib.import_module(name).__doc__


def test_only_drivers_and_boards_know_the_machine() -> None:
    for path in sorted(FIRMWARE.rglob("*.py")):
        if path.parent.name not in ("drivers", "remote"):
            assert "machine" not in imported(path), path


def test_no_maker_stands_in_code() -> None:
    makers = {path.stem for path in PROFILES} - {"generic", "profile.schema"}
    for path in CORE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                names = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
                assert not names & makers, path


def test_nothing_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Written in pieces, so that this file does not name them either.
    banned = re.compile(
        "|".join(("/wo" + "rk/", "/ro" + "ot/", "pypi" + r"\.org", "npmjs" + r"\."))
    )
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".json", "") and path.is_file():
            text = path.read_text(errors="ignore")
            assert not banned.search(text), name


def test_the_help_waits_for_no_library_that_few_commands_need() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "jeton_host", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    found = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert "typer" in found
    assert not found & {"arabic_reshaper", "filelock", "jinja2", "jsonschema"}
