"""The command `jeton drill`."""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jeton_host.drills.story import Story

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object at the end, and nothing else.")
]
Seed = Annotated[
    int,
    typer.Option(min=0, help="Number from which loads, amounts and random digits are generated."),
]
Homes = Annotated[int, typer.Option(min=1, max=48, help="Number of meters in the street.")]

_HOMES = 12

_drill = typer.Typer(
    no_args_is_help=True,
    help="Run the story of a utility, step by step, on new virtual meters.\n\n"
    "Example:\n\n- `jeton drill ceet`",
)


def _ceet(story: "Story", homes: int) -> None:
    from jeton_host.drills import ceet

    ceet.run(story)


def _eneo(story: "Story", homes: int) -> None:
    from jeton_host.drills import eneo

    eneo.run(story, homes=homes)


def _onee(story: "Story", homes: int) -> None:
    from jeton_host.drills import onee

    onee.run(story)


def _somelec(story: "Story", homes: int) -> None:
    from jeton_host.drills import somelec

    somelec.run(story)


DRILLS: dict[str, Callable[["Story", int], None]] = {
    "ceet": _ceet,
    "eneo": _eneo,
    "onee": _onee,
    "somelec": _somelec,
}


def _run(name: str, seed: int, as_json: bool, homes: int = _HOMES) -> int:
    """Run a drill; return the exit status."""
    from jeton_host.drills.story import Story

    story = Story(name, seed=seed, as_json=as_json)
    story.run(partial(DRILLS[name], story, homes))
    return story.finish()


@_drill.command("ceet")
def _ceet_command(seed: Seed = 1, as_json: Json = False) -> None:
    """CEET, Togo, 2024: the TID rollover. Three codes, two minutes, and what can go wrong.

    The exit status is 0 only if each step has the expected result.

    Example:

    - `jeton drill ceet`
    """
    raise typer.Exit(_run("ceet", seed, as_json))


@_drill.command("eneo")
def _eneo_command(homes: Homes = _HOMES, seed: Seed = 1, as_json: Json = False) -> None:
    """Eneo, Cameroon: five days without vending, loans, hours without supply, late tokens.

    The exit status is 0 only if each step has the expected result.

    Example:

    - `jeton drill eneo --homes 4`
    """
    raise typer.Exit(_run("eneo", seed, as_json, homes))


@_drill.command("onee")
def _onee_command(seed: Seed = 1, as_json: Json = False) -> None:
    """ONEE, Morocco, 2020: an advance and its repayment, index readings, vending with no network.

    The exit status is 0 only if each step has the expected result.

    Example:

    - `jeton drill onee`
    """
    raise typer.Exit(_run("onee", seed, as_json))


@_drill.command("somelec")
def _somelec_command(seed: Seed = 1, as_json: Json = False) -> None:
    """SOMELEC, Mauritania: remote recharge, consumption, no cut for debt, fault reports.

    The exit status is 0 only if each step has the expected result.

    Example:

    - `jeton drill somelec`
    """
    raise typer.Exit(_run("somelec", seed, as_json))


@_drill.command("all")
def _all_command(homes: Homes = _HOMES, seed: Seed = 1, as_json: Json = False) -> None:
    """Run all four drills, one after the other.

    The exit status is 0 only if each step of each drill has the expected result.

    Example:

    - `jeton drill all --seed 2`
    """
    from jeton_host.drills.story import Story

    started = time.monotonic()
    stories = [Story(name, seed=seed, as_json=as_json) for name in DRILLS]
    for story in stories:
        story.run(partial(DRILLS[story.name], story, homes))
        if not as_json:
            story.finish()
    seconds = time.monotonic() - started
    bad = [story.name for story in stories if not story.ok]
    if as_json:
        result = {"drill": "all", "ok": not bad, "seed": seed, "seconds": round(seconds, 3)}
        print(json.dumps(result | {"drills": [story.result() for story in stories]}))
    else:
        outcome = f"failed: {', '.join(bad)}" if bad else "all steps as expected"
        typer.echo(f"\n{len(stories)} drills in {seconds:.1f} s: {outcome}.")
    raise typer.Exit(1 if bad else 0)


def register(app: typer.Typer) -> None:
    """Add the drills to the application."""
    app.add_typer(_drill, name="drill")
