"""The commands that key tokens and codes into a meter."""

import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from jeton.sts import digits
from jeton_host.cli.options import METERS, Json, Where, put
from jeton_host.client.answers import EnterResult, PressResult
from jeton_host.errors import BoardError, JetonError
from jeton_host.meter import Meter
from jeton_host.terminal.draw import panel
from jeton_host.terminal.parse import shortened
from jeton_host.terminal.words import accepted, refusal

_KEYS = "0 to 9, * backspace, # Enter, i where there is one"


def show_panel(meter: Meter, title: str = "") -> None:
    """Print what the display of a meter shows."""
    display = meter.display()
    Console().print(panel(display.lines, display.rows, display.cols, title=title))


def enter(
    where: Where,
    token: Annotated[
        list[str], typer.Argument(metavar="TOKEN", help="20 digits, in groups or not.")
    ],
    as_json: Json = False,
) -> None:
    """Key a token in, or several: the codes of a key change belong into one call.

    A refused token changes nothing; the exit status is then 1. With several tokens --json prints
    a list.

    Examples: `jeton enter demo 7063 0503 4700 2872 6114` · `jeton enter /dev/ttyUSB0 CODE1 CODE2`
    """
    codes = tokens_of(token)
    results: list[EnterResult] = []
    with Meter.open(where) as meter:
        for code in codes:
            entered = meter.enter(code)
            for result in (*entered.earlier, entered):
                # What is refused before the last token is said here, the last one at the end.
                if results and not results[-1].good and not as_json:
                    print(f"jeton: {refusal(results[-1])}", file=sys.stderr, flush=True)
                results.append(result)
                if result.good and not as_json:
                    print(accepted(result), flush=True)
            if entered.good and not as_json:
                show_panel(meter)
        if results[-1].missing and meter.board is not None:
            print(
                f"jeton: {where} is switched off again now and forgets a key change half done: "
                "key all its codes in one call",
                file=sys.stderr,
            )
    if as_json:
        found = [result.as_dict() for result in results]
        put(found if len(found) > 1 else found[0])
    if not results[-1].good and not as_json:
        raise BoardError(refusal(results[-1]))
    if not all(result.good for result in results):
        raise typer.Exit(1)


def press(
    where: Where,
    keys: Annotated[
        list[str], typer.Argument(metavar="KEYS", help="0 to 9, '*' backspace, '#' Enter, i.")
    ],
    as_json: Json = False,
) -> None:
    """Press keys and see the display, for short codes say; digits are followed by Enter.

    Quote # and *, or the shell keeps them. `jeton run` is for more than a few keys.

    Examples: `jeton press demo 07` · `jeton press demo '#005#'` · `jeton press demo i002`
    """
    wanted = "".join(keys)
    with Meter.open(where) as meter:
        said, value, good = key_in(meter, wanted)
        if as_json:
            put(value)
        elif good:
            show_panel(meter)
    if as_json:
        if not good:
            raise typer.Exit(1)
    elif not good:
        raise BoardError(said)
    elif said:
        print(said)


def tokens_of(words: Sequence[str]) -> list[str]:
    """Return the tokens among the words of a command line.

    Words of 20 digits are a token each; otherwise all of them together are one, in its groups.
    """
    cleaned = [digits.clean(word) for word in words]
    if all(len(word) == digits.DIGITS for word in cleaned):
        return cleaned
    return ["".join(cleaned)]


def key_in(meter: Meter, line: str) -> tuple[str, dict[str, Any], bool]:
    """Press the keys of a line; return what `_obeyed` does."""
    keys = re.sub(r"[\s-]", "", line)
    if not re.fullmatch(r"[0-9*#i]*", keys):
        raise JetonError(f"{shortened(line)} are not keys of a meter: {_KEYS}")
    pressed = _pressed(meter, keys)
    if pressed.result is None:
        return "", pressed.as_dict(), True
    results = [*pressed.result.earlier, pressed.result]
    said = [accepted(result) if result.good else refusal(result) for result in results]
    return "; ".join(said), pressed.as_dict(), all(result.good for result in results)


def _pressed(meter: Meter, keys: str) -> PressResult:
    """Press keys, and Enter where they leave digits that wait for it.

    Some keypads enter digit 20 by themselves, and codes that begin with the key i: a further Enter
    would do something of its own there.
    """
    pressed = meter.press(keys)
    if pressed.result is None and keys[-1:].isdigit() and "i" not in keys:
        pressed = meter.press("#")
    return pressed


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for name, function in (("enter", enter), ("press", press)):
        app.command(name, rich_help_panel=METERS)(function)
