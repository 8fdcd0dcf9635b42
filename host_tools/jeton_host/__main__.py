"""Runs the command: `python -m jeton_host`."""

from jeton_host.cli.app import main

main()
