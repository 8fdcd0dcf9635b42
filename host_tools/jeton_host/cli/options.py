"""Options, arguments and help panels that several commands share."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from jeton_host.cli import complete
from jeton_host.terminal.parse import shortened

BOARDS = "Boards"

WherePort = Annotated[
    str,
    typer.Argument(
        metavar="PORT",
        help="A path, URL, MAC or serial number; the name of a served meter; or auto: the only "
        "board on USB.",
        autocompletion=complete.port,
    ),
]

# So that `load -1` is refused as a load, not as an unknown option.
NUMBERS = {"ignore_unknown_options": True}

# The headings of the help under which commands are listed.
TOKENS = "Tokens and vending"
METERS = "Meters"
HAPPENS = "What happens to a meter"
RECORDS = "What a meter has recorded"


class DisplaySize(StrEnum):
    """The sizes of a meter's display, rows x columns."""

    TWO_16 = "2x16"
    TWO_20 = "2x20"
    FOUR_16 = "4x16"
    FOUR_20 = "4x20"

    @property
    def size(self) -> list[int]:
        """Return rows and columns."""
        return [int(part) for part in self.value.split("x")]


def display_size(text: str) -> DisplaySize:
    """Return the size of a display; raise typer.BadParameter for an unknown size."""
    try:
        return DisplaySize(text)
    except ValueError:
        raise typer.BadParameter(
            f"{shortened(text)} is not a size of a display: give one of {', '.join(DisplaySize)}"
        ) from None


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Where = Annotated[
    str,
    typer.Argument(
        metavar="NAME|PORT",
        help="The name of a meter, or a port.",
        autocompletion=complete.meter_or_port,
    ),
]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="The name of the new meter.")]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The name of the meter.", autocompletion=complete.meter),
]
Heap = Annotated[str, typer.Option(help="Heap of the virtual board, bytes; k and M are allowed.")]


def put(value: Any) -> None:
    """Print a value as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False))
