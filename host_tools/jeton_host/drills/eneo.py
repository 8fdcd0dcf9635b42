"""Eneo, Cameroon: five days without vending, in a street of prepayment meters.

A cyber attack stopped vending for days. Customers without credit had no supply, or took a loan
with code 811. Afterwards Eneo asked them to be patient and to try again. Dates, amounts and loads
are generated from the seed; hours without supply, loans and credits are those of the meters.
"""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from rich.table import Table

from jeton_host.client import loads
from jeton_host.client.answers import Event, Ledger, TokenResult
from jeton_host.drills.plot import Point
from jeton_host.drills.stage import Stage, count, kwh, meter_of, power_cut, stage, state_of
from jeton_host.drills.story import Story, live
from jeton_host.drills.street import (
    Home,
    Keyed,
    dark_h_of,
    discrepancy,
    in_parallel,
    seen_as_logged,
    sum_of,
)
from jeton_host.errors import BoardError
from jeton_host.meter import Meter

START = datetime(2025, 3, 3, 0, 0, tzinfo=UTC)  # a Monday
OUTAGE_S = 5 * 86400
LOOK_S = 2 * 3600  # how often people look at their meters
HOMES = 12
LOAN_WH = 10_000  # credit.emergency_wh of the profile
OFFER_WH = 5_000  # credit.emergency_offer_wh of the profile
HALF = 11  # digits entered before the power cut


def run(story: Story, *, homes: int = HOMES, wrong_paths: bool = True) -> None:
    """Run the story of the street, then of a home that makes all mistakes."""
    story.begin(__doc__)
    with stage(story) as scene, ExitStack() as boards:
        story.chapter(f"Five days without vending, {count(homes, 'home')}")
        street = [_home(scene, boards, number) for number in range(1, homes + 1)]
        _outage(story, scene, street)
        _backlog(story, scene, street)
        _reckoning(story, street)
        if wrong_paths:
            _everything_wrong(story, scene, street[0].meter)


