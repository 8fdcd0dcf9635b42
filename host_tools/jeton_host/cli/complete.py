"""Tab completion of names: meters, profiles, boards, languages and serial ports.

A completion prints no error: if the names cannot be read, there are none.
"""

from collections.abc import Callable, Iterable
from typing import Any

import typer

Completion = Callable[[typer.Context, str], list[str]]


def _completion(names: Callable[[dict[str, Any]], Iterable[str]]) -> Completion:
    """Return the function for typer's `autocompletion`; `names` gets the values given before."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return [name for name in names(ctx.params) if name.startswith(incomplete)]
        except Exception:
            return []

    return complete


def _meters(given: dict[str, Any]) -> list[str]:
    from jeton_host.meters import named

    return [meter.name for meter in named.all_meters()]


def _served(given: dict[str, Any]) -> list[str]:
    from jeton_host.meters import named

    return [meter.name for meter in named.all_meters() if meter.port()]


def _ports(given: dict[str, Any]) -> list[str]:
    from jeton_host.meters.ports import usb_ports

    return [port.device for port in usb_ports()]


def _profiles(given: dict[str, Any]) -> list[str]:
    from jeton_host.firmware import profiles

    return profiles.names()


def _boards(given: dict[str, Any]) -> list[str]:
    from jeton_host.firmware import boards

    return boards.names()


def _languages(given: dict[str, Any]) -> list[str]:
    """Return the languages of the profile or of the meter given before, else all."""
    from jeton_host.firmware import profiles
    from jeton_host.meters import named

    profile = given.get("profile")
    where = given.get("where")
    if where and named.exists(where):
        profile = named.find(where).about["profile"]
    wanted = [profile] if profile else profiles.shipped()
    return sorted({code for name in wanted for code in profiles.load(name)["languages"]})


def _load_profiles(given: dict[str, Any]) -> list[str]:
    from jeton_host.client import loads

    return list(loads.PROFILES)


meter = _completion(_meters)
meter_or_port = _completion(lambda given: [*_meters(given), *_ports(given)])
port = _completion(lambda given: ["auto", *_served(given), *_ports(given)])
adapter = _completion(_ports)
tested = _completion(lambda given: ["virtual", "auto", *_meters(given), *_ports(given)])
profile = _completion(_profiles)
board = _completion(_boards)
language = _completion(_languages)
load_profile = _completion(_load_profiles)
