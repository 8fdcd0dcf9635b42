"""The runtime: the parts of a board, and the loop that runs the meter and them from a timer.

A part that is missing or fails is in `faults`, with the reason; the meter runs without it. The
timer's callback is soft: it interrupts any other code, also the prompt, and allocates nothing
while nothing happens. It does not interrupt a verb: `Guarded` prevents that.
"""

import gc
from _thread import allocate_lock, get_ident
from time import sleep_ms, ticks_diff, ticks_ms  # type: ignore[attr-defined]

import machine
from micropython import const

import board
from jeton import credit, timeline
from jeton.sts.results import GOOD

from . import startup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jeton.meter import Meter

    from .clock import Clock

_TICK_MS = const(20)
_RETRY = const(500)  # ticks between attempts to make missing parts (10 s)
_BLINK = const(25)  # ticks of half a blink period
_LIT = const(2)  # ticks of an LED pulse
_MOST = const(25)  # LED pulses possible in a second
_WATCHDOG_MS = const(8000)
_VERB_MS = const(60000)  # longest verb for which the watchdog is still fed
_WAIT_MS = const(1000)  # longest wait of a verb for another thread
_CLICK = const(0x1)
_GOOD = const(0x3FF)
_BAD = const(0x1C71C7)
_ALARM = const(0x1F)
_ALARM_S = const(10)
_WS_PER_KWH = const(3600000)
_MOST_W = const(69000)  # largest plausible power of pulses: 100 A in three phases of 230 V
_EARLY_WS = const(360000)  # Ws allowed above that in a burst: pulses counted during a stall
_SETTLED = const(10)  # ticks until the noise of a switching relay is over
_REDRAW = const(3000)  # ticks between complete redraws, which remove noise (60 s)


