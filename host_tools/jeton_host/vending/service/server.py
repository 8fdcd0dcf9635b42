"""The vending service in a thread or as a command, on a port of this computer."""

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
from jeton_host.vending.service.messages import Faults
from jeton_host.vending.service.shop import Trouble, read_faults
from jeton_host.vending.store import BUSY_S

_START_S = 10.0


class _Server(uvicorn.Server):
    """Says when it has started, and keeps nobody waiting for an answer when it ends."""

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
    """The service in a thread of this program; a context manager.

    `path`: its SQLite file, by default a temporary one. `port`: 0 takes a free one; `url` has it.
    `keys`: the vending keys to use, by default those of $JETON_KEYS and the published test keys.
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
        self._trouble = Trouble()
        self._trouble.set(faults or Faults())
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
        """Begin to serve; `url` is then known."""
        with contextlib.ExitStack() as ends:
            path = self._wanted
            if path is None:
                folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="jeton-"))
                path = Path(folder) / "pos.sqlite"
            self.pos = PointOfSale(path, keys=self._keys)
            app = make_app(self.pos, self._trouble)
            line = ends.enter_context(_listen(*self._address))
            ends.enter_context(_serving(app, line))
            host, port = line.getsockname()[:2]
            self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            self._ends = ends.pop_all()
        return self

    def set_faults(self, **faults: Any) -> None:
        """Let things go wrong, by the names of Faults; what is left out goes well."""
        self._trouble.set(read_faults(faults))

    def close(self) -> None:
        """Answer what was asked, then end; a temporary file is gone then."""
        self._ends.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError, TypeError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise VendingError(f"the vending service cannot listen at {host}:{port}: {why}") from None


@contextlib.contextmanager
def _serving(app: FastAPI, line: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        # An order may have to wait for the file; after that it is answered.
        timeout_graceful_shutdown=math.ceil(BUSY_S) + 5,
    )
    server = _Server(config, app.state.ending)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [line]}, name="jeton-vend-server", daemon=True
    )
    thread.start()
    try:
        if not server.ready.wait(_START_S):
            raise VendingError("the vending service does not start")
        yield
    finally:
        server.should_exit = True
        thread.join()
