"""The command `jeton flash`: installs the firmware on a board and sets up a meter there."""

import contextlib
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from jeton_host.bench import esp, facts, flashing, provisioning
from jeton_host.bench.facts import NOTHING
from jeton_host.cli import complete
from jeton_host.cli.locked import CodeFile, unlock_code, unlock_code_given
from jeton_host.cli.options import BOARDS, DisplaySize, Json, WherePort, display_size, put
from jeton_host.cli.progress import Printer
from jeton_host.errors import BoardError, JetonError, PortError
from jeton_host.firmware import boards
from jeton_host.meter import Meter
from jeton_host.meters import ports
from jeton_host.meters.ports import Port
from jeton_host.terminal.words import kwh
from jeton_host.vending.pos import PointOfSale


def flash(
    port: WherePort,
    board: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The kind of board, a folder of boards/.",
            autocompletion=complete.board,
        ),
    ],
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="First write this MicroPython image to the chip."),
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The SHA-256 of the image, or the line of sha256sum."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Set up a new meter from this JSON file, as for `provision`."
        ),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete.meter,
            help="Set up this meter of the point of sale; register it if it is new.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="The profile of a new meter of --meter. Default: generic.",
            autocompletion=complete.profile,
        ),
    ] = None,
    display: Annotated[
        DisplaySize | None,
        typer.Option(
            parser=display_size,
            metavar="ROWSxCOLUMNS",
            help="The size, if smaller than that of the board: 2x16, 2x20, 4x16 or 4x20.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="A part that is not wired, for example pulses; none: all are wired. Repeat.",
        ),
    ] = None,
    active: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=LEVEL",
            help="The level at which a part is on, for example relay=0: closed at low; none: the "
            "levels of the board. Repeat.",
        ),
    ] = None,
    erase_meter: Annotated[
        bool,
        typer.Option("--erase-meter", help="Erase the meter on the board, with its credit."),
    ] = False,
    code_file: CodeFile = None,
    as_json: Json = False,
) -> None:
    """Install the firmware on a board that runs MicroPython, and start the meter.

    Only files and modules that differ are copied, and each is verified by its SHA-256. If the
    command is interrupted, run it again. A meter that is already on the board keeps its state;
    --config or --meter sets up a meter on a board that has none. Give --without and --active only
    when the wiring changes: the board keeps them.

    A new chip needs MicroPython 1.23 or newer once. Download the .bin for your chip from
    https://micropython.org/download/ESP32_GENERIC or
    https://micropython.org/download/ESP32_GENERIC_C3, and give it with --image. This needs
    esptool: `pip install 'jeton-meter[flash]'`

    While the port is open, DTR and RTS stay asserted; this does not reset the board. esptool
    resets the chip with them, before and after its work. On Linux, the port belongs to a group,
    often dialout: run `sudo usermod -aG dialout $USER`, and log in again. No udev rule is needed.

    Examples:

    - `jeton flash auto --board esp32_lcd2004 --meter lome --profile ceet`
    - `jeton flash /dev/ttyUSB0 --board esp32_lcd2004 --image ESP32_GENERIC.bin`
    """
    printer = Printer(as_json)
    described = boards.load(board)
    if sha256 is not None and image is None:
        raise JetonError("--sha256 needs --image FILE")
    if config is not None and meter is not None:
        raise JetonError("--config and --meter exclude each other: give one")
    if profile is not None and meter is None:
        raise JetonError("--profile needs --meter NAME")
    if display is not None:
        provisioning.display_of(described, *display.size)
    setup = provisioning.configuration(config) if config is not None else None
    levels = _levels(active)
    if without and "none" in without:
        if without != ["none"]:
            raise JetonError("--without none means that all parts are wired: give it alone")
        without = []
    described.changed(without or (), levels)
    code = functools.cache(lambda: unlock_code(code_file))  # standard input can be read only once
    found = ports.find(port)
    printer.line(f"port: {found}")
    checked = _image(image, described, sha256, found, printer) if image is not None else None
    chip = None
    if not found.usb:
        printer.line("the port is not on USB: esptool cannot identify the chip")
    else:
        before = _first_look(found, code, checked is not None)
        chip = _ask_chip(found, described, printer, before is not None, checked is not None)
        if checked is not None and before and chip and not erase_meter:
            flashing.check_image(before, checked, chip.flash_mb)
    if checked is not None:
        with printer.bar("MicroPython", 100) as progress:
            esp.write(found.device, checked, progress)
        printer.line(f"written: MicroPython {checked.version or 'of an unknown version'}")
    patience = flashing.PATIENCE if checked is None else flashing.FIRST_START
    with _opened(found, patience, chip is not None) as line:
        given = code() if line.locked else None
        with provisioning.opened_up(line, given, printer, again=not erase_meter):
            about = facts.facts(line)
            what = about.chip or ("a virtual board" if about.virtual else about.machine)
            printer.line(f"runs: MicroPython {about.shown} on {what}")
            flashing.check(about, described, found.device, chip.name if chip else "")
            described = _as_wired(line, described, without, levels, printer)
            done = _flash(
                line, about, described, printer,
                setup=setup, name=meter, profile=profile or "generic", display=display,
                erase=erase_meter,
            )  # fmt: skip
        # An earlier run that was interrupted may have removed the lock.
        if not line.locked and done["provisioned"] and unlock_code_given(code_file):
            printer.line(
                "warning: an unlock code is given, but the meter is not locked: "
                f"`jeton lock {found.device}` locks it"
            )
    result = {
        "port": found.device,
        "board": board,
        "without": list(described.without),
        "active": dict(described.active),
        "chip": chip.name if chip else about.chip or None,
        "mac": chip.mac if chip else None,
        "micropython": about.shown,
        "image_sha256": checked.sha256 if checked else None,
        **done,
    }
    if as_json:
        put(result)


