"""The command `jeton`: puts the commands together and turns errors into one line for people.

What it needs is imported when it runs, so that Ctrl-C in its first moments is no traceback either.
"""

import errno
import json
import os
import re
import signal
import sys
from typing import Any, NoReturn

from jeton_host.errors import JetonError
from jeton_host.terminal import degrade

_BROKEN_PIPE = 128 + signal.SIGPIPE


class _NoOutput(JetonError):
    """There is no standard output."""


def application() -> Any:
    """Return the command with all its commands, as Typer has it."""
    import typer

    from jeton_host import __version__
    from jeton_host.cli import (
        boards,
        checking,
        conformance,
        credit,
        drills,
        flash,
        life,
        locked,
        meters,
        profiles,
        server,
        supply,
        tokens,
        vending,
        wires,
    )

    app = typer.Typer(
        name="jeton",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="A virtual STS prepayment meter: vend 20-digit tokens, key them in, watch what it "
        "does.",
        epilog="Start with: jeton drill ceet · jeton new home · jeton vend home credit 12.5",
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"jeton {__version__}")
            raise typer.Exit

    @app.callback()
    def _options(
        version: bool = typer.Option(
            False,
            "--version",
            callback=show_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ) -> None:
        pass

    for commands in (
        drills,
        meters,
        tokens,
        life,
        credit,
        supply,
        locked,
        flash,
        boards,
        conformance,
        profiles,
        vending,
        checking,
        server,
        wires,
    ):
        commands.register(app)
    return app


def _wants_json(arguments: list[str]) -> bool:
    """Return whether results, and so errors too, are to be JSON."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]


def _nobody_reads(end: BaseException) -> bool:
    """Return whether Typer or Rich ended the command because its reader has gone."""
    cause: BaseException | None = end
    while cause is not None and not isinstance(cause, BrokenPipeError):
        cause = cause.__context__
    return cause is not None


def _said(error: Exception) -> str:
    """Return an error in one line for people."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _end(number: int, frame: object) -> NoReturn:
    """Leave in order: what was begun is cleaned up, a meter is saved."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _waits(line: str) -> None:
    print(f"jeton: {line}", file=sys.stderr, flush=True)


def _prepare(as_json: bool) -> None:
    """See to signals and to standard files that were closed, so that nothing else takes them."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    missing = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in missing:
        mode = "r" if name == "stdin" else "w"
        setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    degrade.use(as_json=as_json)
    if "stdout" in missing:
        raise _NoOutput("standard output is closed: there is nowhere to write to")


def _run(as_json: bool) -> int:
    """Run the command; return its exit status."""
    _prepare(as_json)
    app = application()

    from jeton_host import meter

    meter.report_wait = _waits
    try:
        status = app(standalone_mode=False, prog_name="jeton")
    except Exception as error:
        # An error of usage; Typer's class of these has no public name.
        if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
            raise
        if said := " ".join(error.format_message().split()):  # else it has shown the help
            _tell(_with_help(said, getattr(error, "ctx", None)), as_json=as_json)
        return int(error.exit_code)
    return status if isinstance(status, int) else 0


def _with_help(said: str, context: Any) -> str:
    """Return an error of usage and where to read how it is used."""
    said = said[:1].lower() + said[1:].removesuffix(".")
    if context is None:
        return said
    return f"{said} (see {re.sub('[{}]', '', context.command_path)} --help)"


def _tell(message: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": message}))
    else:
        print(f"jeton: {message}", file=sys.stderr)


def _discard_output() -> None:
    """Have Python not complain at exit about output that cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Run the command; exit with 1 and one line where something is wrong.

    The line is on standard error or, with --json, an object on standard output. With JETON_DEBUG=1
    an error of the system shows where it came from.
    """
    status = 0
    as_json = False
    try:
        as_json = _wants_json(sys.argv[1:])
        try:
            status = _run(as_json)
        except SystemExit as end:
            if _nobody_reads(end):
                raise BrokenPipeError from None
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except JetonError as error:
            status = 1
            _tell(str(error), as_json=as_json and not isinstance(error, _NoOutput))
        except (OSError, ValueError, OverflowError) as error:
            if os.environ.get("JETON_DEBUG") or isinstance(error, BrokenPipeError):
                raise
            status = 1
            as_json = as_json and getattr(error, "errno", None) != errno.ENOSPC
            _tell(_said(error), as_json=as_json)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = _BROKEN_PIPE
        _discard_output()
    except OSError as error:
        if os.environ.get("JETON_DEBUG"):
            raise
        status = 1
        print(f"jeton: standard output: {_said(error)}", file=sys.stderr)
        _discard_output()
    sys.exit(status)


if __name__ == "__main__":
    main()
