"""Runs the command `jeton` in this process and returns its status and output."""

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
class Outcome:
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the value of the one line of JSON that the command printed."""
        assert self.out.count("\n") == 1, self
        return json.loads(self.out)


def ran(*arguments: str) -> Outcome:
    """Run a command and return its status and output."""
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
    return Outcome(status, out.getvalue(), err.getvalue())


def jeton(*arguments: str) -> str:
    """Run a command that must succeed; return what it printed."""
    outcome = ran(*arguments)
    assert (outcome.status, outcome.err) == (0, ""), outcome
    return outcome.out


def result_of(*arguments: str) -> Any:
    """Run a command with --json, which must succeed; return the value it printed."""
    outcome = ran(*arguments, "--json")
    assert (outcome.status, outcome.err) == (0, ""), outcome
    return outcome.json


def refused(*arguments: str, status: int = 1) -> str:
    """Run a command that must be refused; return its one error line, without `jeton: `.

    With --json, the same text must be an object on standard output.
    """
    outcome = ran(*arguments)
    assert (outcome.status, outcome.out) == (status, ""), outcome
    assert outcome.err.startswith("jeton: "), outcome
    assert outcome.err.count("\n") == 1, outcome
    assert len(outcome.err) < 250, outcome
    line = outcome.err.removeprefix("jeton: ").removesuffix("\n")
    again = ran(*arguments, "--json")
    assert (again.status, again.err, again.json) == (status, "", {"error": line}), again
    return line
