"""A reference model of the meter, by IEC 62055-41; it computes each second separately.

It shares no code with the firmware. It uses the ciphers of the point of sale, which are checked
against published vectors. Times are seconds since the start (`passed_s`); the clock of the meter
is `passed_s + offset_s`.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

from jeton_host.vending import ciphers

WS_PER_WH = 3600
TIDS = 50
# key type -> types that it may be changed to, on a meter without magnetic cards (6.5.2.3)
CHILDREN = {0: {0, 1, 2}, 1: {1, 2}, 2: {2, 1}}
SECTION_OF = {3: 1, 4: 2, 8: 3, 9: 4}
TESTS = set(range(1, 19)) - {12}


@dataclass(frozen=True)
class Rules:
    """The settings of a profile: what the standard leaves to the maker or the utility."""

    kct: int
    ordered: bool
    window_s: int | None
    keep_sections: bool
    wrong_after: int | None
    wrong_within_s: int | None
    lock_steps_s: tuple[int, ...]
    power_cycle_unlocks: bool
    min_wh: int
    max_wh: int
    trip_delay_s: int
    reconnect_s: int | None
    trips: int | None
    lock_s: int
    tamper_opens: bool
    tamper_refuses_tokens: bool


@dataclass
class Plain:
    """A decrypted token: class, subclass and body."""

    cls: int
    sub: int
    body: int  # 44 bits

    def bits(self, high: int, low: int) -> int:
        return self.body >> low & ((1 << high - low + 1) - 1)

    @property
    def tid(self) -> int | None:
        if self.cls == 0 and self.sub <= 7:
            return self.bits(39, 16)
        if self.cls == 2 and self.sub in (0, 1, 2, 5, 6, 7, 10):
            return self.bits(39, 16)
        return None


def crc16(data: bytes) -> int:
    """Return the CRC-16 with polynomial 0xA001, its two bytes swapped (6.3.7)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return (value & 0xFF) << 8 | value >> 8


def read(digits: str, ea: int, key: bytes) -> Plain | None:
    """Return the token in 20 digits, or None if its checksum is wrong."""
    number = int(digits)
    cls = number >> 27 & 3
    top = number >> 64
    block = number & ((1 << 64) - 1) & ~(3 << 27) | top << 27
    if cls in (0, 2):
        block = int.from_bytes(ciphers.decrypt(ea, key, block.to_bytes(8, "big")), "big")
    sub, body, crc = block >> 60, block >> 16 & (1 << 44) - 1, block & 0xFFFF
    checked = (cls << 48 | sub << 44 | body).to_bytes(7, "big")
    if cls == 0 and 4 <= sub <= 7:
        checked += b"\x01"
    return Plain(cls, sub, body) if crc16(checked) == crc else None


def units(code: int) -> int:
    """Return the units that an amount field of 16 bits means (6.3.4)."""
    value = (code & 0x3FFF) * 10 ** (code >> 14)
    for n in range(1, (code >> 14) + 1):
        value += 2**14 * 10 ** (n - 1)
    return value


