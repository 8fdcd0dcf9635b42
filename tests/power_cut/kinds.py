"""The changes during which the laboratory cuts the power, as a table. Runs in MicroPython.

An action returns whether the meter reported success: "accepted" for a token, "ok" for a verb. For
a wrong token or unlock code, success is the report that it is wrong: then the try is counted. For
the passing of time, success is that nothing remains to be saved.
"""

import json
import os
import struct
from binascii import crc32

from both_support import KEY, NEW, T0, configuration, credit, key_change, token
from jeton import locked
from jeton.sts.results import TokenResult as R

PATH = "/m/meter/record"
COPY = "/m/meter.copy/record"
BALLAST = "/m/ballast"  # the file that fills the flash
EMPTY = "empty"  # value of Kind.flash: a flash without a meter
BLOCK = 4096
WH = 10_000  # energy of each credit token here
CONFIG = configuration(credit_wh=25_000)
CREDIT = credit(5000)
MORE = {KEY: credit(9000), NEW: credit(9000, key=NEW)}
SECTIONS = key_change()
WRONG = [f"{i * 104729:020d}" for i in range(30)]
CODE = "an unlock code"

# Name in the laboratory -> (profile, switches to invert). In the first one a key change that is
# not complete and a lock-out survive power cuts.
KEPT = "generic, all kept"
PROFILES = {
    KEPT: ("generic", {"key_change": "keep_at_power_up", "lockout": "cleared_by_power_cycle"}),
    "landis_gyr": ("landis_gyr", {}),  # lock-out with a window; a power cycle does not end it
    "clou": ("clou", {}),  # lock-out by count; a power cycle ends it; no emergency credit
    "somelec": ("somelec", {}),  # supply is never cut for a debt
}
ALL = (KEPT, "landis_gyr", "clou", "somelec")
LENDING = ALL[:2]  # profiles with advances and emergency credit


class Kind:
    """A kind of change.

    `flash` prepares meter and file system before a restart, `before` prepares the meter after it.
    `action` is the change to cut (None: the start), `code` the token that it enters. The change is
    done from commit number `done` on (-1: the last): an earlier commit only counts a try.
    """

    def __init__(self, name, action, before=None, flash=None, code=None, profiles=ALL, done=-1):
        self.name = name
        self.action = action
        self.before = before
        self.flash = flash
        self.code = code
        self.profiles = profiles
        self.done = done


def managed(sub, tid, **fields):
    """Return a management token."""
    return token(2, sub, dict({"rnd": 1, "tid": tid}, **fields))


# Actions


def _enter(code, expected=R.ACCEPT):
    return lambda meter: meter.enter(code, meter.state.clock + 1).result == expected


def _do(name, *arguments):
    """Call a method with these arguments and the time."""

    def action(meter):
        getattr(meter, name)(*arguments, meter.state.clock)
        return True

    return action


def _pass(seconds, times=1):
    def action(meter):
        for _ in range(times):
            meter.process(meter.state.clock + seconds)
        return not meter.store_error

    return action


def _emergency(meter):
    return meter.emergency(meter.state.clock)[0]


def _set_clock(moved):
    def action(meter):
        meter.clock_set(meter.state.clock, meter.state.clock + moved)
        return True

    return action


def _acknowledge(meter):
    return meter.acknowledge(meter.state.report_seq, meter.state.clock + 1) == 0


def _provision(meter):
    meter.provision(CONFIG, T0)
    return True


class _Line:
    """The serial line and the console, as far as locking uses them."""

    def __init__(self, meter):
        self.clock = lambda: meter.state.clock + 5
        self.answer = ""

    def salt(self):
        return bytes(range(16))

    def restart(self, answer):
        self.answer = answer


def _lock(meter):
    line = _Line(meter)
    locked.lock(meter, CODE, line, meter.state.clock)
    return line.answer == '{"ok": null}'


def _ask(verb, code, expected):
    """Send a verb with an unlock code to a locked meter."""

    def action(meter):
        line = _Line(meter)
        guard = locked.Guard(line, meter, line.salt)
        for byte in json.dumps([verb, code]).encode():
            guard.take(byte)
        return expected in guard.take(10)

    return action


# Preparations after the restart


def _each(*steps):
    def before(meter):
        for step in steps:
            step(meter)

    return before


def _load(watts):
    return _do("set_load", watts)


def _wrong_tokens(meter):
    for code in WRONG[:20]:
        meter.enter(code, meter.state.clock)
        if meter.state.lock_count == meter.profile.lockout_after - 1:
            return


def _faults(meter):
    for i in range(4):
        meter.set_tamper(True, meter.state.clock)
        meter.enter(managed(5, 3000 + i, pad=0), meter.state.clock)


_tamper = _do("set_tamper", True)
_no_credit = _enter(managed(1, 4990, register=0))
_guess = _ask("unlock", "a wrong code", "not the unlock code")


