"""Commands about the lock of a meter, and about a meter whose flash is damaged."""

import os
import sys
from collections.abc import Callable, Mapping
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jeton_host.cli import complete
from jeton_host.cli.options import METERS, Json, Where, put
from jeton_host.client.session import UNLOCK_VARIABLE
from jeton_host.errors import JetonError
from jeton_host.meter import Meter
from jeton_host.terminal.words import kwh
from jeton_host.vending.pos import PointOfSale

if TYPE_CHECKING:
    from jeton_host.meters import rescue as rescues

_LONGEST_FILE = 1024  # characters

CodeFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help=f"A file with the unlock code; - is standard input. Default: ${UNLOCK_VARIABLE}, "
        "else the command asks for it.",
    ),
]


def _code(file: str | None, question: str, *, twice: bool = False) -> str:
    """Return the unlock code; never from the command line, which all users can list with ps."""
    if file is not None:
        try:
            if file == "-":
                text = sys.stdin.readline()
            else:
                with Path(file).open() as stream:
                    text = stream.read(_LONGEST_FILE)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise JetonError(f"{file} cannot be read: {reason}") from None
        code = text.strip("\r\n")
        if not code or "\n" in code:
            raise JetonError(f"{file} must contain the unlock code in one line, and nothing else")
        return code
    if code := os.environ.get(UNLOCK_VARIABLE):
        return code
    if not sys.stdin.isatty():
        raise JetonError(
            f"the unlock code is missing: give --code-file FILE or ${UNLOCK_VARIABLE}"
        )
    try:
        code = getpass(question)
        if twice and getpass("Once more: ") != code:
            raise JetonError("the two codes differ: nothing was changed")
    except EOFError:
        raise JetonError("no unlock code was given: nothing was changed") from None
    return code


def unlock_code(file: str | None) -> str:
    """Return the unlock code of a locked meter: from a file, the environment or a person.

    Raise JetonError if standard input is not a terminal, so that no person can be asked.
    """
    return _code(file, "Unlock code: ")


def unlock_code_given(file: str | None) -> bool:
    """Return whether an unlock code is given, by a file or by the environment."""
    return file is not None or bool(os.environ.get(UNLOCK_VARIABLE))


def lock(where: Where, code_file: CodeFile = None, as_json: Json = False) -> None:
    """Lock a meter with an unlock code of 8 or more characters, or lock it again after `unlock`.

    A locked meter accepts tokens and keys and shows its display. Without its code it has no REPL
    and does nothing else.

    Examples:

    - `jeton lock home`
    - `jeton lock home --code-file code.txt`
    """
    with Meter.open(where) as meter:
        was_locked = meter.locked
        meter.lock(None if was_locked else _code(code_file, "New unlock code: ", twice=True))
    if as_json:
        put({"meter": where, "locked": True})
    else:
        print(f"{where} is locked" + (" again" if was_locked else ""))


