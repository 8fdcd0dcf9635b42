"""Reads what is readable of a meter's flash without starting it, and sets the meter up anew.

No key is ever read out: neither the decoder key nor what hides the unlock code. What a damaged
record says is shown as what it is; credit is taken from an intact one only.
"""

import contextlib
import hmac
import json
import os
import struct
import tempfile
from binascii import crc32
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jeton import reading, supply
from jeton import state as states
from jeton.sts.digits import is_digits, luhn_ok
from jeton.sts.tids import MAX_TID, TidStore
from jeton.values import text
from jeton_host import clock, locks
from jeton_host.client.answers import moment
from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError, VendingError
from jeton_host.firmware import build as firmware_build
from jeton_host.firmware import interpreter
from jeton_host.meters import named as meters
from jeton_host.vending import tid
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import MeterKey
from jeton_host.virtual.board import VirtualBoard

RECORD = "meter.bin"
COPY = f"{RECORD}.d/copy"
_HEAD = "<4sHI"  # of every record since version 1: magic, version, CRC-32 of all that follows
_BODY = struct.calcsize(_HEAD)
_LEAST = states.SIZE + sum(size for _, size in states.RINGS)
_STEP_OCTETS = 8  # of the steps of a load, at the end of a record
_STEPS = 256
_FEW_BLOCKS = 2  # free ones that littlefs needs to write a record anew

