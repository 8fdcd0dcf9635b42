"""The rules of the client: types of arguments, a closed meter, one meter used by two threads."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from jeton_host import (
    ClosedError,
    JetonError,
    Meter,
    NeverCameError,
    WrongTypeError,
    WrongValueError,
)

STEPS = "steps must be a list, each item (a whole number, a whole number)"
WRONG: list[tuple[Callable[[Any], object], str]] = [
    (lambda m: m.enter(12), "token must be a text, not 12"),
    (lambda m: m.enter(None), "token must be a text, not None"),
    (lambda m: m.press(5), "keys must be a text, not 5"),
    (lambda m: m.press("1", linger_s="5"), "linger_s must be a whole number, not '5'"),
    (lambda m: m.advance("2h"), "seconds must be a whole number, not '2h'"),
    (lambda m: m.advance(1.5), "seconds must be a whole number, not 1.5"),
    (lambda m: m.advance(True), "seconds must be a whole number, not True"),
    (lambda m: m.advance_to_next("1"), "seconds must be a whole number, not '1'"),
    (lambda m: m.set_load("800"), "watts must be a whole number, not '800'"),
    (
        lambda m: m.set_load_steps(5),
        f"{STEPS}, not 5",
    ),
    (
        lambda m: m.set_load_steps([5]),
        f"{STEPS}, not [5]",
    ),
    (lambda m: m.set_load_steps([(0, "1")]), "steps must be a list"),
    (lambda m: m.set_load_steps([(0, 1)], start="now"), "start must be a datetime, not 'now'"),
    (lambda m: m.play([(0, 1)], end_s="9"), "end_s must be a whole number, not '9'"),
    (lambda m: m.set_phases(1, 2, None), "third_w must be a whole number, not None"),
    (lambda m: m.clock(0), "when must be a datetime, not 0"),
    (lambda m: m.set_rate("60"), "rate must be a whole number, not '60'"),
    (lambda m: m.set_tamper("on"), "on must be True or False, not 'on'"),
    (lambda m: m.language(5), "language must be a text, not 5"),
    (lambda m: m.events("1"), "after must be a whole number, not '1'"),
    (lambda m: m.acknowledge(None), "seq must be a whole number, not None"),
    (lambda m: m.grant(0.5), "energy_wh must be a whole number, not 0.5"),
    (lambda m: m.consume("1"), "energy_wh must be a whole number, not '1'"),
    (lambda m: m.unlock(1234), "code must be a text, not 1234"),
    (lambda m: m.lock(1234), "code must be a text, not 1234"),
    (lambda m: m.provision([]), "a configuration is a mapping, not list"),
    (lambda m: m.run(12), "source must be a text, not 12"),
    (lambda m: m.run(b"1"), "source must be a text, not b'1'"),
    (lambda m: m.run("\ud800"), "source must be a text without half characters"),
    (lambda m: m.run("1", heard=12), "heard must be of type Callable, not 12"),
    (lambda m: m.rpc("status", timeout="2h"), "timeout must be a number, not '2h'"),
    (lambda m: m.advance(10**400), "seconds must be a number of at most 63 bits"),
    (lambda m: m.advance_to_next(10**5000), "seconds must be a number of at most 63 bits"),
    (lambda m: m.play([(0, 1)], end_s=10**400), "end_s must be a number of at most 63 bits"),
    (lambda m: m.wait_display("x", timeout=float("nan")), "timeout must be a finite number"),
    (lambda m: m.advance_until(colour="red"), "a meter's status has no colour"),
    (lambda m: m.wait_event("nothing"), "no event is called 'nothing'"),
    (lambda m: m.wait_display(5), "text must be a text or a pattern, not 5"),
    (
        lambda m: m.advance_until("trip", limit="1h"),
        "limit must be a timedelta or a whole number, not '1h'",
    ),
]


def test_wrong_arguments_are_reported_in_one_line(meter: Meter) -> None:
    before = meter.talks
    for call, said in WRONG:
        with pytest.raises(JetonError) as caught:
            call(meter)
        assert str(caught.value).startswith(said)
        assert "\n" not in str(caught.value)
    assert meter.status().total_wh == 0
    assert meter.talks > before


def test_argument_errors_are_also_python_errors(meter: Meter) -> None:
    with pytest.raises(TypeError):
        meter.advance("2h")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no event is called"):
        meter.wait_event("nothing")
    assert issubclass(WrongTypeError, TypeError)
    assert issubclass(WrongValueError, ValueError)


def test_a_closed_meter_raises_a_clear_error() -> None:
    meter = Meter.open("virtual")
    meter.close()
    meter.close()
    calls = (meter.status, meter.info, meter.reset, lambda: meter.run("1"), meter.soft_reset)
    calls += (meter.power_cut, meter.power_on, lambda: meter.wires, lambda: meter.locked)
    calls += (lambda: meter.advance_until("token"), lambda: meter.wait_event("token"))
    for call in calls:
        with pytest.raises(ClosedError, match="is closed: open it again"):
            call()


def test_two_threads_may_use_one_meter(meter: Meter) -> None:
    failed: list[BaseException] = []
    start = threading.Barrier(3)

    def ask() -> None:
        start.wait()
        try:
            for _ in range(30):
                assert meter.status().drn == meter.info().drn
        except BaseException as error:
            failed.append(error)

    def load() -> None:
        start.wait()
        try:
            for watts in range(1, 21):
                # Sent in two parts: no other request may come between them.
                steps = [(second, watts) for second in range(40)]
                assert meter.set_load_steps(steps, repeat_s=40).load_steps == 40
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for work in (ask, ask, load)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_call_of_several_exchanges_is_atomic(meter: Meter) -> None:
    done: list[str] = []
    before = meter.clock()

    def live() -> None:
        meter.play([(second, 100) for second in range(0, 600 * 10, 10)])
        done.append("played")

    playing = threading.Thread(target=live)
    playing.start()
    while playing.is_alive():
        # `play` stops the clock (rate 0) inside the call: other threads never see this.
        assert meter.status().rate == 1
    playing.join()
    assert done == ["played"]
    assert meter.clock() >= before + timedelta(seconds=5990)


def test_two_threads_that_advance_leave_the_clock_running(meter: Meter) -> None:
    meter.set_load(100)

    def advance() -> None:
        for _ in range(3):
            with pytest.raises(NeverCameError):
                meter.advance_until("trip", limit=20, step=1)

    threads = [threading.Thread(target=advance) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.status().rate == 1
