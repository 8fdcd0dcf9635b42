"""The report of a failed test about its meter."""

import re
from pathlib import Path

from jeton_host.client.waiting import brief
from jeton_host.errors import BoardError
from jeton_host.meter import Meter
from jeton_host.testing.meter_pos import PoolMeter
from jeton_host.testing.pool import EVENTS, FILE_CHARACTERS, MeterPool, short_timeout


def report(bench: MeterPool, meter: PoolMeter, test: str, lines: int) -> str:
    """Return the display, status and log of a meter, and the last lines of its serial line.

    A named board that does not answer any more is marked as stopped.
    """
    sent = [f"  {line}" for line in meter.transcript.lines(lines)]  # before further requests
    if meter.ended:
        return "\n".join(["the test has closed it", "serial line:", *(sent or ["  nothing"])])
    parts: list[str] = []
    with short_timeout(meter):
        try:
            display = meter.display()
            width = display.cols
            parts += ["display:", *(f"  |{line:{width}}|" for line in display.lines)]
            parts += ["status:", *_status(meter)]
            logged = [f"  {brief(event)}" for event in meter.events()[-EVENTS:]]
            parts += ["last events:", *(logged or ["  none"])]
        except BoardError as error:
            parts.append(f"no answer: {error}")
            if meter.board is None and not bench.answers(meter):
                bench.stopped(meter, test)
    return "\n".join([*parts, "serial line:", *(sent or ["  nothing"])])


def _status(meter: Meter) -> list[str]:
    known = meter.status().as_dict()
    rows, line = [], " "
    for name, value in known.items():
        word = f" {name}={value}"
        if len(line) + len(word) > 96:
            rows.append(line)
            line = " "
        line += word
    return [*rows, line]


def image_path(folder: Path, test: str, name: str) -> Path:
    """Return a free path for the flash of a failed test."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", test.replace(".py::", "::")).strip("-")
    words = f"{words[-FILE_CHARACTERS:]}{f'-{name}' if name else ''}"
    path = folder / f"{words}.img"
    number = 1
    while path.exists():
        number += 1
        path = folder / f"{words}-{number}.img"
    return path.absolute()


def keep_image(folder: Path, meter: PoolMeter, test: str, name: str) -> str:
    """Keep the flash of a meter when it is closed; return a message about it."""
    if meter.ended:
        return "its flash is gone: the test has closed it"
    if meter.board is None:
        return f"the flash of the board at {meter.port} cannot be kept: it is not a virtual board"
    if meter.board.keep is None:
        meter.board.keep = image_path(folder, test, name)
    path = meter.board.keep
    return (
        f"its flash is kept at {path}\n"
        f"`jeton rescue {path}` reads it, VirtualBoard(Path({str(path)!r})) runs it"
    )
