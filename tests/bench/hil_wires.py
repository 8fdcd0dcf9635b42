"""Measures pins in place of the serial line: keys, a display, `jeton wires`, on models."""

import time
from collections.abc import Iterator

from jeton_host.bench.adapter_check import Check
from jeton_host.bench.virtual_adapter import VirtualAdapter
from jeton_host.bench.wires import AdapterWires
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.virtual.board import VirtualBoard

_KEYS = "1234567890*****"


def rows() -> Iterator[tuple[str, float, str]]:
    """Yield (name, value, unit); times are real, the firmware's ticks are 20 ms."""
    for name in ("esp32_lcd2004", "esp32_oled", "esp32c3_oled"):
        with VirtualBoard(board=name) as board:
            assert board.bench is not None
            with VirtualAdapter(board.bench) as adapter:
                yield from _measured(name, board, adapter)


def _measured(
    name: str, board: VirtualBoard, adapter: VirtualAdapter
) -> Iterator[tuple[str, float, str]]:
    assert board.bench is not None
    pins = AdapterWires(adapter.path)
    display = board.bench.part("display")
    began = time.perf_counter()
    with Meter.open(board.path, config=meters.make_config(), wires=pins) as meter:
        yield f"{name}: open with an adapter", (time.perf_counter() - began) * 1000, "ms"
        began = time.perf_counter()
        meter.press(_KEYS)
        yield "  a key through pins", (time.perf_counter() - began) * 1000 / len(_KEYS), "ms"
        began = time.perf_counter()
        meter.display()
        yield "  a display through pins", (time.perf_counter() - began) * 1000, "ms"
        before = display.bus_bytes
        pins.listen()
        meter.display()
        bus = board.bench.board.buses[board.bench.board.parts["display"]["bus"]]
        sent = display.bus_bytes - before
        yield "  bytes of a display initialised and drawn", sent, ""
        yield "  those on the bus", 9000 * sent / bus["freq"], "ms"
        yield "  bytes lost", pins.lost, ""
        pins.close()
        began = time.perf_counter()
        pins = AdapterWires(adapter.path)
        pins.connect(meter)
        found = list(Check(meter, pins).run())
        pins.close()
        assert all(finding.result == "ok" for finding in found), found
        yield "  jeton wires", time.perf_counter() - began, "s"
