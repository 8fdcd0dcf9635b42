"""SOMELEC's technical service, and the delivery of a meter's fault reports to it."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jeton_host.errors import JetonError
from jeton_host.meter import Meter


class Service:
    """The utility's technical service: receives fault reports on a TCP port, keeps each once."""

    def __init__(self) -> None:
        self.taken: dict[int, dict[str, Any]] = {}
        self.received = 0  # also reports that were already in `taken`
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))  # does not listen yet: connections are refused
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Release the port."""
        self._socket.close()

    @contextmanager
    def on_duty(self, *, answers: bool = True) -> Iterator[None]:
        """Receive one delivery; if not `answers`, close the connection before the receipt."""
        self._socket.listen()
        self._socket.settimeout(10)
        receiver = threading.Thread(target=self._receive, args=(answers,))
        receiver.start()
        try:
            yield
        finally:
            receiver.join()

    def _receive(self, answers: bool) -> None:
        try:
            line, _ = self._socket.accept()
        except OSError:
            return  # no delivery
        with line, line.makefile("rw", encoding="utf-8") as file:
            for report in json.loads(file.readline()):
                self.received += 1
                self.taken.setdefault(report["seq"], report)
            if answers:
                file.write(f"{max(self.taken, default=0)}\n")


def deliver(meter: Meter, port: int) -> int:
    """Send the reports to the service, acknowledge those received; return how many are left."""
    reports = meter.reports()
    left = f"reports left in the meter: {len(reports)}"
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as line,
            line.makefile("rw", encoding="utf-8") as file,
        ):
            file.write(json.dumps([report.as_dict() for report in reports]) + "\n")
            file.flush()
            receipt = file.readline()
    except OSError as error:
        raise JetonError(
            f"the technical service cannot be reached: {error.strerror or error}; {left}"
        ) from None
    if not receipt:
        raise JetonError(f"the technical service gave no receipt; {left}")
    return meter.acknowledge(int(receipt))
