"""SOMELEC, Mauritania: smart prepayment meters ("Mounsif"), and the promises to the customers.

Follow and control your consumption, recharge remotely, no estimates, no cut for debt, faults
reported to the technical service. Dates and amounts are invented; loads are generated from the
seed.
"""

from datetime import UTC, datetime, timedelta

from jeton_host.client import loads
from jeton_host.client.answers import EnterResult, TokenResult
from jeton_host.drills.service import Service, deliver
from jeton_host.drills.stage import (
    NO_ARABIC,
    Stage,
    arabic,
    kwh,
    meter_of,
    power_cut,
    stage,
    state_of,
    week_wh,
)
from jeton_host.drills.story import Story
from jeton_host.meter import Meter

START = datetime(2024, 1, 22, 0, 0, tzinfo=UTC)  # a Monday
DAYS = 17  # reaches the next month
LIMIT_W = 4000
TRIP_AFTER_S = 30  # supply.limit_delay_s of the profile
_FAULTS = ("tamper", "trip")


def run(story: Story, *, wrong_paths: bool = True) -> None:
    """Run the four promises, all on the same meter."""
    story.begin(__doc__)
    with stage(story) as scene:
        config = scene.config_of_dots("mounsif", at=START, profile="somelec")
        with meter_of(config) as meter:
            with meter_of(config) as twin:
                _two_ways(story, meter, twin, scene, wrong_paths)
            story.follow("the household")
            _follow_up(story, meter, scene, wrong_paths)
            _no_cut(story, meter, scene, wrong_paths)
            story.follow(None)
            _faults(story, meter, scene, wrong_paths)


def _two_ways(story: Story, meter: Meter, twin: Meter, scene: Stage, wrong_paths: bool) -> None:
    story.chapter("Recharge at the keypad or remotely: the same result")
    story.note("Two boards with the same meter: tokens are entered at one, and sent to the other.")
    purchase = scene.sell("mounsif", 30, START)
    _in_arabic(story, meter, twin, purchase.token, wrong_paths)
    cases = []
    if wrong_paths:
        scene.config("neighbour", at=START, profile="somelec")
        others = scene.sell("neighbour", 30, START).token
        cases += [
            (purchase.token, "The same again", TokenResult.USED, "A token is credited once."),
            (
                others,
                "The neighbour's token",
                TokenResult.CRC,
                scene.why(meter, "mounsif", others),
            ),
            (purchase.token[:19], "One digit missing", TokenResult.FORMAT, "19 digits of 20."),
        ]
    for token, what, expected, why in cases:
        keyed = story.key(meter, token, what, expected, why)
        sent = story.send(twin, token, what, expected, "As at the keypad.")
        _same(story, meter, twin, keyed, sent)
    if wrong_paths:
        story.send(
            meter,
            purchase.token,
            "Sent remotely after it was entered",
            TokenResult.USED,
            "Keypad and serial line use the same store of identifiers.",
        )


def _in_arabic(story: Story, meter: Meter, twin: Meter, token: str, wrong_paths: bool) -> None:
    """Enter the first purchase in Arabic, the default language; then change to French."""
    story.note(
        "They start in Arabic: a graphic display joins the letters, from right to left.",
        in_ascii=NO_ARABIC,
    )
    what, accept = "A purchase of 30 kWh", TokenResult.ACCEPT
    why = "It is under the meter's key, and was not used before. The Arabic word: maqbul."
    keyed = story.key(meter, token, what, accept, why)
    sent = story.send(twin, token, what, accept, "As at the keypad.")
    _same(story, meter, twin, keyed, sent)
    story.check(
        "The display shows that in Arabic",
        arabic("somelec", "Accept") in keyed.display[0] and "+30.0 kWh" in keyed.display[1],
        " | ".join(line.strip() for line in keyed.display),
    )
    if wrong_paths:
        story.refused("English", "only: ar, fr", lambda: meter.language("en"))
    story.note("From now on they are in French.")
    for board in (meter, twin):
        board.language("fr")


