"""Drills end to end, as programs and as a command; and that they fail when the story is broken."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import ran, refused, told
from rich.console import Console

from host_tools.drills import ceet, cli, eneo, onee, picture, somelec
from host_tools.drills.stage import Stage
from host_tools.drills.story import Story
from host_tools.errors import BoardError, JetonError
from host_tools.link import Meter, PressResult, TokenResult
from host_tools.meters import make_config
from jeton.sts.digits import grouped

RUNS: dict[str, Callable[[Story], None]] = {
    "ceet": ceet.run,
    "eneo": lambda story: eneo.run(story, homes=2),
    "onee": onee.run,
    "somelec": somelec.run,
}


def jeton(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "host_tools.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def bad_steps(name: str) -> list[str]:
    """Run a drill that is to fail; return what went wrong."""
    story = Story(name, as_json=True)
    story.tell(lambda: RUNS[name](story))
    assert not story.ok
    return [step.what for step in story.steps if not step.ok]


def on_board(meter: Meter, source: str) -> None:
    """Run source on the meter's board, behind the back of its verbs."""
    with meter._talking(meter.timeout) as repl:
        _, error = repl.run(f"state = meter._meter.state\n{source}", meter.timeout)
    assert not error, error


def after_first_accept(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Tamper with the record of the first meter whose keypad accepts a token."""
    press, done = Meter.press, []

    def pressing(meter: Meter, keys: str) -> PressResult:
        pressed = press(meter, keys)
        if not done and pressed.result and pressed.result.result is TokenResult.ACCEPT:
            done.append(keys)
            on_board(meter, source)
        return pressed

    monkeypatch.setattr(Meter, "press", pressing)


def with_profile(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """Let the drill's meters be of another profile than the story's."""
    config = Stage.config

    def changed(stage: Stage, name: str, **options: Any) -> dict[str, Any]:
        return config(stage, name, **options | {"profile": wrong})

    monkeypatch.setattr(Stage, "config", changed)


# As told


REFUSALS = {
    "ceet": ["NotReady", "CRCError", "there is a profile ceet already", "too long for"],
    "eneo": [
        "file is not a database",
        "PAS NECESSAIRE",
        "DEJA PRIS",
        "CRCError",
        "LockOut",
        "OldError",
    ],
    "onee": ["a whole number from 1", "UsedError", "takes two readings", "below the last reading"],
    "somelec": ["FormatError", "Connection refused", "gave no receipt", "takes no advances"],
}


@pytest.mark.parametrize("name", RUNS)
def test_a_drill_as_a_command(name: str) -> None:
    extra = ["--homes", "2"] if name == "eneo" else []
    story = told("drill", name, *extra)
    assert story["ok"], [step for step in story["steps"] if not step["ok"]]
    assert story["drill"] == name
    found = " ".join(step["found"] for step in story["steps"])
    assert all(refusal in found for refusal in REFUSALS[name]), found
    points = next(iter(story["series"].values()))
    assert len(points) > 10
    assert points[-1]["total_wh"] > points[0]["total_wh"] == 0
    again = told("drill", name, *extra)
    for run in (story, again):
        del run["seconds"]
    assert story == again


def test_ceet_keys_what_its_customers_keyed() -> None:
    keyed = [(s["what"], s["found"]) for s in told("drill", "ceet")["steps"] if "digits" in s]
    assert keyed[:6] == [
        ("An unused ticket of 10 kWh, keyed before the update as CEET asks", "Accept"),
        ("Code 1", "1stKCT"),
        ("Code 2", "Accept"),
        ("Code 3", "Accept"),
        ("Code 3 once more", "UsedError"),
        ("The ticket from the drawer", "CRCError"),
    ]


def test_ceet_says_three_words_and_leaves_no_profiles_behind(jeton_home: Path) -> None:
    steps = told("drill", "ceet")["steps"]
    said = [s["display"][0].strip() for s in steps if s["what"].startswith("Code 2 (")]
    assert said == ["ACCEPT", "GOOD", "CONNECT"]
    assert not (jeton_home / "profiles").exists()


def test_another_seed_is_another_story_with_the_same_end() -> None:
    one, two = (told("drill", "onee", "--seed", seed) for seed in ("1", "2"))
    assert one["ok"]
    assert two["ok"]
    assert one["series"] != two["series"]


def test_eneo_counts_the_dark_hours_of_each_home() -> None:
    story = told("drill", "eneo", "--homes", "4")
    assert list(story["dark_h"]) == ["home-1", "home-2", "home-3", "home-4"]
    for home, hours in story["dark_h"].items():
        points = story["series"][home]
        looked = sum(point["switch"] == "open" for point in points)
        assert (hours > 0) == (looked > 0)
    assert sum(story["dark_h"].values()) > 24


def test_a_street_without_homes_is_a_wrong_use() -> None:
    assert "--homes" in refused("drill", "eneo", "--homes", "0", status=2)


def test_all_drills_in_one_go() -> None:
    found = told("drill", "all", "--homes", "1")
    assert found["ok"]
    assert [story["drill"] for story in found["drills"]] == list(RUNS)
    assert sum(story["seconds"] for story in found["drills"]) <= found["seconds"] + 0.01


def test_one_bad_drill_fails_all_and_the_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def good(story: Story, homes: int) -> None:
        story.check("a fact", True, "so")

    def breaks_off(story: Story, homes: int) -> None:
        good(story, homes)
        raise BoardError("the board is silent")

    monkeypatch.setattr(cli, "DRILLS", {"one": good, "two": breaks_off, "three": good})
    said = ran("drill", "all", "--json")
    assert said.status == 1
    assert [story["ok"] for story in said.json["drills"]] == [True, False, True]
    assert said.json["drills"][1]["steps"][-1]["found"] == "the board is silent"
    plain = ran("drill", "all")
    assert plain.status == 1
    assert "went wrong: two." in plain.out


def test_without_a_terminal_it_is_plain_lines_with_table_and_plot() -> None:
    done = jeton("drill", "ceet")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "     | CODE 1 CORRECT   |\n     | ENTRER CODE 2    |\n" in done.stdout
    assert "under the meter's previous key" in done.stdout
    assert "steps ended as they ought to" in done.stdout
    assert "│ 04 Nov 08:00 │       20.00 │       0.00 │" in done.stdout
    assert done.stdout.index("credit, kWh\n") < done.stdout.index("load, W (mean)\n")


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


def test_the_pictures_of_the_readme(tmp_path: Path) -> None:
    assert picture.main(str(tmp_path)) == 0
    assert "ENTRER" in (tmp_path / "ceet.svg").read_text()
    assert "dark" in (tmp_path / "eneo.svg").read_text()


# Broken


def test_a_story_that_goes_otherwise_fails() -> None:
    story = Story("test", as_json=True)
    story.chapter("one")
    with Meter.open("virtual", config=make_config()) as meter:
        story.key(meter, "0" * 20, "nonsense", TokenResult.ACCEPT, "")
        story.wire(meter, "0" * 20, "nonsense", TokenResult.ACCEPT, "")
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


def test_a_refusal_with_other_words_is_not_the_one_expected() -> None:
    story = Story("test", as_json=True)
    story.refused("right", "is refused", refuse)
    story.refused("wrong", "is impossible", refuse)
    assert [step.ok for step in story.steps] == [True, False]


def test_a_drill_that_never_began_is_an_error_not_a_story() -> None:
    story = Story("test", as_json=True)
    with pytest.raises(JetonError, match="is refused"):
        story.tell(refuse)


def test_ceet_fails_on_a_meter_without_the_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    with_profile(monkeypatch, "generic")
    assert "Code 2, one second late" in bad_steps("ceet")


def test_ceet_fails_where_the_key_change_costs_credit(monkeypatch: pytest.MonkeyPatch) -> None:
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
        "state.credit_wh += 5000",  # out of nothing
        "tids = meter._meter.tids; tids.octets = bytearray(len(tids.octets))",  # forgotten
    ],
)
def test_eneo_fails_where_a_purchase_is_not_credited_exactly_once(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    after_first_accept(monkeypatch, source)
    assert any(what.endswith("credited exactly once, as sold") for what in bad_steps("eneo"))


def test_eneo_fails_where_a_loan_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    key_all = eneo._key_all

    def forgetting(home: eneo.Home, messages: list[str]) -> None:
        on_board(home.meter, "state.emergency_debt_wh = 0")
        key_all(home, messages)

    monkeypatch.setattr(eneo, "_key_all", forgetting)
    assert any(what.endswith("the loan is repaid first") for what in bad_steps("eneo"))


def test_eneo_fails_where_the_log_hides_the_dark(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Meter.events
    monkeypatch.setattr(
        Meter,
        "events",
        lambda meter, after=0: [e for e in events(meter, after) if e.kind != "switch_opened"],
    )
    wrong = bad_steps("eneo")
    assert any(what.endswith("no Wh but those of its load") for what in wrong)
    assert "The log's dark hours are those in which people saw their meters off" in wrong


def test_onee_fails_where_the_debt_does_not_outlive_a_power_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    power_cut = onee.power_cut

    def losing(meter: Meter, *load: Any) -> None:
        power_cut(meter, *load)
        on_board(meter, "state.advance_debt_wh = 0")

    monkeypatch.setattr(onee, "power_cut", losing)
    wrong = bad_steps("onee")
    assert "A power cut changes nothing of that" in wrong
    assert "The advance is recovered wholly, and not a Wh more" in wrong


def test_onee_fails_where_a_purchase_is_credited_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    after_first_accept(monkeypatch, "state.credit_wh += 80000; state.tokens_wh += 100000")
    assert any(what.startswith("80.00 kWh more") for what in bad_steps("onee"))


def test_onee_fails_where_the_hand_held_has_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    session = onee._session

    def networked(*arguments: Any) -> dict[str, Any]:
        return session(*arguments) | {"network": "a socket was there, and connected"}

    monkeypatch.setattr(onee, "_session", networked)
    assert bad_steps("onee") == ["The team's program gets no socket, whatever it tries"]


def test_the_hand_held_is_refused_sockets_only_by_its_hook() -> None:
    source = (
        "import sys\nfrom host_tools.drills import handheld\nprint(handheld._proof())\n"
        "sys.addaudithook(handheld._refuse)\nprint(handheld._proof())\n"
        "import socket\ntry:\n    socket.socketpair()\nexcept OSError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    without, with_hook, pair = done.stdout.splitlines()
    assert without.startswith("a socket was there")
    assert with_hook == "socket.getaddrinfo is refused: this hand-held has no network"
    assert pair == "socket.__new__ is refused: this hand-held has no network"


def test_an_estimate_is_set_right_whatever_it_was() -> None:
    account = onee.Account()
    day = onee.timedelta(days=1)
    for days, index_wh in ((0, 100_000), (10, 150_000)):
        account.read(onee.START + days * day, index_wh)
    assert account.estimate(onee.START + 20 * day) == 50_000
    assert account.read(onee.START + 20 * day, 160_000) == -40_000  # too much was estimated
    assert sum(account.charged_wh) == 60_000
    with pytest.raises(JetonError, match="is below the last reading"):
        account.read(onee.START + 21 * day, 159_990)


def test_somelec_fails_where_debt_cuts_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with_profile(monkeypatch, "eneo")
    assert any(what.startswith("Twenty kWh beyond its credit") for what in bad_steps("somelec"))


def test_somelec_fails_where_the_wire_credits_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    after_first_accept(monkeypatch, "state.credit_wh += 5000")
    wrong = bad_steps("somelec")
    assert "Answer, display, registers and log are the same both ways" in wrong


def test_somelec_fails_where_a_report_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    deliver = somelec.deliver

    def careless(meter: Meter, port: int) -> int:
        reports = meter.reports()
        if len(reports) == 1:
            meter.acknowledge(reports[0].seq)  # before the service has it
        return deliver(meter, port)

    monkeypatch.setattr(somelec, "deliver", careless)
    last = "The service has every fault of the meter's log once, none lost, none doubled"
    assert last in bad_steps("somelec")


def test_somelec_fails_where_a_report_comes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meter, "acknowledge", lambda meter, seq: 0)
    wrong = bad_steps("somelec")
    assert "What comes again is taken once" in wrong
