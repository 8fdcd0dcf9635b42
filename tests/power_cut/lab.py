"""The power-cut laboratory: the real meter on the real store on littlefs on a NOR flash model.

Runs in MicroPython, with a heap of 8 MB for flashes and their copies; that the firmware itself
does with that of a board is shown elsewhere. Arguments: what to do, the folder of the compiled
firmware, the folder of `both_support`, the root of the sources, a seed, and how many cuts to make
or, for `flips`, of how many bits one is turned. Prints one JSON object.

The power is cut at each program and erase of each kind of change of state. Then the meter starts
from what is left, and must be as before or as after; it takes the token again if and only if it
does not know it, takes another, burns energy, saves, and starts once more with all of that.
"""

import json
import random
import struct
import sys
from binascii import crc32

import vfs

for folder in (sys.argv[4] + "/tests/power_cut", sys.argv[3], sys.argv[2]):
    sys.path.insert(0, folder)

from both_support import NEW, T0, configuration, credit, key_change, profiles, token
from drivers.storage import Storage
from jeton import state as states
from jeton.meter import Meter
from jeton.sts.results import TokenResult as R
from nor import BLOCK, MODES, Nor

BLOCKS = 32
PATH = "/m/meter.bin"
WH = 10_000  # what each credit token here brings
_files = {}


def _profile(name, language=None):
    if (name, language) not in _files:
        octets = profiles(name, language)
        _files[(name, language)] = octets if language else json.dumps(octets)
    octets = _files[(name, language)]
    if language:
        return octets
    data = json.loads(octets)
    data["key_change"]["keep_at_power_up"] = True
    data["lockout"]["cleared_by_power_cycle"] = False
    return data


class Recorder(Storage):
    """The store, which notes what the flash holds after each commit."""

    nor = None
    calm = False  # a start without a cut before it: nothing is half written, and time is saved

    def __init__(self, path):
        super().__init__(path)
        self.commits = []

    def renew(self):
        """Begin a new log."""
        if not self.calm:
            super().renew()

    def save(self, parts):
        """Save and note."""
        super().save(parts)
        self.commits.append(self.nor.snapshot())

    def save_tick(self, tick):
        """Save and note."""
        super().save_tick(tick)
        self.commits.append(self.nor.snapshot())


class Unsafe(Recorder):
    """The control: the file is emptied, then written."""

    def save(self, parts):
        """Truncate, flush, write."""
        with open(self.path, "wb") as file:
            file.flush()
            for part in parts:
                file.write(part)
        self.commits.append(self.nor.snapshot())


class Lab:
    """What is counted, and how a meter is started on a flash."""

    def __init__(self, store=Recorder):
        self.store = store
        self.rows = {}
        self.failures = []

    def boot(self, nor, calm=True):
        """Start the meter on this flash; OSError where it cannot be, as is a flash half written.

        `calm`: there was no cut, or it is over and done with.
        """
        try:
            vfs.umount("/m")
        except OSError:
            pass
        try:
            vfs.mount(vfs.VfsLfs2(nor), "/m")
        except OSError:
            if nor.dead:
                raise
            # Cells that settled while they were read: the next start reads them as they are now.
            vfs.mount(vfs.VfsLfs2(nor), "/m")
        store = self.store(PATH)
        store.nor = nor
        store.calm = calm
        meter = Meter(store, _profile)
        meter.start()
        return meter, store

    def count(self, kind, mode, what, detail=""):
        """Count one cut and what came of it."""
        row = self.rows.setdefault((kind, mode), {})
        row["cuts"] = row.get("cuts", 0) + 1
        row[what] = row.get(what, 0) + 1
        if what not in ("old", "new") and len(self.failures) < 20:
            self.failures.append("%s, %s: %s" % (kind, mode, detail))


def signature(meter):
    """Return all that is in the record."""
    return bytes(meter.state.pack()[states.TICK_START :])


def lasting(meter):
    """Return all that a start does not change."""
    s = states.unpack(meter.state.pack())
    return [
        getattr(s, name)
        for name in states.FIELDS
        if name not in ("power_fails", "event_seq", "events")
    ]


def balanced(meter):
    """Tell whether the ledger's identity (jeton/credit.py) holds."""
    s = meter.state
    sources = s.initial_wh + s.tokens_wh + s.advances_wh + s.emergency_wh
    return sources - s.charged_wh - s.recovered_wh - s.cleared_wh == s.credit_wh


