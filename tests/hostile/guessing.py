"""Counts how many random tokens per day an attacker can try on a meter of each profile.

It runs the real meter with simulated time. A try is a token that the meter decrypts: only that
gives the attacker information. `python -m tests.hostile.guessing` prints the table.
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
WIRE_MS = 1  # a token over a fast serial line
KEYPAD_MS = 10_000  # keying 20 digits by hand and reading the display
CYCLE_MS = 5_000  # assumed: from switching off until the meter takes tokens again
# Average number of random entries until one is a valid credit token (CRC of 16 bits, subclass,
# and an identifier that is neither old nor expired).
TRIES_FOR_A_HIT = 1_700_000


class Clock:
    """A clock that only the guesser moves."""

    rate = 0

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def now(self) -> int:
        return self.seconds


class Guesser:
    """A meter under attack; each decryption counts as a try."""

    def __init__(self, profile: str, entry_ms: int) -> None:
        self.entry_ms = entry_ms
        self.tries = 0
        self.passed_ms = 0
        self._meter_ms = support.T0 * 1000  # the meter's clock stops while the power is off
        self._tokens = self._wrong()
        self.meter, self._store = support.new_meter(profile=profile)
        self.steps = self.meter.profile.lockout_steps_s
        self._count_tries()

    def _count_tries(self) -> None:
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
        """Yield random tokens of class 0; the same ones in each run."""
        generator = random.Random(0)
        while True:
            yield digits.join(0, generator.randbytes(8))

    def wait(self, ms: int) -> None:
        self.passed_ms += ms
        self._meter_ms += ms
        self._clock.seconds = self._meter_ms // 1000

    def guess(self) -> bool:
        """Enter a wrong token; return whether the meter was locked."""
        self.wait(self.entry_ms)
        answer = json.loads(self._console.rpc(json.dumps(["enter", next(self._tokens)])))
        assert "ok" in answer, answer
        return bool(answer["ok"]["name"] == "LockOut")

    def power_cycle(self) -> None:
        self.passed_ms += CYCLE_MS
        self.meter = support.again(self._store)
        self._count_tries()

    def wait_for_lock(self) -> None:
        left_s = self.meter.lockout.blocked(self._clock.now())
        self.wait(left_s * 1000)

    def wait_for_window(self) -> None:
        """If one more wrong token would lock the meter, wait until its window is over."""
        profile, state = self.meter.profile, self.meter.state
        if profile.lockout_within_s and state.lock_count == profile.lockout_after - 1:
            over = state.lock_first + profile.lockout_within_s
            self.wait(max(over - self._clock.now(), 0) * 1000)


def _attack_at_once(guesser: Guesser) -> None:
    if guesser.guess():
        guesser.wait_for_lock()


def _attack_below_limit(guesser: Guesser) -> None:
    guesser.wait_for_window()
    _attack_at_once(guesser)


def _attack_with_power_cycles(guesser: Guesser) -> None:
    guesser.guess()
    if guesser.meter.lockout.blocked(guesser._clock.now()):
        guesser.power_cycle()
        guesser.wait_for_lock()  # if the power cycle did not end the lock


def _attack_below_limit_with_power_cycles(guesser: Guesser) -> None:
    guesser.wait_for_window()
    _attack_with_power_cycles(guesser)


def tries_a_day(profile: str, entry_ms: int, cycles: bool) -> int:
    """Return the most tries per day of all attacks known here, with or without power cycles."""
    most = 0
    for attack in (
        (_attack_with_power_cycles, _attack_below_limit_with_power_cycles)
        if cycles
        else (_attack_at_once, _attack_below_limit)
    ):
        guesser = Guesser(profile, entry_ms)
        if not guesser.steps:
            # Without a lock-out only the speed of the input limits: measure 50, calculate a day.
            for _ in range(50):
                assert not guesser.guess()
            return guesser.tries * DAY_MS // guesser.passed_ms
        days = 0.01 if cycles and guesser.meter.profile.lockout_cleared_by_power_cycle else 2
        while guesser.passed_ms < days * DAY_MS:
            attack(guesser)
        most = max(most, guesser.tries * DAY_MS // guesser.passed_ms)
    return most


COLUMNS = (
    ("wire", WIRE_MS, False),
    ("wire, power cycles", WIRE_MS, True),
    ("keypad", KEYPAD_MS, False),
    ("keypad, power cycles", KEYPAD_MS, True),
)


def measure(profile: str) -> dict[str, int]:
    """Return tries per day for a profile: column -> number."""
    return {name: tries_a_day(profile, entry_ms, cycles) for name, entry_ms, cycles in COLUMNS}


def _years(tries: int) -> str:
    days = TRIES_FOR_A_HIT / tries
    if days < 1:
        return f"{days * 24:.1f} h"
    return f"{days:.0f} days" if days < 365 else f"{days / 365:.0f} years"


def table(found: dict[str, dict[str, int]]) -> str:
    """Return a Markdown table: tries per day and the average time to a hit, by profile."""
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
