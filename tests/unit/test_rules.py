"""Tests of rules for the code that are better checked by a program than by a person."""

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

# The core may import these modules and itself, but nothing for pins, clocks, files or tasks.
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
def test_the_core_imports_only_allowed_modules(path: Path) -> None:
    assert imported(path) <= ALLOWED
    # These names need no import.
    calls = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
    assert not calls & {"open", "__import__", "exec", "eval"}


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(FIRMWARE).as_posix())
def test_each_module_of_the_core_can_be_imported_in_cpython(path: Path) -> None:
    name = ".".join(path.relative_to(FIRMWARE).with_suffix("").parts).removesuffix(".__init__")
    assert importlib.import_module(name).__doc__


def test_only_drivers_and_remote_programs_import_machine() -> None:
    for path in sorted(FIRMWARE.rglob("*.py")):
        if path.parent.name not in ("drivers", "remote"):
            assert "machine" not in imported(path), path


def test_no_code_compares_the_name_of_a_maker() -> None:
    makers = {path.stem for path in PROFILES} - {"generic", "profile.schema"}
    for path in CORE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                names = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
                assert not names & makers, path


def test_no_file_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Written in pieces, so that this file does not contain them.
    banned = re.compile(
        "|".join(("/wo" + "rk/", "/ro" + "ot/", "pypi" + r"\.org", "npmjs" + r"\."))
    )
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".json", "") and path.is_file():
            text = path.read_text(errors="ignore")
            assert not banned.search(text), name


def test_the_help_imports_no_rarely_used_library() -> None:
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