def managed(sub, tid, **fields):
    """Return a management token."""
    return token(2, sub, dict({"rnd": 1, "tid": tid}, **fields))


def released(meter):
    """Return what the first release would have kept of this meter."""
    s = meter.state
    body = struct.pack(
        "<B13s16sBBBB16sBBBBIBBH150sqQHIIIHBBBBII",
        *(1, s.drn, s.profile, 2, 16, 7, 0, s.decoder_key, s.kt, s.krn, s.ti, s.ken, s.sgc),
        *(s.bdt, s.kct, 0, bytes(meter.tids.octets), s.credit_wh, s.total_wh, s.rest_ws),
        *(900, 0, 0, 0, 0, 1, 1, 1, s.clock, 3),
    ) + bytes(1200)
    return struct.pack("<4sHI", b"JTON", 1, crc32(body)) + body


CREDIT = credit(5000)
MORE = [credit(9000), credit(9000, key=NEW)]
SECTIONS = key_change()
WRONG = ["%020d" % (i * 104729) for i in range(30)]


class Kind:
    """A kind of change: what comes before it, what it does, the token it keys."""

    def __init__(self, name, action, before=None, code=None, raw=None):
        self.name = name
        self.action = action
        self.before = before
        self.code = code
        self.raw = raw


def _enter(code):
    def action(meter):
        meter.enter(code, meter.state.clock + 1)

    return action


def _load(watts):
    def before(meter):
        meter.set_load(watts, meter.state.clock)

    return before


def _tamper(meter):
    meter.set_tamper(True, meter.state.clock)


def _wrong(meter):
    for code in WRONG[:20]:
        meter.enter(code, meter.state.clock)
        if meter.state.lock_count == meter.profile.lockout_after - 1:
            return


def _first_release(meter):
    with open(PATH, "wb") as file:
        file.write(released(meter))


def _until_empty(meter):
    meter.process(meter.state.clock + 36_000)


KINDS = [
    Kind("credit token", _enter(CREDIT), None, CREDIT),
    Kind("credit token, load", _enter(CREDIT), _load(23_000), CREDIT),
    Kind("key change, first code", _enter(SECTIONS[0])),
    Kind("key change, last code", _enter(SECTIONS[1]), _enter(SECTIONS[0])),
    Kind("power limit", _enter(managed(0, 5000, mpl=900)), None, managed(0, 5000, mpl=900)),
    Kind("clear credit", _enter(managed(1, 5000, register=0)), None, None),
    Kind("clear tamper", _enter(managed(5, 5000, pad=0)), _tamper, managed(5, 5000, pad=0)),
    Kind("consumption", lambda m: m.process(m.state.clock + 30), _load(5000)),
    Kind("credit ends", _until_empty, _load(23_000)),
    Kind("wrong token, lock-out", _enter(WRONG[25]), _wrong),
    Kind("start", None),
    Kind("migration", None, None, None, _first_release),
    Kind("first provisioning", lambda m: m.provision(CONFIG, T0), None, None, "empty"),
]
CONFIG = configuration(credit_wh=25_000)


def worn(lab, rounds):
    """Return flashes of one meter after 0, 1, 2, … saves: the log of littlefs fills and turns."""
    erased = bytearray(b"\xff" * BLOCK)
    nor = Nor([erased] * BLOCKS)
    vfs.VfsLfs2.mkfs(nor)
    meter, _ = lab.boot(nor, False)
    found = [nor.snapshot()]
    meter.provision(CONFIG, T0)
    for i in range(rounds):
        found.append(nor.snapshot())
        meter.set_load(3600 + i, meter.state.clock)
        meter.process(meter.state.clock + 20)
        if i % 9 == 8:
            meter.set_tamper(True, meter.state.clock)
            meter.enter(managed(5, 2000 + i, pad=0), meter.state.clock)
    return found


