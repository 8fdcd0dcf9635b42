"""Tests of the command `jeton profile`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jeton_host.cli import profiles as cli_profiles
from jeton_host.errors import JetonError, ProfileError
from jeton_host.firmware import profiles

app = typer.Typer()
cli_profiles.register(app)


def jeton(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["profile", *arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def error_of(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["profile", *arguments])
    assert isinstance(result.exception, JetonError), (result.output, result.exception)
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_list_prints_all_profiles() -> None:
    lines = jeton("list").splitlines()
    assert [line.split()[0] for line in lines] == profiles.shipped()
    assert "SOMELEC Mounsif, Mauritania  [ar, fr]" in jeton("list")
    found = json.loads(jeton("list", "--json"))
    assert [about["name"] for about in found] == profiles.shipped()
    assert all(about["problem"] is None and not about["own"] for about in found)


@pytest.mark.parametrize("name", profiles.shipped())
def test_show_prints_every_setting_with_its_source(name: str) -> None:
    shown = jeton("show", name)
    for setting in profiles.SETTINGS:
        assert f"\n{setting} = " in shown
    data = json.loads(jeton("show", name, "--json"))
    assert data["sources"] == profiles.load(name)["sources"]
    for language in data["languages"]:
        assert set(data["messages"][language]) == set(profiles.MESSAGES)
        assert "trip_locked" in jeton("show", name, "--messages", language)


def test_show_prints_messages_with_their_sources() -> None:
    shown = jeton("show", "itron", "--messages", "fr")
    assert "Accept = AccEPt  (M: Itron)" in shown
    assert "FormatError = FORMAT ERRONE  (assumed: our own words)" in shown
    assert "lacks the language 'ar'" in error_of("show", "itron", "--messages", "ar")
    assert "there is no profile 'nothing'" in error_of("show", "nothing")


def test_check_reports_each_problem(tmp_path: Path, jeton_home: Path) -> None:
    assert jeton("check").splitlines() == [f"{name}.json: correct" for name in profiles.shipped()]
    data = profiles.load("ceet")
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(data))
    assert jeton("check", str(file), code=1) == (
        "mine.json: name is 'ceet' in a file called mine.json: they must agree\n"
    )
    data["name"] = "mine"
    data["credit"]["low"] = 5
    data["screens"]["page_s"] = "3"
    file.write_text(json.dumps(data))
    assert jeton("check", "ceet", str(file), code=1).splitlines() == [
        "ceet.json: correct",
        "mine.json: there is no setting credit.low; did you mean low_wh?",
        'mine.json: screens.page_s must be a whole number from 1 to 600, not "3"',
    ]
    (found,) = json.loads(jeton("check", str(file), "--json", code=1))
    assert (found["ok"], len(found["problems"])) == (False, 2)
    file.write_text("{")
    assert "is not JSON" in jeton("check", str(file), code=1)
    assert "cannot be read" in jeton("check", str(tmp_path / "none.json"), code=1)


def test_new_creates_a_profile(jeton_home: Path) -> None:
    assert jeton("new", "village", "--from", "eneo").startswith(
        f"{jeton_home / 'profiles' / 'village.json'}\nedit it, then: jeton profile check village"
    )
    assert jeton("check", "village") == "village.json: correct\n"
    (about,) = [about for about in json.loads(jeton("list", "--json")) if about["own"]]
    assert (about["name"], about["title"]) == ("village", "Eneo, Cameroon, changed")
    about = json.loads(jeton("new", "second", "--title", "Ours", "--json"))
    assert (about["title"], about["languages"]) == ("Ours", ["en", "fr", "pt"])
    assert "second" in jeton("list")
    assert "already" in error_of("new", "village")
    assert "already" in error_of("new", "generic")
    assert "no profile 'nothing'" in error_of("new", "third", "--from", "nothing")
    assert "is not valid" in error_of("new", "Third")
    file = Path(about["file"])
    file.write_text(file.read_text().replace('"page_s": 3', '"page_s": 0'))
    assert "WRONG: see `jeton profile check second`  (your own)" in jeton("list")


def test_schema_prints_the_path_of_the_schema() -> None:
    file = Path(jeton("schema").removesuffix("\n"))
    assert json.loads(file.read_text())["title"].startswith("A profile of Jeton")
    assert json.loads(jeton("schema", "--json")) == {"file": str(file)}


def test_new_fails_if_the_folder_cannot_be_written(jeton_home: Path) -> None:
    (jeton_home / "profiles").write_text("a file")
    with pytest.raises(ProfileError, match="cannot be written"):
        profiles.new("mine", "generic")


def test_the_command_prints_errors_in_one_line_and_examples_in_its_help() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jeton_host", "profile", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"COLUMNS": "200"},
        )

    done = run("show", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("jeton: there is no profile 'nothing'; there are: ceet, ")
    assert done.stderr.count("\n") == 1
    for command in ("list", "show", "check", "new", "schema"):
        assert "Example" in run(command, "--help").stdout
