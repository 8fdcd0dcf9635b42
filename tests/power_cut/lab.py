"""The power-cut laboratory: the real meter on the real store on littlefs on a NOR flash model.

Runs in MicroPython with a heap of 8 MB, for flashes and their copies; other tests show that the
firmware needs only the heap of a board. Arguments: what to do (`cuts`, `flips` or a control), the
folder of the compiled firmware, the folder of `both_support`, the root of the sources, a seed, the
number of cuts (for `flips`: change one bit of so many), and, for `cuts`, the kinds to test if not
all. Prints one JSON object.

The power is cut at each program and erase operation of each kind of change. Then the meter starts
from what is left on the flash. Its state must be the one before or after the change; if it had
reported success, the one after. It must accept the token again only if the token is not marked as
used. Then it must take another token, use energy, save, and restart with the same state.
"""

import json
import os
import random
import sys

import vfs

for folder in (sys.argv[4] + "/tests/power_cut", sys.argv[3], sys.argv[2]):
    sys.path.insert(0, folder)

from kinds import (
    ALL,
    BALLAST,
    CONFIG,
    CREDIT,
    EMPTY,
    KEPT,
    KINDS,
    MORE,
    PATH,
    PROFILES,
    WH,
    managed,
)

from both_support import T0, credit, profiles
from drivers.storage import Storage
from jeton import reading
from jeton import state as states
from jeton.meter import Meter
from jeton.sts import keys
from jeton.sts.results import TokenResult as R
from nor import BLOCK, MODES, Nor

BLOCKS = 32
DOUBLE = "double"  # mode: one cut, and another one in the start that follows
SOAK = 20_000  # with more cuts, each kind is cut in each mode at each operation


def port(changes):
    """Return a profiles port that inverts some switches: {"lockout": "cleared_by_power_cycle"}."""
    files = {}

    def read(name, language=None):
        if (name, language) not in files:
            found = profiles(name, language)
            if not language:
                for section in changes:
                    found[section][changes[section]] = not found[section][changes[section]]
                found = json.dumps(found)
            files[name, language] = found
        found = files[name, language]
        return found if language else json.loads(found)

    return read


PORTS = {name: port(changes) for name, (_, changes) in PROFILES.items()}


class Recorder(Storage):
    """A store that keeps a snapshot of the flash after each commit."""

    nor = None
    calm = False  # True: no cut before this start, so nothing is half written: skip `renew`

    def __init__(self, path):
        super().__init__(path)
        self.commits = []

    def renew(self):
        """Start a new log of littlefs."""
        if not self.calm:
            super().renew()

    def save(self, parts):
        """Save and take a snapshot."""
        super().save(parts)
        self.commits.append(self.nor.snapshot())

    def save_tick(self, tick):
        """Save and take a snapshot."""
        super().save_tick(tick)
        self.commits.append(self.nor.snapshot())

    def set_aside(self):
        """Set the record aside and take a snapshot, of a meter without a record."""
        super().set_aside()
        self.commits.append(self.nor.snapshot())


class Unsafe(Recorder):
    """A faulty store, to check the laboratory: it truncates the file, then writes it."""

    def save(self, parts):
        """Truncate, flush, write."""
        with open(self.path, "wb") as file:
            file.flush()
            for part in parts:
                file.write(part)
        self.commits.append(self.nor.snapshot())


class Silent(Recorder):
    """A faulty store, to check the laboratory: it does not report a failed save."""

    def save(self, parts):
        """Save; ignore errors."""
        try:
            super().save(parts)
        except OSError:
            pass