def unlock(
    where: Where,
    code_file: CodeFile = None,
    for_good: Annotated[
        bool,
        typer.Option("--for-good", help="Remove the lock for good: the meter has its REPL again."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Unlock a meter until `jeton lock`, or until its board restarts.

    A meter that is not served restarts with each command: give the code to these commands in
    $JETON_UNLOCK_CODE, or remove the lock with --for-good.

    Examples:

    - `jeton unlock home`
    - `jeton unlock home --for-good --code-file code.txt`
    """
    with Meter.open(where) as meter:
        if not meter.locked:
            raise JetonError(f"{where} is not locked")
        if not for_good and meter.board is not None:
            raise JetonError(
                f"{where} would be locked again when this command ends: start it with `jeton "
                f"serve {where}` first, set ${UNLOCK_VARIABLE} for the command that needs it, "
                "or give --for-good"
            )
        code = _code(code_file, "Unlock code: ")
        if for_good:
            meter.open_up(code)
        else:
            meter.unlock(code)
    if as_json:
        put({"meter": where, "locked": not for_good, "unlocked": True})
    elif for_good:
        print(f"the lock of {where} is removed")
    else:
        print(f"{where} is unlocked until `jeton lock {where}`, or until its board restarts")


def rescue(
    where: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FLASH",
            help="The name of a meter, or a flash image.",
            autocompletion=complete.meter,
        ),
    ],
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the values that were found as JSON.")
    ] = None,
    provision: Annotated[
        bool,
        typer.Option(
            "--provision", help="Set up the meter again; the old flash is kept as a second file."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read a meter whose store is damaged, full or of a newer version; set it up again.

    The meter is not started, and its flash is not changed. Keys are never shown. With --provision,
    the new meter has the key that the point of sale has for it, and the credit of an intact
    record. Without an intact record it has no credit, and refuses tokens that were issued before.
    The command lists the values that were lost.

    Examples:

    - `jeton rescue home`
    - `jeton rescue home --export home.json --provision`
    - `jeton rescue flash.img --json`
    """
    from jeton_host.meters import rescue as rescues

    flash, named = rescues.flash_of(where)
    new = None
    with rescues.held(flash, f"meter {where}" if named else f"a board with {flash}"):
        found = rescues.look(flash)
        if export is not None:
            rescues.save(found, export)
        if provision:
            pos = PointOfSale()
            name = rescues.pos_name(found, pos, named.name if named else None)
            config = rescues.config_for(found, pos, name)
            kept = rescues.provision(found, config)
            new = {
                "credit_wh": config["credit_wh"],
                "kept": str(kept),
                "key": rescues.key_attributes(config),
                "key_pending": rescues.key_pending(found, pos, name),
                "not_carried": rescues.not_carried(found, config),
            }
    if as_json:
        put(found.as_dict() | {"provisioned": new})
        return
    _print_found(found)
    if new is not None:
        print(
            f"set up again with {kwh(new['credit_wh'])} kWh, not locked; the old flash is "
            f"{new['kept']}"
        )
        _print_new(name, found, new)


def _print_new(name: str, found: "rescues.Found", new: Mapping[str, Any]) -> None:
    """Print the values of the old meter that the new meter lacks."""
    if new["key_pending"]:
        print(
            f"its key is still KRN {new['key']['krn']}, base date {new['key']['bdt']}: enter the "
            f"key change that was vended, see `jeton vend {name} history`"
        )
    lost = new["not_carried"]
    if "tokens_until_tid" in lost:
        why = (
            "its key was not one of the point of sale"
            if found.intact
            else "it is unknown which were used"
        )
        print(f"lost: tokens issued until now and not entered are refused, because {why}")
    if found.best is None:
        print("lost: no value of the old meter can be read; it may have been locked")
    for field, describe in _LOST.items():
        if field in lost:
            print("lost: " + describe(lost[field], name))


# A value that the new meter lacks: its text for people.
_LOST: dict[str, Callable[[Any, str], str]] = {
    "credit_wh": lambda wh, _: f"{kwh(wh)} kWh of credit, because no record is intact",
    "debt_wh": lambda wh, _: f"a debt of {kwh(wh)} kWh: it is cancelled",
    "tamper": lambda _, __: "the tamper condition: it is cleared",
    "max_power_limit_w": lambda w, name: (
        f"the power limit of {w} W: `jeton vend {name} power-limit {w}`"
    ),
    "phase_unbalance_limit_w": lambda w, name: (
        f"the unbalance limit of {w} W: `jeton vend {name} unbalance-limit {w}`"
    ),
    "tariff_rate": lambda rate, name: f"the tariff rate {rate}: `jeton vend {name} tariff {rate}`",
    "switch": lambda why, _: f"the open switch ({why}): it is closed if there is credit",
    "lock_out_s": lambda s, _: f"the lock-out after wrong tokens, {s} s",
    "reports": lambda count, _: f"{count} fault reports that were not acknowledged",
    "key_change_sections": lambda _, __: "a half-entered key change: enter all its codes again",
    "language": lambda language, name: (
        f"the language {language} of its display: `jeton language {name} {language}`"
    ),
    "load": lambda _, __: "the load at its switch",
    "total_wh": lambda wh, _: f"the total consumption of {kwh(wh)} kWh, the history and the log",
    "locked": lambda _, name: f"the lock with its code: `jeton lock {name}`",
}


def _print_found(found: "rescues.Found") -> None:
    from jeton_host.meters import rescue as rescues

    if found.wrong:
        print(f"file system: {found.wrong}")
    for copy in found.copies:
        print(f"{copy.name}: " + ("intact" if copy.intact else copy.wrong))
    if found.best is None:
        print("no values of a meter can be read")
        return
    best = rescues.values(found.best.state)
    print(
        f"meter {best['drn']}, EA{best['ea']:02d}, SGC {best['sgc']}, TI {best['ti']:02d}, "
        f"KRN {best['krn']}, profile {best['profile']}, {best['clock']}"
    )
    print(
        f"{kwh(best['credit_wh'])} kWh left, {kwh(best['total_wh'])} kWh used, "
        f"TIDs {best['tid_oldest']} to {best['tid_newest']}"
    )
    if found.intact is None:
        print("no record is intact: set up again, the meter has no credit")


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for function in (lock, unlock, rescue):
        app.command(rich_help_panel=METERS)(function)
