"""The command that installs the firmware on a board and sets a meter up there."""

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
from jeton_host.cli.locked import CodeFile, unlock_code, unlock_code_given
from jeton_host.cli.options import BOARDS, DisplaySize, Json, WherePort, display_size, put
from jeton_host.cli.progress import Told
from jeton_host.errors import BoardError, JetonError, PortError
from jeton_host.firmware import boards
from jeton_host.meter import Meter
from jeton_host.meters import ports
from jeton_host.meters.ports import Port
from jeton_host.terminal.words import kwh
from jeton_host.vending.pos import PointOfSale


def flash(
    port: WherePort,
    board: Annotated[str, typer.Option(metavar="NAME", help="What is on the bench.")],
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write this MicroPython onto the chip first."),
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="What its SHA-256 must be; or sha256sum's line."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Set-up of a new meter, JSON, as `provision` takes it."),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Or: a meter the point of sale knows; new if not."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Behaviour of a meter that --meter makes. Default: generic.")
    ] = None,
    display: Annotated[
        DisplaySize | None,
        typer.Option(
            parser=display_size,
            metavar="ROWSxCOLUMNS",
            help="Where it has fewer than the board's: one of 2x16, 2x20, 4x16, 4x20.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART", help="A part that is not wired, such as pulses; none: all are. Repeat."
        ),
    ] = None,
    active: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=LEVEL",
            help="The level at which it is on: relay=0 closes at low; none: as shipped. Repeat.",
        ),
    ] = None,
    erase_meter: Annotated[
        bool,
        typer.Option("--erase-meter", help="Give up the meter that is on the board, with all."),
    ] = False,
    code_file: CodeFile = None,
    as_json: Json = False,
) -> None:
    r"""Bring the firmware onto a board with MicroPython, and its meter to life.

    Only what differs is copied, and compared by its SHA-256. Interrupted at any point, run it
    again. A meter that is there stays as it is; without one --config or --meter sets one up. What
    --without and --active say of the bench holds until they say otherwise.

    A new chip needs MicroPython 1.23 or newer once: take the .bin for your chip from
    https://micropython.org/download/ESP32_GENERIC or …/ESP32_GENERIC_C3, and give it by --image.
    That, and asking a chip without MicroPython what it is, needs esptool:
    pip install 'jeton-meter\[flash]'

    The port's DTR and RTS stay asserted while it is open, which resets no board; esptool resets
    the chip by them, before and after. On Linux the port belongs to a group, often dialout: sudo
    usermod -aG dialout $USER, and log in anew; no rule of udev is needed.

    Examples: `jeton flash auto --board esp32_lcd2004 --meter lome --profile ceet` ·
    `jeton flash /dev/ttyUSB0 --board esp32_lcd2004 --display 2x16 --image ESP32_GENERIC.bin`
    """
    told = Told(as_json)
    described = boards.load(board)
    if sha256 is not None and image is None:
        raise JetonError("--sha256 goes with --image FILE")
    if config is not None and meter is not None:
        raise JetonError("--config and --meter do not go together: choose one")
    if profile is not None and meter is None:
        raise JetonError("--profile goes with --meter NAME")
    if display is not None:
        provisioning.display_of(described, *display.size)
    setup = provisioning.configuration(config) if config is not None else None
    levels = _levels(active)
    if without and "none" in without:
        if without != ["none"]:
            raise JetonError("--without none says that nothing is left out: give it alone")
        without = []
    described.changed(without or (), levels)
    code = functools.cache(lambda: unlock_code(code_file))  # standard input has it only once
    found = ports.find(port)
    told.line(f"port: {found}")
    checked = _image(image, described, sha256, found, told) if image is not None else None
    chip = None
    if not found.usb:
        told.line("it is not on USB: there is no chip to ask by esptool")
    else:
        look = _first_look(found, code, checked is not None)
        chip = _ask_chip(found, described, told, look is not None, checked is not None)
        if checked is not None and look and chip and not erase_meter:
            flashing.check_image(look, checked, chip.flash_mb)
    if checked is not None:
        with told.bar("MicroPython", 100) as progress:
            esp.write(found.device, checked, progress)
        told.line(f"written: MicroPython {checked.version or 'of an unknown version'}")
    patience = flashing.PATIENCE if checked is None else flashing.FIRST_START
    with _opened(found, patience, chip is not None) as line:
        given = code() if line.locked else None
        with provisioning.opened_up(line, given, told, again=not erase_meter):
            about = facts.facts(line)
            what = about.chip or ("a virtual board" if about.virtual else about.machine)
            told.line(f"runs: MicroPython {about.shown} on {what}")
            flashing.check(about, described, found.device, chip.name if chip else "")
            described = _as_wired(line, described, without, levels, told)
            done = _flash(
                line, about, described, told,
                setup=setup, name=meter, profile=profile or "generic", display=display,
                erase=erase_meter,
            )  # fmt: skip
        # One that was cut short may have taken the lock away.
        if not line.locked and done["provisioned"] and unlock_code_given(code_file):
            told.line(
                "warning: an unlock code is given, and the meter is not locked: "
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
    """Return part -> level, of `relay=0`; nothing where it is not said."""
    if active is None:
        return None
    if "none" in active:
        if active != ["none"]:
            raise JetonError("--active none is as the board ships: give it alone")
        return {}
    found = {}
    for text in active:
        part, _, level = text.partition("=")
        if level not in ("0", "1"):
            raise JetonError(f"--active {text} is no level: say for example --active relay=0")
        found[part] = int(level)
    return found


def _as_wired(
    line: Meter,
    board: boards.Board,
    without: list[str] | None,
    levels: dict[str, int] | None,
    told: Told,
) -> boards.Board:
    """Return the board as the bench is: as it is said, else as it was flashed before."""
    gone, on = facts.as_before(line, board)
    # Parts are said as a list; of levels each holds until it is said anew: a relay that closed at
    # low and is taken to close at high burns the lamp of a meter without credit.
    wanted = on if levels is None else {**on, **levels} if levels else {}
    changed = board.changed(gone if without is None else without, wanted)
    if changed.without:
        told.line(f"without: {', '.join(changed.without)}")
    for part in sorted(set(gone) - set(changed.without)):
        told.line(f"{part}: there again")
    for part, level in changed.active.items():
        told.line(f"{part}: on at {'high' if level else 'low'}")
    for part in sorted(set(on) - set(changed.active)):
        told.line(f"{part}: on at {'high' if board.parts[part]['active'] else 'low'} again")
    return changed


def _flash(
    line: Meter,
    about: facts.Facts,
    board: boards.Board,
    told: Told,
    *,
    setup: dict[str, Any] | None,
    name: str | None,
    profile: str,
    display: DisplaySize | None,
    erase: bool,
) -> dict[str, Any]:
    """Do it all on an open line; return the result for --json."""
    firmware = flashing.firmware_for(about, board)
    copied = flashing.Flasher(line, about, firmware, told).run(erase=erase)
    if copied.files or copied.removed or erase:
        told.line(
            f"copied: {len(copied.files)} of {len(firmware.files())} files, "
            f"{copied.size / 1024:.0f} KB, each compared by its SHA-256"
        )
        provisioning.start(line)
    else:
        told.line("the firmware is up to date")
        try:
            provisioning.check_runs(line)
        except BoardError:
            provisioning.start(line)
    if copied.kept:
        told.line(f"a boot.py that was there is kept as {copied.kept}")
    if erase and about.store:
        told.line("the meter that was there is given up")
    _set_up(line, board, told, setup=setup, name=name, profile=profile, display=display)
    info, now = line.info(), line.status()
    if now.fault:
        told.line(f"the meter has a fault, and was left as it is: {now.fault}")
    elif now.provisioned:
        told.line(
            f"meter {now.drn}, profile {now.profile}, {kwh(now.credit_wh)} kWh, runs on "
            f"{info.board}"
        )
    else:
        told.line(
            f"{info.board} runs, without a meter yet: --meter NAME or --config FILE sets one up"
        )
    for part, fault in info.faults.items():
        told.line(f"warning: {part}: {fault}")
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
    told: Told,
    *,
    setup: dict[str, Any] | None,
    name: str | None,
    profile: str,
    display: DisplaySize | None,
) -> None:
    """Set up the meter that is wanted, or keep the one that is there."""
    there = line.status()
    if there.provisioned and display is not None:
        shown = line.display()
        if [shown.rows, shown.cols] != display.size:
            raise BoardError(
                f"the meter there has a display of {shown.rows}x{shown.cols}: another size goes "
                "with a meter set up anew, by --erase-meter and --config or --meter"
            )
    if name is not None:
        pos = PointOfSale()
        if not any(record.name == name for record in pos.meters()):
            if there.provisioned:
                raise BoardError(
                    f"there is meter {there.drn} on {line.port} already: --meter {name} would be "
                    "another; --erase-meter gives up the one that is there"
                )
            pos.add_meter(name, profile=profile)
            told.line(f"the point of sale knows a new meter {name}")
        setup = pos.config_for(name)
    if setup is None and display is not None and not there.provisioned:
        raise BoardError("--display says how a meter is set up: give --meter or --config too")
    if setup is not None:
        if display is not None:
            setup = setup | {"display": provisioning.display_of(board, *display.size)}
        provisioning.provision(line, setup)