class Lab:
    """Starts a meter on a flash, and counts the results of the cuts."""

    def __init__(self, store=Recorder):
        self.store = store
        self.profile = KEPT
        self.rows = {}
        self.failures = []
        self.cuts = 0

    def boot(self, nor, calm=True):
        """Start the meter on this flash; OSError if the file system cannot be mounted.

        `calm`: there was no cut, or the meter has started since.
        """
        try:
            vfs.umount("/m")
        except OSError:
            pass
        try:
            vfs.mount(vfs.VfsLfs2(nor, readsize=128), "/m")  # as boot.py
        except OSError:
            if nor.dead:
                raise
            # Torn cells settled while they were read: a second mount reads their final values.
            vfs.mount(vfs.VfsLfs2(nor, readsize=128), "/m")  # as boot.py
        store = self.store(PATH)
        store.nor = nor
        store.calm = calm
        meter = Meter(store, PORTS[self.profile])
        meter.start()
        return meter, store

    def count(self, kind, mode, what, detail="", reported=False):
        """Count one cut and its result."""
        row = self.rows.setdefault((kind, self.profile, mode), {})
        for name in ("cuts", what) + (("reported",) if reported else ()):
            row[name] = row.get(name, 0) + 1
        self.cuts += 1
        if what not in ("old", "new", "energy lost") and len(self.failures) < 20:
            self.failures.append("%s, %s, %s: %s" % (kind, self.profile, mode, detail))


# Fields that a start changes; that it changes also if it cannot save; that a tick contains.
OF_A_START = ("power_fails", "event_seq")
OF_A_FULL_FLASH = ("hold", "switch_closed", "switch_reason")
OF_A_TICK = ("credit_wh", "charged_wh", "total_wh", "rest_ws", "load_w", "clock")
RINGS = ("reports", "history", "load_steps")


class Outcome:
    """The state of a meter after a start, to compare it with another one."""

    def __init__(self, meter):
        self.fault = meter.fault
        self.full = bool(meter.store_error)
        self.packed = bytes(meter.state.pack()[states.TICK_START :])

    def lasting(self, but=OF_A_START):
        """Return all values except `but`."""
        parts = [bytearray(states.TICK_START) + self.packed]
        states.seal(parts)
        state = reading.unpack(bytes(parts[0]))
        return [getattr(state, name) for name in states.FIELDS + list(RINGS) if name not in but]

    def like(self, other, twice=True):
        """Return whether both are equal; `twice`: except for what one more start changes."""
        if self.fault != other.fault:
            return False
        if self.packed == other.packed:
            return True
        if self.full or other.full:
            but = OF_A_START + OF_A_FULL_FLASH
            return self.lasting(but) == other.lasting(but)
        return twice and self.lasting() == other.lasting()


def balanced(meter):
    """Return whether the ledger balances (jeton/credit.py)."""
    s = meter.state
    sources = s.initial_wh + s.tokens_wh + s.advances_wh + s.emergency_wh
    return sources - s.charged_wh - s.recovered_wh - s.cleared_wh == s.credit_wh


def registers(meter):
    """Return the registers that a credit token changes."""
    s = meter.state
    return s.credit_wh, s.emergency_debt_wh, s.advance_debt_wh, s.tokens_wh


def key_in(meter, code, at):
    """Enter a credit token; return its result, and whether credit and debts are correct.

    A token first repays all emergency credit, then advances by the share of the profile.
    """
    credit_wh, emergency_wh, advance_wh, tokens_wh = before = registers(meter)
    repaid = min(emergency_wh, WH)
    share_wh = WH * meter.profile.credit_advance_share // 100
    recovered = min(share_wh, WH - repaid, advance_wh)
    result = meter.enter(code, at).result
    if result != R.ACCEPT:
        return result, registers(meter) == before
    credit_wh += WH - repaid - recovered
    after = (credit_wh, emergency_wh - repaid, advance_wh - recovered, tokens_wh + WH)
    return result, registers(meter) == after


def make_room():
    """Delete the file that fills the flash; return whether there was one."""
    try:
        os.remove(BALLAST)
    except OSError:
        return False
    return True


def fresh():
    """Return a flash with an empty file system."""
    nor = Nor([bytearray(b"\xff" * BLOCK)] * BLOCKS)
    vfs.VfsLfs2.mkfs(nor)
    return nor


