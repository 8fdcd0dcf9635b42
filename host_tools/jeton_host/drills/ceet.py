"""CEET, Togo, 2024: the TID rollover, from the customers' side.

On 24 November 2024, the token identifiers counted from 1993 reached their end. Before that day,
CEET asked each customer to enter all unused tickets, to buy a new one, and to enter its three
codes in order. Codes 1 and 2 change the key of the meter and must be entered within two minutes;
code 3 is the purchase.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jeton_host.client.answers import TokenResult
from jeton_host.drills.stage import Stage, home_of_its_own, kwh, meter_of, stage, state_of
from jeton_host.drills.story import Story
from jeton_host.firmware import profiles
from jeton_host.meter import Meter
from jeton_host.vending.records import Issued

START = datetime(2024, 11, 4, 8, 0, tzinfo=UTC)
LOAD_W = 800
CREDIT_WH = 20_000
WORDS: dict[str, tuple[str, tuple[int, ...], TokenResult, str]] = {
    "ACCEPT": (
        "Code 3 first",
        (2,),
        TokenResult.CRC,
        "It is under the new key, and the meter still has the old one.",
    ),
    "GOOD": (
        "Codes 1 and 2 without Enter between",
        (0, 1),
        TokenResult.FORMAT,
        "40 digits are not a code: this meter needs Enter after each 20.",
    ),
    "CONNECT": (
        "Code 2 first",
        (1,),
        TokenResult.NOT_READY,
        "This meter accepts the codes only in order, and asks for code 1.",
    ),
}
"""The word that a meter of CEET shows for an accepted code, and a mistake made before.

