"""A vending session on a handheld: a separate process that cannot open a network socket.

`python -m jeton_host.drills.handheld FILE METER KWH AT RND PORT`: issue a credit token from the
point of sale in FILE, enter it into the meter at PORT, and print the results as one JSON object.
An audit hook, which code in the process cannot remove, refuses each socket.
"""

import json
import sys
from datetime import datetime
from typing import Any


class _Network(OSError):
    """The process tried to open a network socket."""


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith("socket."):
        raise _Network(f"{event} is refused: this handheld has no network")


def _proof() -> str:
    """Try to connect to a server; return the message of the error."""
    import socket

    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1).close()
    except _Network as refusal:
        return str(refusal)
    except OSError as error:
        return f"a socket was opened: {error}"
    return "a socket was opened, and connected"


def main(arguments: list[str]) -> int:
    """Run the session; after an error, the printed object has `error`."""
    sys.addaudithook(_refuse)
    from jeton_host.errors import JetonError
    from jeton_host.meter import Meter
    from jeton_host.vending.pos import PointOfSale

    file, name, amount, at, rnd, port = arguments
    output: dict[str, Any] = {"network": _proof()}
    try:
        sold = PointOfSale(file).credit(name, amount, at=datetime.fromisoformat(at), rnd=int(rnd))
        with Meter.open(port) as meter:
            output["before"] = meter.status().as_dict()
            output["result"] = meter.enter(sold.token).as_dict()
            output["after"] = meter.status().as_dict()
    except JetonError as error:
        output["error"] = str(error)
    print(json.dumps(output))
    return 1 if "error" in output else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