def worn(lab, rounds=60):
    """Return flashes of one meter after 0, 1, 2, … saves: littlefs fills and compacts its logs."""
    nor = fresh()
    meter, _ = lab.boot(nor, False)
    meter.provision(dict(CONFIG, profile=PROFILES[lab.profile][0]), T0)
    found = []
    for i in range(rounds):
        found.append(nor.snapshot())
        meter.set_load(3600 + i, meter.state.clock)
        meter.process(meter.state.clock + 20)
        if i % 9 == 8:
            meter.set_tamper(True, meter.state.clock)
            meter.enter(managed(5, 2000 + i, pad=0), meter.state.clock)
    return found


class CutCase:
    """A kind of change on one flash, with the current profile of the laboratory."""

    def __init__(self, lab, kind, blocks):
        self.lab = lab
        self.kind = kind
        nor = fresh() if kind.flash == EMPTY else Nor(blocks)
        if kind.flash:
            meter, _ = lab.boot(nor, kind.flash != EMPTY)
            if kind.flash != EMPTY:
                kind.flash(meter)
        self.blocks = nor.snapshot()

    def _begin(self):
        """Return the meter, its store and its flash, prepared for the action."""
        nor = Nor(self.blocks)
        meter, store = self.lab.boot(nor)
        if self.kind.before:
            self.kind.before(meter)
        store.commits = []
        return meter, store, nor

    def _act(self, meter):
        """Run the action; return whether the meter reported success."""
        try:
            return self.kind.action(meter)
        except OSError:
            return False

    def size(self):
        """Return the number of program and erase operations of the change."""
        if self.kind.action is None:
            nor, first = Nor(self.blocks), 0
            self.lab.boot(nor, False)
        else:
            meter, _, nor = self._begin()
            first = nor.ops
            self._act(meter)
        return nor.ops - first

    def prepare(self):
        """Make the change without a cut; keep each operation, and the states before and after."""
        lab, kind = self.lab, self.kind
        if kind.action is None:
            before, nor = self.blocks, Nor(self.blocks)
            nor.log = []
            store = lab.boot(nor, False)[1]
        else:
            meter, store, nor = self._begin()
            before = nor.snapshot()
            nor.log = []
            if not self._act(meter) and not make_room():
                raise ValueError("%s, %s: nothing is done" % (kind.name, lab.profile))
        self.nor = nor
        self.ops = len(nor.log)
        self.outcomes = [Outcome(lab.boot(Nor(it))[0]) for it in [before] + store.commits]
        start = Nor(([before] + store.commits)[-1])
        lab.boot(start, False)
        self.start_ops = start.ops

    def cut(self, cut_at, mode, live=False):
        """Cut the power at an operation, check the meter, count the result.

        With mode DOUBLE, cut again in the start that follows. `live`: repeat the action up to the
        cut, to see what the meter reports; else use the kept operation.
        """
        lab, kind = self.lab, self.kind
        double = mode == DOUBLE
        first = random.choice(MODES) if double else mode
        reported = False
        if live and kind.action:
            meter, _, nor = self._begin()
            nor.cut_at, nor.mode = nor.ops + cut_at, first
            reported = self._act(meter)
        else:
            nor = self.nor.cut(cut_at - 1, first)
        after = Nor(nor.snapshot(), nor.unsettled, nor.settle_at)
        try:
            if double:
                after = self._cut_start(after)
            late = after.settle_at
            try:
                what, detail = self.judge(after, double, reported)
            except OSError:
                if not late:
                    raise
                # Torn cells settled while the file system was in use: the meter could not save
                # and reported that. Check the next start instead.
                after.settle()
                what, detail = self.judge(Nor(after.snapshot()), True, reported)
        except OSError as error:
            what, detail = "neither", "no file system: %r" % error
        lab.count(kind.name, mode, what, "cut %d of %d: %s" % (cut_at, self.ops, detail), reported)

    def _cut_start(self, nor):
        """Cut the power at a random operation of a start on this flash; return the flash."""
        blocks = nor.snapshot()
        cut_at = random.randrange(1, self.start_ops + 1)
        while True:
            nor = Nor(blocks)
            nor.cut_at, nor.mode = cut_at, random.choice(MODES)
            try:
                self.lab.boot(nor, False)
            except OSError:
                pass
            if nor.dead or not nor.ops:
                return Nor(nor.snapshot(), nor.unsettled, nor.settle_at)
            cut_at = nor.ops  # this start has fewer operations than one without a cut

    def judge(self, nor, twice, reported):
        """Return ("old", "new", "neither", "doubled" or "lost", the reason)."""
        lab, kind = self.lab, self.kind
        meter, _ = lab.boot(nor, False)
        seen = Outcome(meter)
        places = [i for i in range(len(self.outcomes)) if seen.like(self.outcomes[i], twice)]
        if not places:
            return "neither", meter.fault or "another state"
        last = len(self.outcomes) - 1
        done = kind.done if kind.done >= 0 else max(last, 1)
        what = "new" if places[-1] >= done else "old"
        if reported and places[-1] != last:
            return "lost", "the meter reported success"
        make_room()
        if not meter.state.provisioned:
            meter.provision(CONFIG, T0)
            seen = Outcome(meter)
        if nor.unsettled:
            nor.settle()
            meter, _ = lab.boot(Nor(nor.snapshot()))
            if not seen.like(Outcome(meter)):
                return "lost", meter.fault or "the state changed after the cells settled"
            nor = meter._storage.nor
        if not balanced(meter):
            return "neither", "the ledger does not balance"
        at = meter.state.clock + 4000  # after the end of every lock-out
        meter.process(at)
        if kind.code:
            if kind.code == CREDIT:
                result, right = key_in(meter, kind.code, at)
            else:
                result, right = meter.enter(kind.code, at).result, True
            if result != (R.USED if what == "new" else R.ACCEPT):
                return ("doubled" if result == R.ACCEPT else "lost"), "again: result %d" % result
            if not right:
                return "lost", "the credit of the token"
        key = meter.state.decoder_key[: keys.key_bytes(meter.state.ea)]
        result, right = key_in(meter, MORE[key], at)
        if result != R.ACCEPT or not right:
            return "lost", "one more token: result %d" % result
        meter.set_load(900, at)
        meter.process(at + 100)
        if meter.store_error:
            return "neither", meter.store_error
        seen = Outcome(meter)
        meter, _ = lab.boot(Nor(nor.snapshot()))
        if not seen.like(Outcome(meter)) or not balanced(meter):
            return "lost", meter.fault or "the saved state changed after a start"
        if meter.tids.check(9000) != R.USED or (kind.code and meter.tids.check(5000) != R.USED):
            return "doubled", "an accepted token is not marked as used"
        return what, ""


