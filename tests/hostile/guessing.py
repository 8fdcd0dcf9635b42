"""How many tokens a day somebody can try on a meter of each profile, counted on the real meter.

Time is simulated. A try is a token that the meter decrypts; nothing else tells a guesser anything.
Run it (`python -m tests.hostile.guessing`) for the table.
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "both"))
import both_support as support
from jeton import acceptance
from jeton.console import Console
from jeton.sts import digits

DAY_MS = 86_400_000
WIRE_MS = 1  # a token by a fast wire
KEYPAD_MS = 10_000  # 20 digits by hand, and the look at the display
CYCLE_MS = 5_000  # assumed: switching off and on again until the meter takes tokens
# How many random entries it takes until one is a valid credit token (CRC of 16 bits, subclass,
# and an identifier that is neither old nor expired), on the average.
TRIES_FOR_A_HIT = 1_700_000


class Clock:
    """Time that only the guesser moves."""

    rate = 0

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def now(self) -> int:
        return self.seconds


class Guesser:
    """A meter under attack: every try is counted where the meter decrypts."""

    def __init__(self, profile: str, by_ms: int) -> None:
        self.by_ms = by_ms
        self.tries = 0
        self.passed_ms = 0
        self._meter_ms = support.T0 * 1000  # stands still while the power is off
        self._tokens = self._wrong()
        self.meter, self._store = support.new_meter(profile=profile)
        self.steps = self.meter.profile.lockout_steps_s
        self._watch()

    def _watch(self) -> None:
        acceptance.use_key(self.meter)
        decrypt = self.meter._decrypt

        def counting(block: bytes) -> Any:
            self.tries += 1
            return decrypt(block)

        self.meter._decrypt = counting
        self._clock = Clock(self._meter_ms // 1000)
        self._console = Console(self.meter, self._clock, dict)

    @staticmethod
    def _wrong() -> Iterator[str]:
        """Give tokens of class 0 as a guesser makes them up; the same ones each time."""
        made_up = random.Random(0)
        while True:
            yield digits.join(0, made_up.randbytes(8))

    def wait(self, ms: int) -> None:
        self.passed_ms += ms
        self._meter_ms += ms
        self._clock.seconds = self._meter_ms // 1000

    def guess(self) -> bool:
        """Enter a wrong token; tell whether the meter was locked."""
        self.wait(self.by_ms)
        answer = json.loads(self._console.rpc(json.dumps(["enter", next(self._tokens)])))
        assert "ok" in answer, answer
        return bool(answer["ok"]["name"] == "LockOut")

    def power_cycle(self) -> None:
        self.passed_ms += CYCLE_MS
        self.meter = support.again(self._store)
        self._watch()

    def wait_for_lock(self) -> None:
        left_s = self.meter.lockout.blocked(self._clock.now())
        self.wait(left_s * 1000)

    def wait_for_window(self) -> None:
        """Stay one below the limit until the window of the first wrong token is over."""
        profile, state = self.meter.profile, self.meter.state
        if profile.lockout_within_s and state.lock_count == profile.lockout_after - 1:
            over = state.lock_first + profile.lockout_within_s
            self.wait(max(over - self._clock.now(), 0) * 1000)


def _straight(guesser: Guesser) -> None:
    if guesser.guess():
        guesser.wait_for_lock()


def _careful(guesser: Guesser) -> None:
    guesser.wait_for_window()
    _straight(guesser)


def _cycling(guesser: Guesser) -> None:
    guesser.guess()
    if guesser.meter.lockout.blocked(guesser._clock.now()):
        guesser.power_cycle()
        guesser.wait_for_lock()  # where the cycle did not end it


def _careful_cycling(guesser: Guesser) -> None:
    guesser.wait_for_window()
    _cycling(guesser)


def tries_a_day(profile: str, by_ms: int, cycles: bool) -> int:
    """Return the most tries a day by any of the ways known here, with or without power cycles."""
    most = 0
    for way in (_cycling, _careful_cycling) if cycles else (_straight, _careful):
        guesser = Guesser(profile, by_ms)
        if not guesser.steps:
            # Without a lock-out only the line limits: some are tried, the day is reckoned.
            for _ in range(50):
                assert not guesser.guess()
            return guesser.tries * DAY_MS // guesser.passed_ms
        days = 0.01 if cycles and guesser.meter.profile.lockout_cleared_by_power_cycle else 2
        while guesser.passed_ms < days * DAY_MS:
            way(guesser)
        most = max(most, guesser.tries * DAY_MS // guesser.passed_ms)
    return most


COLUMNS = (
    ("wire", WIRE_MS, False),
    ("wire, power cycles", WIRE_MS, True),
    ("keypad", KEYPAD_MS, False),
    ("keypad, power cycles", KEYPAD_MS, True),
)


def measure(profile: str) -> dict[str, int]:
    """Return tries a day by column for a profile."""
    return {name: tries_a_day(profile, by_ms, cycles) for name, by_ms, cycles in COLUMNS}


def _years(tries: int) -> str:
    days = TRIES_FOR_A_HIT / tries
    if days < 1:
        return f"{days * 24:.1f} h"
    return f"{days:.0f} days" if days < 365 else f"{days / 365:.0f} years"


def table(found: dict[str, dict[str, int]]) -> str:
    """Return the measure of all profiles as a table: tries a day, and how long for one hit."""
    names = [name for name, _, _ in COLUMNS]
    lines = [
        "| profile | " + " | ".join(f"{name}: tries a day, a hit in" for name in names) + " |"
    ]
    lines.append("|---" * (len(names) + 1) + "|")
    for profile, tries in found.items():
        cells = [f"{tries[name]:,}, {_years(tries[name])}" for name in names]
        lines.append(f"| {profile} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table({profile: measure(profile) for profile in support.PROFILES}))
