"""Checks the types of arguments, so that a wrong one is an error in one line, not a traceback."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from jeton_host.errors import WrongTypeError


def check_whole(what: str, value: Any) -> None:
    """Raise WrongTypeError unless `value` is an int (a bool is none)."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise WrongTypeError(f"{what} must be a whole number, not {value!r}")


def check_text(what: str, value: Any, example: str = "") -> None:
    """Raise WrongTypeError unless `value` is a str."""
    if not isinstance(value, str):
        hint = f", such as {example!r}" if example else ""
        raise WrongTypeError(f"{what} must be a text{hint}, not {value!r}")


def check_switch(what: str, value: Any) -> None:
    """Raise WrongTypeError unless `value` is a bool."""
    if not isinstance(value, bool):
        raise WrongTypeError(f"{what} must be True or False, not {value!r}")


def check_time(what: str, value: Any) -> None:
    """Raise WrongTypeError unless `value` is a datetime."""
    if not isinstance(value, datetime):
        raise WrongTypeError(f"{what} must be a datetime, not {value!r}")


def check_steps(steps: Any) -> None:
    """Raise WrongTypeError unless `steps` is a sequence of (seconds, W), both int."""
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise WrongTypeError(f"steps must be a list of (seconds, watts), not {steps!r}")
    for step in steps:
        if not isinstance(step, Sequence) or isinstance(step, str) or len(step) != 2:
            raise WrongTypeError(f"a step must be (seconds, watts), not {step!r}")
        for value in step:
            check_whole("seconds and watts of a step", value)