def _levels(active: list[str] | None) -> dict[str, int] | None:
    """Return part -> level from texts such as `relay=0`; None if the option is not given."""
    if active is None:
        return None
    if "none" in active:
        if active != ["none"]:
            raise JetonError("--active none means the levels of the board: give it alone")
        return {}
    found = {}
    for text in active:
        part, _, level = text.partition("=")
        if level not in ("0", "1"):
            raise JetonError(
                f"--active {text} is not PART=0 or PART=1: write for example --active relay=0"
            )
        found[part] = int(level)
    return found


def _as_wired(
    line: Meter,
    board: boards.Board,
    without: list[str] | None,
    levels: dict[str, int] | None,
    printer: Printer,
) -> boards.Board:
    """Return the board with the parts and levels given now, else with those flashed before."""
    gone, on = facts.as_before(line, board)
    # --without replaces the whole list of parts. --active changes only the levels that it names:
    # if the level of a relay were lost, the supply would be on without credit.
    wanted = on if levels is None else {**on, **levels} if levels else {}
    changed = board.changed(gone if without is None else without, wanted)
    if changed.without:
        printer.line(f"without: {', '.join(changed.without)}")
    for part in sorted(set(gone) - set(changed.without)):
        printer.line(f"{part}: wired again")
    for part, level in changed.active.items():
        printer.line(f"{part}: on at {'high' if level else 'low'}")
    for part in sorted(set(on) - set(changed.active)):
        printer.line(f"{part}: on at {'high' if board.parts[part]['active'] else 'low'} again")
    return changed


def _flash(
    line: Meter,
    about: facts.Facts,
    board: boards.Board,
    printer: Printer,
    *,
    setup: dict[str, Any] | None,
    name: str | None,
    profile: str,
    display: DisplaySize | None,
    erase: bool,
) -> dict[str, Any]:
    """Copy the firmware and set up the meter over an open line; return the result for --json."""
    firmware = flashing.firmware_for(about, board)
    flasher = flashing.Flasher(line, about, firmware, printer)
    copied = flasher.run(erase=erase)
    if copied.files or erase:
        printer.line(
            f"copied: {len(copied.files)} of {flasher.count} files, "
            f"{copied.size / 1024:.0f} KB, each verified by its SHA-256"
        )
        provisioning.start(line)
    else:
        printer.line("the firmware is up to date")
        try:
            provisioning.check_runs(line)
        except BoardError:
            provisioning.start(line)
    flasher.clean()
    if copied.kept:
        printer.line(f"the boot.py of the board is kept as {copied.kept}")
    if erase and about.store:
        printer.line("the meter on the board is erased")
    _set_up(line, board, printer, setup=setup, name=name, profile=profile, display=display)
    info, now = line.info(), line.status()
    if now.fault:
        printer.line(f"the meter has a fault, and was not changed: {now.fault}")
    elif now.provisioned:
        printer.line(
            f"meter {now.drn}, profile {now.profile}, {kwh(now.credit_wh)} kWh, runs on "
            f"{info.board}"
        )
    else:
        printer.line(
            f"{info.board} runs, without a meter: --meter NAME or --config FILE sets one up"
        )
    for part, fault in info.faults.items():
        printer.line(f"warning: {part}: {fault}")
    return {
        "firmware": firmware.hash,
        "copied": list(copied.files),
        "octets": copied.size,
        "removed": list(copied.removed),
        "kept_boot": copied.kept or None,
        "erased": bool(erase and about.store),
        "provisioned": now.provisioned,
        "drn": now.drn if now.provisioned else None,
        "fault": now.fault,
        "part_faults": info.faults,
        "heap_used": info.mem_used,
        "heap_free": info.mem_free,
    }