# Preparations before the restart


def _first_release(meter):
    """Write the record that the first release would have saved for this meter."""
    s = meter.state
    body = struct.pack(
        "<B13s16sBBBB16sBBBBIBBH150sqQHIIIHBBBBII",
        *(1, s.drn, s.profile, 2, 16, 7, 0, s.decoder_key, s.kt, s.krn, s.ti, s.ken, s.sgc),
        *(s.bdt, s.kct, 0, bytes(meter.tids.data), s.credit_wh, s.total_wh, s.rest_ws),
        *(900, 0, 0, 0, 0, 1, 1, 1, s.clock, 3),
    ) + bytes(1200)
    with open(PATH, "wb") as file:
        file.write(struct.pack("<4sHI", b"JTON", 1, crc32(body)) + body)


def _damaged(meter):
    for path in (PATH, COPY):
        with open(path, "r+b") as file:
            file.seek(300)
            file.write(b"XXXX")


def _older_places(meter):
    """Move the store to where older firmware kept it."""
    os.mkdir("/m/meter.bin.d")
    os.rename(COPY, "/m/meter.bin.d/copy")
    os.rename(PATH + ".tick", "/m/meter.bin.tick")
    os.rename(PATH, "/m/meter.bin")
    for folder in ("/m/meter", "/m/meter.copy"):
        os.rmdir(folder)


def _filled(blocks):
    """Leave this many free blocks; measured by filling, as littlefs reports only an estimate."""

    def flash(meter):
        size = 0
        try:
            with open(BALLAST, "wb") as file:
                while True:
                    file.write(bytes(512))
                    size += 512
        except OSError:
            os.remove(BALLAST)
        with open(BALLAST, "wb") as file:
            for _ in range(size // BLOCK - blocks):
                file.write(bytes(BLOCK))

    return flash


STEPS = [[10 * i, 100 + i] for i in range(200)]
_half = _enter(SECTIONS[0], R.KCT1)
_limit, _clear, _untamper = (
    managed(0, 5000, mpl=900),
    managed(1, 5000, register=0),
    managed(5, 5000, pad=0),
)

# fmt: off
KINDS = [
    Kind("credit token", _enter(CREDIT), code=CREDIT),
    Kind("credit token, load", _enter(CREDIT), _load(23_000), code=CREDIT),
    Kind("credit token, debts", _enter(CREDIT), _each(_no_credit, _emergency, _do("grant", 9000)),
         code=CREDIT, profiles=LENDING),
    Kind("credit token, 1 block left", _enter(CREDIT), flash=_filled(1), code=CREDIT),
    Kind("credit token, flash full", _enter(CREDIT), flash=_filled(0), code=CREDIT),
    Kind("consumption, 1 block left", _pass(30), _load(5000), _filled(1)),
    Kind("start, flash full", None, flash=_filled(0)),
    Kind("key change, first code", _half),
    Kind("key change, last code", _enter(SECTIONS[1]), _half),
    Kind("key change, a start between", _enter(SECTIONS[1]), flash=_half, profiles=(KEPT,)),
    Kind("power limit", _enter(_limit), code=_limit),
    Kind("clear credit", _enter(_clear), code=_clear),
    Kind("clear tamper", _enter(_untamper), _tamper, code=_untamper),
    Kind("tamper", _tamper),
    Kind("acknowledge", _acknowledge, _faults),
    Kind("consumption", _pass(30), _load(5000)),
    Kind("40 ticks", _pass(30, 40), _load(23_000), done=20),
    Kind("credit ends", _pass(36_000), _load(23_000)),
    Kind("over-power trip", _pass(100), _each(_enter(managed(0, 4900, mpl=900)), _load(5000))),
    Kind("load steps", _do("set_load_steps", STEPS)),
    Kind("clock set forward", _set_clock(100_000)),
    Kind("clock set back", _set_clock(-50_000)),
    Kind("language", _do("set_language", "fr")),
    Kind("advance", _do("grant", 5000), profiles=LENDING),
    Kind("emergency credit", _emergency, _no_credit, profiles=LENDING),
    Kind("wrong token, lock-out", _enter(WRONG[25], R.CRC), _wrong_tokens),
    Kind("lock", _lock),
    Kind("wrong unlock code", _guess, _each(_lock, _guess, _guess)),
    Kind("right unlock code", _ask("unlock", CODE, '"ok"'), _each(_lock, _guess)),
    Kind("open", _ask("open", CODE, '"ok"'), _each(_lock, _guess)),
    Kind("start", None),
    Kind("migration", None, flash=_first_release),
    Kind("store of older firmware", None, flash=_each(_load(900), _pass(30), _older_places)),
    Kind("first provisioning", _provision, flash=EMPTY, profiles=(KEPT,)),
    Kind("provisioned again", _provision),
    Kind("damaged, provisioned again", _provision, flash=_damaged),
]
# fmt: on
