"""Profiles on a whole board: heap, messages, languages, and a user's own profiles."""

from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from jeton_host.cli import life, tokens
from jeton_host.cli import meters as cli_meters
from jeton_host.cli import profiles as cli_profiles
from jeton_host.client.answers import TokenResult
from jeton_host.errors import JetonError
from jeton_host.firmware import profiles
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.terminal.draw import panel

HEAP_LIMIT = 110 * 1024  # in use after start, of 192 KiB in words of 64 bits

app = typer.Typer()
for commands in (cli_meters, life, tokens, cli_profiles):
    commands.register(app)


def jeton(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, JetonError), (result.output, result.exception)
    return str(result.exception)


@pytest.fixture
def meter_config(request: pytest.FixtureRequest, meter_config: dict[str, Any]) -> dict[str, Any]:
    return meter_config | getattr(request, "param", {})


@pytest.mark.device
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.meter_profile(name)) for name in profiles.shipped()],
)
def test_every_profile_works_on_a_board(name: str, meter: Meter) -> None:
    data = profiles.load(name)
    meter.reset()
    assert meter.rpc("info")["mem_used"] <= HEAP_LIMIT
    left_to_right = [one for one in data["languages"] if one not in profiles.RIGHT_TO_LEFT]
    assert meter.language() == left_to_right[0]
    for language in left_to_right:
        assert meter.language(language) == language
        result = meter.enter("1" * 20)
        assert result.result == TokenResult.CRC
        words = profiles.words(data, language)["CRCError"]
        assert meter.display().lines[0].startswith(words.partition("{")[0])
        meter.reset()
        assert meter.language() == language


@pytest.mark.device
@pytest.mark.meter_profile("somelec")
@pytest.mark.parametrize("meter_config", [{"display": [4, 20, 1]}], indirect=True)
def test_arabic_is_shown_on_a_dot_matrix_display(meter: Meter) -> None:
    assert meter.language() == "ar"
    lines = meter.display().lines
    assert lines[0] == "0.00 kWh      \ufeaa\ufef4\ufebb\ufeae\ufedf\ufe8d"
    assert [len(line) for line in lines] == [20] * 4
    meter.reset()
    assert meter.rpc("info")["mem_used"] <= HEAP_LIMIT
    # Marks keep the terminal from reversing the order of the cells again.
    console = Console(width=80)
    with console.capture() as capture:
        console.print(panel(lines, 4, 20))
    assert f"\u202d{lines[0]}\u202c" in capture.get()


@pytest.mark.virtual_only
def test_the_language_is_set_by_command() -> None:
    jeton("new", "atar", "--profile", "onee", "--graphic")
    assert jeton("language", "atar") == "fr  [fr, ar]\n"
    assert jeton("language", "atar", "ar") == "ar  [fr, ar]\n"
    assert jeton("language", "atar", "--json") == (
        '{"language": "ar", "languages": ["fr", "ar"]}\n'
    )
    assert "no 'en', only: fr, ar" in refused("language", "atar", "en")
    jeton("new", "lome", "--profile", "ceet")
    assert "no 'ar', only: fr" in refused("language", "lome", "ar")


@pytest.mark.virtual_only
def test_a_users_profile_works_on_a_board(jeton_home: Path) -> None:
    path = profiles.new("village", "onee")
    path.write_text(path.read_text().replace('"messages": {}', '"messages": {"fr": {"off": "X"}}'))
    assert "messages.fr.off has no source" in refused("new", "v", "--profile", "village")
    assert meters.all_meters() == []
    path.write_text(
        path.read_text().replace('"sources": {', '"sources": {"messages.fr": "U: a sign",')
    )
    assert "profile village" in jeton("new", "v", "--profile", "village")
    with Meter.open("v") as meter:
        assert meter.display().lines[1] == "X       0.00 kWh"
    # A later change of the profile reaches its meters.
    path.write_text(path.read_text().replace('"off": "X"', '"off": "Y"'))
    with Meter.open("v") as meter:
        assert meter.display().lines[1] == "Y       0.00 kWh"
    path.unlink()
    assert "no profile village on this board" in refused("status", "v")
    assert "there is no profile 'village'" in refused("new", "w", "--profile", "village")