def shuffled(values):
    """Return the values in a random order."""
    return sorted(values, key=lambda _: random.getrandbits(24))


def series(lab, kind, flashes, modes, share, turns):
    """Make `share` cuts of one kind: at each operation, then at each in the next mode.

    `turns`: cut at each operation in at least so many modes, on the flash (of 6) with the most
    operations: there a log of littlefs is full. Then continue with one random flash after another.
    """
    made = 0
    while made < share:
        some = [CutCase(lab, kind, random.choice(flashes)) for _ in range(6 if turns else 1)]
        if turns:
            sizes = [case.size() for case in some]
            some = [some[sizes.index(max(sizes))]]
        case = some[0]
        case.prepare()
        share = max(share, turns * case.ops)
        turns = 0
        order = shuffled(range(case.ops))
        turn = random.getrandbits(3)
        for i in range(min(share - made, len(modes) * case.ops)):
            place = order[i % case.ops]
            mode = modes[(turn + place + i // case.ops) % len(modes)]
            case.cut(place + 1, mode, not random.getrandbits(2))
            made += 1


def cuts(lab, count, kinds=KINDS, names=ALL, modes=MODES + (DOUBLE,)):
    """Make at least `count` cuts: each kind under each profile, then again on other flashes.

    The first round with the first profile cuts at each operation: in at least one mode, in a long
    run in each mode.
    """
    pairs = sum([1 for kind in kinds for name in names if name in kind.profiles])
    share = min(count // (2 * pairs), 100)
    turns = len(modes) if count > SOAK else 1
    first = True
    while lab.cuts < count:
        for name in names:
            lab.profile = name
            flashes = worn(lab)
            for kind in shuffled([kind for kind in kinds if name in kind.profiles]):
                if first or lab.cuts < count:
                    series(lab, kind, flashes, modes, share, turns)
            turns = 0
        first = False


def flips(lab, every):
    """Invert single bits of a flash, one of `every`.

    The meter must start with its old state or report a fault. It may lose the tick, and with it
    the consumption since the record was last saved in full.
    """
    nor = fresh()
    meter, store = lab.boot(nor, False)
    meter.provision(CONFIG, T0 - T0 % 86400)
    meter.set_load(900, meter.state.clock)
    for i in range(4):
        meter.process(meter.state.clock + 600)
        meter.enter(credit(3000 + i), meter.state.clock)
        meter.process(meter.state.clock + 100)
    # Each start begins a new log: then both sectors of the log are newer than the meter's set-up.
    for _ in range(2):
        meter, store = lab.boot(nor, False)
    whole_wh = meter.state.credit_wh
    for _ in range(20 * 60):
        meter.process(meter.state.clock + 60)
        store.commits = []
    blocks = nor.snapshot()
    meter, _ = lab.boot(Nor(blocks))
    right, last_wh, tids = Outcome(meter), meter.state.credit_wh, bytes(meter.tids.data)
    constant = right.lasting(OF_A_START + OF_A_TICK)
    bits = 8 * BLOCK
    used = [i for i in range(BLOCKS) if blocks[i] != b"\xff" * BLOCK]
    max_lost_wh = 0
    for place in range(random.randrange(every), bits * len(used), every):
        block, bit = used[place // bits], place % bits
        changed = bytearray(blocks[block])
        changed[bit // 8] ^= 1 << bit % 8
        nor = Nor(blocks[:block] + [changed] + blocks[block + 1 :])
        try:
            meter, _ = lab.boot(nor)
        except OSError:
            what = "no file system"
        else:
            found = Outcome(meter)
            if meter.fault:
                closed = meter.state.switch_closed or meter.state.credit_wh
                what = "neither" if closed else "fault reported"
            elif found.like(right, False):
                what = "new"
            elif not meter.state.provisioned:
                what = "no record"
            elif meter.tids.data != tids:
                what = "old"
            elif found.lasting(OF_A_START + OF_A_TICK) == constant and balanced(meter):
                what = "energy lost"
                max_lost_wh = max(max_lost_wh, meter.state.credit_wh - last_wh)
            else:
                what = "neither"
        lab.count("one bit", "flip", what, "bit %d of block %d" % (bit, block))
    return {"lost_wh": max_lost_wh, "ticks_wh": whole_wh - last_wh}


STORES = {"unsafe": Unsafe, "silent": Silent}


def main():
    """Run what the arguments say."""
    what, seed, count = sys.argv[1], int(sys.argv[5]), int(sys.argv[6])
    random.seed(seed)
    lab = Lab(STORES.get(what, Recorder))
    kinds = [kind for kind in KINDS if not sys.argv[7:] or kind.name in sys.argv[7:]]
    more = {}
    if what in STORES:
        cuts(lab, count, kinds[:1], (KEPT,), MODES[:4])
    elif what == "flips":
        more = flips(lab, count)
    else:
        cuts(lab, count, kinds)
    rows = [
        dict(found, kind=kind, profile=profile, mode=mode)
        for (kind, profile, mode), found in lab.rows.items()
    ]
    # json.dump writes in pieces: the fragmented heap has no block for the whole text.
    json.dump(dict(more, rows=rows, failures=lab.failures), sys.stdout)


main()