def _image(
    path: Path, board: boards.Board, sha256: str | None, port: Port, told: Told
) -> esp.Image:
    """Return the image, which somebody has found to be the right one."""
    if not port.usb:
        raise BoardError(
            f"{port.device} is no port on USB: there is no chip to write an image onto"
        )
    if not board.chip:
        raise BoardError(f"the board {board.name} has no chip to write an image onto")
    found = esp.image(path, board.chip, sha256)
    if sha256 is None:
        question = f"The SHA-256 of {path.name} is {found.sha256}: is it the one you mean?"
        if not sys.stdin.isatty():
            raise BoardError(
                f"the SHA-256 of {path} is {found.sha256}: compare it, then give it by --sha256"
            )
        if not typer.confirm(question, err=True):
            raise BoardError("nothing was written")
    else:
        told.line(f"{path.name}: SHA-256 as it should be")
    return found


def _opened(port: Port, patience: float, was_reset: bool) -> Meter:
    """Return an open line; the USB of a chip that was reset may take a moment to come back."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return Meter(port.device, timeout=patience)
        except PortError:
            if not was_reset or time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def _first_look(port: Port, code: Callable[[], str], for_image: bool) -> facts.Facts | None:
    """Return what MicroPython says before the chip is reset, None where it does not answer.

    A locked meter is refused without its code, and says nothing but that: none gets an image. A
    meter saves what it has counted.
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
                f"the meter at {port.device} is locked: `jeton unlock --for-good` removes the "
                "lock, then it can have an image"
            )
        if line.locked:
            line.unlock(code())
            line.save()
            line.lock()
            return NOTHING
        with contextlib.suppress(BoardError):  # there may be no meter
            line.save()
        return facts.facts(line)


def _ask_chip(
    port: Port, board: boards.Board, told: Told, answers: bool, needed: bool
) -> esp.Chip | None:
    """Have esptool say what chip it is, and check that; None where MicroPython has to."""
    if not board.chip:
        return None
    if answers and not needed and not esp.installed():
        told.line(f"esptool is not installed ({esp.INSTALL}): MicroPython says what chip it is")
        return None
    try:
        chip = esp.ask(port.device)
    except BoardError as error:
        if needed or not answers:
            raise
        told.line(f"{error}: MicroPython says what chip it is")
        return None
    told.line(f"chip: {chip}")
    esp.check(chip, board.chip, board.name)
    if not answers and not needed:
        raise BoardError(
            f"the chip at {port.device} has no MicroPython that answers: give one by --image FILE "
            "(jeton flash --help says where it comes from)"
        )
    return chip


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command(rich_help_panel=BOARDS)(flash)
