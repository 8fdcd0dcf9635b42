"""A meter of the firmware in this process, and what a client reads from it."""

import json
from typing import Any

from jeton.meter import Meter
from jeton_host.client.answers import Snapshot, snapshot_of, status_from_answer
from jeton_host.firmware import profiles, remote

_board: dict[str, Any] = {}
exec(remote.source("record", "snapshot"), _board)  # what runs on a board


class Store:
    """A storage port in memory."""

    record: bytes | None = None

    def load(self, which: int) -> bytes | None:
        return None if which else self.record

    def holds(self, parts: list[bytes], start: int, end: int) -> bool:
        return False

    def save(self, parts: list[bytes]) -> None:
        self.record = b"".join(parts)

    def save_tick(self, tick: bytearray) -> None:
        raise AssertionError("`holds` returns False: the meter saves the whole record")

    def set_aside(self) -> None:
        self.record = None


def started(store: Store) -> Meter:
    """Return a meter on a store, and advance it to the time of its record."""
    meter = Meter(store, profiles.port)
    meter.start()
    return meter


def status(meter: Meter, now: int) -> dict[str, Any]:
    """Return the status as `Status.as_dict` does."""
    return status_from_answer(meter.status(now) | {"rate": 1}).as_dict()


def snapshot(meter: Meter, now: int) -> Snapshot:
    """Return what `Meter.snapshot` returns for a board."""
    meter.process(now)
    return snapshot_of(json.loads(json.dumps(_board["snapshot"](meter, now))))
