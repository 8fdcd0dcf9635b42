"""The commands that enter tokens and short codes into a meter: enter, press."""

import contextlib
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from jeton.management import SECTIONS
from jeton.sts import digits
from jeton_host import token_text
from jeton_host.cli.options import METERS, Json, Where, put
from jeton_host.client.answers import EnterResult, PressResult, TokenResult
from jeton_host.errors import BoardError, JetonError, VendingError
from jeton_host.meter import Meter
from jeton_host.terminal import output
from jeton_host.terminal.draw import panel
from jeton_host.terminal.parse import shortened
from jeton_host.terminal.words import accepted, refusal
from jeton_host.vending.pos import PointOfSale

_KEYS = "0 to 9, * backspace, # Enter, i on some meters"


def show_panel(meter: Meter, title: str = "") -> None:
    """Print the display of a meter."""
    display = meter.display()
    Console().print(panel(display.lines, display.rows, display.cols, title=title))


def enter(
    where: Where,
    token: Annotated[
        list[str], typer.Argument(metavar="TOKEN", help="20 digits, with or without spaces.")
    ],
    as_json: Json = False,
) -> None:
    """Enter one or more tokens. Give all codes of a key change in one command.

    A refused token changes nothing, and the exit status is 1. With several tokens, --json prints
    a list.

    Examples:

    - `jeton enter home 7063 0503 4700 2872 6114`
    - `jeton enter /dev/ttyUSB0 CODE1 CODE2`
    """
    codes = tokens_of(token)
    results: list[EnterResult] = []
    with output.without_hangup(), Meter.open(where) as meter:
        for code in codes:
            entered = meter.enter(code)
            for result in (*entered.earlier, entered):
                # Print each refusal but that of the last token, which is printed at the end.
                if results and not results[-1].good and not as_json:
                    print(f"jeton: {refusal(results[-1])}", file=sys.stderr, flush=True)
                results.append(result)
                if result.good and not as_json:
                    print(accepted(result), flush=True)
            if entered.good and not as_json:
                show_panel(meter)
        note_key(meter, results, codes)
        if results[-1].missing and meter.board is not None:
            print(
                f"jeton: {where} is switched off now and forgets a half-entered key change: give "
                "all its codes in one command",
                file=sys.stderr,
            )
    if as_json:
        found = [result.as_dict() for result in results]
        put(found if len(found) > 1 else found[0])
    if not results[-1].good and not as_json:
        raise BoardError(refusal(results[-1]))
    if not all(result.good for result in results):
        raise typer.Exit(1)


def note_key(meter: Meter, results: Sequence[EnterResult], codes: Sequence[str]) -> None:
    """Note at the point of sale which key a registered meter has after a key change.

    `codes`: the tokens of `results`. If they are not the whole set, what the meter shows counts.
    """
    tokens = re.findall("[0-9]{20}", " ".join(codes))
    if len(tokens) != len(results):
        tokens = [""] * len(results)
    entered: list[str] = []
    for token, result in zip(tokens, results, strict=True):
        if not result.good or result.token_class != 2 or result.subclass not in SECTIONS:
            continue
        entered.append(token)
        if result.result is TokenResult.ACCEPT:
            status = meter.status()
            pos = PointOfSale()
            with contextlib.suppress(JetonError):
                name = pos.find_meter(status.drn or "").name
                try:
                    pos.entered(name, entered)
                except VendingError:
                    pos.entered(name, krn=status.krn, ti=status.ti, kt=status.kt, ken=status.ken)
            entered = []


def press(
    where: Where,
    keys: Annotated[
        list[str],
        typer.Argument(metavar="KEYS", help="0 to 9, '*' backspace, '#' Enter, i on some meters."),
    ],
    as_json: Json = False,
) -> None:
    """Press keys, for example a short code, and show the display. Enter follows the digits.

    Put # and * in quotes, because the shell interprets them. For many keys, use `jeton run`.

    Examples:

    - `jeton press home 07`
    - `jeton press home '#005#'`
    - `jeton press home i002`
    """
    wanted = "".join(keys)
    with Meter.open(where) as meter:
        message, value, good = key_in(meter, wanted)
        if as_json:
            put(value)
        elif good:
            show_panel(meter)
    if as_json:
        if not good:
            raise typer.Exit(1)
    elif not good:
        raise BoardError(message)
    elif message:
        print(message)


def tokens_of(words: Sequence[str]) -> list[str]:
    """Return the tokens in the words of a command line.

    If each word has 20 digits, each is a token. Otherwise all words together are one token, or a
    text that contains tokens, such as an SMS; a line on standard error then says which.
    """
    cleaned = [digits.clean(word) for word in words]
    if all(len(word) == digits.DIGITS for word in cleaned):
        return cleaned
    together = "".join(cleaned)
    text = " ".join(words)
    damage = token_text.damage(text)
    if damage is not None and damage.certain:
        return [text]  # the meter refuses it, and the message says what has happened to it
    if token_text.is_number(text):
        return [together]
    found = token_text.found_in(text)
    if found:
        shown = ", ".join(digits.grouped(token) for token in found)
        print(f"jeton: found in this text: {shown}", file=sys.stderr)
    return found or [together]


def key_in(meter: Meter, line: str) -> tuple[str, dict[str, Any], bool]:
    """Press the keys of a line; return a message, the value for --json, and if it succeeded."""
    keys = digits.clean(line)
    if not re.fullmatch(r"[0-9*#i]*", keys):
        keys = "#".join(token_text.found_in(line))
        if not keys:
            damage = token_text.damage(line)
            why = f"use {_KEYS}" if damage is None else damage.what
            raise JetonError(f"{shortened(line)} are not keys of a meter: {why}")
    pressed = _pressed(meter, keys)
    if pressed.result is None:
        return "", pressed.as_dict(), True
    results = [*pressed.result.earlier, pressed.result]
    note_key(meter, results, [])
    messages = [accepted(result) if result.good else refusal(result) for result in results]
    return "; ".join(messages), pressed.as_dict(), all(result.good for result in results)


def _pressed(meter: Meter, keys: str) -> PressResult:
    """Press keys, and then Enter if the keypad needs it.

    Some keypads accept a token at digit 20, and short codes that begin with the key i, without
    Enter. An additional Enter has another function there, for example to take emergency credit.
    """
    pressed = meter.press(keys)
    if pressed.result is None and keys[-1:].isdigit() and "i" not in keys:
        pressed = meter.press("#")
    return pressed


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for name, function in (("enter", enter), ("press", press)):
        app.command(name, rich_help_panel=METERS)(function)
