"""ONEE, Morocco, 2020: an advance of kWh for the lockdown, readings, and vending with no network.

Customers with a low income got an advance, which later recharges repaid. Mobile teams sold
recharges. Customers read their index themselves, or were charged by an estimate until the next
reading. Amounts and loads are generated from the seed; the profile sets the repaid part.
"""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from jeton_host.client import loads
from jeton_host.client.answers import TokenResult
from jeton_host.drills.account import Account
from jeton_host.drills.stage import (
    NO_ARABIC,
    Stage,
    arabic,
    kwh,
    meter_of,
    power_cut,
    stage,
    state_of,
)
from jeton_host.drills.story import Story
from jeton_host.errors import BoardError, JetonError
from jeton_host.firmware import profiles
from jeton_host.meter import Meter
from jeton_host.virtual.board import VirtualBoard

START = datetime(2020, 3, 20, 8, 0, tzinfo=UTC)
MONDAY = loads.monday(START)
DAY_S = 86400
CREDIT_WH = 6_000
ADVANCE_WH = 40_000
PURCHASES_KWH = (100, 60, 100)
SHARE_OF_LOAD = 0.4  # of the load of a household: a small home
_KWH = re.compile(r"([0-9]+\.[0-9]{2}) kWh")


def run(story: Story, *, wrong_paths: bool = True) -> None:
    """Run the story of one customer in spring and summer, then of a mobile team."""
    story.begin(__doc__)
    with stage(story) as scene:
        config = scene.config_of_dots("atlas", at=START, credit_wh=CREDIT_WH, profile="onee")
        with meter_of(config) as meter:
            story.follow("the household")
            week = loads.household(scene.random.randrange(1 << 30))
            small = [(seconds, round(watts * SHARE_OF_LOAD)) for seconds, watts in week]
            meter.set_load_steps(small, start=MONDAY, repeat_s=loads.WEEK_S)
            _advance(story, meter, wrong_paths)
            _recovery(story, meter, scene, small, wrong_paths)
            _readings(story, meter, scene, wrong_paths)
        story.follow(None)
        _hand_held(story, scene, wrong_paths)


def _advance(story: Story, meter: Meter, wrong_paths: bool) -> None:
    story.chapter("An advance for the lockdown")
    story.note(
        f"{START:%-d %B %Y}. A small home with {kwh(CREDIT_WH)} of credit; shops are closed."
    )
    if wrong_paths:
        asked = meter.emergency()
        story.check(
            "Emergency credit is refused: this meter has none",
            (asked.taken, asked.reason) == (False, "none"),
            f"{'taken' if asked.taken else 'not taken'}, reason: {asked.reason}",
        )
        story.refused("An advance of 0 kWh", "a whole number from 1", lambda: meter.grant(0))
    story.live(meter, DAY_S, 1)
    before = meter.ledger()
    after = meter.grant(ADVANCE_WH)
    story.check(
        f"ONEE grants {kwh(ADVANCE_WH)}: all of it is credit, and all of it is a debt",
        after.credit_wh == before.credit_wh + ADVANCE_WH
        and (after.advances_wh, after.advance_debt_wh) == (ADVANCE_WH, ADVANCE_WH),
        f"credit {kwh(after.credit_wh)}, owed {kwh(after.advance_debt_wh)}",
    )
    story.look(meter)
    story.code(meter, "118", "The customer looks at the debt", "40.00 kWh")
    _in_arabic(story, meter, wrong_paths)
    log = meter.events()[-1].seq
    fortnight = story.live(meter, 13 * DAY_S, 13)
    dark = [event for event in meter.events(log) if event.kind == "switch_opened"]
    story.check(
        "The advance is used: consumption is above the own credit, and the supply stayed on",
        fortnight.total_wh > CREDIT_WH and fortnight.switch == "closed" and not dark,
        state_of(fortnight),
    )
    owed_wh = meter.ledger().advance_debt_wh
    story.check("The use does not change the debt", owed_wh == ADVANCE_WH, f"{kwh(owed_wh)} owed")


