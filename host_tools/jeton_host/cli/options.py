"""Options, arguments and help panels that several commands share."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from jeton_host.terminal.parse import shortened

BOARDS = "Boards"

WherePort = Annotated[
    str,
    typer.Argument(
        metavar="PORT",
        help="A path, URL, MAC, serial number, served meter, or auto: the only board on USB.",
    ),
]

# So that `load -1` is a refused load and not an unknown option.
NUMBERS = {"ignore_unknown_options": True}

# The groups of commands in the help.
METERS = "Meters"
HAPPENS = "What happens to a meter"
TELLS = "What a meter tells"


class DisplaySize(StrEnum):
    """The sizes of display that meters have."""

    TWO_16 = "2x16"
    TWO_20 = "2x20"
    FOUR_16 = "4x16"
    FOUR_20 = "4x20"

    @property
    def size(self) -> list[int]:
        """Return rows and columns."""
        return [int(part) for part in self.value.split("x")]


def display_size(text: str) -> DisplaySize:
    """Return the size of a display; typer.BadParameter where there is none of it."""
    try:
        return DisplaySize(text)
    except ValueError:
        raise typer.BadParameter(
            f"{shortened(text)} is none of {', '.join(DisplaySize)}: rows x columns"
        ) from None


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Where = Annotated[str, typer.Argument(metavar="NAME|PORT", help="A meter's name, or a port.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The meter's name.")]
Heap = Annotated[str, typer.Option(help="Heap of the virtual board.")]


def put(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False))