def _home(scene: Stage, boards: ExitStack, number: int) -> Home:
    """Create a home: credit, load of a household, and payments in the days of the outage."""
    name = f"home-{number}"
    dice = scene.random
    credit_wh = 100 * dice.randrange(40, 220)
    config = scene.config(name, at=START, credit_wh=credit_wh, profile="eneo")
    meter = boards.enter_context(meter_of(config))
    steps = loads.household(dice.randrange(1 << 30))
    meter.set_load_steps(steps, start=START, repeat_s=loads.WEEK_S)
    minutes = sorted(dice.sample(range(OUTAGE_S // 60), dice.randint(1, 4)))
    payments = [(START + timedelta(minutes=m), dice.choice((5, 10, 15, 25, 40))) for m in minutes]
    return Home(name, meter, START, steps, credit_wh, number % 3 != 0, payments)


def _outage(story: Story, scene: Stage, street: list[Home]) -> None:
    intact = scene.pos.path.read_bytes()
    scene.pos.path.write_bytes(bytes(byte ^ 0x5A for byte in intact))
    story.note(f"{START:%-d %B %Y}: an attack makes the data of the vending system unreadable.")
    story.refused(
        "A purchase during the attack",
        "file is not a database; nothing was issued",
        lambda: scene.sell(street[0].name, 10, START),
    )
    story.note("Customers still pay, and are asked to be patient.")
    in_parallel(street, _live_without_vending)
    for home in street:
        status = home.meter.status()
        loan = "no loan wanted"
        if home.borrows:
            loan = f"811 on {home.borrowed:%a %H:%M}" if home.borrowed else "no loan needed"
        wrong = discrepancy(home, status)
        story.check(
            f"{home.name}: {kwh(home.credit_wh)} at first; used what its load took, to the Wh",
            wrong is None and (home.borrowed is None or "SECOURS" in home.loan_display),
            wrong or f"{kwh(status.credit_wh)} left, supply {status.switch}, {loan}",
        )
    borrowers = [home for home in street if home.borrowed]
    story.check(
        "Each home that entered 811 got one loan of 10 kWh, the others none",
        all(
            home.meter.ledger().emergency_wh == (LOAN_WH if home.borrowed else 0)
            for home in street
        ),
        f"{len(borrowers)} of {count(len(street), 'home')} borrowed",
    )
    scene.pos.path.write_bytes(intact)
    story.note("The vending system is restored from its backup.")


def _live_without_vending(home: Home) -> None:
    home.points.append(Point.of(home.meter.status()))
    for _ in range(OUTAGE_S // LOOK_S):
        status = live(home.meter, LOOK_S, 1, home.points)
        if home.borrows and home.borrowed is None and status.credit_wh <= OFFER_WH:
            home.loan_display = " ".join(home.meter.press("811#").display)
            home.borrowed = status.clock
            home.points.append(Point.of(home.meter.status()))


def _backlog(story: Story, scene: Stage, street: list[Home]) -> None:
    story.chapter("The late tokens: twice, and in the wrong order")
    for home in street:
        for at, amount in home.payments:
            home.paid[scene.sell(home.name, amount, at).token] = f"{at:%a %H:%M}"
    story.note("Each payment becomes a token whose identifier is the minute of the payment.")
    story.note("The tokens arrive, the newest first, one each hour.")
    in_parallel(street, _first_round)
    for home in street:
        if home.keyed:
            story.check(*_each(home, home.keyed, "credited", TokenResult.ACCEPT))
    story.note(
        f"At the last, oldest token of each home, the power fails after {HALF} of its 20 digits."
    )
    in_parallel(street, _half_keyed)
    for home in street:
        story.check(*_cut_short(home))
    story.note("Then all messages arrive again, in any order.")
    orders = {home.name: scene.random.sample(list(home.paid), len(home.paid)) for home in street}
    in_parallel(street, lambda home: _second_round(home, orders[home.name]))
    for home in street:
        again = home.keyed[len(home.paid) :]
        story.check(*_each(home, again, "refused", TokenResult.USED))
    story.note("What the meters recorded, compared with the history of the point of sale:")
    for home in street:
        story.check(*_exactly_once(home, scene.sold_wh(home.name)))
    for home in street:
        if home.borrowed:
            story.check(*_loan_first(home))


def _first_round(home: Home) -> None:
    for token in list(home.paid)[:0:-1]:
        _key(home, token)


def _half_keyed(home: Home) -> None:
    """Cut the power while the oldest token is entered; enter its rest, then the whole token."""
    token = next(iter(home.paid))
    live(home.meter, 3600, 1, home.points)
    home.meter.press(token[:HALF])
    before = _kept(home.meter)
    power_cut(home.meter, home.steps, START)
    home.cut_kept = _kept(home.meter) == before
    home.rest = home.meter.press(f"{token[HALF:]}#").result
    _key(home, token, 0)


def _second_round(home: Home, tokens: list[str]) -> None:
    for token in tokens:
        _key(home, token)


def _key(home: Home, token: str, after_s: int = 3600) -> None:
    live(home.meter, after_s, 1, home.points)
    debt_wh = home.meter.status().emergency_debt_wh
    result = home.meter.press(f"{token}#").result
    if result is None:
        raise BoardError(f"{home.name}: no result after Enter, the keypad is locked")
    home.keyed.append((token, result, debt_wh))
    home.points.append(Point.of(home.meter.status()))


def _kept(meter: Meter) -> tuple[Ledger, int, int, list[Event]]:
    """Return what a power cut must not change: registers, identifiers, tokens in the log."""
    status = meter.status()
    tokens = [event for event in meter.events() if event.kind == "token"]
    return meter.ledger(), status.tid_newest, status.tid_oldest, tokens


def _each(
    home: Home, keyed: list[Keyed], outcome: str, expected: TokenResult
) -> tuple[str, bool, str]:
    """Return a step: each token of a round has the expected result; list them in order."""
    results = ", ".join(f"{home.paid[token]} {result.name}" for token, result, _ in keyed)
    right = all(result.result is expected for _, result, _ in keyed)
    return f"{home.name}: {count(len(keyed), 'token')} entered and {outcome}", right, results


def _cut_short(home: Home) -> tuple[str, bool, str]:
    """Return a step: the result of the token that was half entered when the power failed."""
    token, whole, _ = home.keyed[len(home.paid) - 1]
    rest = home.rest
    right = (
        home.cut_kept
        and rest is not None
        and rest.result is TokenResult.FORMAT
        and whole.result is TokenResult.ACCEPT
    )
    return (
        f"{home.name}: half entered, power cut: nothing lost, nothing doubled",
        right,
        f"registers {'unchanged' if home.cut_kept else 'changed'}; the other {20 - HALF} digits "
        f"alone: {rest.name if rest else 'no result'}; {home.paid[token]} whole: {whole.name}",
    )


def _exactly_once(home: Home, sold_wh: dict[str, int]) -> tuple[str, bool, str]:
    """Return a step: results, registers and log of a home agree with the point of sale."""
    accepted = [token for token, r, _ in home.keyed if r.result is TokenResult.ACCEPT]
    used = [token for token, r, _ in home.keyed if r.result is TokenResult.USED]
    logged = [
        event
        for event in home.meter.events()
        if event.kind == "token" and event.details["result"] == TokenResult.ACCEPT
    ]
    ledger, status = home.meter.ledger(), home.meter.status()
    wrong = discrepancy(home, status)
    right = (
        wrong is None
        and sorted(accepted) == sorted(used) == sorted(sold_wh)
        and ledger.tokens_wh == sum(sold_wh.values())
        and sorted(_amount_wh(e) for e in logged) == sorted(sold_wh.values())
    )
    return (
        f"{home.name}: each purchase is credited exactly once, as sold",
        right,
        f"{len(sold_wh)} sold, {kwh(sum(sold_wh.values()))}; {len(accepted)} accepted, "
        f"{len(used)} used already; credited {kwh(ledger.tokens_wh)}"
        + (f"; {wrong}" if wrong else ""),
    )


def _amount_wh(event: Event) -> int:
    return int(event.details["amount_wh"])


def _loan_first(home: Home) -> tuple[str, bool, str]:
    """Return a step: purchases repaid the whole loan before they became credit."""
    owed_wh = LOAN_WH
    right = True
    repayments = []
    for _, result, debt_wh in home.keyed:
        repaid_wh = min(owed_wh, result.amount_wh or 0)
        if result.result is not TokenResult.ACCEPT:
            repaid_wh = 0
        right = right and debt_wh == owed_wh and result.repaid_wh == repaid_wh
        owed_wh -= repaid_wh
        if repaid_wh:
            repayments.append(f"{kwh(repaid_wh)} of {kwh(result.amount_wh or 0)}")
    left_wh = home.meter.ledger().emergency_debt_wh
    return (
        f"{home.name}: the loan is repaid first",
        right and left_wh == owed_wh,
        f"repaid {', then '.join(repayments)}; {kwh(left_wh)} still owed",
    )


def _reckoning(story: Story, street: list[Home]) -> None:
    story.chapter("The cost")
    # End of the street: the time of the home that received the last message.
    end = max(home.meter.clock() for home in street)
    in_parallel(
        street,
        lambda home: live(
            home.meter, int((end - home.meter.clock()).total_seconds()), 1, home.points
        ),
    )
    table = Table(title="The street", title_justify="left")
    for column in ("home", "at first, kWh", "loan", "bought, kWh", "repaid, kWh", "dark, h"):
        table.add_column(column, justify="right" if column != "home" else "left")
    dark_h = {}
    for home in street:
        dark_h[home.name] = dark_h_of(home, end)
        ledger = home.meter.ledger()
        table.add_row(
            home.name,
            f"{home.credit_wh / 1000:.1f}",
            f"{home.borrowed:%a %H:%M}" if home.borrowed else "-",
            f"{ledger.tokens_wh / 1000:.1f}",
            f"{ledger.recovered_wh / 1000:.1f}",
            f"{dark_h[home.name]:.1f}",
        )
    story.tables.append(table)
    story.check(
        "The hours without supply in the log are those in which people saw their meters off",
        all(seen_as_logged(home, end) for home in street),
        f"{sum(dark_h.values()):.1f} h without supply in {count(len(street), 'home')}, "
        f"{sum(1 for hours in dark_h.values() if hours)} of which had a cut",
    )
    dark = [home.name for home in street if home.meter.status().switch == "open"]
    if dark:
        story.note(
            f"Still without supply, because all credit is repaid or used: {', '.join(dark)}."
        )
    story.facts["dark_h"] = {name: round(hours, 3) for name, hours in dark_h.items()}
    story.series = {"the street": sum_of(street)} | {home.name: home.points for home in street}


def _everything_wrong(story: Story, scene: Stage, meter: Meter) -> None:
    story.chapter("A home that makes all mistakes")
    story.follow(None)
    made = START.date() - timedelta(days=2)
    config = scene.config("impatient", at=START, credit_wh=12_000, profile="eneo", made=made)
    meter.provision(config)
    scene.config("neighbour", at=START, profile="eneo")
    too_old = scene.sell("impatient", 5, START - timedelta(days=9))
    own = scene.sell("impatient", 20, START)
    others = scene.sell("neighbour", 20, START)
    story.key(
        meter,
        too_old.token,
        "A ticket older than the meter",
        TokenResult.OLD,
        scene.why(meter, "impatient", too_old.token),
    )
    story.code(meter, "811", "A loan with 12 kWh of credit", "PAS NECESSAIRE")
    meter.set_load(2000)
    story.live(meter, 7 * 3600)
    status = meter.status()
    story.check("12 kWh later, the supply is off", status.switch == "open", state_of(status))
    story.code(meter, "811", "A loan", "10.00 kWh")
    story.code(meter, "811", "A second loan", "DEJA PRIS")
    owed = meter.status().emergency_debt_wh
    story.check("One loan only", owed == LOAN_WH, f"{kwh(owed)} owed")
    story.key(
        meter,
        others.token,
        "The neighbour's token",
        TokenResult.CRC,
        scene.why(meter, "impatient", others.token),
    )
    mistyped = own.token[:-1] + str((int(own.token[-1]) + 1) % 10)
    story.key(
        meter,
        mistyped,
        "The own token, with a wrong digit",
        TokenResult.CRC,
        scene.why(meter, "impatient", mistyped),
    )
    story.key(
        meter, mistyped, "The same again", TokenResult.CRC, "The third wrong token in a row."
    )
    story.key(
        meter,
        own.token,
        "The right token, at once",
        TokenResult.LOCK_OUT,
        "After three wrong tokens, the meter accepts none for ten seconds.",
    )
    meter.advance(10)
    story.note("Ten seconds pass.")
    result = story.key(
        meter, own.token, "The right token", TokenResult.ACCEPT, "A locked-out token is not lost."
    )
    story.check(
        "The loan is repaid from it",
        (result.repaid_wh, meter.status().emergency_debt_wh) == (LOAN_WH, 0),
        state_of(meter.status()),
    )
    story.key(
        meter, own.token, "The right token again", TokenResult.USED, "No token is credited twice."
    )
