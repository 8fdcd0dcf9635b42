"""Runs the command `jeton` as `python -m jeton_host`."""

from jeton_host.cli.app import main

main()
