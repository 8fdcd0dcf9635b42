"""Drills, run as programs and as a command; and drills that fail because a meter is faulty."""

import functools
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import ran, refused, result_of
from rich.console import Console

from jeton.sts.digits import grouped
from jeton_host.cli import drills as cli
from jeton_host.client.answers import PressResult, TokenResult
from jeton_host.drills import ceet, eneo, onee, picture, somelec, stage
from jeton_host.drills.stage import Stage
from jeton_host.drills.story import Story
from jeton_host.errors import BoardError, JetonError
from jeton_host.meter import Meter
from jeton_host.meters.named import make_config
from jeton_host.paths import docs_dir
from jeton_host.terminal.picture import text_of

pytestmark = pytest.mark.virtual_only

KEPT = docs_dir() / "pictures"

RUNS: dict[str, Callable[[Story], None]] = {
    "ceet": ceet.run,
    "eneo": lambda story: eneo.run(story, homes=2),
    "onee": onee.run,
    "somelec": somelec.run,
}


def jeton(*arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jeton_host", *arguments],
        capture_output=True,
        encoding=encoding,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        timeout=60,
        check=False,
    )


@functools.cache
def story_of(name: str, *options: str) -> Any:
    """Return the result of a drill that was run once for all tests that read it."""
    return result_of("drill", name, *options)


def bad_steps(name: str) -> list[str]:
    """Run a drill that must fail; return its failed steps."""
    story = Story(name, as_json=True)
    story.run(lambda: RUNS[name](story))
    assert not story.ok
    return [step.what for step in story.steps if not step.ok]


def on_board(meter: Meter, source: str) -> None:
    """Run source on the meter's board without using a verb of the meter."""
    meter.run(f"state = meter._meter.state\n{source}")


