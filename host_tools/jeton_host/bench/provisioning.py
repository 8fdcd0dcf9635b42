"""Sets a meter up on a board, starts it, and removes it."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jeton_host.bench.flashing import LONG_S, Teller
from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware import remote
from jeton_host.firmware.boards import Board


def forget_meter(meter: MeterClient) -> None:
    """Give the meter on a board up, with all, and start anew; the firmware stays."""
    meter.run(remote.once("flash", "forget_meter"), timeout=LONG_S)
    start(meter)


def start(meter: MeterClient) -> None:
    """Start the meter anew and see that it answers; BoardError says why it does not."""
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
    meter: MeterClient, code: str | None, tell: Teller, *, again: bool = True
) -> Iterator[None]:
    """Take the lock of a locked meter away while it is flashed, and lock it `again`."""
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
    tell.line("the meter's lock is taken away for this, and put back at the end")
    try:
        yield
    finally:
        _lock_again(meter, code, tell)


def _lock_again(meter: MeterClient, code: str, tell: Teller) -> None:
    try:
        if not meter.locked and meter.status().provisioned:
            meter.lock(code)
    except BoardError:
        tell.line("the meter is NOT locked now: `jeton lock` does that when it runs again")


def configuration(path: Path) -> dict[str, Any]:
    """Return the set-up of a meter from a file of JSON."""
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise BoardError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BoardError(f"{path} is not JSON") from None
    if not isinstance(value, dict) or "drn" not in value or "decoder_key" not in value:
        raise BoardError(f"{path} is no set-up of a meter: it needs drn and decoder_key at least")
    return value


def display_of(board: Board, rows: int, cols: int) -> list[int]:
    """Return what a meter is set up with for a display of this size on this board."""
    if rows > board.display[0] or cols > board.display[1]:
        most = "x".join(map(str, board.display[:2]))
        raise BoardError(
            f"the display of {board.name} has {most} characters: {rows}x{cols} is too large"
        )
    return [rows, cols, *board.display[2:]]


def provision(meter: MeterClient, config: Mapping[str, Any]) -> None:
    """Set up the meter, unless it is that one already; BoardError where it is another."""
    now = meter.status()
    if now.fault:
        raise BoardError(
            f"the meter at {meter.port} has a fault, {now.fault}: its store was left as it is; "
            "--erase-meter gives it up"
        )
    if now.provisioned and now.drn != config["drn"]:
        raise BoardError(
            f"there is meter {now.drn} on {meter.port} already, and not {config['drn']}: "
            "--erase-meter gives it up, with its credit"
        )
    if not now.provisioned:
        meter.provision(config)