class Case:
    """A kind of change on one flash: its outcomes without a cut."""

    def __init__(self, lab, kind, blocks):
        self.lab = lab
        self.kind = kind
        nor = Nor(blocks)
        if kind.before or kind.raw:
            meter, _ = lab.boot(nor)
            if kind.before:
                kind.before(meter)
            if kind.raw and kind.raw != "empty":
                kind.raw(meter)
        self.blocks = nor.snapshot()
        store, before = self._run()
        self.outcomes = []
        for commit in [before] + store.commits:
            self.outcomes.append(signature(lab.boot(Nor(commit))[0]))

    def _run(self):
        """Do it, noting each operation; return the store and the flash as it was before."""
        self.nor = nor = Nor(self.blocks)
        if self.kind.action is None:
            nor.log = []
            return self.lab.boot(nor, False)[1], self.blocks
        meter, store = self.lab.boot(nor)
        before = nor.snapshot()
        store.commits = []
        nor.log = []
        self.kind.action(meter)
        return store, before

    @property
    def ops(self):
        """Return how many programs and erases it takes."""
        return len(self.nor.log)

    def cut(self, cut_at, mode, again=0):
        """Cut the power at an operation, and `again` in the start that follows; judge."""
        lab, kind = self.lab, self.kind
        nor = self.nor.cut(cut_at - 1, mode)
        shown = "double" if again else mode
        after = Nor(nor.snapshot(), nor.unsettled, nor.settle_at)
        try:
            if again:
                after.cut_at, after.mode = again, random.choice(MODES[:5])
                try:
                    lab.boot(after, False)
                except OSError:
                    pass
                after = Nor(after.snapshot())
            try:
                what, detail = self.judge(after, bool(again))
            except OSError:
                if mode != "late":
                    raise
                # Cells that settled while the file system was in use: the meter could not save,
                # and said so. What counts is the next start.
                after.settle()
                what, detail = self.judge(Nor(after.snapshot()), True)
        except OSError as error:
            what, detail = "neither", "no file system: %r" % error
        lab.count(kind.name, shown, what, "cut %d of %d: %s" % (cut_at, self.ops, detail))

    def judge(self, nor, twice):
        """Return (old, new, neither, doubled or lost, why)."""
        lab, kind = self.lab, self.kind
        meter, _ = lab.boot(nor, False)
        if meter.fault:
            return "neither", meter.fault
        found = signature(meter)
        if twice:
            # The start that was cut may have been counted or not.
            places = [i for i in range(len(self.outcomes)) if self.alike(meter, i)]
        else:
            places = [i for i in range(len(self.outcomes)) if self.outcomes[i] == found]
        if not places:
            return "neither", "another state"
        # A token has an outcome between: the try is counted, and nothing else.
        first = len(self.outcomes) - 1 if kind.code else 1
        what = "new" if places[-1] >= first else "old"
        if kind.action is None and meter.state.credit_wh != self.credit(0):
            return "lost", "the credit is another"
        if not meter.state.provisioned:
            meter.provision(CONFIG, T0)
        seen = lasting(meter)
        if nor.unsettled:
            nor.settle()
            meter, _ = lab.boot(Nor(nor.snapshot()))
            if meter.fault or lasting(meter) != seen:
                return "lost", meter.fault or "what was shown is another later"
            nor = meter._storage.nor
        if not balanced(meter):
            return "neither", "the ledger does not balance"
        at = meter.state.clock + 2000  # past every lock
        if kind.code:
            credit_wh = meter.process(at) and meter.state.credit_wh
            result = meter.enter(kind.code, at).result
            if result != (R.USED if what == "new" else R.ACCEPT):
                return ("doubled" if result == R.ACCEPT else "lost"), "again: result %d" % result
            if kind.code == CREDIT and meter.state.credit_wh - credit_wh != (
                0 if what == "new" else WH
            ):
                return "lost", "the credit of the token"
        meter.process(at)
        credit_wh = meter.state.credit_wh
        result = meter.enter(MORE[meter.state.krn == 2], at).result
        if result != R.ACCEPT or meter.state.credit_wh - credit_wh != WH:
            return "lost", "one more token: result %d" % result
        meter.set_load(900, at)
        meter.process(at + 100)
        if meter.store_error:
            return "neither", meter.store_error
        seen = lasting(meter)
        meter, _ = lab.boot(Nor(nor.snapshot()))
        if meter.fault or lasting(meter) != seen or not balanced(meter):
            return "lost", meter.fault or "what was saved is another after a start"
        if meter.tids.check(9000) != R.USED or (kind.code and meter.tids.check(5000) != R.USED):
            return "doubled", "a token that was taken is unknown"
        return what, ""

    def state(self, i):
        """Return the State of an outcome."""
        head = bytearray(states.TICK_START)
        steps = self.outcomes[i]
        parts = [head + steps]
        states.seal(parts)
        return states.unpack(bytes(parts[0]))

    def credit(self, i):
        """Return the credit of an outcome."""
        return self.state(i).credit_wh

    def alike(self, meter, i):
        """Tell whether the meter is as an outcome, but for what a start writes."""
        other = self.state(i)
        mine = lasting(meter)
        names = [n for n in states.FIELDS if n not in ("power_fails", "event_seq", "events")]
        return mine == [getattr(other, n) for n in names]


