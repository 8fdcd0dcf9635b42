"""Gives the programs of firmware/remote as text for a board's REPL; knows no boards and no lines.

A program is sent without what only its readers need, and of it only the function that is called
and what that uses: the board keeps all of the text while it compiles it, and its heap is small.

What is sent becomes the inside of a function, so that it leaves no names on the board. There
MicroPython finds a class's own method where Python finds a function of the same name: a program
has no such names.
"""

import ast
import functools
import re
from collections.abc import Iterator

from jeton_host.errors import BoardError
from jeton_host.paths import firmware_dir


def source(program: str, *names: str) -> str:
    """Return a program, or of it these definitions and all they use, as global code."""
    found = _parsed(program)
    return _text(found if not names else _needed(program, names))


def once(program: str, function: str, *arguments: object) -> str:
    """Return code that calls a function of a program and leaves no name behind.

    The arguments are what `repr` writes as Python, and so are numbers, strings, lists, dicts.
    """
    return _hidden(program, function, _call(function, arguments)) + "_remote()\n"


def keep(name: str, program: str, factory: str, *arguments: object) -> str:
    """Return code that makes an object under a global name, in the place of one that is there.

    That one is closed first, by its `close`. No other name is left.
    """
    made = _hidden(program, factory, f"return {_call(factory, arguments)}")
    return f"{gone(name)}{made}{name} = _remote()\n"


def gone(name: str) -> str:
    """Return code that closes the object of a global name, if there is one, and removes it."""
    return f"if {name!r} in globals():\n {name}.close()\n del {name}\n"


def _call(function: str, arguments: tuple[object, ...]) -> str:
    return f"{function}({', '.join(map(repr, arguments))})"


def _hidden(program: str, name: str, last: str) -> str:
    """Return a function `_remote` with a definition, and all it uses, inside; `last` ends it."""
    lines = ["del globals()['_remote']", *_text(_needed(program, (name,))).splitlines(), last]
    return "\n ".join(["def _remote():", *lines]) + "\n"


@functools.cache
def _parsed(program: str) -> list[ast.stmt]:
    """Return the statements of a program, one name each where they import."""
    path = firmware_dir() / "remote" / f"{program}.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BoardError(f"the firmware is incomplete: {path.name}: {error.strerror}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body[:1] = [] if len(node.body) > 1 or node is tree else [ast.Pass()]
    found: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            found += [ast.ImportFrom(node.module, [one], node.level) for one in node.names]
        else:
            found.append(node)
    return found


def _needed(program: str, names: tuple[str, ...]) -> list[ast.stmt]:
    """Return the statements that define names, and what they use, in their order.

    What comes from another program (`from .spare import Memory`) is put in place of its import.
    """
    statements = _parsed(program)
    defined = {name: node for node in statements for name in _defines(node)}
    wanted: dict[int, ast.stmt] = {}
    left = list(names)
    while left:
        node = defined.get(left.pop())
        if node is not None and id(node) not in wanted:
            wanted[id(node)] = node
            left += [one.id for one in ast.walk(node) if isinstance(one, ast.Name)]
    if missing := [name for name in names if name not in defined]:
        raise BoardError(f"the firmware is incomplete: {program}.py has no {missing[0]}")
    found: list[ast.stmt] = []
    for node in statements:
        if id(node) not in wanted:
            continue
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.module
            found += _needed(node.module, tuple(alias.name for alias in node.names))
        else:
            found.append(node)
    return found


def _defines(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _text(statements: list[ast.stmt]) -> str:
    """Return statements as text, each once, indented by one space."""
    lines = dict.fromkeys(ast.unparse(node) for node in statements)
    text = "".join(f"{line}\n" for part in lines for line in part.splitlines() if line)
    return re.sub("^(?:    )+", lambda found: " " * (len(found[0]) // 4), text, flags=re.M)
