"""Runs the real meter in MicroPython: calls one method of `Rig` per line, returns the state.

Arguments as for tests/both/run_in_micropython.py. A request is a line with a JSON list: the name
of the method and its arguments. The answer is a line with a JSON list: the value and `shown()`.
"""

import gc
import json
import sys

sys.path.insert(0, sys.argv[2])
sys.path.insert(1, sys.argv[3])

import both_support as support
from jeton.meter import Meter
from jeton.sts.results import NAMES

gc.threshold(16384)
LEDGER = ("initial_wh", "tokens_wh", "advances_wh", "emergency_wh")
SPENT = ("charged_wh", "recovered_wh", "cleared_wh")


class PowerCut(Exception):
    pass


class Store(support.Store):
    """A store whose power fails at save number `cut_at`: before it, or after it if `done`."""

    cut_at = 0
    done = False

    def _save_or_cut(self, save, what):
        if not self.cut_at:
            return save(what)
        self.cut_at -= 1
        if self.cut_at:
            return save(what)
        if self.done:
            save(what)
        raise PowerCut

    def save(self, parts):
        self._save_or_cut(super().save, parts)

    def save_tick(self, tick):
        self._save_or_cut(super().save_tick, tick)


class Rig:
    meter = None
    store = None
    port = None
    now = 0

    def new(self, config, changes, now):
        self.meter = self.store = None
        gc.collect()
        self.store = Store()
        self.port = support.behaving(changes)
        self.now = now
        self.meter = Meter(self.store, self.port)
        self.meter.start()
        self.meter.provision(config, now)

    def boot(self):
        self.meter = None
        gc.collect()
        self.store.cut_at = 0
        self.meter = Meter(self.store, self.port)
        self.now = self.meter.start()

    def enter(self, digits):
        return NAMES[self.meter.enter(digits, self.now).result]

    def key(self, digits):
        outcome = None
        self.meter.screen.clear()  # a result on the display may lock the keypad for some seconds
        for key in digits + "#":
            outcome = self.meter.press(key, self.now) or outcome
        return NAMES[outcome.result]

    def enter_cut(self, digits, at, done):
        """Enter a token; cut the power at its save number `at`.

        Return the result, or None if the power was cut.
        """
        self.meter.save(self.now)
        self.store.cut_at, self.store.done = at, done
        try:
            return self.enter(digits)
        except PowerCut:
            self.boot()
            return None
        finally:
            self.store.cut_at = 0

    def go_on(self, seconds):
        self.now += seconds
        self.meter.process(self.now)

    def clock(self, now):
        self.meter.clock_set(self.now, now)
        self.now = now

    def load(self, watts):
        self.meter.set_load(watts, self.now)

    def consume(self, energy_wh):
        try:
            self.meter.use_energy(energy_wh, self.now)
        except ValueError:
            return False
        return True

    def tamper(self):
        self.meter.set_tamper(True, self.now)

    def reconnect(self):
        return self.meter.reconnect(self.now)

    def reset(self):
        self.meter.save(self.now)
        self.boot()

    def cut(self):
        self.boot()

    def again(self):
        """Do nothing: only return the state."""

    def shown(self):
        meter = self.meter
        state = meter.state
        status = meter.status(self.now)
        tids = bytes(meter.tids.data)
        balance = sum([getattr(state, name) for name in LEDGER])
        balance -= sum([getattr(state, name) for name in SPENT])
        return {
            "clock": status["clock"],
            "ea": status["ea"],
            "krn": status["krn"],
            "kt": status["kt"],
            "ti": status["ti"],
            "sgc": int(status["sgc"]),
            "ken": status["ken"],
            "credit_wh": status["credit_wh"],
            "total_wh": status["total_wh"],
            "rest_ws": state.rest_ws,
            "load_w": status["load_w"],
            "closed": status["switch"] == "closed",
            "reconnect_at": status["reconnect_at"] or 0,
            "limit_w": status["max_power_limit_w"],
            "unbalance_w": status["phase_unbalance_limit_w"],
            "tariff": status["tariff_rate"],
            "tamper": status["tamper"],
            "result": status["result_name"],
            "pending": status["pending"],
            "wrong": state.lock_count,
            "lock_until": state.lock_until,
            "tids": [int.from_bytes(tids[i : i + 3], "big") for i in range(0, 150, 3)],
            "ledger": balance == state.credit_wh,
            "fault": status["fault"],
        }


rig = Rig()
while True:
    line = sys.stdin.readline()
    if not line:
        break
    method, *arguments = json.loads(line)
    try:
        value = getattr(rig, method)(*arguments)
        print(json.dumps([value, rig.shown()]))
    except Exception as error:
        sys.print_exception(error, sys.stderr)
        print(json.dumps([repr(error), None]))