_ATTRIBUTES = ("kt", "krn", "ti", "ken")
_TEXTS = ("drn", "profile", "language")
_NUMBERS = (
    "ea", "sample_tables", "kt", "krn", "ti", "ken", "sgc", "bdt", "kct", "mfr_code",
    "credit_wh", "initial_wh", "tokens_wh", "advances_wh", "emergency_wh", "charged_wh",
    "recovered_wh", "cleared_wh", "emergency_debt_wh", "advance_debt_wh", "total_wh", "load_w",
    "max_power_limit_w", "phase_unbalance_limit_w", "tariff_rate", "tamper", "switch_closed",
    "bought", "power_fails", "event_seq",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Copy:
    """One record that was found; `state` is None where nothing of it can be read.

    `intact` is one that firmware of this version takes as it is, `epoch` tells which of two is the
    later, `newer` that its version is not known here. `wrong` says what is the matter.
    """

    name: str
    state: Any
    intact: bool
    wrong: str = ""
    tick: str = ""
    epoch: int = 0
    newer: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it for --json; never a key."""
        return {
            "name": self.name,
            "intact": self.intact,
            "wrong": self.wrong or None,
            "tick": self.tick or None,
            "values": values(self.state) if self.state else None,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """What a flash holds; `wrong` is what is the matter with its file system."""

    flash: Path
    wrong: str
    copies: tuple[Copy, ...]

    @property
    def best(self) -> Copy | None:
        """Return the record to go by: the meter's own, else what is left of others."""
        readable = [copy for copy in self.copies if copy.state]
        own = [copy for copy in readable if copy.intact and copy.name in (RECORD, COPY)]
        if own:
            return max(own, key=lambda copy: copy.epoch)
        return readable[0] if readable else None

    @property
    def intact(self) -> Any:
        """Return the State that may be gone on with, None where there is none.

        Only the meter's own record or its copy, as the meter itself does: one that was set aside,
        found among what the file system has given up, or left by older firmware, may be older than
        tokens used since.
        """
        best = self.best
        if best is None or not best.intact or best.name not in (RECORD, COPY):
            return None
        return None if any(copy.newer for copy in self.copies) else best.state

    def as_dict(self) -> dict[str, Any]:
        """Return it for --json; never a key."""
        return {
            "flash": str(self.flash),
            "file_system": self.wrong or None,
            "copies": [copy.as_dict() for copy in self.copies],
            "credit_wh": self.intact.credit_wh if self.intact else None,
        }


def values(state: Any) -> dict[str, Any]:
    """Return what a record says of its meter; never a key."""
    found: dict[str, Any] = {
        name: getattr(state, name).rstrip(b"\0").decode("ascii", "backslashreplace")
        for name in _TEXTS
    }
    found |= {name: getattr(state, name) for name in _NUMBERS}
    store = TidStore(state.tids)
    return found | {
        "sgc": f"{state.sgc:06d}",
        "bdt": f"{state.bdt:02d}" if state.bdt else None,
        "display": [state.rows, state.cols, state.graphic],
        "clock": moment(state.clock).isoformat(),
        "tid_newest": store.newest,
        "tid_oldest": store.oldest,
        "locked": any(state.lock),
    }


def _plausible(state: Any) -> bool:
    """Return whether a record without a right checksum still reads like a meter's."""
    drn = state.drn.rstrip(b"\0").decode("latin-1")
    return is_digits(drn) and len(drn) in (11, 13) and luhn_ok(drn) and state.ea in (7, 11)


def _epoch(octets: bytes) -> int:
    """Return how often the record was written, 0 for one of a version that did not count."""
    _, version, _, epoch = struct.unpack_from(states.HEAD, octets)
    return int(epoch) if version == states.VERSION else 0


def _sealed(body: bytes) -> bytes:
    """Return a record of this version with these octets after its head, as many as it needs."""
    body = body.ljust(_LEAST - _BODY, b"\0")
    return struct.pack(_HEAD, states.MAGIC, states.VERSION, crc32(body)) + body


def _read_copy(name: str, octets: bytes | None, tick: bytes | None = None) -> Copy:
    """Return what is in the octets of a record."""
    if octets is None:
        return Copy(name, None, False, "the file cannot be read")
    try:
        plain = reading.unpack(octets)
    except ValueError as error:
        wrong = str(error)
    else:
        epoch = _epoch(octets)
        if tick is None:
            return Copy(name, plain, True, epoch=epoch)
        state = reading.unpack(octets, tick)
        used = any(getattr(state, n) != getattr(plain, n) for n in states.FIELDS)
        return Copy(name, state, True, "", "counted" if used else "not counted", epoch)
    if octets[:4] != states.MAGIC or len(octets) < _BODY:
        return Copy(name, None, False, wrong)
    _, version, crc = struct.unpack_from(_HEAD, octets)
    newer = version > states.VERSION
    if newer:
        whole = "whole" if crc == crc32(octets[_BODY:]) else "damaged"
        wrong = f"it is of version {version}, which this Jeton does not know, and {whole}"
    state = reading.unpack(_sealed(octets[_BODY:]))
    return Copy(name, state if _plausible(state) else None, False, wrong, newer=newer)


def _remains(image: bytes) -> Iterator[Copy]:
    """Yield the intact records that lie anywhere in a flash, the latest first."""
    found: dict[bytes, int] = {}
    at = image.find(states.MAGIC)
    while at >= 0:
        _, version, crc = struct.unpack_from(_HEAD, image[at : at + _BODY].ljust(_BODY, b"\0"))
        end = at + _LEAST
        reached = crc32(image[at + _BODY : end])
        for _ in range(_STEPS + 1):
            if version != states.VERSION or end > len(image):
                break
            if reached == crc:
                found[image[at:end]] = _epoch(image[at:end])
                break
            reached = crc32(image[end : end + _STEP_OCTETS], reached)
            end += _STEP_OCTETS
        at = image.find(states.MAGIC, at + 1)
    for number, octets in enumerate(sorted(found, key=lambda o: found[o], reverse=True), 1):
        wrong = "it lay outside the file system, and may be older than what was done last"
        yield Copy(f"remains {number}", reading.unpack(octets), False, wrong)


def look(flash: Path) -> Found:
    """Read a flash; nothing is written to it. BoardError where there is nothing to read."""
    try:
        image = flash.read_bytes()
    except OSError as error:
        raise BoardError(f"{flash} cannot be read: {error.strerror}") from None
    if not image:
        raise BoardError(f"{flash} is empty")
    answer = firmware_build.read_files(interpreter.find(), flash, RECORD)
    copies: list[Copy] = []
    wrong = "it cannot be mounted"
    if answer is not None:
        free, files = answer
        wrong = "" if free > _FEW_BLOCKS else "it is full"
        for record, tick in (
            (RECORD, f"{RECORD}.tick"),
            (COPY, f"{RECORD}.tick"),
            (f"{RECORD}.bad", f"{RECORD}.tick.bad"),
            (f"{COPY}.bad", f"{RECORD}.tick.bad"),
        ):
            if record in files:
                copies.append(_read_copy(record, files[record], files.get(tick)))
        if not copies:
            wrong = wrong or "it holds no meter record"
    if not any(copy.intact for copy in copies):
        copies += _remains(image)
    if not copies:
        raise BoardError(f"{flash} holds no meter: its file system: {wrong}")
    return Found(flash, wrong, tuple(copies))


def pos_name(found: Found, pos: PointOfSale, name: str | None = None) -> str:
    """Return the meter's name at the point of sale; BoardError where that has none like it."""
    best = found.best
    drn = best.state.drn.rstrip(b"\0").decode("ascii", "replace") if best else None
    known = {record.name: record.drn for record in pos.meters()}
    if name is None:
        for other, its_drn in known.items():
            if its_drn == drn:
                return other
        raise BoardError(f"the point of sale has no meter {drn or 'of this flash'}")
    if name not in known:
        raise BoardError(f"the point of sale has no meter {name}, so nobody knows its key")
    if drn is not None and drn != known[name]:
        raise BoardError(
            f"the flash is that of meter {drn}, but at the point of sale {name} is {known[name]}"
        )
    return name


def key_of(found: Found, pos: PointOfSale, name: str) -> MeterKey | None:
    """Return the key of an intact record as the point of sale knows it, None where it does not.

    That may be an earlier one: of a key change that was vended and not entered yet. Keys are told
    apart by themselves, then by what the record says of them.
    """
    state = found.intact
    meter = pos.meter(name)
    if state is None or (state.ea, state.sample_tables) != (meter.ea, meter.tables == "sample"):
        return None
    fits = []
    for key in pos.keys_of(name):
        with contextlib.suppress(VendingError):  # the vending keys at hand do not make it
            octets = pos.decoder_key(meter, key)
            if hmac.compare_digest(octets, state.decoder_key[: len(octets)]):
                fits.append(key)
    # A base date of 0 is one that came by a key change, which does not say which.
    return max(
        fits,
        key=lambda key: (
            all(getattr(key, part) == getattr(state, part) for part in _ATTRIBUTES),
            state.bdt in (0, int(key.bdt)),
        ),
        default=None,
    )


def config_for(found: Found, pos: PointOfSale, name: str) -> dict[str, Any]:
    """Return the configuration of the meter anew: its key from the point of sale.

    Credit, less what is owed, and the tokens it has taken are those of an intact record. Without
    one there is no credit. Where the record's key is none that the point of sale knows, and
    without an intact record, every token issued until now is refused: which were used nobody
    knows.
    """
    state = found.intact
    key = key_of(found, pos, name)
    config = pos.config_for(name, key=key)
    best = found.best
    if best is not None and best.intact:
        config["display"] = [best.state.rows, best.state.cols, best.state.graphic]
    if state is not None:
        config["credit_wh"] = max(0, _worth_wh(state))
        config["clock"] = state.clock
        config["profile"] = text(state.profile)
    if key is None:
        config["tid0"] = _latest_tid(pos, name, state)
    else:
        config["tids"] = state.tids.hex()
    return config


def _worth_wh(state: Any) -> int:
    """Return the credit less what is owed; below 0 where more is owed than is left."""
    return int(state.credit_wh - state.emergency_debt_wh - state.advance_debt_wh)


def _latest_tid(pos: PointOfSale, name: str, state: Any) -> int:
    """Return the latest TID that a token under the present key may have been used with."""
    meter = pos.meter(name)
    octets = pos.decoder_key(meter)
    found = [_tid_now(meter.key.bdt)]
    for one in pos.issued(name):
        same = one.key.bdt == meter.key.bdt
        with contextlib.suppress(VendingError):
            # A key can come back under another base date, and its tokens with it.
            same = same or pos.decoder_key(meter, one.key) == octets
        if same and one.tid is not None:
            found.append(one.tid)
    if state is not None and state.bdt in (0, int(meter.key.bdt)):
        found.append(TidStore(state.tids).newest)
    return max(found)


def _tid_now(bdt: str) -> int:
    try:
        return tid.tid_of(clock.now(), bdt)
    except VendingError:
        return MAX_TID  # the base date has run out


def key_told(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies the key of a configuration; never the key itself."""
    return {name: config[name] for name in ("kt", "sgc", "ti", "krn", "ken", "bdt")}


def key_pending(found: Found, pos: PointOfSale, name: str) -> bool:
    """Return whether the point of sale has vended a later key than the record has."""
    key = key_of(found, pos, name)
    return key is not None and key != pos.meter(name).key


def not_carried(found: Found, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the record says and a meter that is set up anew by `config` does not have.

    Of a record that is not intact, that may be wrong. Wh, W and seconds; only what there was.
    """
    gone: dict[str, Any] = {}
    if "tids" not in config:
        gone["tokens_until_tid"] = config["tid0"]
    if found.best is None:
        return gone
    state = found.best.state
    lost_wh = _worth_wh(state) - config["credit_wh"]
    gone["credit_wh"], gone["debt_wh"] = max(0, lost_wh), max(0, -lost_wh)
    gone["tamper"] = bool(state.tamper)
    for name in ("max_power_limit_w", "phase_unbalance_limit_w", "tariff_rate"):
        gone[name] = getattr(state, name)
    held_by = state.hold & ~(supply.HOLD_NO_CREDIT | supply.HOLD_TAMPER | supply.HOLD_STORE)
    if held_by and state.switch_reason < len(supply.REASONS):
        gone["switch"] = supply.REASONS[state.switch_reason]
    gone["lock_out_s"] = max(0, state.lock_until - state.clock)
    gone["reports"] = max(0, state.report_seq - state.report_done)
    gone["key_change_sections"] = any(state.sections)
    gone["language"] = state.language.rstrip(b"\0").decode("ascii", "backslashreplace")
    gone["load"] = bool(state.load_w or state.load_steps)
    gone["total_wh"] = state.total_wh
    gone["locked"] = any(state.lock)
    return {name: value for name, value in gone.items() if value}


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Keep boards away from a file that they lock while they run."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise BoardError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        if not locks.take(file):
            raise BoardError(f"{what} runs: stop that first")
        yield


def provision(found: Found, config: Mapping[str, Any]) -> Path:
    """Put a flash with a new meter in the place of the old one; return where that is kept."""
    flash = found.flash
    number = 1
    while (kept := flash.with_name(f"{flash.name}.before-rescue-{number}")).exists():
        number += 1
    try:
        with tempfile.TemporaryDirectory(dir=flash.parent, prefix=".rescue-") as folder:
            fresh = Path(folder) / flash.name
            with VirtualBoard(fresh) as board, MeterClient(board.path) as meter:
                meter.provision(config)
            os.link(flash, kept)
            os.replace(fresh, flash)
    except OSError as error:
        raise BoardError(f"{flash} cannot be set up anew: {error.strerror}") from None
    return kept


def save(found: Found, file: Path) -> None:
    """Write what was found as JSON."""
    try:
        text = json.dumps(found.as_dict(), ensure_ascii=False, indent=1) + "\n"
        interpreter.write_atomically(file, text.encode())
    except OSError as error:
        raise BoardError(f"{file} cannot be written: {error.strerror}") from None


def flash_of(where: str) -> tuple[Path, meters.NamedMeter | None]:
    """Return the flash of a named meter, or of a file, and the meter if it is a named one."""
    if meters.exists(where) or (meters.is_name(where) and not Path(where).exists()):
        meter = meters.find(where)
        return meter.flash, meter
    return Path(where), None
