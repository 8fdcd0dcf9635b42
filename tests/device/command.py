"""Runs the command `jeton` as a person does, in this process: its status, and what it said."""

import contextlib
import io
import json
import signal
import sys
from dataclasses import dataclass
from typing import Any
from unittest import mock

from jeton_host.cli import app as cli


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the one line of JSON that it printed."""
        assert self.out.count("\n") == 1, self
        return json.loads(self.out)


def ran(*arguments: str) -> Said:
    """Run a command, whatever comes of it."""
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    status: object = None
    try:
        with (
            mock.patch.object(sys, "argv", ["jeton", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as end:
        status = end.code
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert isinstance(status, int)
    return Said(status, out.getvalue(), err.getvalue())


def jeton(*arguments: str) -> str:
    """Run a command that is to succeed; return what it printed."""
    said = ran(*arguments)
    assert (said.status, said.err) == (0, ""), said
    return said.out


def result_of(*arguments: str) -> Any:
    """Run a command that is to succeed with --json; return the value."""
    said = ran(*arguments, "--json")
    assert (said.status, said.err) == (0, ""), said
    return said.json


def refused(*arguments: str, status: int = 1) -> str:
    """Run a command that is to be refused; return its one line, without `jeton: `.

    With --json the same line is an object on standard output.
    """
    said = ran(*arguments)
    assert (said.status, said.out) == (status, ""), said
    assert said.err.startswith("jeton: "), said
    assert said.err.count("\n") == 1, said
    assert len(said.err) < 250, said
    line = said.err.removeprefix("jeton: ").removesuffix("\n")
    again = ran(*arguments, "--json")
    assert (again.status, again.err, again.json) == (status, "", {"error": line}), again
    return line
