"""CEET, Togo, 2024: the TID rollover, as its customers lived through it.

On 24 November 2024 the token identifiers counted from 1993 ran out. Before that day CEET asked
every customer to key in all unused tickets, to buy, and to key the three codes of that purchase in
order: the first two change the meter's key within two minutes, the third is the purchase itself.
"""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from host_tools.drills.story import Story
from host_tools.link import Meter, Status, TokenResult
from host_tools.vending.explain import explain
from host_tools.vending.pos import Issued, PointOfSale

START = datetime(2024, 11, 4, 8, 0, tzinfo=UTC)
LOAD_W = 800
CREDIT_WH = 20_000


def run(story: Story, *, wrong_paths: bool = True) -> None:
    """Tell the story and its three wrong paths, each on a meter as it was before the rollover."""
    with tempfile.TemporaryDirectory(prefix="jeton-drill-") as folder:
        pos = PointOfSale(Path(folder) / "pos.sqlite")
        with Meter.open("virtual", config=_config(pos, "rollover")) as meter:
            meter.set_rate(0)
            _rollover(story, meter, pos)
            if not wrong_paths:
                return
            for name, chapter in (
                ("late", _too_late),
                ("order", _wrong_order),
                ("single", _one_code),
            ):
                meter.provision(_config(pos, name))
                chapter(story, meter, pos)


def _config(pos: PointOfSale, name: str) -> dict[str, object]:
    """Register a meter as CEET had them: KRN 1, base date 1993, two key change tokens."""
    pos.add_meter(name, profile="ceet", bdt="93", krn=1, kct=2)
    return pos.config_for(name, at=START) | {"credit_wh": CREDIT_WH}


def _purchase(
    pos: PointOfSale, name: str, kwh: str, at: datetime
) -> tuple[Issued, Issued, Issued]:
    """Buy as after the update: two key codes for base date 2014, and the purchase."""
    one, two = pos.key_change(name, krn=2, bdt="14", at=at)
    return one, two, pos.credit(name, kwh, at=at)


def _ticket(pos: PointOfSale, name: str, kwh: str, days_ago: int) -> Issued:
    return pos.credit(name, kwh, at=START - timedelta(days=days_ago))


def _why(pos: PointOfSale, meter: Meter, name: str, token: str) -> str:
    """Return in one line why the meter refuses a token, by what the point of sale can find out."""
    status = meter.status()
    found = explain(token, pos=pos, meter=name, status=status.as_dict(), now=status.clock)
    return f"jeton explain: {found.summary}"


def _kwh(energy_wh: int) -> str:
    return f"{energy_wh / 1000:.2f} kWh"


def _state(status: Status) -> str:
    return (
        f"credit {_kwh(status.credit_wh)}, index {_kwh(status.total_wh)}, "
        f"supply {status.switch}, KRN {status.krn}"
    )


