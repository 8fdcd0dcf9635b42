"""A copy of a meter in this process: the code of the firmware on a record in memory.

`explain` enters tokens into such copies, so that its results are those of a meter. A copy is made
from the record of a live meter (`Snapshot`), or from what is known about one: its status.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Any

from jeton import state as states
from jeton.acceptance import Outcome
from jeton.meter import Meter
from jeton.sts import keys
from jeton.sts.results import NAMES
from jeton.sts.tids import SIZE, TidStore
from jeton_host.client.answers import Snapshot
from jeton_host.errors import ProfileError
from jeton_host.firmware import profiles
from jeton_host.vending.records import MeterKey, MeterRecord

Sections = Mapping[int, Mapping[str, int]]
"""The pending sections of a key change: number -> fields."""

# Fields of the record that have the same name and value in a status.
_SAME = ("ea", "kct", "credit_wh", "emergency_debt_wh", "advance_debt_wh")
_BASE_PROFILE = "generic"


class _Memory:
    """A store that keeps nothing: a copy of a meter is used once."""

    def load(self, which: int) -> bytes | None:
        return None

    def holds(self, parts: list[Any], start: int, end: int) -> bool:
        return True

    def save(self, parts: list[Any]) -> None:
        pass

    def save_tick(self, tick: bytearray) -> None:
        pass

    def set_aside(self) -> None:
        pass


class Profiles:
    """A port for profiles that reads each one once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None], Any] = {}

    def __call__(self, name: str, language: str | None = None) -> Any:
        """Return a profile, or its messages in a language."""
        if (name, language) not in self._found:
            self._found[name, language] = profiles.port(name, language)
        return self._found[name, language]


class MeterCopy(Meter):
    """A meter of the firmware that begins with a given record, at the time `at`.

    `counts`: whether its lock-out counts wrong tokens.
    """

    def __init__(
        self,
        state: states.State,
        at: int,
        sections: Sections,
        port: Profiles,
        deadline: int | None = None,
        counts: bool = True,
    ):
        super().__init__(_Memory(), port)
        self._port = port
        self.state = state
        self.tids = TidStore(state.tids)
        self._at = at
        self._setup()
        self._counts = counts
        if not counts:
            self.profile.lockout_after = 0
        self.key_change.sections = dict(sections)
        window_s = self.profile.key_change_window_s
        since = at if deadline is None or window_s is None else deadline - window_s
        self.key_change._since = since

    def again(self) -> "MeterCopy":
        """Return a copy of this copy."""
        state = self.state.copy()
        state.tids = bytes(self.tids.data)
        for name, size in states.RINGS:
            setattr(state, name, bytearray(size))
        pending = self.key_change
        return MeterCopy(
            state, self._at, pending.sections, self._port, pending.deadline(), self._counts
        )

    def outcomes(self, digits: str) -> list[Outcome]:
        """Enter an entry of one or several tokens; return the outcome of each."""
        last = self.enter(digits, self._at)
        return [*last.earlier, last]

    def unlock(self) -> None:
        """End a lock-out."""
        self.lockout.accepted(self._at)

    @property
    def locked_s(self) -> int:
        """Return for how many more seconds the meter accepts no token."""
        return int(self.lockout.blocked(self._at))

    @property
    def key(self) -> bytes:
        """Return the decoder key."""
        return bytes(self.state.decoder_key[: keys.key_bytes(self.state.ea)])


def name_of(outcome: Outcome) -> str:
    """Return the name of a result in the standard."""
    return NAMES[outcome.result]


def from_snapshot(snapshot: Snapshot, port: Profiles) -> MeterCopy:
    """Return a copy of a live meter; ProfileError if its profile is not installed here."""
    values = struct.unpack(states.FORMAT, snapshot.fields)
    state = states.State(values)
    for name, size in states.RINGS:
        setattr(state, name, bytearray(size))
    state.load_steps = b""
    state.tids = snapshot.tids
    return MeterCopy(state, snapshot.at, snapshot.sections, port, snapshot.deadline)


def from_status(
    meter: MeterRecord,
    key: MeterKey,
    value: bytes,
    status: Mapping[str, Any],
    *,
    at: int,
    lock_until: int,
    tids: Iterable[int],
    sections: Sections,
    port: Profiles,
    wrong: int | None = 0,
) -> MeterCopy:
    """Return a meter as its status describes it; what the status lacks is that of `meter`.

    `value`: the decoder key that is assumed. `tids`: the identifiers in its store, at most 50.
    `wrong`: how many wrong tokens the lock-out has counted; None: it counts none of those entered.
    """
    state = states.State()
    state.provisioned = int(status.get("provisioned", True))
    state.drn = meter.drn.encode()
    state.profile = profile_of(meter, status).encode()
    state.sample_tables = int(meter.tables == "sample")
    state.ea, state.kct, state.mfr_code = meter.ea, meter.kct, meter.mfr_code
    for name in _SAME:
        if status.get(name) is not None:
            setattr(state, name, status[name])
    state.decoder_key = value + bytes(16 - len(value))
    state.kt, state.krn, state.ti, state.sgc = key.kt, key.krn, key.ti, int(key.sgc)
    state.ken = status.get("ken", key.ken)
    state.tamper = int(status.get("tamper", False))
    state.clock = at
    state.day = at // 86400
    state.lock_until, state.lock_count, state.lock_first = lock_until, wrong or 0, at
    stored = sorted(tids)[-SIZE:]
    stored = [stored[0]] * (SIZE - len(stored)) + stored
    state.tids = b"".join(number.to_bytes(3, "big") for number in stored)
    return MeterCopy(state, at, sections, port, counts=wrong is not None)


def profile_of(meter: MeterRecord, status: Mapping[str, Any]) -> str:
    """Return the profile of a meter; `generic` if this installation does not include it."""
    name = str(status.get("profile") or meter.profile)
    try:
        profiles.load(name)
    except ProfileError:
        return _BASE_PROFILE
    return name
