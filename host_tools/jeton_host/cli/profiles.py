"""The commands `jeton profile` and `jeton language`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from jeton_host.cli import complete
from jeton_host.cli.options import METERS, Json, Where
from jeton_host.errors import ProfileError
from jeton_host.firmware import profiles
from jeton_host.meter import Meter

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The name of the profile.", autocompletion=complete.profile
    ),
]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="The name of the new profile.")]

_profile = typer.Typer(
    no_args_is_help=True,
    help="List, show, check and create profiles: how meters behave.\n\n"
    "Example:\n\n- `jeton profile list`",
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
    """List the profiles: those of Jeton and your own.

    Example:

    - `jeton profile list --json`
    """
    found = [_about(name) for name in profiles.names()]
    if as_json:
        _put(found)
        return
    width = max(len(about["name"]) for about in found)
    for about in found:
        own = "  (your own)" if about["own"] else ""
        if about["problem"]:
            print(
                f"{about['name']:{width}}  WRONG: see `jeton profile check {about['name']}`{own}"
            )
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
        str | None,
        typer.Option(
            "--messages",
            metavar="LANGUAGE",
            help="Show its messages in this language instead.",
            autocompletion=complete.language,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a profile: each setting with its value, its meaning and its source.

    Sources: M is a maker's manual or support page, U is a notice of a utility or news that quote
    it, B is a blog.

    Examples:

    - `jeton profile show ceet`
    - `jeton profile show somelec --messages ar`
    """
    data = profiles.load(name)
    sources = data["sources"]
    if messages is not None and messages not in data["languages"]:
        languages = ", ".join(data["languages"])
        raise ProfileError(f"profile {name} lacks the language {messages!r}; it has: {languages}")
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
        typer.Argument(
            metavar="FILE|NAME",
            help="Files or names of profiles. Default: all profiles.",
            autocompletion=complete.profile,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check profiles: settings, ranges, sources, and that messages fit the smallest display.

    The command prints a line for each mistake. The exit status is 1 if there is a mistake.

    Examples:

    - `jeton profile check`
    - `jeton profile check my.json`
    - `jeton profile check ceet`
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
                print(f"{path.name}: correct")
    if as_json:
        _put(found)
    if not all(one["ok"] for one in found):
        raise typer.Exit(1)


def _file(word: str) -> Path:
    """Return the file of a profile: `word` is its path or, if no such file exists, its name."""
    path = Path(word)
    known_by_name = word in profiles.names() or (len(path.parts) == 1 and not path.suffix)
    return profiles.path_of(word) if known_by_name and not path.exists() else path


@_profile.command("new")
def new(
    name: NewName,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="PROFILE",
            help="The profile to copy.",
            autocompletion=complete.profile,
        ),
    ] = "generic",
    title: Annotated[
        str | None, typer.Option(help="A title in one line: maker or utility, country.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create your own profile as a copy of another one, and print its file.

    Then edit the file, and check it with `jeton profile check NAME`.

    Examples:

    - `jeton profile new mine`
    - `jeton profile new village --from eneo`
    """
    path = profiles.new(name, source, title)
    if as_json:
        _put(_about(name))
    else:
        print(path)
        print(f"edit it, then: jeton profile check {name} && jeton new NAME --profile {name}")


@_profile.command("schema")
def schema(as_json: Json = False) -> None:
    """Print the path of the JSON Schema of profiles.

    Editors use it to complete and to check a profile. `jeton profile new` writes its path into the
    profile as "$schema".

    Example:

    - `jeton profile schema`
    """
    path = profiles.schema_path()
    if as_json:
        _put({"file": str(path)})
    else:
        print(path)


def language(
    where: Where,
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="LANGUAGE",
            help="The new language. Without it: show the languages.",
            autocompletion=complete.language,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show or set the language of a meter's display.

    Arabic needs a graphic display: `jeton new NAME --graphic`.

    Examples:

    - `jeton language home`
    - `jeton language home fr`
    """
    with Meter.open(where) as meter:
        now = meter.language(code)
        available = meter.languages()
    if as_json:
        _put({"language": now, "languages": available})
    else:
        print(f"{now}  [{', '.join(available)}]")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(_profile, name="profile", rich_help_panel=METERS)
    app.command(rich_help_panel=METERS)(language)
