"""The command that tests the wires between a meter's board and its adapter."""

from typing import Annotated

import typer

from jeton_host.cli.options import BOARDS, Json, WherePort, put
from jeton_host.cli.progress import Told
from jeton_host.errors import BoardError

Adapter = Annotated[
    str,
    typer.Argument(
        metavar="ADAPTER", help="The port of the adapter: a path, URL or serial number."
    ),
]


def wires(port: WherePort, adapter: Adapter, as_json: Json = False) -> None:
    """Test the wires between a meter and its adapter, one by one: which are missing or swapped.

    Each key is closed and must be seen as that key, each output switched, each input given its
    sign, the display filled and read back. The relay switches what hangs on it. Nothing is keyed
    into the meter, and it goes on after. Status 1 if a wire is wrong. How to
    make and wire an adapter: docs/hardware/bench.md.

    Examples: `jeton wires /dev/ttyUSB0 /dev/ttyACM0` · `jeton wires lome /dev/ttyACM0 --json`
    """
    from jeton_host.bench import flashing
    from jeton_host.bench.adapter_check import Check
    from jeton_host.bench.doctor import FAILED
    from jeton_host.bench.wires import AdapterWires, held
    from jeton_host.meter import Meter
    from jeton_host.meters import ports

    told = Told(as_json)
    device, other = ports.find(port).device, ports.find(adapter).device
    found = []
    with Meter(device, timeout=flashing.PATIENCE) as meter:
        line = AdapterWires(other, pause=held())  # the meter's line is busy meanwhile
        line.connect(meter)
        try:
            board = line.board.name
            for finding in Check(meter, line).run():
                found.append(finding)
                told.line(f"{finding.part:<10} {finding.result:<10} {finding.note}".rstrip())
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
