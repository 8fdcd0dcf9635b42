"""Arbitrary data on the serial line: the meter works afterwards and its state is correct."""

import os
import random
import select
import time
from collections.abc import Callable
from typing import Any

import pytest
from client import Client

from jeton_host.client.answers import TokenResult
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.vending import tokens

KEY = "87f3ecbb2e46b48f"
PATIENCE_S = 5.0
FLOOD = 10_000


def send_flood(client: Client, data: bytes) -> bytes:
    """Send data as fast as the board accepts it, and return what the board sent meanwhile.

    If the board stops accepting data, the rest is not sent.
    """
    said, rest = b"", memoryview(data)
    os.set_blocking(client.fd, False)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < (1 if rest else 0.2):
        ready = select.select([client.fd], [client.fd] if rest else [], [], 0.1)
        if ready[0]:
            said += os.read(client.fd, 1 << 16)
            quiet_since = time.monotonic()
        if ready[1]:
            rest = rest[os.write(client.fd, rest[:4096]) :]
            quiet_since = time.monotonic()
    os.set_blocking(client.fd, True)
    return said


@pytest.fixture
def meter_config(meter_config: dict[str, Any]) -> dict[str, Any]:
    return {"drn": "00000000000", "decoder_key": KEY, "tid0": 1000, "clock": meter_config["clock"]}


class Sales:
    """Sells tokens of 0.1 kWh and counts those that the meter has accepted."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.sold = 0

    def check_meter(self) -> int:
        """Check that the meter accepts the next valid token soon; return the heap in use."""
        self.sold += 1
        fields = {"rnd": 0, "tid": 2000 + self.sold, "amount": 1}
        token = tokens.encode(0, 0, fields, key=bytes.fromhex(KEY), ea=7)
        began = time.monotonic()
        entered = self.meter.enter(token)
        assert entered.result is TokenResult.ACCEPT
        assert time.monotonic() - began < PATIENCE_S
        assert self.meter.ledger().tokens_wh == 100 * self.sold
        self.meter.events()
        self.meter.status()
        used = int(self.meter.rpc("info")["mem_used"])
        self.meter.release()
        return used


@pytest.fixture
def sales(meter: Meter) -> Sales:
    return Sales(meter)


def _every_byte() -> bytes:
    return bytes(range(256)) + b"".join(bytes([value]) * 5 + b"\r" for value in range(256))


def _rpc(line: str) -> bytes:
    return f"print(meter.rpc({line!r}))".encode()


_LINES: dict[str, Callable[[], bytes]] = {
    "every byte": _every_byte,
    "noise": lambda: random.Random(1).randbytes(2_000),
    "noise without control": lambda: bytes(b | 32 for b in random.Random(2).randbytes(20_000)),
    "broken UTF-8": lambda: b'meter.rpc(\'["enter", "\xff\xfe\xc3"]\')\r' * 50,
    "half a command": lambda: _rpc('["enter", "12')[:30],
    "half a block": lambda: b"def f():\r    while True:\r        pas",
    "a program without end": lambda: b"while True: pass\r\r\r",
    "a line without end": lambda: b"x" * 300_000,
    "a string without end": lambda: b"'" + b"7" * 100_000,
    "brackets without end": lambda: b"(" * 3_000 + b"\r",
    "escape sequences": lambda: b"\x1b[A\x1b[B\x1b[99999C\x1b[" * 500 + b"\r",
    "tabs": lambda: b"meter.\t\t" * 50 + b"\r",
    "a flood of lines": lambda: (_rpc('["enter", "00000000000201328896"]') + b"\r") * 200,
    "a flood of junk": lambda: b"1\r" * FLOOD,
    "paste that is left": lambda: b"\x05meter.rpc('",
}


@pytest.mark.parametrize("raw", [False, True], ids=["friendly", "raw"])
@pytest.mark.parametrize("name", _LINES)
def test_arbitrary_data_does_not_harm_the_meter(sales: Sales, name: str, raw: bool) -> None:
    before = sales.check_meter()
    with Client(sales.meter.port) as client:
        if raw:
            client.raw()
        said = send_flood(client, _LINES[name]())
    assert KEY.encode() not in said.lower()
    after = sales.check_meter()
    # A line may leave a few names on the heap; modules are imported only once.
    assert after - before < 12_000


COMMANDS = 2_000


def test_commands_without_pause_are_answered(sales: Sales) -> None:
    """Each command is answered, and the heap in use does not grow."""
    lines = [
        '["enter", "00000000000201328896"]',
        '["status"',
        '["press", "12*#"]',
        "[]",
        '{"a":1}',
    ]
    with Client(sales.meter.port) as client:
        client.raw()
        # Modules imported by these commands stay on the heap.
        client.run("meter.enter('00000000000201328896'), meter.press('12*#'), meter.events()")
    before = sales.check_meter()
    with Client(sales.meter.port) as client:
        client.raw()
        for i in range(0, COMMANDS, 50):
            part = "\n".join(f"meter.rpc({lines[k % len(lines)]!r})" for k in range(i, i + 50))
            output, error = client.run(part)
            assert (output, error) == (b"", b"")
    assert sales.check_meter() - before < 2_000


def test_interrupted_floods_do_not_harm_the_meter(sales: Sales) -> None:
    made = random.Random(3)
    flood = (_rpc('["enter", "00000000000201328896"]') + b"\x04") * 300
    for _ in range(10):
        with Client(sales.meter.port) as client:
            client.raw()
            client.send(flood[: made.randrange(1, 8_000)])
        sales.check_meter()


@pytest.mark.virtual_only
def test_a_named_meter_keeps_its_credit() -> None:
    """Data that ends the interpreter has the effect of a power cut."""
    meters.create("home", meters.make_config() | {"credit_wh": 12_300})
    with Meter.open("home") as meter:
        for data in (b"x" * 300_000, b"\x03\x04" * 8, random.Random(4).randbytes(1_000)):
            meter.release()
            with Client(meter.port) as client:
                send_flood(client, data)
            assert meter.status().credit_wh == 12_300


def test_a_meter_with_a_locked_heap_recovers(sales: Sales) -> None:
    """Ctrl-C during garbage collection can leave the heap of the unix port locked."""
    raising = "raise MemoryError('memory allocation failed, heap is locked')"
    sales.meter.run(f"def broken(line):\n    {raising}\nmeter.rpc = broken")
    assert sales.meter.status().provisioned  # after a soft reset
    sales.check_meter()
