"""Constructs the parts of a runtime from the board's data; unloaded after start-up."""

import machine
from machine import Pin

import wiring  # type: ignore[import-not-found]  # from boards/<name>/board.py

from .keys import Keys
from .pins import Output, Switch


def _bus(buses, name):
    if name is not None and name not in buses:
        settings = dict(wiring.BUSES[name])
        for wire in ("scl", "sda", "sck", "mosi", "miso", "tx", "rx"):
            if wire in settings:
                settings[wire] = Pin(settings[wire])
        kind = getattr(machine, settings.pop("kind"))
        number = settings.pop("id", None)
        buses[name] = kind(**settings) if number is None else kind(number, **settings)
    return buses.get(name)


def _part(name, settings, buses):
    driver = settings.get("driver")
    if not driver:
        return Switch(settings) if name in ("tamper", "supply") else Output(settings)
    if name == "display":
        settings["rows"], settings["cols"] = wiring.DISPLAY[:2]
        if settings.get("keypad"):
            settings["keypad"] = wiring.PARTS["keypad"]["keys"]
    module = getattr(__import__("drivers." + driver), driver)
    part = module.make(_bus(buses, settings.get("bus")), settings)
    if name == "keypad":
        return Keys(part.scan, settings["keys"])
    return part


def _why(error, settings):
    bus = settings.get("bus")
    if isinstance(error, OSError) and bus:
        at = ", ".join(["0x%02X" % address for address in settings.get("addresses", ())])
        return "nothing answers on %s%s" % (bus, at and " at " + at)
    return str(error) or error.__class__.__name__


def make(runtime, names):
    """Construct the named parts of a runtime, or all; `faults` says why a part failed."""
    for name in names or wiring.PARTS:
        settings = dict(wiring.PARTS[name])
        if "per_kwh" in settings:
            runtime.per_kwh = settings["per_kwh"]
        try:
            part = _part(name, settings, runtime.buses)
            runtime.parts[name] = part
            runtime.faults.pop(name, None)
            if name == "keypad" and part.stuck:
                runtime.faults[name] = "held down since the start: " + part.held(part.stuck)
        except Exception as error:  # the meter runs in spite of any fault of a part
            runtime.faults[name] = _why(error, settings)
