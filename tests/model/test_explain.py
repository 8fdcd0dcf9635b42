"""A verdict of `explain` is that of the meter: thousands of random meters, states and tokens.

Each token is explained first and entered then, in a meter of the firmware in this process. With a
snapshot of the meter the results are always equal. With its status alone, a result may be unknown
(None), but never another one.
"""

import random
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from jeton.sts import digits
from jeton.sts import tokens as layouts
from jeton.sts.results import NAMES, TokenResult
from jeton_host import token_text
from jeton_host.errors import VendingError
from jeton_host.firmware import profiles
from jeton_host.vending import keys, tokens
from jeton_host.vending.explain import Explanation, explain
from jeton_host.vending.keychange import key_change_set
from jeton_host.vending.keys import KeyParameters
from jeton_host.vending.pos import PointOfSale
from tests.in_process import Store, snapshot, started, status

MAKER = 0
NOW = datetime(2024, 11, 2, tzinfo=UTC)
CLOCK = 783_000_000
SECOND = 5_700_000  # a TID of 2024 under base date 14
STEPS = 50
WORLDS = 200  # with STEPS each: 10,000 entries
SEARCHED = 40  # worlds in which other keys and corrections are tried too, for one token


class World:
    """A meter with a random past, two points of sale that sell for it, and random tokens."""

    def __init__(self, rng: random.Random, pos: PointOfSale):
        self.rng = rng
        self.pos = pos
        self.ea = rng.choice((7, 7, 11))
        bdt = rng.choice(("93", "14"))
        self.record = pos.add_meter(
            "e",
            ea=self.ea,
            bdt=bdt,
            kct=4 if self.ea == 11 else rng.choice((2, 3)),
            kt=rng.choice((1, 2, 2, 2)),
            ken=255 if bdt == "93" else rng.choice((255, 255, 120, SECOND >> 16)),
            profile=rng.choice(sorted(profiles.shipped())),
            mfr_code=rng.choice((0, 3)),
            made=None if bdt == "93" else rng.choice((None, date(2024, 10, 1))),
        )
        pos.add_meter("other")
        self.store = Store()
        self.meter = started(self.store)
        self.now = CLOCK
        self.issued = [pos.tariff("e", n, at=NOW).token for n in range(2)]
        self.issued.append(pos.credit("other", 3, at=NOW).token)
        if self.record.key.kt == 2:
            self.issued += [pos.credit("e", 1 + n, at=NOW).token for n in range(3)]
        if rng.random() < 0.95:
            self.meter.provision(pos.config_for("e") | {"clock": CLOCK}, CLOCK)
        self.sections: list[str] = []
        self.tid = SECOND

    # -- tokens

    @property
    def key(self) -> bytes:
        return bytes(self.meter.state.decoder_key[: 8 if self.ea == 7 else 16])

    def known_keys(self) -> list[bytes]:
        return [self.pos.decoder_key(self.record, key) for key in self.pos.keys_of("e")]

    def derived(self, **changes: Any) -> tuple[bytes, dict[str, Any]]:
        state = self.meter.state
        values: dict[str, Any] = {
            "kt": state.kt or 2, "sgc": "201457", "ti": state.ti, "krn": state.krn, "bdt": "14",
        }  # fmt: skip
        values |= changes
        parameters = KeyParameters(4, self.ea, self.record.pan, **values)
        return self.pos.keys.derive(parameters), values

    def any_key(self) -> bytes:
        rng = self.rng
        choice = rng.random()
        if choice < 0.6:
            return self.key
        if choice < 0.8:
            return rng.choice(self.known_keys())
        return self.derived(bdt=rng.choice(("93", "14", "35")), krn=rng.randrange(1, 5))[0]

    def encoded(self, cls: int, sub: int, key: bytes, **given: int) -> str:
        rng = self.rng
        _, places = layouts.layout(cls, sub, self.ea)
        fields = {name: rng.getrandbits(bits) for name, bits in places}
        if "tid" in fields:
            self.tid += rng.choice((-3000, -1, 0, 1, 1, 7, 60))
            fields["tid"] = self.tid if rng.random() < 0.9 else rng.getrandbits(24)
        if "pad" in fields and rng.random() < 0.8:
            fields["pad"] = 0
        return tokens.encode(cls, sub, fields | given, key=key, ea=self.ea)

    def credit(self) -> str:
        amount = self.rng.choice((0, 1, 50, 300, 1000, 20_000, 65535))
        return self.encoded(0, 0, self.any_key(), amount=amount)

    def section(self) -> str:
        rng = self.rng
        given = {"krn": rng.choice((0, 1, 2, 3, 10)), "kct3": rng.randrange(2), "kt": 2}
        sub = rng.choice((3, 4, 8, 9))
        if sub == 3:
            given["kt"] = rng.choice((0, 1, 2, 2, 2, 3))
            return self.encoded(2, sub, self.any_key(), **given)
        if sub == 4:
            return self.encoded(2, sub, self.any_key(), ti=rng.choice((0, 1, 99, 100)))
        return self.encoded(2, sub, self.any_key())

    def key_change(self) -> list[str]:
        """Return a key change of this point of sale, or of another one, for the present key."""
        rng = self.rng
        if rng.random() < 0.5:
            changes = rng.choice(
                [{"krn": rng.randrange(1, 6)}, {"ti": rng.randrange(3)}, {"kt": 2},
                 {"krn": rng.randrange(2, 9), "bdt": "14"}, {"sgc": "123456"}, {"ken": 254}]
            )  # fmt: skip
            try:
                return [one.token for one in self.pos.key_change("e", at=NOW, **changes)]
            except VendingError:
                return []
        ro = rng.random() < 0.6
        bdt = rng.choice(("93", "14", "35")) if ro else "14"
        new, values = self.derived(krn=rng.randrange(1, 9), bdt=bdt, kt=2)
        made = key_change_set(
            self.key, new, ea=self.ea, kt=2, sgc=values["sgc"], ti=values["ti"],
            krn=values["krn"], ro=ro, three=self.ea == 7 and rng.random() < 0.3,
        )  # fmt: skip
        return [section.token for section in made]

    def one(self) -> str:
        """Return a random entry of one token."""
        rng = self.rng
        choice = rng.random()
        if choice < 0.15:
            return rng.choice(self.issued)
        if choice < 0.4:
            return self.credit()
        if choice < 0.5:
            return self.encoded(rng.choice((0, 2, 2)), rng.randrange(16), self.any_key())
        if choice < 0.6:
            control = rng.choice((0, (1 << 28) - 1, (1 << 36) - 1, 1 << rng.randrange(36)))
            sub = rng.choice((0, 0, 1, rng.randrange(16)))
            _, places = layouts.layout(1, sub)
            return self.encoded(
                1, sub, b"", control=control % (1 << places[0][1]), mfr_code=rng.choice((0, 3, 4))
            ) if places[0][0] == "control" else self.encoded(1, sub, b"")  # fmt: skip
        if choice < 0.7:
            return self.section()
        if choice < 0.85 and self.sections:
            return self.sections.pop(0) if rng.random() < 0.8 else rng.choice(self.sections)
        if choice < 0.93:
            token = self.credit()
            place = rng.randrange(20)
            return token[:place] + str(rng.randrange(10)) + token[place + 1 :]
        if choice < 0.96:
            return digits.join(
                3, layouts.pack(3, rng.randrange(16), {"value": rng.getrandbits(44)})
            )
        return "".join(rng.choice("0123456789") for _ in range(rng.choice((0, 5, 19, 20, 20, 21))))

    def entry(self) -> str:
        """Return a random entry: one or several tokens."""
        rng = self.rng
        if rng.random() < 0.12:
            self.sections += self.key_change()
            if rng.random() < 0.3:
                rng.shuffle(self.sections)
        choice = rng.random()
        if choice < 0.85:
            text = self.one()
            return digits.grouped(text) if rng.random() < 0.1 else text
        if self.sections and choice < 0.9:
            several, self.sections = self.sections, []
            return "".join([*several, self.credit()][:9])
        return "".join(self.one() for _ in range(rng.choice((2, 2, 3, 4, 5, 10))))

    # -- states

    def live(self) -> None:
        """Let something happen to the meter."""
        rng, meter = self.rng, self.meter
        choice = rng.random()
        if choice < 0.1:
            self.now += rng.choice((1, 10, 60, 121, 900, 86400))
            meter.process(self.now)
        elif not meter.state.provisioned:
            if rng.random() < 0.1:
                meter.provision(self.pos.config_for("e") | {"clock": self.now}, self.now)
        elif choice < 0.13:
            meter.set_tamper(True, self.now)
        elif choice < 0.16:
            most = meter.profile.credit_max_wh
            meter.state.credit_wh = rng.choice((0, most - 1000, most, -500, 10_000))
        elif choice < 0.18:
            meter.emergency(self.now)
        elif choice < 0.19 and meter.profile.credit_advance_share:
            meter.state.advance_debt_wh = rng.choice((0, 5000, 10**7))
        elif choice < 0.21:
            for _ in range(50):  # the store of identifiers is full
                self.tid += 2
                if meter.tids.check(self.tid) == TokenResult.ACCEPT:
                    meter.tids.add(self.tid)
        elif choice < 0.23:
            meter.save(self.now)
            self.meter = started(self.store)

    def known(self) -> dict[str, Any]:
        """Return what a status, the log and the verb `tid` say."""
        used = {"UsedError": "Used", "OldError": "Old"}
        return {
            "status": status(self.meter, self.now),
            "tid_state": lambda n: used.get(NAMES[self.meter.tids.check(n)], "Valid"),
            "events": self.meter.events(0),
        }

    def shows_its_key(self) -> bool:
        """Return whether the meter's key is one with the attributes that its status shows.

        Random sections, and other points of sale, can make a status that does not fit the key.
        """
        state = self.meter.state
        if not state.sgc and self.key in self.known_keys():
            return True  # a key change of two tokens does not contain the SGC
        if not 1 <= state.kt <= 2:
            return False
        sgc = f"{state.sgc:06d}"
        # The tokens of this test are of 2024, so an unknown base date can only be 2014.
        bdt = f"{state.bdt}" if state.bdt else "14"
        return self.key == self.derived(bdt=bdt, sgc=sgc, kt=state.kt)[0]


