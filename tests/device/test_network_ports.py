"""A meter on a TCP port, as raw bytes and by RFC 2217."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import serial
from serial.rfc2217 import PortManager

from jeton_host.errors import BoardError, PortError
from jeton_host.meter import Meter
from jeton_host.meters.named import make_config
from jeton_host.virtual.board import VirtualBoard


class Tty(serial.Serial):
    """A serial port without DTR and RTS, such as a pseudo-terminal."""

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass

    cts = dsr = ri = cd = False


class Server:
    """Puts a serial port on a TCP port, for one client at a time, as ser2net does."""

    def __init__(self, path: str, telnet: bool) -> None:
        self._tty = Tty(path, timeout=0.05)
        self._telnet = telnet
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._client: socket.socket | None = None
        self.port = self._listener.getsockname()[1]
        self.scheme = "rfc2217" if telnet else "socket"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def write(self, data: bytes) -> None:  # PortManager sends its answers by this method
        if self._client is not None:
            self._client.sendall(data)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._client is not None:
                    client.sendall(b"Port already in use\r\n")
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(4096):
                        pass
                    client.close()
                    continue
                self._client = client
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _serve(self, client: socket.socket) -> None:
        manager = PortManager(self._tty, self) if self._telnet else None
        done = threading.Event()

        def back() -> None:
            with contextlib.suppress(OSError, serial.SerialException):
                while not done.is_set():
                    data = self._tty.read(self._tty.in_waiting or 1)
                    if data:
                        client.sendall(b"".join(manager.escape(data)) if manager else data)

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        with contextlib.suppress(OSError, serial.SerialException):
            while data := client.recv(4096):
                self._tty.write(b"".join(manager.filter(data)) if manager else data)
        done.set()
        thread.join()
        client.close()
        self._client = None

    def hang_up(self) -> None:
        """Close the client's connection, as when the port is lost; accept the next client."""
        if self._client is not None:
            with contextlib.suppress(OSError):  # the client has already closed
                self._client.shutdown(socket.SHUT_RDWR)
            self._threads[-1].join()

    def close(self) -> None:
        self.hang_up()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()
        self._tty.close()


@pytest.fixture
def board() -> Iterator[VirtualBoard]:
    with VirtualBoard() as board:
        yield board


@pytest.fixture(params=["socket", "rfc2217"])
def server(request: pytest.FixtureRequest, board: VirtualBoard) -> Iterator[Server]:
    server = Server(board.path, request.param == "rfc2217")
    yield server
    server.close()


def test_a_meter_works_over_the_network(server: Server) -> None:
    with Meter(server.url) as meter:
        assert meter.provision(make_config() | {"credit_wh": 700}).provisioned
        meter.soft_reset()
        assert meter.status().credit_wh == 700
        meter.reset()
        assert meter.info().board == "virtual"
        assert len(meter.run("for _ in range(40):\n print('x' * 498)")) == 20000


def test_a_lost_connection_is_reported_and_opened_again(server: Server) -> None:
    with Meter(server.url) as meter:
        meter.status()
        server.hang_up()
        with pytest.raises(BoardError, match=r"is gone|hangs up|does not answer"):
            meter.status()
        assert not meter.status().provisioned


def test_a_port_in_use_is_refused(board: VirtualBoard) -> None:
    server = Server(board.path, telnet=False)
    try:
        with Meter(server.url) as meter:
            assert not meter.status().provisioned
            with pytest.raises(PortError, match="in use by another program"):
                Meter(server.url)
    finally:
        server.close()


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
def test_a_port_without_a_server_is_reported(scheme: str) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    url = f"{scheme}://127.0.0.1:{port}"
    with pytest.raises(PortError) as caught:
        Meter(url)
    assert str(caught.value) == (
        f"port {url} cannot be opened: Connection refused: is there a server at this address?"
    )
