"""SOMELEC's technical service, and how a meter's fault reports get there."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jeton_host.errors import JetonError
from jeton_host.meter import Meter


class Service:
    """The utility's technical service: takes fault reports on a TCP port, each of them once."""

    def __init__(self) -> None:
        self.taken: dict[int, dict[str, Any]] = {}
        self.came = 0  # also those that it had
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))  # it does not listen yet: nobody gets through
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Let go of the port."""
        self._socket.close()

    @contextmanager
    def on_duty(self, *, answers: bool = True) -> Iterator[None]:
        """Take one delivery; without `answers` the line drops before its receipt is sent."""
        self._socket.listen()
        self._socket.settimeout(10)
        clerk = threading.Thread(target=self._take, args=(answers,))
        clerk.start()
        try:
            yield
        finally:
            clerk.join()

    def _take(self, answers: bool) -> None:
        try:
            line, _ = self._socket.accept()
        except OSError:
            return  # nobody came
        with line, line.makefile("rw", encoding="utf-8") as file:
            for report in json.loads(file.readline()):
                self.came += 1
                self.taken.setdefault(report["seq"], report)
            if answers:
                file.write(f"{max(self.taken, default=0)}\n")


def deliver(meter: Meter, port: int) -> int:
    """Carry the reports that wait to the service; let go of those that it has; return the rest."""
    reports = meter.reports()
    wait = f"reports that wait at the meter: {len(reports)}"
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
            f"the technical service cannot be reached: {error.strerror or error}; {wait}"
        ) from None
    if not receipt:
        raise JetonError(f"the technical service gave no receipt; {wait}")
    return meter.acknowledge(int(receipt))