def cuts(lab, count, kinds=KINDS, modes=MODES):
    """Cut at each operation in each mode, on one flash after the other, until there are `count`.

    Each kind comes first on the flash on which it does most: there a log of littlefs is full.
    """
    flashes = worn(lab, 60)
    every = list(kinds)
    first = True
    while sum([row["cuts"] for row in lab.rows.values()]) < count:
        for kind in every:
            if kind.raw == "empty":
                chosen = flashes[:1]
            elif first:
                some = [random.choice(flashes[1:]) for _ in range(12)]
                cases = [(-Case(lab, kind, blocks).ops, i) for i, blocks in enumerate(some)]
                chosen = [some[min(cases)[1]]]
            else:
                chosen = [random.choice(flashes[1:])]
            case = Case(lab, kind, chosen[0])
            if case.ops < 5 and kind.raw != "empty":
                chosen = [random.choice(flashes[1:]) for _ in range(12)]
            for blocks in chosen:
                case = Case(lab, kind, blocks)
                for cut_at in range(1, case.ops + 1):
                    for mode in modes:
                        # The first round of a short run: at each operation half of the modes.
                        if count > 20_000 or case.ops < 40 or random.getrandbits(1):
                            case.cut(cut_at, mode)
                    if len(modes) == len(MODES):
                        case.cut(cut_at, random.choice(MODES[:5]), random.randrange(1, 40))
            if not first and sum([row["cuts"] for row in lab.rows.values()]) >= count:
                return
        first = False
        every.sort(key=lambda kind: random.getrandbits(16))


def flips(lab, every):
    """Turn single bits of a flash, one of `every`: the meter is as it was, or says why not."""
    erased = bytearray(b"\xff" * BLOCK)
    nor = Nor([erased] * BLOCKS)
    vfs.VfsLfs2.mkfs(nor)
    meter, store = lab.boot(nor, False)
    meter.provision(CONFIG, T0)
    meter.set_load(900, T0)
    for i in range(4):
        meter.process(meter.state.clock + 600)
        meter.enter(credit(3000 + i), meter.state.clock)
        meter.process(meter.state.clock + 100)
    commits = store.commits
    # With each start a new log: none of the two sectors of a log is of the time before the meter.
    for _ in range(2):
        meter, store = lab.boot(nor, False)
        commits += store.commits
    store.commits = []
    for _ in range(3):
        meter.process(meter.state.clock + 60)
    commits += store.commits
    known = [signature(lab.boot(Nor(commit))[0]) for commit in commits]
    blocks = nor.snapshot()
    known.append(signature(lab.boot(Nor(blocks))[0]))
    tids = bytes(meter.tids.octets)
    bits = 8 * BLOCK
    used = [i for i in range(BLOCKS) if blocks[i] != erased]
    for place in range(random.randrange(every), bits * len(used), every):
        block, bit = used[place // bits], place % bits
        changed = bytearray(blocks[block])
        changed[bit // 8] ^= 1 << bit % 8
        nor = Nor(blocks)
        nor.blocks[block] = changed
        nor = Nor(nor.blocks)
        detail = "bit %d of block %d" % (bit, block)
        try:
            meter, _ = lab.boot(nor)
        except OSError:
            lab.count("one bit", "flip", "no file system", detail)
            continue
        if meter.fault:
            closed = meter.state.switch_closed or meter.state.credit_wh
            lab.count("one bit", "flip", "neither" if closed else "told", detail)
            continue
        found = signature(meter)
        if found == known[-1]:
            what = "new"
        elif found in known:
            what = "energy lost" if meter.tids.octets == tids else "old"
        elif not meter.state.provisioned:
            what = "no record"
        else:
            what = "neither"
        lab.count("one bit", "flip", what, detail)


def main():
    """Do what the arguments say."""
    what, seed, count = sys.argv[1], int(sys.argv[5]), int(sys.argv[6])
    random.seed(seed)
    lab = Lab(Unsafe if what == "control" else Recorder)
    if what == "control":
        cuts(lab, count, KINDS[:1] + KINDS[9:10], MODES[:4])
    elif what == "flips":
        flips(lab, count)
    else:
        cuts(lab, count)
    rows = [dict(found, kind=key[0], mode=key[1]) for key, found in lab.rows.items()]
    print(json.dumps({"rows": rows, "failures": lab.failures}))


main()