Of the mistake: its name, the codes entered, the result and the reason.
"""


def run(story: Story, *, wrong_paths: bool = True) -> None:
    """Run the story and its mistakes, each on a meter in the state before the rollover."""
    story.begin(__doc__)
    with stage(story) as scene:
        with meter_of(_config(scene, "rollover")) as meter:
            story.follow("the rollover")
            _rollover(story, meter, scene)
            story.follow(None)
            if not wrong_paths:
                return
            for name, chapter in (
                ("late", _too_late),
                ("order", _wrong_order),
                ("single", _one_code),
            ):
                meter.provision(_config(scene, name))
                chapter(story, meter, scene)
        with home_of_its_own(scene.folder):
            _other_words(story, scene)


def _config(scene: Stage, name: str, profile: str = "ceet") -> dict[str, object]:
    """Register a meter as CEET had: KRN 1, base date 1993, two key change tokens."""
    return scene.config(
        name, at=START, credit_wh=CREDIT_WH, profile=profile, bdt="93", krn=1, kct=2
    )


def _purchase(scene: Stage, name: str, amount: str, at: datetime) -> tuple[Issued, Issued, Issued]:
    """Issue two key change tokens for base date 2014, and the purchase."""
    one, two = scene.pos.key_change(name, krn=2, bdt="14", at=at)
    return one, two, scene.sell(name, amount, at)


def _ticket(scene: Stage, name: str, amount: str, days_ago: int) -> Issued:
    return scene.sell(name, amount, START - timedelta(days=days_ago))


def _rollover(story: Story, meter: Meter, scene: Stage) -> None:
    story.chapter("The rollover, as CEET asked for it")
    story.note(
        f"{START:%-d %B %Y, %H:%M} UTC. A meter on key revision 1, base date 1993: "
        f"{kwh(CREDIT_WH)} of credit, a load of {LOAD_W} W."
    )
    old, forgotten = _ticket(scene, "rollover", "10", 12), _ticket(scene, "rollover", "6", 9)
    meter.set_load(LOAD_W)
    later = story.live(meter, 2 * 3600)
    story.check(
        "After two hours, the load has used its energy",
        later.total_wh == 2 * LOAD_W and later.credit_wh == CREDIT_WH - 2 * LOAD_W,
        state_of(later),
    )
    story.key(
        meter,
        old.token,
        "An unused ticket of 10 kWh, entered before the update as CEET asks",
        TokenResult.ACCEPT,
        "It is under the current key, and its identifier was not used before.",
    )
    story.note("A second ticket, of 6 kWh, is forgotten in a drawer.")
    one, two, three = _purchase(scene, "rollover", "15", meter.clock())
    story.note("A purchase of 15 kWh now gives three codes.")
    before, log = meter.status(), meter.events()[-1].seq
    story.key(
        meter,
        one.token,
        "Code 1",
        TokenResult.KCT1,
        "It is half of the new key. Nothing has changed yet; the meter asks for code 2.",
    )
    story.live(meter, 60, 1)
    story.note("One minute passes; code 2 must follow code 1 within two minutes.")
    story.key(
        meter,
        two.token,
        "Code 2",
        TokenResult.ACCEPT,
        "The new key is complete: key revision 2, and all stored identifiers are 0.",
    )
    after = meter.status()
    used_wh = after.total_wh - before.total_wh
    unchanged = (
        before.credit_wh - after.credit_wh == used_wh
        and used_wh in (LOAD_W // 60, LOAD_W // 60 + 1)
        and (after.krn, after.tid_newest) == (2, 0)
        and not [e for e in meter.events(log) if e.kind.startswith("switch")]
    )
    story.check(
        f"Credit, index and supply are unchanged, except the {used_wh} Wh of that minute",
        unchanged,
        state_of(after),
    )
    story.key(
        meter,
        three.token,
        "Code 3",
        TokenResult.ACCEPT,
        "It is the purchase, under the new key; the display shows the kWh.",
    )
    bought = meter.status()
    story.check(
        "The credit has grown by the purchase",
        bought.credit_wh == after.credit_wh + 15_000,
        state_of(bought),
    )
    story.key(
        meter,
        three.token,
        "Code 3 again",
        TokenResult.USED,
        "Its identifier is in the meter: no token is credited twice.",
    )
    story.key(
        meter,
        forgotten.token,
        "The ticket from the drawer",
        TokenResult.CRC,
        scene.why(meter, "rollover", forgotten.token),
    )
    last = meter.status()
    story.check(
        "The two refusals changed nothing", last.credit_wh == bought.credit_wh, state_of(last)
    )
    evening = story.live(meter, 12 * 3600)
    story.check(
        "Twelve hours later, the supply is still on",
        evening.switch == "closed" and evening.credit_wh == last.credit_wh - 12 * LOAD_W,
        state_of(evening),
    )


def _too_late(story: Story, meter: Meter, scene: Stage) -> None:
    story.chapter("Code 2 too late")
    ticket = _ticket(scene, "late", "5", 3)
    one, two, three = _purchase(scene, "late", "15", START)
    story.key(meter, one.token, "Code 1", TokenResult.KCT1, "The two minutes start.")
    story.live(meter, 121, 1)
    story.note("121 seconds pass.")
    story.key(
        meter,
        two.token,
        "Code 2, one second late",
        TokenResult.NOT_READY,
        "The half-entered key change is deleted; the meter asks for code 1 again.",
    )
    status = meter.status()
    story.check(
        "The key has not changed",
        (status.krn, status.pending, status.credit_wh) == (1, (), CREDIT_WH),
        state_of(status),
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
        scene.why(meter, "late", three.token),
    )
    story.note("Again, in time:")
    story.key(
        meter,
        one.token,
        "Code 1",
        TokenResult.KCT1,
        "A code of a key change can be entered again.",
    )
    story.live(meter, 119, 1)
    story.key(meter, two.token, "Code 2 after 119 seconds", TokenResult.ACCEPT, "In time.")
    story.key(
        meter,
        three.token,
        "Code 3",
        TokenResult.ACCEPT,
        "A refused token is not cancelled: the purchase is not lost.",
    )
    status = meter.status()
    story.check(
        "The old ticket and the purchase are both credited",
        (status.krn, status.credit_wh) == (2, CREDIT_WH + 5_000 + 15_000),
        state_of(status),
    )


def _wrong_order(story: Story, meter: Meter, scene: Stage) -> None:
    story.chapter("The codes in the wrong order")
    one, two, three = _purchase(scene, "order", "15", START)
    story.key(
        meter,
        three.token,
        "Code 3 first",
        TokenResult.CRC,
        scene.why(meter, "order", three.token),
    )
    story.key(
        meter,
        two.token,
        "Code 2 second",
        TokenResult.NOT_READY,
        "This meter accepts the codes only in order, and asks for code 1.",
    )
    status = meter.status()
    story.check(
        "Nothing has changed",
        (status.krn, status.pending, status.credit_wh) == (1, (), CREDIT_WH),
        state_of(status),
    )
    story.note("In the right order:")
    story.key(meter, one.token, "Code 1", TokenResult.KCT1, "The meter asks for code 2.")
    story.key(meter, two.token, "Code 2", TokenResult.ACCEPT, "The key is changed.")
    story.key(meter, three.token, "Code 3", TokenResult.ACCEPT, "The purchase is credited.")


def _one_code(story: Story, meter: Meter, scene: Stage) -> None:
    story.chapter("One code instead of three")
    story.note(
        "CEET has not prepared the key change of this meter: the purchase is one ordinary token."
    )
    only = scene.sell("single", "15", START)
    story.key(
        meter,
        only.token,
        "The only code",
        TokenResult.ACCEPT,
        "It is under the current key: the meter credits it.",
    )
    status = meter.status()
    story.check(
        "Key revision 1 as before, and 15 kWh more",
        (status.krn, status.pending, status.credit_wh) == (1, (), CREDIT_WH + 15_000),
        state_of(status),
    )
    story.key(
        meter,
        only.token,
        "The only code again, because other customers have three",
        TokenResult.USED,
        "There is only one code, and it is used.",
    )


def _set_word(path: Path, word: str) -> None:
    """Change the French word for an accepted token in the file of a profile."""
    data = json.loads(path.read_text())
    data["messages"]["fr"]["Accept"] = word
    path.write_text(json.dumps(data))


def _other_words(story: Story, scene: Stage) -> None:
    story.chapter("ACCEPT, GOOD or CONNECT")
    story.note(
        "CEET informed its customers that a meter shows one of these words. A meter with another "
        "word has its own profile, a copy of ceet."
    )
    story.refused(
        "A user profile with the name of a profile of Jeton",
        "there is a profile ceet already",
        lambda: profiles.new("ceet", "ceet"),
    )
    wrong = profiles.new("connected", "ceet")
    _set_word(wrong, "CONNECT SUCCESSFUL")
    story.refused(
        "A word too long for the smallest display",
        "messages.fr.Accept is too long for the smallest display: 18 of 16 columns",
        lambda: profiles.load("connected"),
    )
    wrong.unlink()
    profile_of = dict.fromkeys(WORDS, "ceet")
    for word in ("GOOD", "CONNECT"):
        profile_of[word] = word.lower()
        _set_word(profiles.new(word.lower(), "ceet", f"CEET, with {word}"), word)
    with meter_of(_config(scene, "spare")) as meter:  # a board copies the profiles at its start
        for word, profile in profile_of.items():
            name = f"shows-{word.lower()}"
            meter.provision(_config(scene, name, profile))
            _try_word(story, meter, scene, name, word)


def _try_word(story: Story, meter: Meter, scene: Stage, name: str, word: str) -> None:
    """Make the mistake of a word, then enter three codes: only good codes may show `word`."""
    one, two, three = codes = _purchase(scene, name, "15", START)
    what, entered, refusal, why = WORDS[word]
    refused = story.key(
        meter, "".join(codes[i].token for i in entered), f"{what} ({word})", refusal, why
    )
    shows = refused.display[0].strip()
    status = meter.status()
    story.check(
        f"It does not show {word} then, and nothing has changed",
        shows == profiles.words(profiles.load("ceet"), "fr")[refusal.standard_name]
        and (status.krn, status.pending, status.credit_wh) == (1, (), CREDIT_WH),
        f"{shows}; {state_of(status)}",
    )
    displays = [
        story.key(meter, token.token, f"{what} ({word})", expected, why).display
        for token, what, expected, why in (
            (one, "Code 1", TokenResult.KCT1, "It asks for code 2, as each meter of CEET."),
            (two, "Code 2", TokenResult.ACCEPT, "The key is changed, with this meter's word."),
            (three, "Code 3", TokenResult.ACCEPT, "The purchase, with the same word."),
        )
    ]
    words = [lines[0].strip() for lines in displays]
    story.check(
        f"This meter shows {word} and no other word, and the kWh",
        words == ["CODE 1 CORRECT", word, word] and "+15.0 kWh" in " ".join(displays[2]),
        ", ".join(words),
    )