def _in_arabic(story: Story, meter: Meter, wrong_paths: bool) -> None:
    story.note(
        "The same meter in Arabic: its graphic display joins the letters, from right to left. The "
        "first line means AVANCE DUE: the advance to repay.",
        in_ascii=NO_ARABIC,
    )
    meter.language("ar")
    lines = story.code(meter, "118", "The same code", arabic("onee", "advance"))
    story.check(
        "The number is at the right edge, as before",
        lines[1] == f"{kwh(ADVANCE_WH):>{len(lines[1])}}",
        lines[1].strip(),
    )
    if wrong_paths:
        story.refused("English", "only: fr, ar", lambda: meter.language("en"))
    meter.language("fr")


def _recovery(
    story: Story, meter: Meter, scene: Stage, week: loads.Steps, wrong_paths: bool
) -> None:
    share = profiles.load("onee")["credit"]["advance_share"]
    story.chapter(f"Three purchases; {share} % of each repays the advance")
    owed_wh = ADVANCE_WH
    for number, amount in enumerate(PURCHASES_KWH, 1):
        bought = scene.sell("atlas", amount, meter.clock())
        before = meter.ledger()
        recovers_wh = min(owed_wh, amount * 1000 * share // 100)
        result = story.key(
            meter,
            bought.token,
            f"Purchase {number}, {amount} kWh",
            TokenResult.ACCEPT,
            f"{kwh(recovers_wh)} of it repay the advance.",
        )
        after = meter.ledger()
        owed_wh -= recovers_wh
        story.check(
            f"{kwh(amount * 1000 - recovers_wh)} more, {kwh(owed_wh)} still owed, nothing lost",
            (result.recovered_wh, after.advance_debt_wh) == (recovers_wh, owed_wh)
            and after.credit_wh == before.credit_wh + amount * 1000 - recovers_wh
            and after.tokens_wh == before.tokens_wh + amount * 1000
            and _adds_up(meter),
            f"recovered {kwh(result.recovered_wh)}, credit {kwh(after.credit_wh)}",
        )
        if number == 1:
            power_cut(meter, week, MONDAY)
            story.check(
                "A power cut does not change that",
                meter.ledger() == after,
                f"owed {kwh(meter.ledger().advance_debt_wh)}",
            )
        if wrong_paths and number == 2:
            story.key(
                meter,
                bought.token,
                "The same again",
                TokenResult.USED,
                "It does not repay twice either.",
            )
            story.check(
                "Credit and debt are as before",
                meter.ledger() == after,
                f"owed {kwh(meter.ledger().advance_debt_wh)}",
            )
        story.live(meter, 14 * DAY_S, 14)
    story.code(meter, "118", "The customer looks at the debt", " 0.00 kWh")
    story.check(
        "The whole advance is repaid, and not a Wh more",
        (owed_wh, meter.ledger().recovered_wh) == (0, ADVANCE_WH),
        f"recovered {kwh(meter.ledger().recovered_wh)} in total",
    )


def _adds_up(meter: Meter) -> bool:
    """Return whether the ledger is consistent."""
    ledger = meter.ledger()
    in_wh = ledger.initial_wh + ledger.tokens_wh + ledger.advances_wh + ledger.emergency_wh
    out_wh = ledger.charged_wh + ledger.recovered_wh + ledger.cleared_wh
    return in_wh - out_wh == ledger.credit_wh


def _read_index(story: Story, meter: Meter) -> int:
    """Read the index with its short code; return the displayed value in Wh, rounded to 10 Wh."""
    total_wh = meter.status().total_wh
    shown = f"{total_wh // 1000}.{total_wh % 1000 // 10:02d} kWh"
    lines = story.code(meter, "100", f"{meter.clock():%-d %B}: the customer reads", shown)
    found = _KWH.search(" ".join(lines))
    if found is None:
        raise BoardError(f"code 100 shows no index: {lines}")
    return int(found.group(1).replace(".", "")) * 10


def _readings(story: Story, meter: Meter, scene: Stage, wrong_paths: bool) -> None:
    story.chapter("A reading, an estimate, and its correction")
    account = Account()
    account.read(meter.clock(), _read_index(story, meter))
    if wrong_paths:
        story.refused(
            "An estimate after one reading",
            "an estimate needs two readings",
            lambda: account.estimate(meter.clock()),
        )
    story.live(meter, 30 * DAY_S, 30)
    more = scene.sell("atlas", 200, meter.clock())
    story.key(meter, more.token, "A purchase of 200 kWh", TokenResult.ACCEPT, "Nothing is owed.")
    charged_wh = account.read(meter.clock(), _read_index(story, meter))
    if wrong_paths:
        story.refused(
            "A reading with a missing digit",
            "is below the last reading",
            lambda: account.read(meter.clock(), account.index_wh // 10),
        )
    story.note("A month without a reading; it is hot, and a fan uses more than the month before.")
    hot = meter.status()
    meter.set_load(250)
    story.live(meter, 30 * DAY_S, 30)
    estimate_wh = account.estimate(meter.clock())
    used_wh = meter.status().total_wh - hot.total_wh
    story.check(
        "The month is charged by an estimate: as the month before, not by the index",
        account.estimated_wh == account.index_wh
        and abs(estimate_wh - charged_wh) <= 1
        and used_wh - estimate_wh > 10_000,
        f"estimated {kwh(estimate_wh)}, used {kwh(used_wh)}",
    )
    story.live(meter, 2 * DAY_S, 2)
    index_wh = _read_index(story, meter)
    expected_wh = index_wh - (account.estimated_wh or 0)
    correction_wh = account.read(meter.clock(), index_wh)
    span_wh = account.readings[-1][1] - account.readings[0][1]
    story.check(
        "The next reading corrects it: the total charge equals the index, to the Wh",
        correction_wh == expected_wh
        and account.estimated_wh is None
        and sum(account.charged_wh) == span_wh,
        f"charged {' + '.join(kwh(wh) for wh in account.charged_wh)} = {kwh(span_wh)}",
    )
    status = meter.status()
    story.check(
        "The meter charged each Wh when it was used, and readings did not change its credit",
        _adds_up(meter) and meter.ledger().charged_wh == status.total_wh,
        state_of(status),
    )


def _session(scene: Stage, board: VirtualBoard, *sale: str) -> dict[str, Any]:
    """Run a vending session on a handheld as a process with no network; return its output."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "jeton_host.drills.handheld"),
            *(str(scene.pos.path), *sale, str(scene.random.randrange(16)), board.path),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    try:
        output: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines()
        raise JetonError(f"the handheld failed: {lines[-1] if lines else 'no output'}") from None
    return output


def _hand_held(story: Story, scene: Stage, wrong_paths: bool) -> None:
    story.chapter("A mobile team sells with no network")
    at = START + timedelta(days=3)
    config = scene.config("douar", at=at, profile="onee")
    with VirtualBoard() as board:
        with Meter.open(board.path) as meter:
            meter.set_rate(0)
            meter.provision(config)
        output = _session(scene, board, "douar", "25", at.isoformat())
        refusal = "is refused: this handheld has no network"
        story.check(
            "The program of the team cannot open a socket",
            refusal in output["network"],
            output["network"],
        )
        sold_wh = scene.sold_wh("douar")
        story.check(
            "It still sells a token and enters it into the meter",
            output.get("result", {}).get("name") == "Accept"
            and list(sold_wh.values()) == [25_000]
            and output["after"]["credit_wh"] == output["before"]["credit_wh"] + 25_000
            and (output["before"]["switch"], output["after"]["switch"]) == ("open", "closed"),
            output.get("error")
            or f"{output['result']['name']}, credit "
            f"{kwh(output['after']['credit_wh'])}, supply {output['after']['switch']}",
        )
        if not wrong_paths:
            return
        output = _session(scene, board, "unknown", "25", at.isoformat())
        story.check(
            "It sells nothing for an unknown meter",
            "has no meter 'unknown'" in output.get("error", ""),
            output.get("error", "it sold"),
        )
        with Meter.open(board.path) as meter:
            for token in sold_wh:
                story.key(
                    meter,
                    token,
                    "The token of the team, entered again by the customer",
                    TokenResult.USED,
                    "Serial line or keypad: a token is credited once.",
                )
