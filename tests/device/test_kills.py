"""A running meter is killed at random moments: no purchase is lost or credited twice.

25 kills by default; `make soak` sets $JETON_KILLS for more, with a new random seed each time.
"""

import functools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from client import Client

from jeton_host.client.answers import Ledger, TokenResult
from jeton_host.errors import BoardError
from jeton_host.meter import Meter
from jeton_host.meters import named as meters
from jeton_host.vending import tokens

pytestmark = pytest.mark.virtual_only

KILLS = int(os.environ.get("JETON_KILLS", "25"))
KEY = bytes.fromhex("87f3ecbb2e46b48f")
UNITS = 7  # of 100 Wh, in every token
TOKEN_WH = 700
LOAD_W = 36_000
RATE = 60  # meter seconds per second: 600 Wh a second, so there is much to save

TALLY: Counter[str] = Counter()


class Book:
    """The tokens that the point of sale has sold, and the meter's answers to them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tid = 2000
        self.accepted_wh = 0
        self.open: tuple[str, int] | None = None  # entered, but never answered

    def next(self) -> str:
        self.tid += 1
        fields = {"rnd": 1, "tid": self.tid, "amount": UNITS}
        return tokens.encode(0, 0, fields, key=KEY, ea=7)

    def enter(self, meter: Meter) -> None:
        """Enter a new token; book it if the meter answers."""
        digits = self.next()
        TALLY["tokens"] += 1
        self.open = (digits, self.accepted_wh)
        assert meter.enter(digits).result is TokenResult.ACCEPT
        self.accepted_wh += TOKEN_WH
        self.open = None

    def check(self, meter: Meter) -> None:
        """Check a restarted meter: no token is lost and none is credited twice."""
        ledger = meter.ledger()
        check_ledger(ledger)
        known_wh = self.accepted_wh
        if self.open is None:
            assert ledger.tokens_wh == known_wh
        else:
            digits, _ = self.open
            arrived = ledger.tokens_wh == known_wh + TOKEN_WH
            assert arrived or ledger.tokens_wh == known_wh
            TALLY["unanswered, credited" if arrived else "unanswered, not credited"] += 1
            wanted = TokenResult.USED if arrived else TokenResult.ACCEPT
            assert meter.enter(digits).result is wanted
            assert meter.enter(digits).result is TokenResult.USED
            self.accepted_wh += TOKEN_WH
            self.open = None
            assert meter.ledger().tokens_wh == self.accepted_wh
        self.enter(meter)
        check_ledger(meter.ledger())


def check_ledger(ledger: Ledger) -> None:
    """Check the identity of the ledger (jeton/credit.py)."""
    sources = ledger.initial_wh + ledger.tokens_wh + ledger.advances_wh + ledger.emergency_wh
    spent = ledger.charged_wh + ledger.recovered_wh + ledger.cleared_wh
    assert sources - spent == ledger.credit_wh


@pytest.fixture
def book() -> Book:
    seed = random.randrange(1 << 30) if "JETON_KILLS" in os.environ else 20
    print("seed", seed)
    config = {"drn": "00000000000", "decoder_key": KEY.hex(), "tid0": 1000, "credit_wh": 10**8}
    meters.create("home", config)
    return Book(seed)


@pytest.fixture(autouse=True, scope="module")
def figures(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\nkills:", ", ".join(f"{count:,} {what}" for what, count in sorted(TALLY.items())))


def start_load(meter: Meter) -> None:
    meter.set_load(LOAD_W)
    meter.set_rate(RATE)


def until_it_ends(book: Book, meter: Meter, ended: Callable[[], bool]) -> None:
    """Enter tokens and use energy until the meter ends.

    `ended` returns True after the end: a client with no request under way does not notice it.
    """
    try:
        while not ended():
            book.enter(meter)
            if book.random.random() < 0.5:
                meter.advance(book.random.randrange(60))
    except BoardError:
        pass


def test_a_killed_interpreter_loses_no_token(book: Book) -> None:
    """The interpreter ends at once, as by a power cut, and is started again."""
    with Meter.open("home", timeout=3) as meter:
        board = meter.board
        assert board is not None
        for _ in range(KILLS - KILLS // 5):
            start_load(meter)
            boots, pid = board.boots, board.pid
            assert pid is not None
            kill = functools.partial(os.kill, pid, signal.SIGKILL)
            killer = threading.Timer(book.random.random() * 0.06, kill)
            killer.start()
            # The client gets the start messages of the board within an answer, or no answer.
            meter.timeout = 0.5
            until_it_ends(book, meter, lambda: board.boots > boots)  # noqa: B023
            killer.join()
            TALLY["kills of the interpreter"] += 1
            meter.timeout = 3
            assert board.wait_for(lambda: board.boots > boots, 10)  # noqa: B023
            book.check(meter)


def served() -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "jeton_host", "serve", "home"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_killed_program_loses_no_token(book: Book) -> None:
    """The whole program that serves the meter is killed."""
    for _ in range(KILLS // 5):
        process, port = served()
        try:
            with Meter.open(port, timeout=3) as meter:
                start_load(meter)
                killer = threading.Timer(book.random.random() * 0.08, process.kill)
                killer.start()
                meter.timeout = 0.5
                until_it_ends(book, meter, lambda: process.poll() is not None)  # noqa: B023
                killer.join()
        finally:
            process.kill()
            process.communicate()
        TALLY["kills of the board"] += 1
        deadline = time.monotonic() + 5
        while meters.find("home").port() is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with Meter.open("home") as meter:
            book.check(meter)


def interrupt(client: Client) -> None:
    client.send(b"\x03" * 3)


def soft_reset(client: Client) -> None:
    client.send(b"\x03\x03\x04")


def leave(client: Client) -> None:
    """Close the port in the middle of a line or an answer."""


@pytest.mark.parametrize("disturb", [interrupt, soft_reset, leave])
def test_a_disturbed_line_loses_no_token(book: Book, disturb: Callable[[Client], None]) -> None:
    """Ctrl-C, a soft reset or the end of the client while a token is entered."""
    process, port = served()
    try:
        with Meter.open(port) as meter:
            start_load(meter)
        for _ in range(max(4, KILLS // 5)):
            with Client(port) as client:
                client.raw()
                digits = book.next()
                TALLY["tokens"] += 1
                book.open = (digits, book.accepted_wh)
                source = f'print(meter.rpc(\'["enter", "{digits}"]\'))'.encode() + b"\x04"
                half = book.random.random() < 0.2
                client.send(source[: len(source) // 2] if half else source)
                time.sleep(book.random.random() * 0.008)
                disturb(client)
            TALLY[f"disturbances ({disturb.__name__})"] += 1
            with Meter.open(port) as meter:
                book.check(meter)
                assert meter.set_rate(RATE).fault is None
                meter.set_load(LOAD_W)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    with Meter.open("home") as meter:
        book.check(meter)
