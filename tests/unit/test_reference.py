"""The reference of docs/ is complete: what the code has and a page lacks fails a test."""

import dataclasses
import inspect
import json
import re
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import jeton_host
from _site import commands, hook, record, settings
from jeton import console, events, locked, setup, state, status, verbs
from jeton.acceptance import Outcome
from jeton.sts.results import NAMES
from jeton_host import Ledger, Status, TokenResult
from jeton_host.firmware import profiles

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return hook.filled((REFERENCE / name).read_text(encoding="utf-8"))


def rows(text: str, first: str) -> list[list[str]]:
    """Return the cells of the tables whose first title is `first`."""
    found = []
    wanted = False
    for line in text.splitlines():
        if not line.startswith("|"):
            wanted = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells[0] == first:
            wanted = True
        elif wanted and not set(cells[0]) <= set("-:"):
            found.append(cells)
    return found


def plain(cell: str) -> str:
    return cell.strip("`").replace("\\|", "|")


def section(text: str, title: str) -> str:
    """Return the text between a heading and the next one."""
    return re.split(r"^#+ ", text.partition(f" {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


# The command


def test_every_command_has_a_section_and_each_option_a_row() -> None:
    text = page("cli.md")
    assert len(commands.names()) > 40
    for name, command in commands._all():
        part = text.partition(f"# jeton {name} {{")[2].partition("\n## ")[0]
        assert part, name
        _, root = commands._context()
        context = command.context_class(command, info_name=name, parent=root)
        for parameter in command.get_params(context):
            shown = parameter.get_help_record(context)
            if parameter.name != "help" and shown and parameter.param_type_name == "option":
                assert parameter.opts[0] in part, (name, parameter.opts)
    for names in commands.panels().values():
        for command in names:
            assert f"(#{commands._anchor(command.name)})" in text


def test_each_example_is_on_a_line_of_its_own() -> None:
    examples = re.findall(r"^- `jeton [^`]*`$", page("cli.md"), re.MULTILINE)
    assert len(examples) > len(commands.names())
    assert "` - `" not in page("cli.md")


def test_commands_of_the_page_are_those_of_the_help() -> None:
    listed = {cells[0] for cells in rows(page("cli.md"), "command")}
    assert len(listed) == len([name for name in commands.names() if " " not in name])


# Python


def test_every_public_name_is_on_the_page() -> None:
    named = re.findall(r"^::: jeton_host\.(\w+)$", page("python.md"), re.MULTILINE)
    assert sorted([*named, "__version__"]) == sorted(jeton_host.__all__)
    assert "`jeton_host.__version__`" in page("python.md")
    for name in named:
        assert inspect.getdoc(getattr(jeton_host, name)), name


def test_public_methods_have_docstrings() -> None:
    for name in jeton_host.__all__:
        value = getattr(jeton_host, name)
        for method, function in inspect.getmembers(value, inspect.isfunction):
            if not method.startswith("_") and inspect.isclass(value):
                assert inspect.getdoc(function), f"{name}.{method}"


# The verbs


def parameters(function: Any) -> list[tuple[str, Any]]:
    """Return the name and the default of a verb's arguments."""
    _, *wanted = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in wanted]


def arguments(cell: str) -> list[tuple[str, Any]]:
    """Return the same from a cell of the page: "`after` = 0: …; `most` = 100: …"."""
    found = []
    for name, default in re.findall(r"(?:^|; )`(\w+)`(?: = (\w+))?:?", cell):
        found.append((name, json.loads(default) if default else inspect.Parameter.empty))
    return found


VERBS = {plain(cells[0]): cells for cells in rows(section(page("verbs.md"), "All verbs"), "verb")}


def test_every_verb_is_on_the_page() -> None:
    text = section(page("verbs.md"), "All verbs").partition("Four verbs")
    names = [plain(cells[0]) for cells in rows(text[0], "verb")]
    assert sorted(names) == sorted(console.VERBS)
    own = [plain(cells[0]) for cells in rows(text[2], "verb")]
    asked = [name[1:] for name in ("_unlock", "_lock", "_open", "_reset")]
    assert own == asked
    assert all(hasattr(locked.Guard, f"_{name}") for name in asked)


@pytest.mark.parametrize("verb", console.VERBS)
def test_arguments_of_the_verb(verb: str) -> None:
    if verb == "lock":  # its row for a locked meter comes last
        wanted = [("code", inspect.Parameter.empty)]
        assert parameters(verbs.lock) == wanted
        return
    function = getattr(verbs, verb, None) or getattr(console.Console, verb)
    assert arguments(VERBS[verb][1]) == parameters(function), VERBS[verb][1]


@pytest.mark.parametrize("verb", console.VERBS)
def test_what_a_locked_meter_answers(verb: str) -> None:
    board = SimpleNamespace(verbs=console.VERBS, rpc=lambda line: '{"ok": 1}', clock=lambda: 0)
    meter = SimpleNamespace(state=SimpleNamespace(lock=b"\1"))

    def needs_code(*request: Any) -> bool:
        guard = locked.Guard(board, meter, None)  # type: ignore[arg-type]
        answers = [guard.take(byte) for byte in json.dumps(request).encode() + b"\n"]
        return "locked" in json.loads(answers[-1] or "{}")

    rows_of_all = rows(section(page("verbs.md"), "All verbs").partition("Four")[0], "verb")
    (said,) = [cells[4] for cells in rows_of_all if plain(cells[0]) == verb]
    if verb == "clock":
        assert said == "free to read, code to set"
        assert not needs_code("clock")
        assert needs_code("clock", 1)
    elif verb == "lock":
        assert needs_code("lock", "a code of some length")
        assert not needs_code("lock")
    else:
        assert said in ("free", "code")
        assert needs_code(verb) == (said == "code")


def test_answers_are_on_the_page() -> None:
    text = page("verbs.md")
    outcome = [plain(c[0]) for c in rows(section(text, "Result of a token { #outcome }"), "key")]
    assert sorted(outcome) == sorted([*Outcome().as_dict(), "display"])
    fields = [field.name for field in dataclasses.fields(Status)]
    assert [plain(cells[0]) for cells in rows(section(text, "Status"), "key")] == fields
    fields = [field.name for field in dataclasses.fields(Ledger)]
    assert [plain(cells[0]) for cells in rows(section(text, "Ledger"), "key")] == fields
    assert set(status._LEDGER) <= set(fields)


def test_configuration_is_on_the_page() -> None:
    part = section(page("verbs.md"), "Configuration of a meter { #provision }")
    assert sorted(plain(cells[0]) for cells in rows(part, "key")) == sorted(setup._KEYS)


# Results


def test_every_result_is_on_the_page() -> None:
    words = profiles.words(profiles.load("generic"), "en")
    found = [
        [plain(cell) for cell in cells] for cells in rows(page("results.md"), "`TokenResult`")
    ]
    wanted = [[r.name, str(int(r)), NAMES[r], words[NAMES[r]]] for r in TokenResult]
    assert [[*cells[:3], cells[5]] for cells in found] == wanted
    assert all(all(cells) for cells in found)


# Profiles


def test_every_setting_is_on_the_page() -> None:
    text = page("profile.md")
    named = [plain(cells[0]) for cells in rows(text, "setting")]
    assert named == list(profiles.SETTINGS)
    assert set(settings.SECTIONS) == {name.partition(".")[0] for name in profiles.SETTINGS}
    assert [plain(cells[0]) for cells in rows(text, "message")] == list(profiles.MESSAGES)
    assert [plain(cells[0]) for cells in rows(text, "profile")] == profiles.shipped()


# The record


def test_every_field_of_the_record_is_described() -> None:
    assert list(record.MEANINGS) == list(state.FIELDS)
    text = page("storage.md")
    assert "not described" not in text
    tables = [cells for cells in rows(text, "offset") if len(cells) == 5]
    names = [plain(cells[3]) for cells in tables]
    for field in state.FIELDS:
        assert field in names


def test_offsets_of_the_record_and_the_tick() -> None:
    def last(table: str) -> int:
        cells = rows(table, "offset")[-1]
        return int(cells[0]) + int(cells[1])

    rings = [(plain(c[2]), int(c[1])) for c in rows(record.rings_table(), "offset")[:-1]]
    assert rings == list(state.RINGS)
    assert last(record.record_table()) == int(rows(record.rings_table(), "offset")[0][0])
    assert last(record.record_table()) == state.SIZE
    assert last(record.tick_table()) == struct.calcsize(state.TICK_HEAD) + struct.calcsize(
        state.TICK_FORMAT
    )
    assert struct.calcsize(events.ENTRY) == 12


# The environment


def test_every_variable_is_on_the_page() -> None:
    text = page("environment.md")
    found = set()
    for folder in ("host_tools", "firmware", "boards", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(re.findall(r"\"(JETON_[A-Z_]+|VENDING_URL)\"", path.read_text("utf-8")))
    assert len(found) > 8
    assert [name for name in sorted(found) if f"`{name}`" not in text] == []


# The site


def test_every_table_is_used() -> None:
    pages = [path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")]
    used = {name for text in pages for name in re.findall(r"<!-- fill: (\w+) -->", text)}
    assert used == set(hook.FILLS)
