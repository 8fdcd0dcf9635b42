"""The command vend-server: a vending service over HTTP, for tests."""

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from jeton_host.errors import VendingError

_NEAR = ("127.0.0.1", "::1", "localhost")


def register(app: typer.Typer) -> None:
    """Add the command to `jeton`."""
    app.command("vend-server", epilog=_EXAMPLES)(vend_server)


_EXAMPLES = (
    "Examples: jeton vend-server · jeton vend-server --port 8080 --pos shop.sqlite · "
    "jeton vend-server --fault out_of_service_s=60 --fault old_key=true"
)


def vend_server(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    pos: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Its SQLite file; default the point of sale of `jeton new` and `jeton vend`.",
        ),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Your vending keys; default $JETON_KEYS, and the published test keys.",
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What is to go wrong: out_of_service_s, out_of_service_requests, retry_after_s, "
            "slow_s, lost_answers, repeated_tokens, ignore_idempotency, old_key.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Issue tokens over HTTP, for the meters of a point of sale; the first line is the address.

    Its interface is shown at /docs. What goes wrong can be set while it runs, at /admin/faults:
    whoever reaches the address may do that, and vend. Ctrl-C or SIGTERM stops it.
    """
    from jeton_host.paths import data_home
    from jeton_host.vending.keys import load_keys
    from jeton_host.vending.service.backend import read_faults
    from jeton_host.vending.service.server import VendServer

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    file = pos if pos is not None else data_home() / "pos.sqlite"
    faults = read_faults(_pairs(fault or []))
    with VendServer(file, host=host, port=port, keys=load_keys(keys), faults=faults) as server:
        if as_json:
            print(json.dumps({"url": server.url, "pos": str(file)}), flush=True)
        else:
            print(server.url, flush=True)
            print(f"Its interface: {server.url}/docs. Ctrl-C stops it.", flush=True)
        if host not in _NEAR:
            print(
                f"jeton: whoever reaches {host} may vend here and set faults: for tests only",
                file=sys.stderr,
                flush=True,
            )
        while not stop.wait(1.0):
            pass


def _pairs(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise VendingError(f"--fault {text!r} will not do: write NAME=VALUE")
        found[name.strip()] = value.strip()
    return found