def _rollover(story: Story, meter: Meter, pos: PointOfSale) -> None:
    story.chapter("The rollover, as CEET asked for it")
    story.note(
        f"{START:%-d %B %Y, %H:%M} UTC. A meter on key revision 1, base date 1993: "
        f"{_kwh(CREDIT_WH)} of credit, {LOAD_W} W switched on."
    )
    old, drawer = _ticket(pos, "rollover", "10", 12), _ticket(pos, "rollover", "6", 9)
    meter.set_load(LOAD_W)
    burnt = meter.advance(2 * 3600)
    story.check(
        "Two hours pass; the load has used its energy",
        burnt.total_wh == 2 * LOAD_W and burnt.credit_wh == CREDIT_WH - 2 * LOAD_W,
        _state(burnt),
    )
    story.key(
        meter,
        old.token,
        "An unused ticket of 10 kWh, keyed before the update as CEET asks",
        TokenResult.ACCEPT,
        "It is under the present key, and its identifier was never used here.",
    )
    story.note("Another ticket, of 6 kWh, stays forgotten in a drawer.")
    one, two, three = _purchase(pos, "rollover", "15", meter.clock())
    story.note("A purchase of 15 kWh now gives three codes.")
    before, log = meter.status(), meter.events()[-1].seq
    story.key(
        meter,
        one.token,
        "Code 1",
        TokenResult.KCT1,
        "The first half of the new key. Nothing has changed yet; the meter asks for code 2.",
    )
    meter.advance(60)
    story.note("A minute passes: the two codes must come within two.")
    story.key(
        meter,
        two.token,
        "Code 2",
        TokenResult.ACCEPT,
        "The key is whole: key revision 2 from here on, and all stored identifiers start at 0.",
    )
    after = meter.status()
    used_wh = after.total_wh - before.total_wh
    untouched = (
        before.credit_wh - after.credit_wh == used_wh
        and used_wh in (LOAD_W // 60, LOAD_W // 60 + 1)
        and (after.krn, after.tid_newest) == (2, 0)
        and not [e for e in meter.events(log) if e.kind.startswith("switch")]
    )
    story.check(
        f"Credit, index and supply are untouched but for the {used_wh} Wh of that minute",
        untouched,
        _state(after),
    )
    story.key(
        meter,
        three.token,
        "Code 3",
        TokenResult.ACCEPT,
        "The purchase itself, under the new key; the display shows the kWh.",
    )
    bought = meter.status()
    story.check(
        "The credit has grown by the purchase",
        bought.credit_wh == after.credit_wh + 15_000,
        _state(bought),
    )
    story.key(
        meter,
        three.token,
        "Code 3 once more",
        TokenResult.USED,
        "Its identifier is in the meter's store: no token is credited twice.",
    )
    story.key(
        meter,
        drawer.token,
        "The ticket from the drawer",
        TokenResult.CRC,
        _why(pos, meter, "rollover", drawer.token),
    )
    last = meter.status()
    story.check(
        "The two refusals changed nothing", last.credit_wh == bought.credit_wh, _state(last)
    )


def _too_late(story: Story, meter: Meter, pos: PointOfSale) -> None:
    story.chapter("Code 2 comes too late")
    ticket = _ticket(pos, "late", "5", 3)
    one, two, three = _purchase(pos, "late", "15", START)
    story.key(meter, one.token, "Code 1", TokenResult.KCT1, "The two minutes begin.")
    meter.advance(121)
    story.note("121 seconds pass.")
    story.key(
        meter,
        two.token,
        "Code 2, one second late",
        TokenResult.NOT_READY,
        "The half-done change is forgotten; the meter asks for code 1 again.",
    )
    status = meter.status()
    story.check(
        "The change has not happened",
        (status.krn, status.pending, status.credit_wh) == (1, (), CREDIT_WH),
        _state(status),
    )
    story.key(
        meter,
        ticket.token,
        "A ticket under the old key",
        TokenResult.ACCEPT,
        "The old key still works.",
    )
    story.key(
        meter,
        three.token,
        "Code 3",
        TokenResult.CRC,
        _why(pos, meter, "late", three.token),
    )
    story.note("Once more, in time:")
    story.key(meter, one.token, "Code 1", TokenResult.KCT1, "A code may be keyed again.")
    meter.advance(119)
    story.key(meter, two.token, "Code 2 after 119 seconds", TokenResult.ACCEPT, "In time.")
    story.key(
        meter,
        three.token,
        "Code 3",
        TokenResult.ACCEPT,
        "A refused token is not cancelled: the purchase was never lost.",
    )
    status = meter.status()
    story.check(
        "Old ticket and purchase are both credited",
        (status.krn, status.credit_wh) == (2, CREDIT_WH + 5_000 + 15_000),
        _state(status),
    )


def _wrong_order(story: Story, meter: Meter, pos: PointOfSale) -> None:
    story.chapter("The codes in the wrong order")
    one, two, three = _purchase(pos, "order", "15", START)
    story.key(
        meter,
        three.token,
        "Code 3 first",
        TokenResult.CRC,
        _why(pos, meter, "order", three.token),
    )
    story.key(
        meter,
        two.token,
        "Code 2 next",
        TokenResult.NOT_READY,
        "This meter takes the codes in order and asks for code 1.",
    )
    status = meter.status()
    story.check(
        "Nothing has changed",
        (status.krn, status.pending, status.credit_wh) == (1, (), CREDIT_WH),
        _state(status),
    )
    story.note("In the right order:")
    story.key(meter, one.token, "Code 1", TokenResult.KCT1, "The meter asks for code 2.")
    story.key(meter, two.token, "Code 2", TokenResult.ACCEPT, "The key is changed.")
    story.key(meter, three.token, "Code 3", TokenResult.ACCEPT, "The purchase is credited.")


def _one_code(story: Story, meter: Meter, pos: PointOfSale) -> None:
    story.chapter("One code instead of three")
    story.note("CEET has not prepared this meter yet, so the purchase is an ordinary token.")
    only = pos.credit("single", "15", at=START)
    story.key(
        meter,
        only.token,
        "The only code",
        TokenResult.ACCEPT,
        "It is under the present key: the meter just credits it.",
    )
    status = meter.status()
    story.check(
        "Key revision 1 as before, 15 kWh more",
        (status.krn, status.pending, status.credit_wh) == (1, (), CREDIT_WH + 15_000),
        _state(status),
    )
