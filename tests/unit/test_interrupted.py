"""Tests that an action interrupted by Ctrl-C, at any instruction, has no effect."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "both"))

from both_support import T0, credit, key_change, new_meter
from jeton.sts.results import TokenResult as R

FIRMWARE = str(Path(__file__).parents[2] / "firmware" / "jeton")
HOURS_S = 3 * 3600
STEPS = [[i * 600, 500 + 70 * i] for i in range(6)]
PLACES = 50


class Interrupt(BaseException):
    """An exception like KeyboardInterrupt."""


class Ctrl_C:
    """Raises Interrupt at instruction `at` of the firmware (from 1), and again `again` later."""

    def __init__(self, at: int = 0, again: int = 0):
        self.at, self.again = at, again
        self.count = 0

    def _trace(self, frame: Any, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(FIRMWARE):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.count += 1
            if self.count in (self.at, self.at + self.again):
                raise Interrupt
        return self._trace

    def run(self, function: Callable[[], object]) -> None:
        """Run a function until the interrupt."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            function()
        except Interrupt:
            pass
        finally:
            sys.settrace(before)


def busy_meter() -> Any:
    """Return (meter, store) with some credit, a load in steps and a debt."""
    meter, store = new_meter(
        credit_wh=2500,
        changes={"credit.advance_share": 50, "supply.limit_delay_s": 10, "supply.reconnect_s": 60},
    )
    meter.set_load_steps(STEPS, T0, None, 3600)
    meter.grant(1000, T0)
    return meter, store


def balanced(meter: Any) -> bool:
    state = meter.state
    sources = state.initial_wh + state.tokens_wh + state.advances_wh + state.emergency_wh
    out = state.charged_wh + state.recovered_wh + state.cleared_wh
    return bool(sources - out == state.credit_wh)


def state_of(meter: Any) -> tuple[Any, ...]:
    state = meter.state
    return (
        (state.credit_wh, state.total_wh, state.rest_ws, state.charged_wh, state.load_w),
        (
            state.tokens_wh,
            state.recovered_wh,
            state.advance_debt_wh,
            state.krn,
            state.switch_closed,
        ),
        (state.event_seq, bytes(meter.tids.data), state.lock_count, meter.display(T0 + HOURS_S)),
    )


SECTIONS = key_change()
ACTIONS: dict[str, Callable[[Any], object]] = {
    "time": lambda meter: meter.process(T0 + HOURS_S),
    "credit": lambda meter: meter.enter(credit(2000), T0),
    "key change": lambda meter: [meter.enter(code, T0) for code in SECTIONS],
    "grant": lambda meter: meter.grant(700, T0),
    "clock": lambda meter: meter.clock_set(T0, T0 + 5000),
}


@pytest.mark.parametrize("again", [0, 1, 7, 40])
@pytest.mark.parametrize("name", ACTIONS)
def test_an_interrupted_action_is_done_in_full_or_not_at_all(name: str, again: int) -> None:
    do = ACTIONS[name]
    plain = Ctrl_C()
    meter, store = busy_meter()
    plain.run(lambda: do(meter))
    for at in range(1 + again, plain.count, max(1, plain.count // PLACES)):
        meter, store = busy_meter()
        Ctrl_C(at, again).run(lambda meter=meter: do(meter))  # type: ignore[misc]
        meter.process(meter._at)  # each action begins with this call
        assert balanced(meter), at
        tokens_wh = meter.state.tokens_wh
        if name == "credit":
            result = meter.enter(credit(2000), T0).result
            assert (result, meter.state.tokens_wh) in ((R.ACCEPT, 10_000), (R.USED, 10_000)), at
            assert result == (R.USED if tokens_wh else R.ACCEPT)
        elif name == "time":
            # The state is as without the interrupt: the energy is counted once.
            meter.process(T0 + HOURS_S)
            other, _ = busy_meter()
            other.process(T0 + HOURS_S)
            assert state_of(meter) == state_of(other), at
        elif name == "grant":
            assert meter.state.advances_wh in (1000, 1700), at
        assert balanced(meter), at
        # The next save contains the state of the meter.
        meter.enter(credit(3000), T0 + HOURS_S)
        state = type(meter)(store, meter._profiles)
        state.start()
        assert state.state.credit_wh == meter.state.credit_wh, at
        assert bytes(state.tids.data) == bytes(meter.tids.data), at
