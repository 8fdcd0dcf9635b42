"""A hand-held vending session as a process of its own that can open no network socket.

`python -m jeton_host.drills.handheld FILE METER KWH AT RND PORT`: sell from the point of sale in
FILE, carry the token to the meter on serial port PORT, and print what happened as one JSON object.
An audit hook, which nothing in the process can take away again, refuses every socket.
"""

import json
import sys
from datetime import datetime
from typing import Any


class _Network(OSError):
    """Somebody wanted the network."""


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith("socket."):
        raise _Network(f"{event} is refused: this hand-held has no network")


def _proof() -> str:
    """Return how the attempt ends to reach a server."""
    import socket

    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1).close()
    except _Network as refusal:
        return str(refusal)
    except OSError as error:
        return f"a socket was there: {error}"
    return "a socket was there, and connected"


def main(arguments: list[str]) -> int:
    """Do the session; an error is an object with `error`."""
    sys.addaudithook(_refuse)
    from jeton_host.errors import JetonError
    from jeton_host.meter import Meter
    from jeton_host.vending.pos import PointOfSale

    file, name, amount, at, rnd, port = arguments
    told: dict[str, Any] = {"network": _proof()}
    try:
        sold = PointOfSale(file).credit(name, amount, at=datetime.fromisoformat(at), rnd=int(rnd))
        with Meter.open(port) as meter:
            told["before"] = meter.status().as_dict()
            told["result"] = meter.enter(sold.token).as_dict()
            told["after"] = meter.status().as_dict()
    except JetonError as error:
        told["error"] = str(error)
    print(json.dumps(told))
    return 1 if "error" in told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
