"""The vending service in a thread, on a TCP port of this computer."""

import asyncio
import contextlib
import math
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI

from jeton_host.errors import VendingError
from jeton_host.typed import typed_methods
from jeton_host.vending.keys import VendingKeys
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.service.app import make_app
from jeton_host.vending.service.backend import ActiveFaults, read_faults
from jeton_host.vending.service.messages import Faults
from jeton_host.vending.store import BUSY_S

_START_S = 10.0  # how long the start may take


class _Server(uvicorn.Server):
    """Sets `ready` after the start; at the end, sends delayed answers at once."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event):
        super().__init__(config)
        self.ready = threading.Event()
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending.set()
        await super().shutdown(sockets=sockets)


@typed_methods
class VendServer:
    """The vending service in a thread of this program; a context manager.

    `path`: its SQLite file, by default a temporary one. `port`: 0 means any free port; `url`
    contains the port. `keys`: the vending keys to use, by default those of $JETON_KEYS and the
    published test keys.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: VendingKeys | None = None,
        faults: Faults | None = None,
    ):
        self._ends = contextlib.ExitStack()
        self._wanted = path
        self._address = (host, port)
        self._keys = keys
        self._active_faults = ActiveFaults()
        self._active_faults.set(faults or Faults())
        self.url = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start the service and set `url`."""
        with contextlib.ExitStack() as ends:
            path = self._wanted
            if path is None:
                folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="jeton-"))
                path = Path(folder) / "pos.sqlite"
            self.pos = PointOfSale(path, keys=self._keys)
            app = make_app(self.pos, self._active_faults)
            line = ends.enter_context(_listen(*self._address))
            ends.enter_context(_serving(app, line))
            host, port = line.getsockname()[:2]
            self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            self._ends = ends.pop_all()
        return self

    def set_faults(self, **faults: Any) -> None:
        """Set faults by their names in Faults; a fault that is not given is cleared."""
        self._active_faults.set(read_faults(faults))

    def close(self) -> None:
        """Answer the open requests, then stop; delete the file if it is temporary."""
        self._ends.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError, TypeError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise VendingError(f"the vending service cannot listen on {host}:{port}: {why}") from None


@contextlib.contextmanager
def _serving(app: FastAPI, line: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        # An order can wait up to BUSY_S for the locked file before it is answered.
        timeout_graceful_shutdown=math.ceil(BUSY_S) + 5,
    )
    server = _Server(config, app.state.ending)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [line]}, name="jeton-vend-server", daemon=True
    )
    thread.start()
    try:
        if not server.ready.wait(_START_S):
            raise VendingError(f"the vending service did not start within {_START_S:.0f} s")
        yield
    finally:
        server.should_exit = True
        thread.join()
