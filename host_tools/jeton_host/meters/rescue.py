"""Reads the records of a damaged flash without starting the meter, and sets the meter up again.

Neither the decoder key nor the hash of the unlock code is ever shown. The values of a damaged
record are shown as such; credit is taken from an intact record only.
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

from jeton import credit, reading, supply
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
from jeton_host.firmware.build import COPY_PLACES, RECORD_PLACES
from jeton_host.meters import named as meters
from jeton_host.vending import tid
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import MeterKey
from jeton_host.virtual.board import VirtualBoard

# The files that count: a record, and its copy, each in one of the places of a record.
_OWN = RECORD_PLACES + COPY_PLACES
_HEAD = "<4sHI"  # header since version 1: magic, version, CRC-32 of everything after it
_BODY = struct.calcsize(_HEAD)
_LEAST = {  # bytes of a record of each version with these fields, without load steps
    version: size + sum(ring for _, ring in states.RINGS)
    for version, size in ((3, states.SIZE_3), (states.VERSION, states.SIZE))
}
_STEP_SIZE = 8  # bytes of a step of the load profile, at the end of a record
_STEPS = 256
_FEW_BLOCKS = 2  # free blocks that littlefs needs to write a record

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
    """One record that was found.

    `state` is its content, None if it cannot be read. `intact` is true if firmware of this version
    accepts it. `wrong` is the reason if it does not. `tick` is "counted" or "not counted" if a
    tick file exists. `epoch` counts writes: the higher one is the later record. `newer` is true if
    its version is newer than this Jeton.
    """

    name: str
    state: Any
    intact: bool
    wrong: str = ""
    tick: str = ""
    epoch: int = 0
    newer: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the values for --json; never a key."""
        return {
            "name": self.name,
            "intact": self.intact,
            "wrong": self.wrong or None,
            "tick": self.tick or None,
            "values": values(self.state) if self.state else None,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """The records on a flash; `wrong` is what is wrong with its file system, or empty."""

    flash: Path
    wrong: str
    copies: tuple[Copy, ...]

    @property
    def best(self) -> Copy | None:
        """Return the later intact one of the meter's record and copy, else any readable one."""
        readable = [copy for copy in self.copies if copy.state]
        own = [copy for copy in readable if copy.intact and copy.name in _OWN]
        if own:
            return max(own, key=lambda copy: copy.epoch)
        return readable[0] if readable else None

    @property
    def intact(self) -> Any:
        """Return the State from which the meter can continue, None if there is none.

        As in the meter itself, only its record or the copy counts. A record that was set aside, or
        was found outside the file system, may be older than tokens used since. The same is true if
        a record of newer firmware exists.
        """
        best = self.best
        if best is None or not best.intact or best.name not in _OWN:
            return None
        return None if any(copy.newer for copy in self.copies) else best.state

    def as_dict(self) -> dict[str, Any]:
        """Return the values for --json; never a key."""
        return {
            "flash": str(self.flash),
            "file_system": self.wrong or None,
            "copies": [copy.as_dict() for copy in self.copies],
            "credit_wh": self.intact.credit_wh if self.intact else None,
        }


def values(state: Any) -> dict[str, Any]:
    """Return the values of a record; never a key."""
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
    """Return whether a record with a wrong checksum still has plausible meter data."""
    drn = state.drn.rstrip(b"\0").decode("latin-1")
    return is_digits(drn) and len(drn) in (11, 13) and luhn_ok(drn) and state.ea in (7, 11)


def _epoch(data: bytes) -> int:
    """Return how often the record was written, 0 for version 1, which has no counter."""
    _, version, _, epoch = struct.unpack_from(states.HEAD, data)
    return int(epoch) if version in _LEAST else 0


def _with_header(body: bytes, version: int) -> bytes:
    """Return a valid record with this body, padded with zeros if too short.

    An unknown version is taken for the present one.
    """
    if version not in _LEAST:
        version = states.VERSION
    body = body.ljust(_LEAST[version] - _BODY, b"\0")
    return struct.pack(_HEAD, states.MAGIC, version, crc32(body)) + body


def _read_copy(name: str, data: bytes | None, tick: bytes | None = None) -> Copy:
    """Return the content of a record file; `data` is None if it cannot be read."""
    if data is None:
        return Copy(name, None, False, "the file cannot be read")
    try:
        plain = reading.unpack(data)
    except ValueError as error:
        wrong = str(error)
    else:
        epoch = _epoch(data)
        if tick is None:
            return Copy(name, plain, True, epoch=epoch)
        state = reading.unpack(data, tick)
        used = any(getattr(state, n) != getattr(plain, n) for n in states.FIELDS)
        return Copy(name, state, True, "", "counted" if used else "not counted", epoch)
    if data[:4] != states.MAGIC or len(data) < _BODY:
        return Copy(name, None, False, wrong)
    _, version, crc = struct.unpack_from(_HEAD, data)
    newer = version > states.VERSION
    if newer:
        condition = "intact" if crc == crc32(data[_BODY:]) else "damaged"
        wrong = f"it has version {version}, newer than this Jeton supports, and is {condition}"
    state = reading.unpack(_with_header(data[_BODY:], version))
    return Copy(name, state if _plausible(state) else None, False, wrong, newer=newer)


def _remains(image: bytes) -> Iterator[Copy]:
    """Yield the intact records anywhere in a flash, also outside the file system, latest first."""
    found: dict[bytes, int] = {}
    at = image.find(states.MAGIC)
    while at >= 0:
        _, version, crc = struct.unpack_from(_HEAD, image[at : at + _BODY].ljust(_BODY, b"\0"))
        end = at + _LEAST.get(version, len(image))
        reached = crc32(image[at + _BODY : end])
        for _ in range(_STEPS + 1):
            if version not in _LEAST or end > len(image):
                break
            if reached == crc:
                found[image[at:end]] = _epoch(image[at:end])
                break
            reached = crc32(image[end : end + _STEP_SIZE], reached)
            end += _STEP_SIZE
        at = image.find(states.MAGIC, at + 1)
    for number, data in enumerate(sorted(found, key=lambda d: found[d], reverse=True), 1):
        wrong = "it is outside the file system and may be older than the last changes"
        yield Copy(f"remains {number}", reading.unpack(data), False, wrong)


def look(flash: Path) -> Found:
    """Read a flash without writing to it; BoardError if it contains no record."""
    try:
        image = flash.read_bytes()
    except OSError as error:
        raise BoardError(f"{flash} cannot be read: {error.strerror}") from None
    if not image:
        raise BoardError(f"{flash} is empty")
    answer = firmware_build.read_files(interpreter.find(), flash, "meter")
    copies: list[Copy] = []
    wrong = "it cannot be mounted"
    if answer is not None:
        free, files = answer
        wrong = "" if free > _FEW_BLOCKS else "it is full"
        for end in ("", ".bad"):
            ticks = [files.get(f"{place}.tick{end}") for place in RECORD_PLACES]
            tick = next((data for data in ticks if data is not None), None)
            for name in _OWN:
                if (record := f"{name}{end}") in files:
                    copies.append(_read_copy(record, files[record], tick))
        if not copies:
            wrong = wrong or "it contains no meter record"
    if not any(copy.intact for copy in copies):
        copies += _remains(image)
    if not copies:
        raise BoardError(f"{flash} contains no meter; its file system: {wrong}")
    return Found(flash, wrong, tuple(copies))


def pos_name(found: Found, pos: PointOfSale, name: str | None = None) -> str:
    """Return the meter's name at the point of sale; BoardError if there is no such meter."""
    best = found.best
    drn = best.state.drn.rstrip(b"\0").decode("ascii", "replace") if best else None
    known = {record.name: record.drn for record in pos.meters()}
    if name is None:
        for other, its_drn in known.items():
            if its_drn == drn:
                return other
        raise BoardError(f"the point of sale has no meter {drn or 'of this flash'}")
    if name not in known:
        raise BoardError(f"the point of sale has no meter {name}, so its key is not known")
    if drn is not None and drn != known[name]:
        raise BoardError(
            f"the flash belongs to meter {drn}, but at the point of sale {name} is {known[name]}"
        )
    return name


def key_of(found: Found, pos: PointOfSale, name: str) -> MeterKey | None:
    """Return the key of an intact record from the point of sale's list, None if it is not there.

    It may be an earlier key, if a vended key change has not been entered yet. The record's key
    must be equal; of several equal keys, the one whose attributes match the record is returned.
    """
    state = found.intact
    meter = pos.meter(name)
    if state is None or (state.ea, state.sample_tables) != (meter.ea, meter.tables == "sample"):
        return None
    fits = []
    for key in pos.keys_of(name):
        with contextlib.suppress(VendingError):  # the vending keys at hand cannot generate it
            value = pos.decoder_key(meter, key)
            if hmac.compare_digest(value, state.decoder_key[: len(value)]):
                fits.append(key)
    # A base date of 0 was set by a key change, whose tokens do not contain the base date.
    return max(
        fits,
        key=lambda key: (
            all(getattr(key, part) == getattr(state, part) for part in _ATTRIBUTES),
            state.bdt in (0, int(key.bdt)),
        ),
        default=None,
    )


def config_for(found: Found, pos: PointOfSale, name: str) -> dict[str, Any]:
    """Return a configuration to set the meter up again, with its key from the point of sale.

    Credit (less debts) and used tokens are taken from an intact record; without one the credit is
    0. Without an intact record, or if the point of sale does not know the record's key, the used
    tokens are unknown, so every token issued until now will be refused.
    """
    state = found.intact
    key = key_of(found, pos, name)
    config = pos.config_for(name, key=key)
    best = found.best
    if best is not None and best.intact:
        config["display"] = [best.state.rows, best.state.cols, best.state.graphic]
    if state is not None:
        config["credit_wh"] = max(0, _net_credit_wh(state))
        config["clock"] = state.clock
        config["profile"] = text(state.profile)
        config |= {
            "zone_min": credit.standard_s(state.zone) // 60,
            "dst": list(state.zone[1:]),
        }
    if key is None:
        config["tid0"] = _latest_tid(pos, name, state)
    else:
        config["tids"] = state.tids.hex()
    return config


def _net_credit_wh(state: Any) -> int:
    """Return the credit less the debts, in Wh; negative if the debts are larger."""
    return int(state.credit_wh - state.emergency_debt_wh - state.advance_debt_wh)


def _latest_tid(pos: PointOfSale, name: str, state: Any) -> int:
    """Return the latest TID of any token that may have been used with the current key."""
    meter = pos.meter(name)
    key = pos.decoder_key(meter)
    found = [_tid_now(meter.key.bdt)]
    for one in pos.issued(name):
        same = one.key.bdt == meter.key.bdt
        with contextlib.suppress(VendingError):
            # The same key may be valid again with another base date, and so are its tokens.
            same = same or pos.decoder_key(meter, one.key) == key
        if same and one.tid is not None:
            found.append(one.tid)
    if state is not None and state.bdt in (0, int(meter.key.bdt)):
        found.append(TidStore(state.tids).newest)
    return max(found)


def _tid_now(bdt: str) -> int:
    try:
        return tid.tid_of(clock.now(), bdt)
    except VendingError:
        return MAX_TID  # TIDs of this base date have ended


def key_attributes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of the key in a configuration; never the key itself."""
    return {name: config[name] for name in ("kt", "sgc", "ti", "krn", "ken", "bdt")}


def key_pending(found: Found, pos: PointOfSale, name: str) -> bool:
    """Return whether the point of sale has vended a later key than the one in the record."""
    key = key_of(found, pos, name)
    return key is not None and key != pos.meter(name).key


def not_carried(found: Found, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the record that a meter set up with `config` loses.

    In Wh, W and seconds; values that are 0 or empty are left out. If the record is not intact,
    they may be wrong.
    """
    gone: dict[str, Any] = {}
    if "tids" not in config:
        gone["tokens_until_tid"] = config["tid0"]
    if found.best is None:
        return gone
    state = found.best.state
    lost_wh = _net_credit_wh(state) - config["credit_wh"]
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
    """Lock a flash image during a `with` block, so that no board can start with it.

    BoardError if a board runs with it.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BoardError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        if not locks.take(file):
            raise BoardError(f"{what} runs: stop that first")
        yield


def provision(found: Found, config: Mapping[str, Any]) -> Path:
    """Replace a flash by a new one with a meter of `config`; return the path of the old one."""
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
        raise BoardError(f"{flash} cannot be set up again: {error.strerror}") from None
    return kept


def save(found: Found, file: Path) -> None:
    """Write the found records to a file as JSON."""
    try:
        text = json.dumps(found.as_dict(), ensure_ascii=False, indent=1) + "\n"
        interpreter.write_atomically(file, text.encode())
    except OSError as error:
        raise BoardError(f"{file} cannot be written: {error.strerror}") from None


def flash_of(where: str) -> tuple[Path, meters.NamedMeter | None]:
    """Return the flash image of a named meter or a path, and the named meter or None."""
    if meters.exists(where) or (meters.is_name(where) and not Path(where).exists()):
        meter = meters.find(where)
        return meter.flash, meter
    return Path(where), None
