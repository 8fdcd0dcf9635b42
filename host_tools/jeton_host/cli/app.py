"""The command `jeton`: collects the commands and prints each error as one line.

Other modules are imported when the command runs, so that Ctrl-C during the imports is handled too.
"""

import errno
import functools
import json
import os
import re
import signal
import sys
from typing import Any, NoReturn

from jeton_host.errors import JetonError
from jeton_host.terminal import degrade, output

_EPILOG = """
Start with:

- `jeton drill ceet`
- `jeton new home`
- `jeton vend home credit 12.5`

There is no configuration file. Jeton reads these environment variables:

- `JETON_HOME`: the folder of meters, point of sale, your profiles and the cache. Default: the
  folders of your user account.
- `JETON_KEYS`: the file of your vending keys. Default: the published test keys.
- `JETON_UNLOCK_CODE`: the unlock code of a locked meter.
- `JETON_MICROPYTHON`: the MicroPython interpreter of virtual boards. Default: the installed one.
- `JETON_CLOCK_OFFSET`: seconds to add to the time of this computer, for example -86400.
- `JETON_HOLD_MS`: how long an adapter holds a key, in ms. Default: the firmware's value.
- `JETON_DEBUG`: 1 prints the traceback of an error of the operating system.
"""

_BROKEN_PIPE = 128 + signal.SIGPIPE


class _NoOutput(JetonError):
    """Standard output is closed."""


def application() -> Any:
    """Return the Typer application with all commands."""
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
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        help="A virtual STS prepayment meter: issue 20-digit tokens, enter them, see the result.",
        epilog=_EPILOG,
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
        vending,
        checking,
        server,
        life,
        credit,
        supply,
        locked,
        flash,
        boards,
        conformance,
        profiles,
        wires,
    ):
        commands.register(app)
    return app


@functools.cache
def _command() -> Any:
    """Return the command line as an object; to make it takes longer than most commands."""
    import typer

    return typer.main.get_command(application())


def _wants_json(arguments: list[str]) -> bool:
    """Return whether the results, and therefore the errors, are printed as JSON."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]


def _is_broken_pipe(end: BaseException) -> bool:
    """Return whether the command ended because the reader of its output has closed the pipe."""
    cause: BaseException | None = end
    while cause is not None and not isinstance(cause, BrokenPipeError):
        cause = cause.__context__
    return cause is not None


def _one_line(error: Exception) -> str:
    """Return the message of an error as one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _exit_on_signal(number: int, frame: object) -> NoReturn:
    """Raise SystemExit, so that temporary files are removed and the meter is saved."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _print_wait(line: str) -> None:
    print(f"jeton: {line}", file=sys.stderr, flush=True)


def _prepare(as_json: bool) -> None:
    """Set the signal handlers and replace closed standard files.

    Without this, the next file that is opened would get the number of a closed standard file.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _exit_on_signal)
    missing = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in missing:
        mode = "r" if name == "stdin" else "w"
        setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    degrade.use(as_json=as_json)
    if "stdout" in missing:
        raise _NoOutput("standard output is closed: open it, or redirect it to a file")


def _run(as_json: bool) -> int:
    """Run the command; return its exit status."""
    _prepare(as_json)
    with output.used() as out:
        status = _called(as_json)
        out.flush()
    if out.error is not None and (status == 0 or not isinstance(out.error, BrokenPipeError)):
        raise out.error
    return status


def _called(as_json: bool) -> int:
    command = _command()

    import typer

    from jeton_host import meter

    meter.report_wait = _print_wait
    try:
        status = command(standalone_mode=False, prog_name="jeton")
    except typer.Abort:  # Ctrl-C or Ctrl-D at a question
        print(file=sys.stderr)
        raise KeyboardInterrupt from None
    except Exception as error:
        # A usage error; Typer's class for it has no public name.
        if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
            raise
        if message := " ".join(error.format_message().split()):  # empty: the help was printed
            _report(_with_help(message, getattr(error, "ctx", None)), as_json=as_json)
        return int(error.exit_code)
    return status if isinstance(status, int) else 0


def _with_help(message: str, context: Any) -> str:
    """Return the message of a usage error, with the command that prints the help."""
    message = message[:1].lower() + message[1:].removesuffix(".")
    if context is None:
        return message
    return f"{message} (see {re.sub('[{}]', '', context.command_path)} --help)"


def _report(message: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": message}))
    else:
        print(f"jeton: {message}", file=sys.stderr)


def main() -> None:
    """Run the command; after an error, print one line and exit with status 1.

    The line goes to standard error or, with --json, to standard output as an object. With
    JETON_DEBUG=1, an error of the operating system is printed with its traceback.
    """
    status = 0
    as_json = False
    try:
        as_json = _wants_json(sys.argv[1:])
        try:
            status = _run(as_json)
        except SystemExit as end:
            if _is_broken_pipe(end):
                raise BrokenPipeError from None
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except JetonError as error:
            status = 1
            _report(str(error), as_json=as_json and not isinstance(error, _NoOutput))
        except (OSError, ValueError, OverflowError) as error:
            if os.environ.get("JETON_DEBUG") or isinstance(error, BrokenPipeError):
                raise
            status = 1
            as_json = as_json and getattr(error, "errno", None) != errno.ENOSPC
            _report(_one_line(error), as_json=as_json)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = _BROKEN_PIPE
        output.discard(sys.stdout)
    except OSError as error:
        if os.environ.get("JETON_DEBUG"):
            raise
        status = 1
        print(f"jeton: standard output: {_one_line(error)}", file=sys.stderr)
        output.discard(sys.stdout)
    sys.exit(status)


if __name__ == "__main__":
    main()
