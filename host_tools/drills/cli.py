"""The command `jeton drill`."""

from typing import Annotated

import typer

from host_tools.drills import ceet
from host_tools.drills.story import Story

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object at the end instead.")]

_drill = typer.Typer(
    no_args_is_help=True,
    help="Live through a utility's story on a fresh virtual meter. Example: jeton drill ceet",
)


@_drill.callback()
def _drills() -> None:
    pass


@_drill.command("ceet")
def _ceet(as_json: Json = False) -> None:
    """CEET, Togo, 2024: the TID rollover. Three codes, two minutes, and what can go wrong.

    Exit status 0 only if every step ended as it ought to.
    """
    story = Story("ceet", as_json=as_json)
    ceet.run(story)
    raise typer.Exit(story.finish())


def register(app: typer.Typer) -> None:
    """Add the drills to the application."""
    app.add_typer(_drill, name="drill")
