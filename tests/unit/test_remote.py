"""Tests of the programs that host tools run on a board: each compiles and is sent in parts."""

import ast
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from jeton_host.errors import BoardError
from jeton_host.firmware import boards, remote
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware.interpreter import find
from jeton_host.paths import firmware_dir

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path.stem for path in (firmware_dir() / "remote").glob("*.py"))


def tree(program: str) -> ast.Module:
    return ast.parse((firmware_dir() / "remote" / f"{program}.py").read_text())


def definitions() -> list[tuple[str, str]]:
    return [
        (program, node.name)
        for program in PROGRAMS
        for node in tree(program).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]


def compiled(source: str, folder: Path, name: str) -> bytes:
    target = folder / f"{name}.mpy"
    firmware_build.compile_module(source.encode(), target, f"{name}.py", None)
    return target.read_bytes()


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_compiles(program: str, tmp_path: Path) -> None:
    text = (firmware_dir() / "remote" / f"{program}.py").read_text()
    assert compiled(text, tmp_path, program)
    assert compiled(remote.source(program), tmp_path, program)


@pytest.mark.parametrize(("program", "name"), definitions())
def test_each_definition_compiles_as_it_is_sent(program: str, name: str, tmp_path: Path) -> None:
    for text in (remote.once(program, name), remote.keep("_jeton", program, name)):
        assert compiled(text, tmp_path, name)
        assert '"""' not in text
        assert "#" not in text


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_uses_private_names_of_the_firmware(program: str) -> None:
    """A name that begins with an underscore must be of `self` or of the program's own file."""
    own = {node.name for node in ast.walk(tree(program)) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree(program)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            assert isinstance(node.value, ast.Name), ast.unparse(node)
            assert node.value.id == "self", ast.unparse(node)
        if isinstance(node, ast.ImportFrom):
            private = {alias.name for alias in node.names if alias.name.startswith("_")}
            assert not private - own, ast.unparse(node)


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_method_has_the_name_of_a_function(program: str) -> None:
    """Inside a function, MicroPython would call the wrong one."""
    names = {name for node in tree(program).body for name in remote._defines(node)}
    for node in ast.walk(tree(program)):
        if isinstance(node, ast.ClassDef):
            assert not names & {one.name for one in node.body if isinstance(one, ast.FunctionDef)}


def test_no_program_is_installed_on_a_board() -> None:
    for name in boards.names():
        for native in (True, False):
            assert not [n for n in firmware_build.sources(name, native) if "remote" in n]


CODE = re.compile(r"^\s*(import [\w, ]+|from [\w.]+ import .*|def \w+\(.*\):)$", re.MULTILINE)


def test_no_program_is_a_string_in_host_tools() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "host_tools").rglob("*.py"))
        if path.name != "types.py"  # writes stubs for type checkers; no board runs them
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.count("\n") > 2 and CODE.search(node.value)
    ]
    assert not found


def test_only_used_definitions_are_sent() -> None:
    text = remote.once("vector", "checksum", "00")
    assert "from jeton.sts import crc" in text
    assert "digits" not in text
    assert "keys" not in text
    sizes = remote.once("measure", "sizes")
    assert "Memory" not in sizes
    assert "import sys" not in sizes
    tokens = remote.once("measure", "tokens", "", [], [2, 16], True)
    for name in ("class Memory", "def profile", "def erase", "def _remove", "import json"):
        assert tokens.count(name) == 1, name


def test_each_sent_program_fits_a_small_heap() -> None:
    """Text, parse tree and code need about five times the length of the text in the heap."""
    lengths = {f"{p}.{name}": len(remote.once(p, name)) for p, name in definitions()}
    del lengths["adapter.Adapter"]  # runs on the adapter, which has 100 KB of heap or more
    assert max(lengths.values()) < 2600, max(lengths.items(), key=lambda item: item[1])


def run(source: str) -> list[str]:
    return find().run(source).splitlines()


def test_once_leaves_no_name() -> None:
    before = "before = sorted(globals())\n"
    text = remote.once("about", "interpreter")
    output = run(f"{before}{text}print(sorted(globals()) == sorted(before + ['before']))")
    assert output[1] == "True"
    failing = remote.once("vector", "checksum", "no digits")
    output = run(
        f"{before}try:\n exec({failing!r})\nexcept (ValueError, ImportError):\n pass\n"
        "print(sorted(globals()) == sorted(before + ['before']))"
    )
    assert output == ["True"]


def test_keep_leaves_one_name_and_closes_the_object_before_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    text = remote.keep("_jeton", "flash", "Files")
    output = run(
        f"before = sorted(globals())\n{text}"
        "print(sorted(set(globals()) - set(before)))\n"
        f"_jeton.begin({str(first)!r})\n_jeton.put('aGVs')\n"
        f"{text}"
        f"print(open({str(first) + '.new'!r}).read())\n"
        f"_jeton.begin({str(second)!r})\n_jeton.put('bG8=')\n"
        f"{remote.gone('_jeton')}"
        f"print(open({str(second) + '.new'!r}).read())\n"
        f"{remote.gone('_jeton')}"
        "print('_jeton' in globals())"
    )
    assert output == ["['_jeton', 'before']", "hel", "lo", "False"]


@pytest.mark.parametrize(
    "value",
    ['it\'s "quoted"\n\x04\x01', ["a", 1], {"led": 2}, True, None, b"\x00\xff", (1, (2,)), "é€"],
)
def test_arguments_arrive_unchanged(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_parsed", lambda _: ast.parse("def f(x):\n print(repr(x))").body)
    (output,) = run(remote.once("any", "f", value))
    assert ast.literal_eval(output) == value


def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(BoardError, match=r"incomplete: nothing\.py"):
        remote.source("nothing")
    with pytest.raises(BoardError, match=r"incomplete: about\.py has no nothing"):
        remote.once("about", "nothing")


def test_a_program_works_without_docstrings_and_comments() -> None:
    """Run two programs that need no board, as they are sent, in CPython."""
    names: dict[str, Any] = {}
    exec(remote.source("spare"), names)
    assert names["Memory"]().load(0) is None
    assert names["Memory"]().holds([], 0, 1) is False
    with pytest.raises(ValueError, match="no profile none on this board"):
        names["profile"]("none")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(remote.once("vector", "check_digit", "00000000000"), {})
        exec(remote.once("vector", "checksum", "313233343536373839"), {})
    assert out.getvalue().split() == ["True", "374b"]
