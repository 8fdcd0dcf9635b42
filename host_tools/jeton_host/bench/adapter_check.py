"""Checks the wires between a meter and its adapter, one by one, and reports the wrong ones.

During the check the meter does not use its parts, and continues afterwards: no key is entered into
it, and the switching of the relay is not the meter's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jeton_host.bench.adapter_pins import KEYPADS
from jeton_host.bench.doctor import FAILED, OK, Finding, pattern
from jeton_host.bench.wires import AdapterWires
from jeton_host.client.client import MeterClient
from jeton_host.errors import BoardError
from jeton_host.firmware import remote

_PATIENCE_S = 10.0  # longest wait for a line of the board under test

_LOOKS = 40  # of 10 ms each, for an expected key or signal
_WAIT = 15  # ticks in which the host reads the counts
_TRIES = 3  # of a step that a busy computer may have missed


@dataclass(frozen=True)
class _Key:
    row: int
    column: int
    name: str
    got: str


class Check:
    """The check of the wires of one bench."""

    def __init__(self, meter: MeterClient, wires: AdapterWires) -> None:
        if meter.locked:
            raise BoardError(
                f"the meter at {meter.port} is locked, and a test needs its REPL: "
                "`jeton unlock --for-good` removes the lock"
            )
        self._meter = meter
        self._wires = wires
        self._parts = wires.board.parts
        self._faults = dict(meter.info().faults)

    def run(self) -> Iterator[Finding]:
        """Test the wires of each part in turn; a fault that the meter reports comes first."""
        if "keypad" in self._parts and self._parts["keypad"]["driver"] in KEYPADS:
            yield from self._fault("keypad") or self._keys()
        yield from self._outputs()
        yield from self._signals()
        if self._wires.readable:
            yield from self._display()

    def _fault(self, name: str) -> list[Finding]:
        fault = self._faults.get(name, "")
        return [Finding(name, FAILED, fault)] if fault and "held down" not in fault else []

    def _do(self, heard: Callable[[str], None], test: str, *arguments: object) -> None:
        """Run a test on the board: it prints each step and waits until `heard` has done it."""
        source = remote.once("examine", test, *arguments)
        self._meter.run(source, timeout=_PATIENCE_S, heard=heard)

    # Keys

    def _keys(self) -> Iterator[Finding]:
        names = str(self._parts["keypad"]["keys"])
        got: dict[int, str] = {}
        stuck = ""
        at = 0

        def heard(line: str) -> None:
            nonlocal at, stuck
            word, _, rest = line.partition(" ")
            if word == "hold":
                at = int(rest)
                self._wires.hold(*divmod(at, 4))
            elif word == "got":
                got[at] = rest
                self._wires.release()
            elif word == "stuck":
                stuck = rest

        self._do(heard, "hold_keys", len(names), _LOOKS)
        if stuck:
            yield Finding("keypad", FAILED, f"held down without the adapter: {stuck}")
        keys = [_Key(*divmod(i, 4), name, got.get(i, "")) for i, name in enumerate(names)]
        wrong = [key for key in keys if key.got != key.name]
        if not wrong:
            if not stuck:
                yield Finding("keypad", OK)
            return
        causes = list(_causes(keys, names))
        for cause in causes:
            yield Finding("keypad", FAILED, cause)
        if not causes:
            for key in wrong:
                note = f"is detected as {key.got}" if key.got else "is not detected"
                yield Finding("keypad", FAILED, f"key {key.name} {note}")

    # Outputs and inputs

    def _outputs(self) -> Iterator[Finding]:
        names = [name for name in self._wires.states() if name not in self._faults]
        times = {name: i for i, name in enumerate(names, 2)}
        counted: dict[str, int] = {}
        for _ in range(_TRIES):
            counted = self._counted(times)
            if counted == times:
                break
        for name in names:
            at = {where for where, count in counted.items() if count == times[name]}
            if not counted[name] and not at:
                yield Finding(
                    name,
                    FAILED,
                    "it is switched and the adapter sees no change: is its wire there?",
                )
            elif at == {name}:
                yield Finding(name, OK)
            elif at:
                yield Finding(name, FAILED, f"it is seen in place of {', '.join(sorted(at))}")
            else:
                note = f"it is switched on {times[name]} times, and seen {counted[name]} times"
                yield Finding(name, FAILED, note)

    def _counted(self, times: dict[str, int]) -> dict[str, int]:
        """Return how often each input of the adapter went on while all outputs were switched."""
        counts: dict[str, dict[str, int]] = {}

        def heard(line: str) -> None:
            counts[line] = {name: count for name, (_, count) in self._wires.states().items()}

        self._do(heard, "count_outputs", times, _WAIT)
        return {name: counts["done"][name] - counts["base"][name] for name in times}

    def _signals(self) -> Iterator[Finding]:
        names = [n for n in ("pulses", "tamper") if n in self._parts and n not in self._faults]
        if not names:
            return
        rest: set[str] = set()
        seen: dict[str, set[str]] = {}
        given = ""

        def heard(line: str) -> None:
            nonlocal rest, given
            word, *what = line.split()
            if word == "give":
                given = what[0]
                self._wires.sign(given, True)
            elif word == "end":
                self._wires.sign(given, False)
            elif word == "rest":
                rest = set(what)
            elif word == "seen":
                seen[given] = set(what)

        self._do(heard, "give_signs", names, _LOOKS)
        for name in names:
            if name in rest:
                note = "is active without a signal: are its wire and GND in place?"
                yield Finding(name, FAILED, note)
                continue
            there = seen.get(name, set()) - rest
            if there == {name}:
                yield Finding(name, OK)
            elif not there:
                note = "its signal is given and the meter sees none: is its wire there?"
                yield Finding(name, FAILED, note)
            else:
                note = f"its signal arrives at {', '.join(sorted(there))}"
                yield Finding(name, FAILED, note)

    def _display(self) -> Iterator[Finding]:
        wanted = pattern(*self._wires.board.display[:2])
        shown: list[str] = []

        def heard(line: str) -> None:
            nonlocal shown
            shown = self._wires.lines()

        try:
            self._wires.listen()
            for _ in range(_TRIES):
                self._do(heard, "show", wanted, _WAIT)
                if shown == wanted:
                    break
        except BoardError as error:
            yield Finding("display", FAILED, str(error))
            return
        if shown == wanted:
            lost = self._wires.lost
            yield Finding(
                "display", OK, f"{lost} bytes were lost, and drawn again" if lost else ""
            )
        else:
            at = next(i for i, line in enumerate(wanted) if line != shown[i])
            note = f"row {at + 1} is {shown[at]!r} and should be {wanted[at]!r}"
            yield Finding("display", FAILED, note)


def _causes(keys: list[_Key], names: str) -> Iterator[str]:
    """Yield the wires that explain the wrong keys; nothing if no wire does."""
    if not any(key.got for key in keys):
        yield (
            "no key arrives: are GND, the 3V3 of the multiplexers and their inhibit connected, "
            "and their commons (pin 3) joined?"
        )
        return
    rows: dict[int, set[int]] = {}
    columns: dict[int, set[int]] = {}
    for key in keys:
        for got in key.got:
            row, column = divmod(names.index(got), 4)
            rows.setdefault(key.row, set()).add(row)
            columns.setdefault(key.column, set()).add(column)
    for letter, found in (("R", rows), ("C", columns)):
        for line in range(4):
            reached = found.get(line, set())
            if not reached:
                yield f"{letter}{line + 1}: none of its keys arrives; its wire is missing"
            elif len(reached) == 1 and reached != {line}:
                other = next(iter(reached))
                yield f"{letter}{line + 1}: its keys are those of {letter}{other + 1}"
