"""The command `jeton`: puts the commands together and turns errors into one line for people."""

import os
import sys

import typer

from host_tools import __version__, cli_credit, cli_meters, cli_profiles, cli_vending
from host_tools.drills import cli as cli_drills
from host_tools.errors import JetonError

app = typer.Typer(
    name="jeton",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A virtual STS prepayment meter: vend 20-digit tokens, key them in, watch what it does.",
    epilog="Start with: jeton drill ceet · jeton new home · jeton vend home credit 12.5",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jeton {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


for _commands in (cli_drills, cli_meters, cli_credit, cli_profiles, cli_vending):
    _commands.register(app)


def main() -> None:
    """Run the command; exit with 1 and one line on standard error where something is wrong."""
    try:
        app()
    except JetonError as error:
        sys.exit(f"jeton: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader has gone, as `jeton … | head` does; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