def _same(story: Story, meter: Meter, twin: Meter, keyed: EnterResult, sent: EnterResult) -> None:
    """Add a step: two boards have the same result, display and records."""
    same = (
        keyed == sent
        and meter.display() == twin.display()
        and meter.status() == twin.status()
        and meter.ledger() == twin.ledger()
        and meter.events() == twin.events()
    )
    story.check(
        "Result, display, registers and log are the same in both",
        same,
        state_of(meter.status()),
    )


def _follow_up(story: Story, meter: Meter, scene: Stage, wrong_paths: bool) -> None:
    story.chapter("Consumption by day and month")
    big = scene.sell("mounsif", 150, START)
    story.send(meter, big.token, "150 kWh", TokenResult.ACCEPT, "For the next days.")
    week = loads.household(scene.random.randrange(1 << 30))
    meter.set_load_steps(week, start=START, repeat_s=loads.WEEK_S)
    status = story.live(meter, DAYS * 86400 - 3 * 3600, DAYS * 4)
    history = meter.history()
    wrong = []
    for day in range(DAYS):
        date = f"{START + timedelta(days=day):%Y-%m-%d}"
        end_s = min((day + 1) * 86400, DAYS * 86400 - 3 * 3600)
        used_wh = week_wh(week, end_s) - week_wh(week, day * 86400)
        if abs(history.days.get(date, -9) - used_wh) > 1:
            wrong.append(date)
    story.check(
        f"The history of each of {DAYS} days is what the load used, to the Wh",
        not wrong and len(history.days) == DAYS,
        f"wrong: {', '.join(wrong)}" if wrong else f"{kwh(status.total_wh)} in total",
    )
    months = {
        month: sum(wh for date, wh in history.days.items() if date.startswith(month))
        for month in history.months
    }
    story.check(
        "Months are the sums of their days, and the sum of months is the index",
        dict(history.months) == months
        and len(months) == 2
        and sum(months.values()) == status.total_wh,
        ", ".join(f"{month}: {kwh(wh)}" for month, wh in months.items()),
    )
    today_wh, month_wh = (list(part.values())[-1] for part in (history.days, history.months))
    story.code(meter, "103", "The customer looks at the day", _shown(today_wh))
    story.code(meter, "104", "The customer looks at the month", _shown(month_wh))
    if wrong_paths:
        story.code(meter, "999", "An unknown code", "CODE INCONNU")


def _shown(energy_wh: int) -> str:
    return f"{energy_wh // 1000}.{energy_wh % 1000 // 10:02d} kWh"


