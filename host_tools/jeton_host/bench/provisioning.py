"""Sets up, starts and removes the meter of a board."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jeton_host.bench.flashing import LONG_S, Reporter
from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware import remote
from jeton_host.firmware.boards import Board


def forget_meter(meter: MeterClient) -> None:
    """Remove the meter of a board with its whole record, and restart; the firmware stays."""
    meter.run(remote.once("flash", "forget_meter"), timeout=LONG_S)
    start(meter)


def start(meter: MeterClient) -> None:
    """Restart the meter and check that it answers; BoardError gives the reason if not."""
    meter.soft_reset()
    check_runs(meter)


def check_runs(meter: MeterClient) -> None:
    """Raise BoardError unless a meter answers."""
    try:
        meter.info()
    except BoardError as error:
        if "no Jeton" not in str(error):
            raise
        why = ""
        try:
            meter.run("import jeton_main", timeout=LONG_S)
        except BoardError as reason:
            why = str(reason)
        raise BoardError(f"the meter does not start on {meter.port}: {why or error}") from None


@contextlib.contextmanager
def opened_up(
    meter: MeterClient, code: str | None, reporter: Reporter, *, again: bool = True
) -> Iterator[None]:
    """Unlock a locked meter while it is flashed; then lock it `again`."""
    if not meter.locked:
        yield
        return
    if code is None:
        raise BoardError(
            f"the meter at {meter.port} is locked: give its unlock code by --code-file or "
            "$JETON_UNLOCK_CODE"
        )
    meter.open_up(code)
    if not again:
        yield
        return
    reporter.line("the meter is unlocked for flashing, and locked again at the end")
    try:
        yield
    finally:
        _lock_again(meter, code, reporter)


def _lock_again(meter: MeterClient, code: str, reporter: Reporter) -> None:
    try:
        if not meter.locked and meter.status().provisioned:
            meter.lock(code)
    except BoardError:
        reporter.line("the meter is NOT locked now: run `jeton lock` when it answers again")


def configuration(path: Path) -> dict[str, Any]:
    """Return the configuration of a meter from a file of JSON."""
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise BoardError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BoardError(f"{path} is not JSON") from None
    if not isinstance(value, dict) or "drn" not in value or "decoder_key" not in value:
        raise BoardError(
            f"{path} is not a configuration of a meter: drn and decoder_key are required"
        )
    return value


def display_of(board: Board, rows: int, cols: int) -> list[int]:
    """Return the display setting of a meter for a display of this size on this board."""
    if rows > board.display[0] or cols > board.display[1]:
        most = "x".join(map(str, board.display[:2]))
        raise BoardError(
            f"the display of {board.name} has {most} characters: {rows}x{cols} is too large"
        )
    return [rows, cols, *board.display[2:]]


def provision(meter: MeterClient, config: Mapping[str, Any]) -> None:
    """Set up the meter, unless it is set up already; BoardError if it is another meter."""
    now = meter.status()
    if now.fault:
        raise BoardError(
            f"the meter at {meter.port} has a fault, {now.fault}: its store was not changed; "
            "--erase-meter removes it"
        )
    if now.provisioned and now.drn != config["drn"]:
        raise BoardError(
            f"there is meter {now.drn} on {meter.port} already, and not {config['drn']}: "
            "--erase-meter removes it, with its credit"
        )
    if not now.provisioned:
        meter.provision(config)