def after_first_accept(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Run source on the first meter that accepts a token by its keypad, once."""
    press, done = Meter.press, []

    def pressing(meter: Meter, keys: str) -> PressResult:
        pressed = press(meter, keys)
        if not done and pressed.result and pressed.result.result is TokenResult.ACCEPT:
            done.append(keys)
            on_board(meter, source)
        return pressed

    monkeypatch.setattr(Meter, "press", pressing)


def with_profile(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """Give the meters of the drill another profile than the story needs."""
    config = Stage.config

    def changed(stage: Stage, name: str, **options: Any) -> dict[str, Any]:
        return config(stage, name, **options | {"profile": wrong})

    monkeypatch.setattr(Stage, "config", changed)


# Drills that succeed


REFUSALS = {
    "ceet": [
        "NotReady",
        "CRCError",
        "FormatError",
        "UsedError",
        "there is a profile ceet already",
        "too long for",
    ],
    "eneo": [
        "file is not a database",
        "PAS NECESSAIRE",
        "DEJA PRIS",
        "CRCError",
        "LockOut",
        "OldError",
    ],
    "onee": ["a whole number from 1", "UsedError", "needs two readings", "below the last reading"],
    "somelec": ["FormatError", "Connection refused", "gave no receipt", "takes no advances"],
}


@pytest.mark.parametrize("name", RUNS)
def test_a_drill_command_succeeds_and_repeats_its_story(name: str) -> None:
    extra = ["--homes", "2"] if name == "eneo" else []
    story = story_of(name, *extra)
    assert story["ok"], [step for step in story["steps"] if not step["ok"]]
    assert story["drill"] == name
    found = " ".join(step["found"] for step in story["steps"])
    assert all(refusal in found for refusal in REFUSALS[name]), found
    points = next(iter(story["series"].values()))
    assert len(points) > 10
    assert points[-1]["total_wh"] > points[0]["total_wh"] == 0
    again = result_of("drill", name, *extra)
    assert story | {"seconds": again["seconds"]} == again


def test_ceet_uses_the_keys_of_its_customers() -> None:
    keyed = [(s["what"], s["found"]) for s in story_of("ceet")["steps"] if "digits" in s]
    assert keyed[:6] == [
        ("An unused ticket of 10 kWh, entered before the update as CEET asks", "Accept"),
        ("Code 1", "1stKCT"),
        ("Code 2", "Accept"),
        ("Code 3", "Accept"),
        ("Code 3 again", "UsedError"),
        ("The ticket from the drawer", "CRCError"),
    ]


def test_ceet_shows_three_words_and_removes_its_profiles(jeton_home: Path) -> None:
    steps = result_of("drill", "ceet")["steps"]
    said = [s["display"][0].strip() for s in steps if s["what"].startswith("Code 2 (")]
    assert said == ["ACCEPT", "GOOD", "CONNECT"]
    assert not (jeton_home / "profiles").exists()


def test_ceet_has_a_refused_case_for_each_word() -> None:
    steps = story_of("ceet")["steps"]
    refused_first = {}
    for word in ceet.WORDS:
        mine = [s for s in steps if s["what"].endswith(f"({word})")]
        assert [s["found"] for s in mine[1:]] == ["1stKCT", "Accept", "Accept"]
        assert word not in mine[0]["display"][0]
        refused_first[word] = mine[0]["found"]
    assert refused_first == {"ACCEPT": "CRCError", "GOOD": "FormatError", "CONNECT": "NotReady"}


@pytest.mark.parametrize(
    ("name", "what", "word"),
    [
        ("onee", "The same code", "ﺔﻘﺤﺘﺴﻣ ﺔﻔﻠﺳ"),
        ("somelec", "A purchase of 30 kWh", "ﻝﻮﺒﻘﻣ"),
    ],
)
def test_arabic_is_shown_in_the_order_of_its_cells(name: str, what: str, word: str) -> None:
    seen = jeton("drill", name).stdout
    width = 16
    assert f"     | \u202d{word:>{width}}\u202c |\n" in seen
    step = next(s for s in story_of(name)["steps"] if s["what"] == what)
    assert word in step.get("display", [step["found"]])[0]
    screen = io.StringIO()
    story = Story(name, console=Console(file=screen, force_terminal=True, width=80))
    story.run(lambda: RUNS[name](story))
    drawn = screen.getvalue()
    assert f" \u202d{word:>{width}}\u202c " in drawn


@pytest.mark.parametrize(
    ("name", "what"),
    [("onee", "The same code"), ("somelec", "The display shows that in Arabic")],
)
def test_a_meter_that_keeps_french_fails_the_drill(
    monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    provision, language = Meter.provision, Meter.language

    def french(meter: Meter, config: Any) -> Any:
        provision(meter, config)
        language(meter, "fr")
        return meter.status()

    monkeypatch.setattr(Meter, "provision", french)
    monkeypatch.setattr(Meter, "language", lambda meter, code=None: "ar")
    assert what in bad_steps(name)


def test_another_seed_gives_another_story_with_the_same_result() -> None:
    one, two = story_of("onee"), story_of("onee", "--seed", "2")
    assert one["seed"] == 1
    assert one["ok"]
    assert two["ok"]
    assert one["series"] != two["series"]


def test_eneo_counts_the_hours_without_power_of_each_home() -> None:
    story = result_of("drill", "eneo", "--homes", "4")
    assert list(story["dark_h"]) == ["home-1", "home-2", "home-3", "home-4"]
    for home, hours in story["dark_h"].items():
        points = story["series"][home]
        looked = sum(point["switch"] == "open" for point in points)
        assert (hours > 0) == (looked > 0)
    assert sum(story["dark_h"].values()) > 24


@pytest.mark.parametrize("homes", ["0", "49", "-1", "1.5", "many", ""])
@pytest.mark.parametrize("name", ["eneo", "all"])
def test_a_wrong_number_of_homes_is_refused(name: str, homes: str) -> None:
    assert "--homes" in refused("drill", name, "--homes", homes, status=2)


@pytest.mark.parametrize("name", [*RUNS, "all"])
def test_other_wrong_uses_are_refused(name: str) -> None:
    for seed in ("-1", "x", "1.5", ""):
        assert "--seed" in refused("drill", name, "--seed", seed, status=2)
    assert "--fast" in refused("drill", name, "--fast", status=2)
    assert "again" in refused("drill", name, "again", status=2)
    if name not in ("eneo", "all"):
        assert "--homes" in refused("drill", name, "--homes", "2", status=2)


def test_an_unknown_drill_is_refused() -> None:
    assert "'nosuch'" in refused("drill", "nosuch", status=2)


def test_all_drills_can_be_run_by_one_command() -> None:
    found = result_of("drill", "all", "--homes", "1")
    assert found["ok"]
    assert [story["drill"] for story in found["drills"]] == list(RUNS)
    assert sum(story["seconds"] for story in found["drills"]) <= found["seconds"] + 0.01
    assert found["seed"] == 1
    assert json.dumps(found).count("1 homes") == 0


def test_one_failed_drill_fails_all_and_the_others_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def good(story: Story, homes: int) -> None:
        story.check("a fact", True, "so")

    def raises_an_error(story: Story, homes: int) -> None:
        good(story, homes)
        raise BoardError("the board is silent")

    monkeypatch.setattr(cli, "DRILLS", {"one": good, "two": raises_an_error, "three": good})
    said = ran("drill", "all", "--json")
    assert said.status == 1
    assert [story["ok"] for story in said.json["drills"]] == [True, False, True]
    assert said.json["drills"][1]["steps"][-1]["found"] == "the board is silent"
    plain = ran("drill", "all")
    assert plain.status == 1
    assert "failed: two." in plain.out


def test_without_a_terminal_plain_lines_a_table_and_a_plot_are_printed() -> None:
    done = jeton("drill", "ceet")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "     | CODE 1 CORRECT   |\n     | ENTRER CODE 2    |\n" in done.stdout
    assert "under the meter's previous key" in done.stdout
    assert "steps had the expected result" in done.stdout
    assert "│ 04 Nov 08:00 │       20.00 │       0.00 │" in done.stdout
    assert done.stdout.index("credit, kWh\n") < done.stdout.index("load, W (mean)\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("name", RUNS)
def test_an_output_without_unicode_gets_the_same_story(name: str, encoding: str) -> None:
    extra = ["--homes", "1"] if name == "eneo" else []
    done = jeton("drill", name, *extra, encoding=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "steps had the expected result" in done.stdout
    assert "   > " in done.stdout
    assert "   + " in done.stdout
    plot = done.stdout.partition("credit, kWh\n")[2]
    assert "**" in plot
    assert "?" not in plot
    arabic = name in ("onee", "somelec")
    assert ("each ? is a letter" in done.stdout, "?????" in done.stdout) == (arabic, arabic)


@pytest.mark.parametrize("name", RUNS)
def test_an_output_without_unicode_gets_the_same_result(name: str) -> None:
    extra = ["--homes", "1"] if name == "eneo" else []
    found = jeton("drill", name, *extra, "--json", encoding="ascii")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.isascii()
    assert json.loads(found.stdout)["ok"]


def run_on_a_terminal(record: bool) -> tuple[Story, str]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, record=record)
    story = Story("ceet", console=console)
    ceet.run(story, wrong_paths=False)
    assert story.finish() == 0
    return story, screen.getvalue()


def test_on_a_terminal_digits_are_shown_while_they_are_keyed() -> None:
    story, seen = run_on_a_terminal(record=False)
    step = next(s for s in story.steps if s.what == "Code 1")
    for count in (4, 8, 12, 16, 20):
        assert f"{count}/20" in seen
    assert grouped(step.details["digits"])[-16:] in seen


def test_the_pictures_of_the_readme_are_current(tmp_path: Path) -> None:
    assert picture.main(str(tmp_path)) == 0
    for name in ("ceet", "eneo"):
        drawn, kept = ((folder / f"{name}.svg").read_text() for folder in (tmp_path, KEPT))
        assert text_of(drawn) == text_of(kept), "draw it again: make screenshots"
        assert drawn == kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_removes_the_temporary_folder(number: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "jeton_host", "drill", "eneo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        text=True,
    )
    assert process.stdout is not None
    assert any("Customers still pay" in line for line in process.stdout)
    assert [path for path in tmp_path.iterdir() if path.is_dir()]
    process.send_signal(number)
    _, wrong = process.communicate(timeout=60)
    assert (process.returncode, wrong) == (128 + number, "")
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_ctrl_c_during_clean_up_is_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    folder: list[Path] = []
    rmtree = stage.tempfile.TemporaryDirectory.cleanup

    def interrupted(directory: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        rmtree(directory)

    monkeypatch.setattr(stage.tempfile.TemporaryDirectory, "cleanup", interrupted)
    # An earlier test in this process may have set its own handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), stage.stage(Story("test", as_json=True)) as scene:
        folder.append(scene.folder)
    assert folder
    assert not folder[0].exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# Drills that fail


def test_a_story_with_another_result_fails() -> None:
    story = Story("test", as_json=True)
    story.chapter("one")
    with Meter.open("virtual", config=make_config()) as meter:
        story.key(meter, "0" * 20, "nonsense", TokenResult.ACCEPT, "")
        story.send(meter, "0" * 20, "nonsense", TokenResult.ACCEPT, "")
        story.code(meter, "07", "credit", "99.99 kWh")
    story.refused("what is allowed", "no", lambda: None)
    assert [step.ok for step in story.steps] == [False] * 4
    story.check("a fact", True, "so")
    assert story.finish() == 1
    other = Story("test", as_json=True)
    other.check("a fact", False, "not so")
    assert other.finish() == 1


def refuse() -> None:
    raise JetonError("this is refused")


def test_a_refusal_with_another_message_is_not_the_expected_one() -> None:
    story = Story("test", as_json=True)
    story.refused("right", "is refused", refuse)
    story.refused("wrong", "is impossible", refuse)
    assert [step.ok for step in story.steps] == [True, False]


def test_a_drill_that_cannot_start_raises_an_error() -> None:
    story = Story("test", as_json=True)
    with pytest.raises(JetonError, match="is refused"):
        story.run(refuse)


def test_ceet_fails_if_the_meter_does_not_wait_two_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_profile(monkeypatch, "generic")
    assert "Code 2, one second late" in bad_steps("ceet")


def test_ceet_fails_if_the_key_change_reduces_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    press = Meter.press

    def pressing(meter: Meter, keys: str) -> PressResult:
        pressed = press(meter, keys)
        if pressed.result and pressed.result.subclass == 4:
            on_board(meter, "state.credit_wh -= 100")
        return pressed

    monkeypatch.setattr(Meter, "press", pressing)
    assert any(what.startswith("Credit, index and supply are") for what in bad_steps("ceet"))


@pytest.mark.parametrize(
    "source",
    [
        "state.credit_wh += 5000; state.tokens_wh += 5000",  # credited more than was sold
        "state.credit_wh -= 5000; state.tokens_wh -= 5000",
        "state.credit_wh += 5000",  # credit without a source
        "tids = meter._meter.tids; tids.data = bytearray(len(tids.data))",  # used tokens are lost
    ],
)
def test_eneo_fails_if_a_purchase_is_not_credited_exactly_once(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    after_first_accept(monkeypatch, source)
    assert any(what.endswith("credited exactly once, as sold") for what in bad_steps("eneo"))


def test_eneo_fails_if_the_emergency_debt_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    first_round = eneo._first_round

    def losing_the_debt(home: eneo.Home) -> None:
        on_board(home.meter, "state.emergency_debt_wh = 0")
        first_round(home)

    monkeypatch.setattr(eneo, "_first_round", losing_the_debt)
    assert any(what.endswith("the loan is repaid first") for what in bad_steps("eneo"))


@pytest.mark.parametrize(
    "source",
    [
        "state.credit_wh -= 5000; state.tokens_wh -= 5000",  # the last purchase is lost
        "state.credit_wh += 5000; state.tokens_wh += 5000",  # the last purchase is credited twice
        "tids = meter._meter.tids; tids.data = bytearray(len(tids.data))",
    ],
)
def test_eneo_fails_if_a_power_cut_in_the_backlog_changes_the_credit(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    power_cut = eneo.power_cut

    def losing(meter: Meter, *load: Any) -> None:
        power_cut(meter, *load)
        on_board(meter, source)

    monkeypatch.setattr(eneo, "power_cut", losing)
    assert "home-1: half entered, power cut: nothing lost, nothing doubled" in bad_steps("eneo")


def test_eneo_fails_if_half_a_token_is_kept_over_a_power_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    press = Meter.press

    def remembering(meter: Meter, keys: str) -> PressResult:
        if len(keys) == 20 - eneo.HALF + 1 and keys.endswith("#"):
            keys = halves[meter.board] + keys
        if len(keys) == eneo.HALF:
            halves[meter.board] = keys
        return press(meter, keys)

    halves: dict[object, str] = {}
    monkeypatch.setattr(Meter, "press", remembering)
    assert "home-1: half entered, power cut: nothing lost, nothing doubled" in bad_steps("eneo")


def test_eneo_reports_the_backlog_in_its_order() -> None:
    steps = story_of("eneo", "--homes", "2")["steps"]
    mine = [s for s in steps if s["what"].startswith("home-1: ")][1:]
    kinds = (
        "entered and credited",
        "nothing doubled",
        "entered and refused",
        "exactly once, as sold",
    )
    kinds += ("the loan is repaid first",)
    assert len(mine) == len(kinds)
    for step, kind in zip(mine, kinds, strict=True):
        assert kind in step["what"]
    days = [part.split()[0] for part in mine[0]["found"].split(", ")]
    week = ["Mon", "Tue", "Wed", "Thu", "Fri"]
    assert len(days) > 1
    assert days == sorted(days, key=week.index, reverse=True)
    assert "UsedError" in mine[2]["found"]
    assert "alone: FormatError" in mine[1]["found"]


def test_eneo_fails_if_the_log_lacks_the_time_without_power(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = Meter.events
    monkeypatch.setattr(
        Meter,
        "events",
        lambda meter, after=0: [e for e in events(meter, after) if e.kind != "switch_opened"],
    )
    wrong = bad_steps("eneo")
    assert any(what.endswith("used what its load took, to the Wh") for what in wrong)
    assert (
        "The hours without supply in the log are those in which people saw their meters off"
        in wrong
    )


def test_onee_fails_if_the_debt_is_lost_in_a_power_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    power_cut = onee.power_cut

    def losing(meter: Meter, *load: Any) -> None:
        power_cut(meter, *load)
        on_board(meter, "state.advance_debt_wh = 0")

    monkeypatch.setattr(onee, "power_cut", losing)
    wrong = bad_steps("onee")
    assert "A power cut does not change that" in wrong
    assert "The whole advance is repaid, and not a Wh more" in wrong


def test_onee_fails_if_a_purchase_is_credited_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    after_first_accept(monkeypatch, "state.credit_wh += 80000; state.tokens_wh += 100000")
    assert any(what.startswith("80.00 kWh more") for what in bad_steps("onee"))


def test_onee_fails_if_the_hand_held_has_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    session = onee._session

    def networked(*arguments: Any) -> dict[str, Any]:
        return session(*arguments) | {"network": "a socket was opened, and connected"}

    monkeypatch.setattr(onee, "_session", networked)
    assert bad_steps("onee") == ["The program of the team cannot open a socket"]


def test_only_the_hook_refuses_sockets_to_the_hand_held() -> None:
    source = (
        "import sys\nfrom jeton_host.drills import handheld\nprint(handheld._proof())\n"
        "sys.addaudithook(handheld._refuse)\nprint(handheld._proof())\n"
        "import socket\ntry:\n    socket.socketpair()\nexcept OSError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    without, with_hook, pair = done.stdout.splitlines()
    assert without.startswith("a socket was opened")
    assert with_hook == "socket.getaddrinfo is refused: this handheld has no network"
    assert pair == "socket.__new__ is refused: this handheld has no network"


def test_a_reading_corrects_any_estimate() -> None:
    account = onee.Account()
    day = onee.timedelta(days=1)
    for days, index_wh in ((0, 100_000), (10, 150_000)):
        account.read(onee.START + days * day, index_wh)
    assert account.estimate(onee.START + 20 * day) == 50_000
    assert account.read(onee.START + 20 * day, 160_000) == -40_000  # the estimate was too high
    assert sum(account.charged_wh) == 60_000
    with pytest.raises(JetonError, match="is below the last reading"):
        account.read(onee.START + 21 * day, 159_990)


def test_somelec_fails_if_debt_opens_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    with_profile(monkeypatch, "eneo")
    assert any(what.startswith("With a debt of 20 kWh") for what in bad_steps("somelec"))


def test_somelec_fails_if_a_token_by_the_line_gives_another_credit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    after_first_accept(monkeypatch, "state.credit_wh += 5000")
    wrong = bad_steps("somelec")
    assert "Result, display, registers and log are the same in both" in wrong


def test_somelec_fails_if_a_report_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    deliver = somelec.deliver

    def careless(meter: Meter, port: int) -> int:
        reports = meter.reports()
        if len(reports) == 1:
            meter.acknowledge(reports[0].seq)  # before the service has received it
        return deliver(meter, port)

    monkeypatch.setattr(somelec, "deliver", careless)
    last = "The service has each fault of the meter's log once, none lost, none doubled"
    assert last in bad_steps("somelec")


def test_somelec_fails_if_a_report_is_repeated_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meter, "acknowledge", lambda meter, seq: 0)
    wrong = bad_steps("somelec")
    assert "A report that arrives twice is kept once" in wrong
