"""The command vend-server: a vending service over HTTP, for tests."""

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from jeton_host.cli.options import TOKENS
from jeton_host.errors import VendingError

_LOCAL = ("127.0.0.1", "::1", "localhost")


def register(app: typer.Typer) -> None:
    """Add the command to `jeton`."""
    app.command("vend-server", rich_help_panel=TOKENS)(vend_server)


def vend_server(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The TCP port; 0 is any free port.")
    ] = 0,
    pos: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="SQLite file of the point of sale. Default: that of `jeton new`.",
        ),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Your vending keys. Default: $JETON_KEYS, then the published test keys.",
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A fault to simulate: out_of_service_s, out_of_service_requests, retry_after_s, "
            "slow_s, lost_answers, repeated_tokens, ignore_idempotency, old_key. Repeat.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Issue tokens over HTTP for the meters of a point of sale; print the address first.

    The path /docs describes the interface. Faults can be changed at /admin/faults while the server
    runs. Each program that reaches the address can change faults and vend. Ctrl-C or SIGTERM stops
    the server.

    Examples:

    - `jeton vend-server`
    - `jeton vend-server --port 8080 --pos shop.sqlite`
    - `jeton vend-server --fault out_of_service_s=60 --fault old_key=true`
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
            print(f"The interface: {server.url}/docs. Ctrl-C stops the server.", flush=True)
        if host not in _LOCAL:
            print(
                f"jeton: each program that reaches {host} can vend and set faults: for tests only",
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
            raise VendingError(f"--fault {text!r} is not valid: write NAME=VALUE")
        found[name.strip()] = value.strip()
    return found
