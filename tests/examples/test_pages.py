"""The pages of docs/ are true: their commands run, and what they tell pip to install exists."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.examples.docs import ROOT, run_doc

# Pages that need ports or a server: they have a test of their own.
OTHERS = (
    "guides/vending-system.md",
    "guides/pytest.md",
    "hardware/bench.md",
    "hardware/farm.md",
)
PAGES = [
    path
    for path in sorted((ROOT / "docs").rglob("*.md"))
    if path.relative_to(ROOT / "docs").as_posix() not in OTHERS
]
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
SOURCES = [*DOCUMENTS, *sorted((ROOT / "host_tools").rglob("*.py"))]
_REQUIREMENT = re.compile(
    r"^(?P<name>[A-Za-z][\w.-]*?)(?:\\?\[(?P<extras>[\w,-]+)\])?(?:[ @=<>~!]|$)"
)


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix()
)
def test_the_page(page: Path, wheel_venv: Path, tmp_path: Path) -> None:
    run_doc(page, wheel_venv, tmp_path / "empty")


def required(text: str) -> list[str]:
    """Return what the `pip install` commands of a text install, without options."""
    found = []
    for line in re.findall(r"pip install ([^\n`)]*)", text):
        words = re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\s'\"]+)", line.split("#")[0])
        found += [word for group in words if (word := "".join(group)) and word[0] != "-"]
    return found


def test_pip_is_told_the_name_of_this_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    seen = set()
    for path in SOURCES:
        for word in required(path.read_text(encoding="utf-8")):
            requirement = _REQUIREMENT.match(word)
            local = re.match(r"(\.|.*/)[\w./*-]*?(?:\[(?P<extras>[\w,-]+)\])?$", word)
            about = local or requirement
            if about is None or not (local or "jeton" in word):
                continue
            if requirement and not local:
                assert requirement["name"] == project["name"], f"{path.name}: pip install {word}"
                seen.add(path.name)
            for extra in filter(None, (about["extras"] or "").split(",")):
                assert extra in project["optional-dependencies"], f"{path.name}: {word}"
    assert {"install.md", "README.md", "esp.py"} <= seen


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "pip install 'jeton-meter[server]' pytest requests",
            ["jeton-meter[server]", "pytest", "requests"],
        ),
        ("see `pip install jeton`.", ["jeton"]),
        ("pip install -U ./jeton  # here", ["./jeton"]),
    ],
)
def test_pip_commands_are_found(line: str, words: list[str]) -> None:
    assert required(line) == words


def test_the_three_ways_to_install_are_said() -> None:
    text = (ROOT / "docs" / "guides" / "install.md").read_text()
    assert "pip install ./jeton\n" in text
    assert "pip install dist/jeton_meter-" in text
    assert "pip install 'jeton-meter @ git+GIT_ADDRESS'" in text
