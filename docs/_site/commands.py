"""The page of the command `jeton`: every command, from the Typer application itself."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from jeton_host.cli.app import application

_OTHER = "Commands"  # the panel of `jeton --help` for commands without a panel
_TYPE = re.compile(r" <([^>]*)>$")
_TYPES = {"int": " NUMBER", "float": " NUMBER", "bool": "", "path": " PATH"}  # others: TEXT
_DEFAULT = re.compile(r"\s*\[(?:default: (?P<default>.*?)|required)(?:; required)?\]$", re.DOTALL)


def _context() -> tuple[Any, Any]:
    command: Any = typer.main.get_command(application())
    return command, command.context_class(command, info_name="jeton")


def _children(group: Any, context: Any) -> list[Any]:
    found = [group.get_command(context, name) for name in group.list_commands(context)]
    return [command for command in found if not command.hidden]


def panels() -> dict[str, list[Any]]:
    """Return the commands by panel of `jeton --help`, in its order."""
    found: dict[str, list[Any]] = {_OTHER: []}  # the help shows it first
    root, context = _context()
    for command in _children(root, context):
        panel = getattr(command, "rich_help_panel", None)
        found.setdefault(panel if isinstance(panel, str) else _OTHER, []).append(command)
    return found


def names() -> list[str]:
    """Return the name of every command, those in groups too: "vend credit"."""
    return [name for name, _ in _all()]


def _all() -> Iterator[tuple[str, Any]]:
    root, context = _context()
    for command in _children(root, context):
        yield command.name, command
        if hasattr(command, "list_commands"):
            for part in _children(command, context):
                yield f"{command.name} {part.name}", part


def _cell(text: str) -> str:
    text = " ".join(text.split())
    return text.replace("|", "\\|").replace("<", "&lt;")


def _name(text: str) -> str:
    # A table has no other way to show a bar in code.
    if "|" in text:
        return f"<code>{text.replace('|', '&#124;')}</code>"
    return f"`{text}`"


def _first_line(command: Any) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


def _anchor(name: str) -> str:
    return f"jeton-{name.replace(' ', '-')}"


def groups() -> str:
    """Return a table of all commands: name, and what it does."""
    found = ""
    for panel, commands in panels().items():
        found += f"\n**{panel}**\n\n| command | what it does |\n|---|---|\n"
        for command in commands:
            found += (
                f"| [`{command.name}`](#{_anchor(command.name)}) "
                f"| {_cell(_first_line(command))} |\n"
            )
    return found


def commands() -> str:
    """Return a section for each command: usage, arguments, options, examples."""
    return "\n".join(_section(name, command) for name, command in _all())


def _section(name: str, command: Any) -> str:
    _, root = _context()
    context = command.context_class(command, info_name=f"jeton {name}", parent=root)
    level = "##" if " " not in name else "###"
    usage = " ".join(command.collect_usage_pieces(context))
    found = f"{level} jeton {name} {{ #{_anchor(name)} }}\n\n"
    found += (command.help or "").replace("<", "&lt;") + "\n\n"  # Markdown, as in `--help`
    found += f"```text\njeton {name} {usage}\n```\n\n"
    arguments, options = "", ""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or parameter.name == "help":
            continue
        shown, text = record
        argument = parameter.param_type_name == "argument"
        shown, kind = _TYPE.sub("", shown), _TYPE.search(shown)
        if kind and not argument:
            shown += _TYPES.get(re.split(r"\W", kind[1])[0], " TEXT")
        value = ""
        if default := _DEFAULT.search(text):
            text = text[: default.start()]
            value, _, limits = (default["default"] or "").partition("; ")
            value = _name(value) if value else ""
            text += f" ({limits})" if limits else ""
        row = f"| {_name(shown)} | {_cell(text)} | {value} |\n"
        if argument:
            arguments += row
        else:
            options += row
    for title, rows in (("argument", arguments), ("option", options)):
        if rows:
            found += f"| {title} | meaning | default |\n|---|---|---|\n{rows}\n"
    return found
