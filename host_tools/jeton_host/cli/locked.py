"""Commands about who may do what to a meter, and about one whose flash has a fault."""

import os
import sys
from collections.abc import Callable, Mapping
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from jeton_host.cli.options import METERS, Json, Where, put
from jeton_host.client.session import UNLOCK_VARIABLE
from jeton_host.errors import JetonError
from jeton_host.meter import Meter
from jeton_host.meters import rescue as rescues
from jeton_host.terminal.words import kwh
from jeton_host.vending.pos import PointOfSale

_LONGEST_FILE = 1024

CodeFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help=f"Where the unlock code stands, - is standard input. Else: ${UNLOCK_VARIABLE}, "
        "else it is asked for.",
    ),
]


def _code(file: str | None, question: str, *, twice: bool = False) -> str:
    """Return the unlock code: never from the command line, which everybody can list."""
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
            raise JetonError(f"{file} is to hold the unlock code, in one line and nothing else")
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
            raise JetonError("the two codes differ: nothing was done")
    except EOFError:
        raise JetonError("no unlock code was given: nothing was done") from None
    return code


def unlock_code(file: str | None) -> str:
    """Return the unlock code of a meter that is locked, from a file, the environment or a person.

    Where nobody can be asked JetonError says what to give.
    """
    return _code(file, "Unlock code: ")


def unlock_code_given(file: str | None) -> bool:
    """Return whether somebody gave an unlock code, so takes the meter for locked."""
    return file is not None or bool(os.environ.get(UNLOCK_VARIABLE))


def lock(where: Where, code_file: CodeFile = None, as_json: Json = False) -> None:
    """Lock a meter by an unlock code of 8 or more characters, or close what `unlock` opened.

    A locked meter takes tokens and keys and tells what it shows, but has no REPL, and does nothing
    else without its code.

    Examples: `jeton lock home` · `jeton lock home --code-file code.txt`
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
        bool, typer.Option("--for-good", help="Remove the lock: the meter has its REPL again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let everything be done to a locked meter until `jeton lock`, or until it starts anew.

    One that is not served starts anew with every command: give those the code in
    $JETON_UNLOCK_CODE, or remove the lock by --for-good.

    Examples: `jeton unlock home` · `jeton unlock home --for-good --code-file code.txt`
    """
    with Meter.open(where) as meter:
        if not meter.locked:
            raise JetonError(f"{where} is not locked")
        if not for_good and meter.board is not None:
            raise JetonError(
                f"{where} is locked again when this ends: start it with `jeton serve {where}` "
                f"first, give ${UNLOCK_VARIABLE} to the command that needs it, or say --for-good"
            )
        code = _code(code_file, "Unlock code: ")
        if for_good:
            meter.open_up(code)
        else:
            meter.unlock(code)
    if as_json:
        put({"meter": where, "locked": not for_good, "unlocked": True})
    elif for_good:
        print(f"{where} is not locked any more")
    else:
        print(f"{where} is unlocked until `jeton lock {where}`, or until it starts anew")


def rescue(
    where: Annotated[str, typer.Argument(metavar="NAME|FLASH", help="A meter, or a flash image.")],
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what is found as JSON.")
    ] = None,
    provision: Annotated[
        bool,
        typer.Option("--provision", help="Set the meter up anew; the old flash is kept beside."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read a meter whose store is damaged, full or of a newer version; set it up anew.

    The meter is not started and nothing is written to its flash. Keys are never shown. A meter set
    up anew has the key that the point of sale knows, and the credit of an intact record; without
    one it has no credit, and takes no token that was issued before. What is not carried is told.

    Examples: `jeton rescue home` · `jeton rescue home --export home.json --provision` ·
    `jeton rescue flash.img --json`
    """
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
    _tell(found)
    if new is not None:
        print(
            f"set up anew with {kwh(new['credit_wh'])} kWh, not locked; the flash as it was: "
            f"{new['kept']}"
        )
        _tell_new(name, found, new)


def _tell_new(name: str, found: rescues.Found, new: Mapping[str, Any]) -> None:
    """Say what the new meter has not of what the old one had."""
    if new["key_pending"]:
        print(
            f"its key is KRN {new['key']['krn']}, base date {new['key']['bdt']}, as it was: a key "
            f"change was vended and is to be entered still, see jeton vend {name} history"
        )
    gone = new["not_carried"]
    if "tokens_until_tid" in gone:
        why = (
            "its key was none that the point of sale makes"
            if found.intact
            else "nobody knows which were used"
        )
        print(f"not carried: tokens issued until now and not entered are refused, {why}")
    if found.best is None:
        print("not carried: nothing can be read of what there was; it may have been locked")
    for name_, say in _GONE.items():
        if name_ in gone:
            print("not carried: " + say(gone[name_], name))


_GONE: dict[str, Callable[[Any, str], str]] = {
    "credit_wh": lambda wh, _: f"{kwh(wh)} kWh of credit, of which no intact record says so",
    "debt_wh": lambda wh, _: f"a debt of {kwh(wh)} kWh: nothing is owed any more",
    "tamper": lambda _, __: "the tamper condition: it is cleared",
    "max_power_limit_w": lambda w, name: (
        f"the power limit of {w} W: jeton vend {name} power-limit {w}"
    ),
    "phase_unbalance_limit_w": lambda w, name: (
        f"the limit of unbalance of {w} W: jeton vend {name} unbalance-limit {w}"
    ),
    "tariff_rate": lambda rate, name: f"the tariff rate {rate}: jeton vend {name} tariff {rate}",
    "switch": lambda why, _: f"the open switch ({why}): it is closed where there is credit",
    "lock_out_s": lambda s, _: f"the lock-out after wrong tokens, {s} s more",
    "reports": lambda count, _: f"{count} fault reports that were not acknowledged",
    "key_change_sections": lambda _, __: "a key change half entered: enter all its codes again",
    "language": lambda language, name: (
        f"the language {language} of its display: jeton language {name} {language}"
    ),
    "load": lambda _, __: "the load behind its switch",
    "total_wh": lambda wh, _: f"the total of {kwh(wh)} kWh used, its history and its log",
    "locked": lambda _, name: f"the lock, it was locked by a code: jeton lock {name}",
}


def _tell(found: rescues.Found) -> None:
    if found.wrong:
        print(f"file system: {found.wrong}")
    for copy in found.copies:
        print(f"{copy.name}: " + ("intact" if copy.intact else copy.wrong))
    if found.best is None:
        print("nothing of a meter can be read")
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
        print("no intact record says so: set up anew it has no credit")


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for function in (lock, unlock, rescue):
        app.command(rich_help_panel=METERS)(function)