class Runtime:
    """The parts of a board and its meter; `tick` is the timer's callback."""

    def __init__(self, meter, clock):
        self.faults = {}
        self.parts = {}
        self.buses = {}
        self.per_kwh = 1000  # input pulses a kWh
        self.lock = allocate_lock()
        self.caller = None  # the thread that is running a verb
        self.fresh = True  # something has changed: update from the meter
        self._meter: "Meter" = meter
        self._clock: "Clock" = clock
        self.lines = self._blank = []
        self._more = False
        self._flash = False
        self._now = -1
        self._next = 0  # meter time of the next update
        self._ticks = 0
        self._called = self._stepped = ticks_ms() - _TICK_MS
        self._failed = 0
        self._sound = 0
        self._energy = 0  # of pulses not counted yet, in 1/per_kwh Wh
        self._early_ws = 0  # energy of pulses above _MOST_W
        self._taken = self._called
        self._closed = False
        self._redraw = _REDRAW
        self._opened = 0  # ticks for which the tamper switch has been open
        self._failing = False
        # The LED: consumption not shown yet, in Ws times pulses a kWh.
        self._owed = 0
        self._shown = (meter.state.total_wh, meter.state.rest_ws)
        self._led_per_kwh = 1000
        self._lit = 0
        self._dog = None
        self.make()

    def make(self, names=()):
        """Construct these parts, or all."""
        from . import parts

        parts.make(self, names)
        startup.release()

    def _fail(self, name):
        """Drop a failed part; retry it every 10 s."""
        del self.parts[name]
        self.faults[name] = "it does not answer any more"

    def seen(self):
        """Return the progress that a host waits for when it presses keys and reads the display.

        Keys taken, modulo 32; keys down; milliseconds of the last step; whether drawing is
        unfinished.
        """
        parts = self.parts
        keys = parts["keypad"].seen() if "keypad" in parts else (0, "")
        return keys + (self._stepped, self._more and "display" in parts)

    # Start, restart and tick

    def start(self, released=False):
        """Run the meter from now on; `released` adds a watchdog, which cannot be stopped again."""
        if released:
            self._dog = machine.WDT(timeout=_WATCHDOG_MS)
        self._timer = machine.Timer(board.TIMER)  # type: ignore[attr-defined]
        self._timer.init(period=_TICK_MS, mode=machine.Timer.PERIODIC, callback=self.tick)

    def guarded(self, function):
        """Return a function that the timer's callback does not interrupt."""
        return _Call(function, self)

    def restart(self):
        """Reset the chip: after a soft reset the watchdog would run without being fed."""
        machine.reset()

    def tick(self, timer=None):
        """Do what is due; call it every 20 ms.

        After a write to the flash, which blocks the chip, several calls follow at once. All but
        the first return without effect: contacts that bounce would else be scanned twice within a
        moment.
        """
        called = ticks_ms()
        if ticks_diff(called, self._called) < _TICK_MS // 2:
            return
        self._called = called
        self._ticks += 1
        if "keypad" in self.parts:
            self._scan()
        if self.lock.locked():  # a verb is running: wait for its end
            fed = ticks_diff(called, self._stepped) < _VERB_MS
        else:
            self._stepped = called
            # `with` acquires and releases it without a moment in which Ctrl-C could leave it
            # locked.
            with self.lock:
                try:
                    self._step()
                    self._failed = 0
                except Exception as error:
                    # The meter continues after any error; if it persists, the watchdog resets the
                    # chip.
                    self._failed += 1
                    gc.collect()
                    self.faults["tick"] = "it fails: %r" % error
            fed = self._failed < 100
        if fed and self._dog:
            self._dog.feed()

    def _scan(self):
        try:
            self.parts["keypad"].poll()
        except OSError:
            self._fail("keypad")

    def _step(self):
        meter = self._meter
        now = self._clock.count()
        parts = self.parts
        if "keypad" in parts:
            key = parts["keypad"].take()
            while key:
                self._press(key, now)
                key = parts["keypad"].take()
        if "tamper" in parts:
            self._watch_tamper(parts["tamper"].on(), now)
        if "supply" in parts:
            self._watch_supply(parts["supply"].on(), now)
        if "pulses" in parts:
            pulses = parts["pulses"].take()
            if self._plausible(pulses):
                self._count(pulses, self.per_kwh, now)
        if "energy" in parts:
            try:
                self._count(parts["energy"].take(), 1000, now)
            except OSError:
                self._fail("energy")
        if now != self._now:
            if now >= self._next or now < self._now:
                self.fresh = True
            self._now = now
            if now % _ALARM_S == 0 and credit.alarm_sounds(meter.state):
                self._sound |= _ALARM
            if "keypad" in self.faults and "keypad" in parts and not parts["keypad"].stuck:
                del self.faults["keypad"]
        if self.fresh:
            self.fresh = False
            self._update(now)
        self._redraw -= 1
        closed = bool(meter.state.switch_closed)
        if closed != self._closed:
            self._closed = closed
            self._redraw = _SETTLED
        if "relay" in parts:
            parts["relay"].set(closed)
        if "led" in parts:
            self._pulse(parts["led"])
        if "buzzer" in parts:
            parts["buzzer"].set(bool(self._sound & 1))
        self._sound >>= 1
        blinks = self._ticks % (2 * _BLINK)
        if "credit" in parts:
            state = meter.state
            lit = state.switch_closed and (not state.warned & credit.LOW or blinks < _BLINK)
            parts["credit"].set(bool(lit))
        if "display" in parts and not self._redraw:
            self._renew()
        if self._redraw <= 0:
            self._redraw = _REDRAW
        if "display" in parts and (self._more or (self._flash and blinks % _BLINK == 0)):
            self._draw(self._blank if self._flash and blinks >= _BLINK else self.lines)
        if self.faults and self._ticks % _RETRY == 0:
            self._retry()

    def _retry(self):
        # Not in `_step`: there the closure would make `parts` a heap object at each tick.
        parts = self.parts
        faults = self.faults
        faults.pop("tick", None)  # it is set again if the error persists
        missing = [name for name in faults if name not in parts]
        if missing:
            self.make(missing)
            self._more = True

    def _press(self, key, now):
        """Pass a key to the meter; A is the key that begins the profile's short codes, if any."""
        meter = self._meter
        self.fresh = True
        self._sound = _CLICK
        self._clock.linger(10)  # 1x for 10 s: time for the next key
        profile = meter.profile
        if key == "A" and profile:
            key = profile.codes_start or key
        try:
            outcome = meter.press(key, now)
        except ValueError:
            return  # an unknown key, or a meter with a fault, which its display shows
        except OSError:
            outcome = None
            self._sound = _BAD
        if outcome:
            self._sound = _GOOD if outcome.result in GOOD else _BAD

    def _watch_tamper(self, opened, now):
        """Set the tamper input when the tamper switch has been open for three ticks."""
        if not opened:
            self._opened = 0
        elif self._opened < 2:
            self._opened += 1
        elif self._opened == 2 and self._meter.state.provisioned:
            self._meter.set_tamper(True, now)
            self._opened = 3  # set after set_tamper: if saving fails, retry at the next tick
            self.fresh = True

    def _watch_supply(self, failing, now):
        """Save when the supply begins to fail: a brown-out resets the chip without a warning."""
        if failing != self._failing:
            self._failing = failing
            if failing:
                self._meter.save(now)

    def _plausible(self, pulses):
        """Return whether the pulses are plausible: an open input picks up more than any load."""
        passed_ms = ticks_diff(self._called, self._taken)
        self._taken = self._called
        early_ws = self._early_ws + pulses * (_WS_PER_KWH // self.per_kwh)
        early_ws = max(early_ws - passed_ms * (_MOST_W // 1000), 0)
        self._early_ws = min(early_ws, 2 * _EARLY_WS)
        if early_ws > _EARLY_WS:
            self.faults["pulses"] = "more pulses than any load: is the input wired?"
        elif not early_ws:
            self.faults.pop("pulses", None)
        return "pulses" not in self.faults

    def _count(self, pulses, per_kwh, now):
        """Count energy from pulses, of which `per_kwh` are one kWh."""
        if not pulses or not self._meter.state.provisioned:
            return
        self._energy += 1000 * pulses
        energy_wh = self._energy // per_kwh
        self._energy -= energy_wh * per_kwh
        if energy_wh:
            self._meter.count(energy_wh, now)
            self.fresh = True

    def _update(self, now):
        """Update display, LED and consumption from the meter; set the time of the next update.

        On the display only energy and waiting times change every second; several alarms alternate
        at the page interval.
        """
        meter = self._meter
        now = self._clock.now()
        self._next = now + 1
        lines = meter.display(now)
        state = meter.state
        profile = meter.profile
        if not (meter.fault or meter.store_error or state.lock_until > now):
            if not (state.switch_closed and state.load_w):
                self._next = min(meter.process(now), timeline.next_save(meter))
            if state.warned or state.credit_wh <= 0 or state.hold or state.tamper:
                page_s = profile.screens_page_s
                self._next = min(self._next, (now // page_s + 1) * page_s)
        if lines != self.lines:
            self.lines = lines
            self._blank = [" " * len(line) for line in lines]
            self._more = True
        if self._flash != bool(meter.flashes(now)):
            self._flash = not self._flash
            self._more = True
        if profile:
            self._led_per_kwh = profile.supply_pulses_per_kwh
        total_wh, rest_ws = self._shown
        self._shown = state.total_wh, state.rest_ws
        used_ws = (state.total_wh - total_wh) * credit.WS_PER_WH + state.rest_ws - rest_ws
        self._owed += used_ws * self._led_per_kwh
        if not -_MOST * _WS_PER_KWH < self._owed < _MOST * _WS_PER_KWH:
            self._owed %= _WS_PER_KWH  # time was advanced, or the meter is new

    def _pulse(self, led):
        """Light the LED for a due pulse, without error on average and exact to one tick."""
        state = self._meter.state
        ahead = 0
        if state.switch_closed:
            # The energy that the meter will have counted at the end of this second.
            ahead = state.load_w * self._clock.milli // 1000 * self._led_per_kwh
        if self._lit:
            self._lit -= 1
        elif self._owed + ahead >= _WS_PER_KWH:
            self._owed -= _WS_PER_KWH
            # If the next pulse is already due, this one is short.
            self._lit = 1 if self._owed + ahead >= _WS_PER_KWH else _LIT
        led.set(self._lit > 0)

    def _renew(self):
        self._more = True
        try:
            self.parts["display"].renew()
        except OSError:
            self._fail("display")

    def _draw(self, lines):
        try:
            self._more = self.parts["display"].show(lines)
        except OSError:
            self._fail("display")


class Guarded:
    """The console, with verbs that the timer's callback does not interrupt."""

    def __init__(self, console, runtime):
        self._console = console
        self._runtime = runtime

    def __getattr__(self, name):
        value = getattr(self._console, name)
        return self._runtime.guarded(value) if callable(value) else value


class _Call:
    def __init__(self, function, runtime):
        self._function = function
        self._runtime = runtime

    def __call__(self, *arguments):
        runtime = self._runtime
        lock = runtime.lock
        me = get_ident()
        waited = 0
        while lock.locked():
            # On a chip the callback runs in the thread that it interrupts: waiting would never
            # end.
            if runtime.caller == me or waited >= _WAIT_MS:
                raise RuntimeError("another verb is running: call it again")
            sleep_ms(10)
            waited += 10
        with lock:
            try:
                runtime.caller = me
                runtime.fresh = True
                return self._function(*arguments)
            finally:
                runtime.caller = None
                startup.release()