def _no_cut(story: Story, meter: Meter, scene: Stage, wrong_paths: bool) -> None:
    story.chapter("No cut for debt")
    log = meter.events()[-1].seq
    meter.set_load(2500)
    left_wh = meter.status().credit_wh
    status = story.live(meter, (left_wh + 20_000) * 3600 // 2500, 24)
    opened = [event for event in meter.events(log) if event.kind == "switch_opened"]
    story.check(
        "With a debt of 20 kWh the supply is on, and was never off",
        -20_010 < status.credit_wh < -19_990 and status.switch == "closed" and not opened,
        state_of(status),
    )
    lines = " ".join(meter.display().lines)
    story.check("The display shows it", "CREDIT EPUISE" in lines, lines)
    if wrong_paths:
        asked = meter.emergency()
        story.check(
            "Emergency credit is refused: a meter without cuts has none",
            (asked.taken, asked.reason) == (False, "none"),
            f"{'taken' if asked.taken else 'not taken'}, reason: {asked.reason}",
        )
        story.refused("An advance on such a meter", "takes no advances", lambda: meter.grant(5000))
    meter.set_load(300)
    owed_wh = -meter.status().credit_wh
    token = scene.sell("mounsif", 50, meter.clock()).token
    story.key(meter, token, "50 kWh", TokenResult.ACCEPT, "The debt is subtracted from it.")
    story.check(
        f"Of 50 kWh, {kwh(owed_wh)} repay the debt, the rest is credit",
        meter.status().credit_wh == 50_000 - owed_wh,
        state_of(meter.status()),
    )
    story.live(meter, 86400)


def _faults(story: Story, meter: Meter, scene: Stage, wrong_paths: bool) -> None:
    story.chapter("Faults reach the technical service")
    log = meter.events()[-1].seq
    limit = scene.pos.power_limit("mounsif", LIMIT_W, at=meter.clock(), rnd=5)
    story.send(meter, limit.token, f"A limit of {LIMIT_W} W", TokenResult.ACCEPT, "Class 2.")
    meter.set_load(6500)
    meter.advance(TRIP_AFTER_S)
    status = meter.status()
    story.check(
        "Power above the limit for 30 s: the switch opens",
        (status.switch, status.switch_reason) == ("open", "over_power"),
        f"supply {status.switch}, {status.switch_reason}",
    )
    meter.set_tamper()
    kinds = [report.kind for report in meter.reports()]
    story.check("Two faults are recorded", kinds == ["trip", "tamper"], ", ".join(kinds))
    service = Service()
    try:
        _deliveries(story, meter, service, wrong_paths)
    finally:
        service.close()
    received = [(report["kind"], report["time"]) for _, report in sorted(service.taken.items())]
    logged = [
        (event.kind, event.time.isoformat())
        for event in meter.events(log)
        if event.kind in _FAULTS and event.details.get("on", True)
    ]
    story.check(
        "The service has each fault of the meter's log once, none lost, none doubled",
        received == logged and not meter.reports(),
        ", ".join(f"{kind} {at[11:19]}" for kind, at in received),
    )
    clear = scene.pos.clear_tamper("mounsif", at=meter.clock(), rnd=5)
    story.send(
        meter, clear.token, "Tamper cleared", TokenResult.ACCEPT, "The technician was there."
    )
    story.check(
        "All faults are cleared",
        not meter.status().tamper and meter.status().switch == "closed" and not meter.reports(),
        state_of(meter.status()),
    )


def _deliveries(story: Story, meter: Meter, service: Service, wrong_paths: bool) -> None:
    story.refused(
        "The first delivery, to a service that is not running",
        "cannot be reached: Connection refused; reports left in the meter: 2",
        lambda: deliver(meter, service.port),
    )
    waiting = meter.reports()
    power_cut(meter)
    story.check(
        "The faults stay in the meter, also after a power cut",
        meter.reports() == waiting and len(waiting) == 2,
        f"{len(meter.reports())} reports left",
    )
    with service.on_duty():
        left = deliver(meter, service.port)
    story.check(
        "The second delivery arrives",
        left == 0 and list(service.taken) == [report.seq for report in waiting],
        f"{len(service.taken)} reports arrived, {left} left",
    )
    meter.set_load(6500)
    meter.advance(60 + TRIP_AFTER_S)
    story.check(
        "The supply is on again after a minute, and trips again",
        [report.kind for report in meter.reports()] == ["trip"],
        f"{meter.status().trips} trips",
    )
    if wrong_paths:
        with service.on_duty(answers=False):
            story.refused(
                "A delivery whose receipt is lost",
                "gave no receipt; reports left in the meter: 1",
                lambda: deliver(meter, service.port),
            )
        story.refused(
            "A receipt for a report that does not exist",
            "no fault report 99 to acknowledge; the last is 3",
            lambda: meter.acknowledge(99),
        )
    with service.on_duty():
        left = deliver(meter, service.port)
    received = 4 if wrong_paths else 3
    story.check(
        "A report that arrives twice is kept once",
        (left, service.received, len(service.taken)) == (0, received, 3),
        f"{service.received} received, {len(service.taken)} kept",
    )
    meter.set_load(300)
    meter.advance(60)
