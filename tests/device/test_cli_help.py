"""The help of every command at 80 columns, tab completion, and what the errors propose."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import pytest
import typer
from command import jeton, ran, refused, result_of

import jeton_host
from jeton_host.cli import app as cli
from jeton_host.cli import complete
from jeton_host.firmware import boards, profiles

pytestmark = pytest.mark.virtual_only

_COLUMNS = 80
_EXAMPLE = re.compile(r"^- `(jeton .+)`$", re.MULTILINE)


def _commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words of each command and group, and its object."""

    def look(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield words, command
        for name, inner in getattr(command, "commands", {}).items():
            yield from look((*words, *(("home",) if words == ("vend",) else ()), name), inner)

    return look((), typer.main.get_command(cli.application()))


_ALL = list(_commands())
_IDS = [" ".join(words) or "jeton" for words, _ in _ALL]


@pytest.fixture
def help_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", str(_COLUMNS))

    def lines(words: tuple[str, ...]) -> list[str]:
        said = ran(*words, "--help")
        assert (said.status, said.err) == (0, "")
        return said.out.splitlines()

    return lines


# Help


def _texts(command: Any) -> list[str]:
    """Return the paragraphs of a help text and of its end."""
    return cleandoc(f"{command.help or ''}\n\n{command.epilog or ''}").split("\n\n")


def _check_examples(texts: list[str], lines: list[str]) -> None:
    """Each example is on a line of its own."""
    examples = _EXAMPLE.findall("\n".join(texts))
    assert examples
    shown = [line.strip() for line in lines]
    assert [line for line in shown if line.startswith("• jeton ")] == [f"• {e}" for e in examples]
    assert "·" not in "".join(shown)


def _check_paragraphs(texts: list[str], lines: list[str]) -> None:
    """Each paragraph flows: no line of it ends before the next word would not fit."""
    shown = "\n".join(line.strip() for line in lines)
    for paragraph in texts:
        if paragraph.startswith("- "):
            continue
        text = " ".join(paragraph.replace("`", "").split())
        wrapped = textwrap.wrap(text, _COLUMNS - 2, break_on_hyphens=False, break_long_words=False)
        assert "\n".join(wrapped) in shown


# One test for each command: to print a help takes half a second.
@pytest.mark.parametrize(("words", "command"), _ALL, ids=_IDS)
def test_a_help_fits_the_terminal_and_flows_with_one_example_a_line(
    words: tuple[str, ...], command: Any, help_of: Any
) -> None:
    lines = help_of(words)
    assert max(len(line) for line in lines) <= _COLUMNS
    _check_examples(_texts(command), lines)
    _check_paragraphs(_texts(command), lines)


def test_the_help_names_the_environment_variables_and_says_that_no_file_is_read(
    help_of: Any,
) -> None:
    sources = Path(jeton_host.__file__).parent.rglob("*.py")
    read = {
        name for file in sources for name in re.findall(r'"(JETON_[A-Z_]+)"', file.read_text())
    }
    # Between Jeton and the interpreter of a virtual board.
    internal = {"JETON_BENCH", "JETON_GENTLE", "JETON_MARK", "JETON_RTC", "JETON_TICKS"}
    assert internal < read
    shown = "\n".join(help_of(()))
    assert "There is no configuration file." in shown
    assert set(re.findall(r"• (JETON_[A-Z_]+):", shown)) == read - internal


# Completion


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that completes the last word of a command line, as bash does."""

    def complete_line(*words: str) -> list[str]:
        monkeypatch.setenv("_JETON_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(("jeton", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        said = ran()
        monkeypatch.delenv("_JETON_COMPLETE")
        assert (said.status, said.err) == (0, "")
        return said.out.split()

    return complete_line


@pytest.fixture
def home() -> str:
    jeton("new", "home", "--profile", "eneo")
    return "home"


@pytest.mark.parametrize(
    "words",
    [
        (command,)
        for command in (
            "status", "enter", "press", "advance", "load", "events", "run", "serve", "delete",
            "lock", "unlock", "rescue", "language", "emergency", "grant", "history", "reports",
            "clock", "tamper", "reconnect", "mute", "vend",
        )
    ]
    + [("explain", "1", "--meter"), ("flash", "auto", "--meter"), ("conformance", "--meter")],
    ids=" ".join,
)  # fmt: skip
def test_the_names_of_meters_are_completed(
    home: str, completed: Any, words: tuple[str, ...]
) -> None:
    assert home in completed(*words, "")
    assert completed(*words, "ho") == [home]
    assert completed(*words, "x") == []


@pytest.mark.parametrize(
    "words",
    [
        ("new", "x", "--profile"),
        ("run", "--profile"),
        ("conformance", "--profile"),
        ("check-tokens", "x.csv", "--profile"),
        ("flash", "auto", "--profile"),
        ("profile", "show"),
        ("profile", "check"),
        ("profile", "new", "x", "--from"),
    ],
    ids=" ".join,
)
def test_the_names_of_profiles_are_completed(completed: Any, words: tuple[str, ...]) -> None:
    assert completed(*words, "") == profiles.names()
    assert completed(*words, "ce") == ["ceet"]


def test_boards_languages_and_loads_are_completed(home: str, completed: Any) -> None:
    assert completed("flash", "auto", "--board", "") == boards.names()
    assert completed("language", home, "") == sorted(profiles.load("eneo")["languages"])
    assert completed("new", "x", "--profile", "somelec", "--language", "") == ["ar", "fr"]
    assert completed("new", "x", "--language", "") == ["en", "fr", "pt"]  # of generic
    assert completed("load", home, "--profile", "") == ["household"]


def test_serial_ports_are_completed(completed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [type("Port", (), {"device": name}) for name in ("/dev/ttyACM0", "/dev/ttyUSB0")]
    monkeypatch.setattr("jeton_host.meters.ports.usb_ports", lambda: ports)
    for words in (("flash",), ("doctor",), ("bench",), ("wires",)):
        assert completed(*words, "") == ["auto", "/dev/ttyACM0", "/dev/ttyUSB0"]
    for words in (("wires", "auto"), ("status",), ("enter",), ("run",)):
        assert completed(*words, "/dev/ttyU") == ["/dev/ttyUSB0"]


def test_a_completion_that_cannot_read_the_names_is_silent(
    completed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for home in ("/dev/null/x", "~nobodyatall/x", str(tmp_path / "none")):
        monkeypatch.setenv("JETON_HOME", home)
        assert completed("status", "") == []
        assert completed("language", "none", "x") == []
    assert complete.profile(None, "c") == []  # type: ignore[arg-type]


def test_the_shell_gets_completions_from_the_program(home: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jeton_host"],
        env=os.environ
        | {
            "_JETON_COMPLETE": "complete_bash",
            "COMP_WORDS": "jeton status h",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "home\n", "")


# Wrong uses


@pytest.mark.parametrize("amount", ["12.5", "12,5", "12.5kWh", "12.5KWH"])
def test_an_amount_in_place_of_a_kind_of_token_names_credit(amount: str) -> None:
    assert refused("vend", "home", amount, status=2) == (
        f"'{amount}' is not a kind of token: did you mean `jeton vend home credit 12.5`? "
        "(see jeton vend --help)"
    )


def test_a_vend_without_the_name_of_a_meter_says_so() -> None:
    line = refused("vend", "credit", "12.5", status=2)
    assert line.startswith("the name of the meter is missing: `jeton vend NAME credit 12.5`")


def test_a_mistyped_command_gets_a_proposal() -> None:
    assert "Did you mean 'credit'?" in refused("vend", "home", "crdit", "5", status=2)
    assert "Did you mean 'status'?" in refused("statu", "home", status=2)
    assert "no such command 'x'" in refused("vend", "home", "x", status=2)


# Options of new and run


def test_a_new_meter_has_the_language_of_the_option() -> None:
    jeton("new", "douala", "--profile", "eneo", "--language", "en")
    assert result_of("language", "douala")["language"] == "en"
    jeton("new", "atar", "--profile", "somelec", "--language", "ar", "--graphic")
    assert result_of("language", "atar")["language"] == "ar"
    jeton("new", "kaedi", "--profile", "somelec", "--language", "fr", "--graphic")
    assert result_of("language", "kaedi")["language"] == "fr"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("--profile", "ceet", "--language", "pt"),
            "profile ceet lacks the language 'pt': it has fr",
        ),
        (("--language", "x" * 100), "profile generic lacks the language 'xxx"),
        (
            ("--profile", "somelec", "--language", "ar"),
            "--language ar needs a graphic display: give --graphic too",
        ),
        (("--language", ""), "profile generic lacks the language '': it has en, fr, pt"),
    ],
)
def test_a_language_that_the_meter_would_lack_is_refused(
    arguments: tuple[str, ...], line: str
) -> None:
    assert refused("new", "home", *arguments).startswith(line)
    assert result_of("list") == []


def test_run_without_a_name_takes_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    shown = jeton("run", "--plain", "--profile", "landis_gyr")
    assert "┏" in shown
    done = subprocess.run(
        [sys.executable, "-m", "jeton_host", "run", "--json", "--profile", "ceet"],
        input="status\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert '"profile": "ceet"' in done.stdout, done


@pytest.mark.parametrize("where", ["home", "/dev/ttyUSB0"])
def test_run_with_a_name_or_port_refuses_a_profile(where: str) -> None:
    assert refused("run", where, "--profile", "ceet") == (
        f"--profile is only for a new meter, and {where} has a profile: run `jeton run --profile "
        "ceet`, or create a meter with `jeton new NAME --profile ceet`"
    )


def test_run_refuses_an_unknown_profile() -> None:
    assert "there is no profile 'nothing'" in refused("run", "--plain", "--profile", "nothing")
