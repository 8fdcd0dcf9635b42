"""The pages are correct: commands run, links exist, and pip commands have the right names."""

import re
import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from jeton_host.cli import app as cli
from tests.examples.docs import ROOT, run_doc

# Pages that need ports or a server have their own tests.
OTHERS = (
    "guides/vending-system.md",
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


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix().removeprefix("docs/")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_page_runs_as_written(page: Path, wheel_venv: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    ports = {port: str(free_port()) for port in set(re.findall(r"127\.0\.0\.1:(\d+)", text))}
    run_doc(page, wheel_venv, tmp_path / "empty", replace=ports)


def free_port() -> int:
    """Return a free TCP port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


SHOWN = [path for path in DOCUMENTS if path.parent == ROOT or "docs" in path.parts]


@pytest.mark.parametrize("page", SHOWN, ids=name_of)
def test_links_of_the_page_exist(page: Path) -> None:
    for link in re.findall(r"\]\(<?([^)>\s]+)>?\)", page.read_text(encoding="utf-8")):
        target, _, heading = link.partition("#")
        if target.startswith(("http:", "https:")):
            continue
        file = page.parent / target if target else page
        assert file.exists(), link
        if heading and file.suffix == ".md":
            assert heading in anchors(file), link


def anchors(page: Path) -> set[str]:
    """Return the link anchors of the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
    return plain | {name for head in heads for name in re.findall(r"\{ *#([\w-]+) *\}", head)}


@pytest.mark.parametrize("page", SHOWN, ids=name_of)
def test_commands_and_options_of_the_page_exist(page: Path) -> None:
    commands: dict[str, Any] = get_command(cli.application()).commands  # type: ignore[attr-defined]
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"```sh exit=2\n.*?```", "", text, flags=re.DOTALL)  # a wrong command
    for line in re.findall(r"(?:^|`|\$ )jeton ([^`\n|]+)", text, re.MULTILINE):
        name, *rest = line.split("#")[0].split()
        if name.startswith("-") or name.isupper():
            continue
        command = commands[name]
        inner = getattr(command, "commands", {})
        found = [command, *(inner[word] for word in rest if word in inner)]
        options = {"--help"} | {o for c in found for p in c.params for o in p.opts}
        options |= {o for c in found for p in c.params for o in p.secondary_opts}
        for word in rest:
            if word in ("&&", ";", ">") or "$(" in word or word.endswith(")"):
                break
            assert not word.startswith("--") or word.split("=")[0] in options, line


def required(text: str) -> list[str]:
    """Return the requirements in the `pip install` commands of a text, without options."""
    found = []
    for line in re.findall(r"pip install ([^\n`)]*)", text):
        words = re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\s'\"]+)", line.split("#")[0])
        found += [word for group in words if (word := "".join(group)) and word[0] != "-"]
    return found


def test_pip_commands_name_this_project() -> None:
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
    assert {"install.md", "vending-system.md", "esp.py"} <= seen


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


def test_the_three_ways_to_install_are_in_the_page() -> None:
    text = (ROOT / "docs" / "guides" / "install.md").read_text()
    assert "pip install ./jeton\n" in text
    assert "pip install dist/jeton_meter-" in text
    assert "pip install 'jeton-meter @ git+GIT_ADDRESS'" in text
