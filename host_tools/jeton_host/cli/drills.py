"""The command `jeton drill`."""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from jeton_host.drills.story import Story

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object at the end instead.")]
Seed = Annotated[
    int, typer.Option(min=0, help="What loads, amounts and random digits are made from.")
]
Homes = Annotated[int, typer.Option(min=1, max=48, help="Meters in the street.")]

_HOMES = 12

_drill = typer.Typer(
    no_args_is_help=True,
    help="Live through a utility's story on fresh virtual meters. Example: jeton drill ceet",
)


def _ceet(story: Story, homes: int) -> None:
    from jeton_host.drills import ceet

    ceet.run(story)


def _eneo(story: Story, homes: int) -> None:
    from jeton_host.drills import eneo

    eneo.run(story, homes=homes)


def _onee(story: Story, homes: int) -> None:
    from jeton_host.drills import onee

    onee.run(story)


def _somelec(story: Story, homes: int) -> None:
    from jeton_host.drills import somelec

    somelec.run(story)


DRILLS: dict[str, Callable[[Story, int], None]] = {
    "ceet": _ceet,
    "eneo": _eneo,
    "onee": _onee,
    "somelec": _somelec,
}


def _told(name: str, seed: int, as_json: bool, homes: int = _HOMES) -> int:
    story = Story(name, seed=seed, as_json=as_json)
    story.tell(partial(DRILLS[name], story, homes))
    return story.finish()


@_drill.command("ceet")
def _ceet_command(seed: Seed = 1, as_json: Json = False) -> None:
    """CEET, Togo, 2024: the TID rollover. Three codes, two minutes, and what can go wrong.

    Exit status 0 only if every step ended as it ought to.
    """
    raise typer.Exit(_told("ceet", seed, as_json))


@_drill.command("eneo")
def _eneo_command(homes: Homes = _HOMES, seed: Seed = 1, as_json: Json = False) -> None:
    """Eneo, Cameroon: five days without vending, loans, dark hours, and a backlog of tokens.

    Exit status 0 only if every step ended as it ought to.
    """
    raise typer.Exit(_told("eneo", seed, as_json, homes))


@_drill.command("onee")
def _onee_command(seed: Seed = 1, as_json: Json = False) -> None:
    """ONEE, Morocco, 2020: an advance and its recovery, index readings, vending with no network.

    Exit status 0 only if every step ended as it ought to.
    """
    raise typer.Exit(_told("onee", seed, as_json))


@_drill.command("somelec")
def _somelec_command(seed: Seed = 1, as_json: Json = False) -> None:
    """SOMELEC, Mauritania: recharge from afar, consumption, no cut for debt, fault reports.

    Exit status 0 only if every step ended as it ought to.
    """
    raise typer.Exit(_told("somelec", seed, as_json))


@_drill.command("all")
def _all_command(homes: Homes = _HOMES, seed: Seed = 1, as_json: Json = False) -> None:
    """All four, one after another.

    Exit status 0 only if every step of every drill ended as it ought to.
    """
    started = time.monotonic()
    stories = [Story(name, seed=seed, as_json=as_json) for name in DRILLS]
    for story in stories:
        story.tell(partial(DRILLS[story.name], story, homes))
        if not as_json:
            story.finish()
    seconds = time.monotonic() - started
    bad = [story.name for story in stories if not story.ok]
    if as_json:
        told = {"drill": "all", "ok": not bad, "seed": seed, "seconds": round(seconds, 3)}
        print(json.dumps(told | {"drills": [story.result() for story in stories]}))
    else:
        said = f"went wrong: {', '.join(bad)}" if bad else "all ended as they ought to"
        typer.echo(f"\n{len(stories)} drills in {seconds:.1f} s: {said}.")
    raise typer.Exit(1 if bad else 0)


def register(app: typer.Typer) -> None:
    """Add the drills to the application."""
    app.add_typer(_drill, name="drill")
