"""Prepares the programs of firmware/remote as source for a board's REPL; sends nothing itself.

Comments and docstrings are removed, and only the called function and the definitions that it uses
are sent: the board keeps the whole text while it compiles it, and its heap is small.

The code is placed in a function, so that it leaves no names on the board. Inside a function,
MicroPython resolves a name to a method of the class where Python resolves it to a function:
programs must not have such names.
"""

import ast
import functools
import re
from collections.abc import Iterator

from jeton_host.errors import BoardError
from jeton_host.paths import firmware_dir


def source(program: str, *names: str) -> str:
    """Return a program as global code, or only the named definitions and all that they use."""
    found = _parsed(program)
    return _text(found if not names else _needed(program, names))


def once(program: str, function: str, *arguments: object) -> str:
    """Return code that calls a function of a program and leaves no names on the board.

    `repr` of the arguments must be Python source: numbers, strings, lists, dicts.
    """
    return _hidden(program, function, _call(function, arguments)) + "_remote()\n"


def keep(name: str, program: str, factory: str, *arguments: object) -> str:
    """Return code that creates an object with a global name, and first closes an older one.

    It leaves no other names on the board.
    """
    made = _hidden(program, factory, f"return {_call(factory, arguments)}")
    return f"{gone(name)}{made}{name} = _remote()\n"


def gone(name: str) -> str:
    """Return code that closes and removes the object with a global name, if there is one."""
    return f"if {name!r} in globals():\n {name}.close()\n del {name}\n"


def _call(function: str, arguments: tuple[object, ...]) -> str:
    return f"{function}({', '.join(map(repr, arguments))})"


def _hidden(program: str, name: str, last: str) -> str:
    """Return a function `_remote` with a definition and all it uses; `last` is its end."""
    lines = ["del globals()['_remote']", *_text(_needed(program, (name,))).splitlines(), last]
    return "\n ".join(["def _remote():", *lines]) + "\n"


@functools.cache
def _parsed(program: str) -> list[ast.stmt]:
    """Return the statements of a program; each import statement imports one name."""
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
    """Return the statements that define names and all that they use, in their order.

    An import from another program (`from .spare import Memory`) is replaced by the definitions.
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
    """Return statements as source, each one once, indented by one space per level."""
    lines = dict.fromkeys(ast.unparse(node) for node in statements)
    text = "".join(f"{line}\n" for part in lines for line in part.splitlines() if line)
    return re.sub("^(?:    )+", lambda found: " " * (len(found[0]) // 4), text, flags=re.M)