def _set_up(
    line: Meter,
    board: boards.Board,
    printer: Printer,
    *,
    setup: dict[str, Any] | None,
    name: str | None,
    profile: str,
    display: DisplaySize | None,
) -> None:
    """Set up the given meter, or keep the meter that is on the board."""
    there = line.status()
    if there.provisioned and display is not None:
        shown = line.display()
        if [shown.rows, shown.cols] != display.size:
            raise BoardError(
                f"the meter on the board has a display of {shown.rows}x{shown.cols}: to change "
                "that, set up a new meter with --erase-meter and --config or --meter"
            )
    if name is not None:
        pos = PointOfSale()
        if not any(record.name == name for record in pos.meters()):
            if there.provisioned:
                raise BoardError(
                    f"meter {there.drn} is already on {line.port}, and --meter {name} is another "
                    "one: give --erase-meter to replace it"
                )
            pos.add_meter(name, profile=profile)
            printer.line(f"meter {name} is registered in the point of sale")
        setup = pos.config_for(name)
    if setup is None and display is not None and not there.provisioned:
        raise BoardError("--display needs a new meter: give --meter or --config too")
    if setup is not None:
        if display is not None:
            setup = setup | {"display": provisioning.display_of(board, *display.size)}
        provisioning.provision(line, setup)


def _image(
    path: Path, board: boards.Board, sha256: str | None, port: Port, printer: Printer
) -> esp.Image:
    """Return the image, after its SHA-256 was compared or a person has confirmed it."""
    if not port.usb:
        raise BoardError(
            f"{port.device} is not a port on USB: an image can be written only over USB"
        )
    if not board.chip:
        raise BoardError(f"the board {board.name} has no chip: no image can be written to it")
    found = esp.image(path, board.chip, sha256)
    if sha256 is None:
        question = f"The SHA-256 of {path.name} is {found.sha256}: is this the right image?"
        if not sys.stdin.isatty():
            raise BoardError(
                f"the SHA-256 of {path} is {found.sha256}: compare it, then give it by --sha256"
            )
        if not typer.confirm(question, err=True):
            raise BoardError("nothing was written")
    else:
        printer.line(f"{path.name}: the SHA-256 is correct")
    return found


def _opened(port: Port, patience: float, was_reset: bool) -> Meter:
    """Return an open line; after a reset of the chip, wait until its USB port exists again."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return Meter(port.device, timeout=patience)
        except PortError:
            if not was_reset or time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def _first_look(port: Port, code: Callable[[], str], for_image: bool) -> facts.Facts | None:
    """Return the facts of a board before its chip is reset; None if MicroPython does not answer.

    The meter saves its state first. For a locked meter, return NOTHING; raise BoardError if its
    code is wrong, or if an image is to be written.
    """
    try:
        line = Meter(port.device, timeout=flashing.LOOK)
    except PortError:
        raise
    except BoardError:
        return None
    with line:
        if line.locked and for_image:
            raise BoardError(
                f"the meter at {port.device} is locked, and an image needs its REPL: `jeton "
                "unlock --for-good` removes the lock"
            )
        if line.locked:
            line.unlock(code())
            line.save()
            line.lock()
            return NOTHING
        with contextlib.suppress(BoardError):  # the board may have no meter
            line.save()
        return facts.facts(line)


def _ask_chip(
    port: Port, board: boards.Board, printer: Printer, answers: bool, needed: bool
) -> esp.Chip | None:
    """Return the checked chip that esptool identifies; None if only MicroPython identifies it."""
    if not board.chip:
        return None
    if answers and not needed and not esp.installed():
        printer.line(f"esptool is not installed ({esp.INSTALL}): MicroPython identifies the chip")
        return None
    try:
        chip = esp.ask(port.device)
    except BoardError as error:
        if needed or not answers:
            raise
        printer.line(f"{error}: MicroPython identifies the chip")
        return None
    printer.line(f"chip: {chip}")
    esp.check(chip, board.chip, board.name)
    if not answers and not needed:
        raise BoardError(
            f"no MicroPython answers on the chip at {port.device}: give an image with --image "
            "FILE (`jeton flash --help` says where to download it)"
        )
    return chip


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command(rich_help_panel=BOARDS)(flash)