def explained(world: World, entry: str, **live: Any) -> Explanation:
    return explain(entry, pos=world.pos, meter="e", now=NOW, **live)


def check_world(seed: int, path: Path, counts: Counter[str]) -> None:
    rng = random.Random(seed)
    pos = PointOfSale(path / f"{seed}.sqlite", keys=keys.load_keys())
    with pos.together():
        world = World(rng, pos)
        for step in range(STEPS):
            world.live()
            entry = world.entry()
            search = seed < SEARCHED and step == STEPS // 2
            exact = explained(
                world, entry, snapshot=snapshot(world.meter, world.now), search=search
            )
            known = None
            if step % 3 == 0 and world.shows_its_key() and not world.meter.key_change.sections:
                known = explained(world, entry, search=False, **world.known())
            last = world.meter.enter(token_text.one(entry)[:200], world.now)
            results = [NAMES[one.result] for one in (*last.earlier, last)]
            what = (seed, step, entry, results)
            assert exact.result == results[-1], ("exact", what, exact)
            if exact.cause != "not-a-token" and exact.tokens:
                assert [one.result for one in exact.tokens] == results, (what, exact)
            counts[results[-1]] += 1
            counts["several"] += len(results) > 1
            if known is not None:
                counts["status"] += 1
                counts["unknown"] += known.result is None
                assert known.result in (None, results[-1]), ("status", what, known)


@pytest.mark.parametrize("part", range(10))
def test_explain_says_what_the_meter_does(part: int, tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    for seed in range(part, WORLDS, 10):
        check_world(seed, tmp_path, counts)
    assert sum(counts[name] for name in NAMES) == WORLDS * STEPS // 10
    # Each kind of result was there, and a status is nearly always enough.
    for name in ("Accept", "CRCError", "UsedError", "OldError", "FormatError", "1stKCT"):
        assert counts[name] > 5, counts
    assert counts["unknown"] < 0.2 * counts["status"], counts
