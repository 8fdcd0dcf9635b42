"""The command `jeton profile`: which meters there are to choose from, and one's own."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jeton_host.cli.options import METERS
from jeton_host.errors import ProfileError
from jeton_host.firmware import profiles
from jeton_host.meter import Meter

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.")]

_profile = typer.Typer(
    no_args_is_help=True,
    help="Makers' and utilities' meters as data. Start with: jeton profile list",
)


def _put(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _about(name: str) -> dict[str, Any]:
    path = profiles.path_of(name)
    about: dict[str, Any] = {"name": name, "own": name not in profiles.shipped()}
    try:
        data = profiles.load(name)
    except ProfileError as error:
        return about | {"file": str(path), "problem": str(error)}
    return about | {
        "title": data["title"],
        "languages": data["languages"],
        "file": str(path),
        "problem": None,
    }


@_profile.command("list")
def list_(as_json: Json = False) -> None:
    """List the profiles there are: those that ship and your own.

    Example: `jeton profile list --json`
    """
    found = [_about(name) for name in profiles.names()]
    if as_json:
        _put(found)
        return
    width = max(len(about["name"]) for about in found)
    for about in found:
        own = "  (your own)" if about["own"] else ""
        if about["problem"]:
            print(f"{about['name']:{width}}  WRONG: see jeton profile check {about['name']}{own}")
        else:
            languages = ", ".join(about["languages"])
            print(f"{about['name']:{width}}  {about['title']}  [{languages}]{own}")


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{code} {what}" for code, what in value.items()) or "none"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else repr(value)


@_profile.command("show")
def show(
    name: Name,
    messages: Annotated[
        str | None, typer.Option("--messages", metavar="LANGUAGE", help="Show its words instead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a profile: every setting, what it means, its value and where that comes from.

    M: maker's manual or support page. U: utility's notice, or news that quote one. B: blog.

    Examples: `jeton profile show ceet` · `jeton profile show somelec --messages ar`
    """
    data = profiles.load(name)
    sources = data["sources"]
    if messages is not None and messages not in data["languages"]:
        languages = ", ".join(data["languages"])
        raise ProfileError(f"profile {name} does not speak {messages!r}; it has: {languages}")
    if as_json:
        wanted = data["languages"] if messages is None else [messages]
        _put(data | {"messages": {code: profiles.words(data, code) for code in wanted}})
        return
    if messages is not None:
        for message, words in profiles.words(data, messages).items():
            print(f"{message} = {words}  ({profiles.source_of(data, messages, message)})")
        return
    print(f"{name}: {data['title']}")
    print(f"languages: {', '.join(data['languages'])}")
    for path, setting in profiles.SETTINGS.items():
        section, _, key = path.partition(".")
        print(f"{path} = {_value(data[section][key])}")
        print(f"    {setting.about}; {sources[path]}")


@_profile.command("check")
def check(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|NAME", help="Default: all profiles there are."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check profiles: settings, ranges, sources, and that messages fit the smallest display.

    A line for each thing that is wrong; the exit status is then 1.

    Examples: `jeton profile check` · `jeton profile check my.json` · `jeton profile check home`
    """
    paths = [_file(word) for word in files] if files else None
    if paths is None:
        paths = [profiles.path_of(name) for name in profiles.names()]
    found = []
    for path in paths:
        try:
            wrong = list(profiles.problems(profiles.read(path), path))
        except ProfileError as error:
            wrong = [str(error)]
        found.append({"file": str(path), "ok": not wrong, "problems": wrong})
        if not as_json:
            for problem in wrong:
                print(f"{path.name}: {problem}")
            if not wrong:
                print(f"{path.name}: right")
    if as_json:
        _put(found)
    if not all(one["ok"] for one in found):
        raise typer.Exit(1)


def _file(word: str) -> Path:
    """Return the file of a profile that is named by its file or, where there is none, by name."""
    path = Path(word)
    known_by_name = word in profiles.names() or (len(path.parts) == 1 and not path.suffix)
    return profiles.path_of(word) if known_by_name and not path.exists() else path


@_profile.command("new")
def new(
    name: Name,
    source: Annotated[
        str, typer.Option("--from", metavar="PROFILE", help="The profile to begin with.")
    ] = "generic",
    title: Annotated[str | None, typer.Option(help="Whose meter it is, in a line.")] = None,
    as_json: Json = False,
) -> None:
    """Make a profile of your own from another; edit its file, then `jeton profile check NAME`.

    Examples: `jeton profile new mine` · `jeton profile new village --from eneo`
    """
    path = profiles.new(name, source, title)
    if as_json:
        _put(_about(name))
    else:
        print(path)
        print(f"edit it, then: jeton profile check {name} && jeton new NAME --profile {name}")


@_profile.command("schema")
def schema(as_json: Json = False) -> None:
    """Print where the JSON Schema of profiles is: editors complete and check a file by it.

    `jeton profile new` writes it into a profile as "$schema".

    Example: `jeton profile schema`
    """
    path = profiles.schema_path()
    if as_json:
        _put({"file": str(path)})
    else:
        print(path)


def language(
    where: Annotated[str, typer.Argument(metavar="NAME|PORT", help="A meter's name, or a port.")],
    code: Annotated[
        str | None, typer.Argument(metavar="LANGUAGE", help="One of its profile's, to choose.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show or choose the language of a meter's display.

    Arabic needs a display of dots: `jeton new NAME --graphic`.

    Examples: `jeton language home` · `jeton language home fr`
    """
    with Meter.open(where) as meter:
        spoken = meter.language(code)
        there_are = meter.languages()
    if as_json:
        _put({"language": spoken, "languages": there_are})
    else:
        print(f"{spoken}  [{', '.join(there_are)}]")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(_profile, name="profile", rich_help_panel=METERS)
    app.command(rich_help_panel=METERS)(language)