@dataclass
class Reference:
    """The modelled meter."""

    rules: Rules
    ea: int
    key: bytes
    kt: int
    krn: int
    ti: int
    ken: int
    sgc: int
    offset_s: int
    bought_wh: int = 0  # credit at the start + tokens + energy not charged - cleared credit
    tids: list[int] = field(default_factory=list)
    passed_s: int = 0
    used_ws: int = 0
    load_w: int = 0
    holds: set[str] = field(default_factory=set)
    limit_w: int = 0
    unbalance_w: int = 0
    tariff: int = 0
    tamper: bool = False
    over_since: int | None = None
    trips: int = 0
    reconnect_at: int | None = None
    reconnected: int | None = None
    wrong: int = 0
    first_wrong: int = 0
    locked_until: int | None = None
    sections: dict[int, Plain] = field(default_factory=dict)
    sections_from: int = 0
    result: str = "None"
    former: list[bytes] = field(default_factory=list)  # the last three keys before this one

    @property
    def credit_wh(self) -> int:
        return self.bought_wh - self.used_ws // WS_PER_WH

    @property
    def closed(self) -> bool:
        return not self.holds

    def copy(self) -> "Reference":
        return copy.deepcopy(self)

    # Time

    def run(self, seconds: int) -> None:
        """Advance the time, one second after the other."""
        for _ in range(seconds):
            self._second()

    def _second(self) -> None:
        if self.closed and self.load_w:
            left_ws = self.credit_wh * WS_PER_WH - self.used_ws % WS_PER_WH
            self.used_ws += min(self.load_w, left_ws)
        self.passed_s += 1
        self.follow_credit()
        self._watch_limit()
        if self.reconnect_at is not None and self.passed_s >= self.reconnect_at:
            self._reconnect_is_due()
            self.settle()
        window_s = self.rules.window_s
        if window_s is not None and self.passed_s > self.sections_from + window_s:
            self.sections = {}
        self._end_locks()

    def settle(self) -> None:
        """Update switch and power limit after a change."""
        self.follow_credit()
        self._watch_limit()

    def follow_credit(self) -> None:
        if self.credit_wh <= 0:
            self.holds.add("credit")
        else:
            self.holds.discard("credit")

    def _watch_limit(self) -> None:
        if not (self.closed and 0 < self.limit_w < self.load_w):
            self.over_since = None
            return
        if self.over_since is None:
            self.over_since = self.passed_s
        if self.passed_s - self.over_since >= self.rules.trip_delay_s:
            self.over_since = None
            self._trip()

    def _trip(self) -> None:
        rules = self.rules
        if self.reconnected is None or self.passed_s - self.reconnected > rules.lock_s:
            self.trips = 0
        self.trips += 1
        if rules.trips is not None and self.trips >= rules.trips:
            self.holds.add("locked")
            self.reconnect_at = self.passed_s + rules.lock_s
        else:
            self.holds.add("power")
            if rules.reconnect_s is not None:
                self.reconnect_at = self.passed_s + rules.reconnect_s

    def _reconnect_is_due(self) -> None:
        self.reconnect_at = None
        if "locked" in self.holds:
            self.trips = 0
            if self.rules.reconnect_s is None:
                self.holds.discard("locked")
                self.holds.add("power")
                return
        self.reconnected = self.passed_s
        self.holds -= {"locked", "power"}

    def reconnect(self) -> bool:
        """Press the key that closes the switch after a trip."""
        if self.rules.reconnect_s is not None or "power" not in self.holds:
            return False
        self.reconnected = self.passed_s
        self.holds.discard("power")
        self.settle()
        return True

    def _end_locks(self) -> None:
        if self.locked_until is not None and self.passed_s >= self.locked_until:
            self.locked_until = None
        within_s = self.rules.wrong_within_s
        if self.wrong and within_s is not None and self.passed_s >= self.first_wrong + within_s:
            self.wrong = 0

    def set_clock(self, clock: int) -> None:
        self.offset_s = clock - self.passed_s

    @property
    def clock(self) -> int:
        return self.passed_s + self.offset_s

    def power_up(self) -> None:
        if self.rules.power_cycle_unlocks:
            self.wrong, self.locked_until = 0, None
        if not self.rules.keep_sections:
            self.sections = {}
        self.over_since = None  # the delay starts again
        self.settle()

    def connect(self, load_w: int) -> None:
        self.load_w = load_w
        self.settle()

    def consume(self, energy_wh: int) -> bool:
        if not self.closed:
            return False
        charged_wh = min(energy_wh, self.credit_wh - self.rules.min_wh)
        self.used_ws += energy_wh * WS_PER_WH
        self.bought_wh += energy_wh - charged_wh  # the register stays at its lowest value
        self.settle()
        return True

    def raise_tamper(self) -> None:
        if not self.tamper:
            self.tamper = True
            if self.rules.tamper_opens:
                self.holds.add("tamper")
            self.settle()

    # Tokens

    def counted(self, digits: str) -> bool:
        """Return whether a token is counted as wrong before it is decrypted."""
        guarded = self.rules.wrong_after is not None and self.locked_until is None
        if len(digits) != 20 or int(digits) >= 1 << 66:
            return False
        return guarded and int(digits) >> 27 & 3 != 1

    def of_former_key(self, digits: str) -> bool:
        """Return whether a token was made for an earlier key: then it is no guess."""
        return any(read(digits, self.ea, key) is not None for key in self.former)

    def locked_out(self, digits: str) -> bool:
        """Return whether a token is refused without decryption."""
        if len(digits) != 20 or int(digits) >= 1 << 66:
            return False
        return int(digits) >> 27 & 3 != 1 and self.locked_until is not None

    def count_wrong(self) -> None:
        assert self.rules.wrong_after is not None
        self.result = "CRCError"
        if not self.wrong:
            self.first_wrong = self.passed_s
        self.wrong = min(self.wrong + 1, 255)
        over = self.wrong - self.rules.wrong_after
        if over >= 0:
            steps = self.rules.lock_steps_s
            self.locked_until = self.passed_s + steps[min(over, len(steps) - 1)]

    def enter(self, digits: str) -> str:
        """Enter a token of 20 digits; return its result."""
        self.result = self._enter(digits)
        self.settle()
        return self.result

    def _enter(self, digits: str) -> str:
        if len(digits) != 20 or int(digits) >= 1 << 66:
            return "FormatError"
        if self.locked_out(digits):
            return "LockOut"
        token = read(digits, self.ea, self.key)
        if token is None:
            if self.counted(digits) and not self.of_former_key(digits):
                self.count_wrong()
            return "CRCError"
        result = self._carry_out(token)
        if result == "Accept" and token.tid is not None:
            self.wrong, self.locked_until = 0, None
        return result

    def _carry_out(self, token: Plain) -> str:
        if token.cls == 1:
            return self._test(token)
        if token.cls == 3:
            return "FunctionError"
        tamper_refuses = token.cls == 0 or token.sub not in (1, 5)
        if tamper_refuses and self.tamper and self.rules.tamper_refuses_tokens:
            return "NotReady"
        if token.cls == 0 and self.kt == 1:
            return "DDTKError"
        tid = token.tid
        if tid is not None:
            if self.ken != 255 and tid >> 16 > self.ken:
                return "KeyExpiredError"
            if tid in self.tids:
                return "UsedError"
            if tid < min(self.tids):
                return "OldError"
        result = self._transfer(token) if token.cls == 0 else self._manage(token)
        if result == "Accept" and tid is not None:
            self.tids.remove(min(self.tids))
            self.tids.append(tid)
        return result

    def _test(self, token: Plain) -> str:
        if token.sub > 1:
            forms = {2: 16} | dict.fromkeys(range(6, 11), 16) | dict.fromkeys(range(11, 16), 8)
            bits = forms.get(token.sub)
        else:
            bits = 16 if token.sub else 8
        if bits and token.body & (1 << bits) - 1:
            return "MfrCodeError"
        if token.sub > 1 or bits is None:
            return "FunctionError"
        control = token.body >> bits
        if control == (1 << 44 - bits) - 1:
            return "Accept"
        numbers = {n + 1 for n in range(36) if control >> n & 1}
        if numbers - TESTS:
            return "FunctionError"
        return "Accept" if numbers else "RangeError"

    def _transfer(self, token: Plain) -> str:
        if token.sub:
            return "FunctionError"
        amount_wh = units(token.bits(15, 0)) * 100
        if self.credit_wh + amount_wh > self.rules.max_wh:
            return "OverflowError"
        self.bought_wh += amount_wh
        return "Accept"

    def _manage(self, token: Plain) -> str:
        value = token.bits(15, 0)
        if token.sub in SECTION_OF:
            return self._section(SECTION_OF[token.sub], token)
        if token.sub == 0:
            self.limit_w = units(value)
        elif token.sub == 1:
            if value not in (0, 0xFFFF):
                return "FunctionError" if value <= 7 else "RangeError"
            self.bought_wh -= self.credit_wh
        elif token.sub == 2:
            self.tariff = value
        elif token.sub == 5:
            if value:
                return "FormatError"
            self.tamper = False
            self.holds.discard("tamper")
        elif token.sub == 6:
            self.unbalance_w = units(value)
        else:
            return "FunctionError"
        return "Accept"

    def _section(self, number: int, token: Plain) -> str:
        most = 4 if self.ea == 11 else self.rules.kct
        if number > most:
            return "FunctionError"
        if number == 1 and not 1 <= token.bits(39, 36) <= 9:
            return "RangeError"
        if number == 2 and token.bits(39, 32) > 99:
            return "RangeError"
        if number == 3 and self.ea == 7:
            if token.bits(19, 0):
                return "FormatError"
            if token.bits(43, 20) > 999999:
                return "RangeError"
        if self.rules.ordered:
            missing = self._missing()
            if missing and number > missing[0]:
                return "NotReady"
        if not self.sections or number in self.sections:
            self.sections_from = self.passed_s
        self.sections[number] = token
        if self._missing():
            return ("1stKCT", "2ndKCT", "3rdKCT", "4thKCT")[number - 1]
        found = dict(self.sections)
        self.sections = {}
        return self._change_key(found)

    def _missing(self) -> list[int]:
        sections = self.sections
        if self.ea == 11:
            needed = [1, 2, 3, 4]
        elif self.rules.kct == 2:
            needed = [1, 2]
        elif 1 in sections:
            needed = [1, 2, 3] if sections[1].bits(34, 34) else [1, 2]
        else:
            needed = [1, 2, 3] if 3 in sections else [1, 2]
        return [n for n in needed if n not in sections]

    def _change_key(self, found: dict[int, Plain]) -> str:
        first, second = found[1], found[2]
        kt = first.bits(33, 32)
        if kt not in CHILDREN[self.kt]:
            return "KeyTypeError"
        high, low = first.bits(31, 0), second.bits(31, 0)
        if self.ea == 11:
            third, fourth = found[3], found[4]
            sgc: int | None = fourth.bits(43, 32) << 12 | third.bits(43, 32)
            key = high << 96 | third.bits(31, 0) << 64 | fourth.bits(31, 0) << 32 | low
        else:
            key = high << 32 | low
            if self.rules.kct == 2:
                sgc = 0
            else:
                sgc = found[3].bits(43, 20) if first.bits(34, 34) else None
        if sgc is not None and sgc > 999999:
            return "RangeError"
        new = key.to_bytes(16 if self.ea == 11 else 8, "big")
        if new != self.key:
            self.former = [self.key, *self.former[:2]]
            self.key = new
        self.kt, self.krn = kt, first.bits(39, 36)
        self.ti = second.bits(39, 32)
        self.ken = first.bits(43, 40) << 4 | second.bits(43, 40)
        if sgc is not None:
            self.sgc = sgc
        if first.bits(35, 35):
            self.tids = [0] * TIDS
        return "Accept"

    # State to compare

    def shown(self) -> dict[str, Any]:
        """Return the state that the real meter must report too."""
        locked = self.locked_until
        return {
            "clock": self.clock,
            "ea": self.ea,
            "krn": self.krn,
            "kt": self.kt,
            "ti": self.ti,
            "sgc": self.sgc,
            "ken": self.ken,
            "credit_wh": self.credit_wh,
            "total_wh": self.used_ws // WS_PER_WH,
            "rest_ws": self.used_ws % WS_PER_WH,
            "load_w": self.load_w,
            "closed": self.closed,
            "reconnect_at": 0 if self.reconnect_at is None else self.reconnect_at + self.offset_s,
            "limit_w": self.limit_w,
            "unbalance_w": self.unbalance_w,
            "tariff": self.tariff,
            "tamper": self.tamper,
            "result": self.result,
            "pending": sorted(self.sections),
            "wrong": self.wrong,
            "lock_until": 0 if locked is None else locked + self.offset_s,
            "tids": sorted(self.tids),
        }
