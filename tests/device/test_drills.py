"""Drills end to end, as programs and as a command."""

import io
import json
import subprocess
import sys

from rich.console import Console

from host_tools.drills import ceet
from host_tools.drills.story import Story
from host_tools.link import Meter, TokenResult
from host_tools.meters import make_config
from jeton.sts.digits import grouped


def jeton(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "host_tools.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_ceet_as_a_command() -> None:
    done = jeton("drill", "ceet", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    assert len(told["steps"]) == 27
    keyed = [(s["what"], s["found"]) for s in told["steps"] if "digits" in s]
    assert keyed[:6] == [
        ("An unused ticket of 10 kWh, keyed before the update as CEET asks", "Accept"),
        ("Code 1", "1stKCT"),
        ("Code 2", "Accept"),
        ("Code 3", "Accept"),
        ("Code 3 once more", "UsedError"),
        ("The ticket from the drawer", "CRCError"),
    ]


def test_ceet_without_a_terminal_is_plain_lines() -> None:
    done = jeton("drill", "ceet")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "     | CODE 1 CORRECT   |\n     | ENTRER CODE 2    |\n" in done.stdout
    assert "under the meter's previous key" in done.stdout
    assert "All 27 steps ended as they ought to" in done.stdout


def told_on_a_terminal(record: bool) -> tuple[Story, str]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, record=record)
    story = Story("ceet", console=console)
    ceet.run(story, wrong_paths=False)
    assert story.finish() == 0
    return story, screen.getvalue()


def test_on_a_terminal_the_digits_are_seen_as_they_are_keyed() -> None:
    story, seen = told_on_a_terminal(record=False)
    step = next(s for s in story.steps if s.what == "Code 1")
    for count in (4, 8, 12, 16, 20):
        assert f"{count}/20" in seen
    assert grouped(step.details["digits"])[-16:] in seen


def test_a_story_that_goes_otherwise_fails() -> None:
    story = Story("test", as_json=True)
    story.chapter("one")
    with Meter.open("virtual", config=make_config()) as meter:
        story.key(meter, "0" * 20, "nonsense", TokenResult.ACCEPT, "")
    assert not story.steps[0].ok
    story.check("a fact", True, "so")
    assert story.finish() == 1
    other = Story("test", as_json=True)
    other.check("a fact", False, "not so")
    assert other.finish() == 1
