"""The command `jeton wires`: tests the wires between the board of a meter and its adapter."""

from typing import Annotated

import typer

from jeton_host.cli import complete
from jeton_host.cli.options import BOARDS, Json, WherePort, put
from jeton_host.cli.progress import Printer
from jeton_host.errors import BoardError

Adapter = Annotated[
    str,
    typer.Argument(
        metavar="ADAPTER",
        help="The port of the adapter: a path, URL or serial number.",
        autocompletion=complete.adapter,
    ),
]


def wires(port: WherePort, adapter: Adapter, as_json: Json = False) -> None:
    """Test each wire between a meter and its adapter: find missing and swapped wires.

    The adapter closes each key, reads each output, drives each input and reads the display.
    Caution: the relay switches whatever is connected to it. No token is entered, and the meter
    continues afterwards. The exit status is 1 if a wire is wrong. docs/hardware/bench.md describes
    how to build and connect an adapter.

    Examples:

    - `jeton wires /dev/ttyUSB0 /dev/ttyACM0`
    - `jeton wires lome /dev/ttyACM0 --json`
    """
    from jeton_host.bench import flashing
    from jeton_host.bench.adapter_check import Check
    from jeton_host.bench.doctor import FAILED
    from jeton_host.bench.wires import AdapterWires, held
    from jeton_host.meter import Meter
    from jeton_host.meters import ports

    printer = Printer(as_json)
    device, other = ports.find(port).device, ports.find(adapter).device
    found = []
    with Meter(device, timeout=flashing.PATIENCE) as meter:
        line = AdapterWires(other, pause=held())  # the serial line of the meter is busy
        line.connect(meter)
        try:
            board = line.board.name
            for finding in Check(meter, line).run():
                found.append(finding)
                printer.line(f"{finding.part:<10} {finding.result:<10} {finding.note}".rstrip())
        finally:
            line.close()
    failed = list(dict.fromkeys(f.part for f in found if f.result == FAILED))
    if as_json:
        about = {"port": device, "adapter": other, "board": board, "good": not failed}
        put(about | {"findings": [finding.as_dict() for finding in found]})
        if failed:
            raise typer.Exit(1)
    elif failed:
        raise BoardError(f"{device}: the wires of {', '.join(failed)} are wrong")


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command(rich_help_panel=BOARDS)(wires)
