"""Tells a drill while it runs: what is keyed, what the meter shows, what became of it, and why.

On a terminal the display is drawn as it changes; elsewhere plain lines tell the same. At the end
come a table and a plot of credit and load over time.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jeton.sts.digits import grouped
from jeton_host.client.answers import EnterResult, Status, TokenResult
from jeton_host.drills import plot
from jeton_host.drills.plot import Point
from jeton_host.errors import BoardError, JetonError
from jeton_host.meter import Meter
from jeton_host.terminal.draw import cells, panel

_INDENT = (0, 0, 0, 5)
# Seconds between the groups of four that are seen to be keyed on a terminal.
_PACE = 0.04
_PARTS = 12  # points while time passes, unless a drill wants more
# What is keyed, what is right, what is wrong.
_SIGNS, _ASCII_SIGNS = ("▸", "✔", "✘"), (">", "+", "X")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened in a drill, and whether it was what ought to happen."""

    chapter: str
    what: str
    expected: str
    found: str
    ok: bool
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it for --json."""
        head = {"chapter": self.chapter, "what": self.what, "ok": self.ok}
        return head | {"expected": self.expected, "found": self.found} | self.details


class Story:
    """A drill's narrator and judge. `as_json` prints nothing until the end.

    `seed` is what the drill makes its loads, amounts and random digits from. What is in `hide` is
    left out of what refusals say: a folder that is another at every run.
    """

    def __init__(
        self,
        name: str,
        *,
        seed: int = 1,
        as_json: bool = False,
        console: Console | None = None,
    ):
        self.name = name
        self.seed = seed
        self.hide = ""
        self.steps: list[Step] = []
        self.series: dict[str, list[Point]] = {}
        self.tables: list[Table] = []
        self.facts: dict[str, Any] = {}  # for --json, beyond the steps
        self._as_json = as_json
        self._console = console or Console(quiet=as_json, highlight=False)
        self._ascii = self._console.options.ascii_only
        self._keyed, self._right, self._wrong = _ASCII_SIGNS if self._ascii else _SIGNS
        self._chapter = ""
        self._chapters = 0
        self._points: list[Point] | None = None
        self._started = time.monotonic()
        self._seconds: float | None = None

    @property
    def ok(self) -> bool:
        """Return whether every step so far ended as it ought to."""
        return all(step.ok for step in self.steps)

    # Telling.

    def begin(self, about: str | None) -> None:
        """Say what the drill is about: a heading, an empty line and paragraphs."""
        heading, _, paragraphs = (about or self.name).strip().partition("\n\n")
        self._console.print()
        self._say(0, (heading, "bold"))
        for paragraph in paragraphs.split("\n\n"):
            if paragraph:
                self._say(0, " ".join(paragraph.split()))

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapters += 1
        self._chapter = title
        self._console.print()
        self._console.print(Text(f"{self._chapters}. {title}", style="bold cyan"))

    def note(self, text: str, *, in_ascii: str = "") -> None:
        """Say something that is neither keyed nor judged; `in_ascii` where there is no Unicode."""
        self._say(3, f"{text} {in_ascii}" if in_ascii and self._ascii else text)

    def _say(self, indent: int, *parts: str | tuple[str, str], style: str = "") -> None:
        """Print one paragraph: wrapped on a terminal, one long line elsewhere."""
        stand = [cells(p) if isinstance(p, str) else (cells(p[0]), p[1]) for p in parts]
        text = Text.assemble(*stand, style=style)
        if self._console.is_terminal:
            self._console.print(Padding(text, (0, 0, 0, indent)))
        else:
            self._console.print(Text(" " * indent) + text, soft_wrap=True)

    # What happens, and is judged.

    def key(
        self, meter: Meter, token: str, what: str, expected: TokenResult, why: str
    ) -> EnterResult:
        """Key 20 digits and Enter at the meter's keypad, and judge the result.

        `what` names the token, `why` says why the meter does what is expected.
        """
        self._say(3, f"{self._keyed} ", (what, "bold"))
        self._say(5, (grouped(token), "yellow"))
        with self._glass(meter) as draw:
            for at in range(0, len(token), 4):
                draw(meter.press(token[at : at + 4]).display)
            pressed = meter.press("#")
            draw(pressed.display)
        result = pressed.result
        if result is None:
            raise BoardError(f"{what}: Enter gave no result, the keypad took no token")
        return self._entered(meter, token, what, expected, why, result)

    def wire(
        self, meter: Meter, token: str, what: str, expected: TokenResult, why: str
    ) -> EnterResult:
        """Send 20 digits to the meter over the wire, and judge the result as `key` does."""
        self._say(3, f"{self._keyed} ", (what, "bold"), ", over the wire")
        self._say(5, (grouped(token), "yellow"))
        with self._glass(meter) as draw:
            result = meter.enter(token)
            draw(result.display)
        return self._entered(meter, token, what, expected, why, result)

    def _entered(
        self,
        meter: Meter,
        token: str,
        what: str,
        expected: TokenResult,
        why: str,
        result: EnterResult,
    ) -> EnterResult:
        self._judge(
            what,
            expected.standard_name,
            result.name,
            result.result == expected,
            why,
            {"digits": token} | result.as_dict(),
            said=result.name if result.good else f"refused: {result.name}",
        )
        self.look(meter)
        return result

    def code(self, meter: Meter, code: str, what: str, shows: str) -> tuple[str, ...]:
        """Key a short code and Enter; `shows` must be on the display. Return its lines."""
        self._say(3, f"{self._keyed} ", (f"{what}: {code}", "bold"))
        with self._glass(meter) as draw:
            lines = meter.press(f"{code}#").display
            draw(lines)
        said = " | ".join(line.strip() for line in lines if line.strip())
        self._judge(what, shows, said, shows in " ".join(lines), "", {"code": code}, said=said)
        return lines

    def check(self, what: str, ok: bool, found: str) -> None:
        """Judge something that is not the result of a token; `found` says how things stand."""
        self._judge(what, "yes", found, ok, found, {}, said=what)

    def refused(self, what: str, words: str, call: Callable[[], object]) -> None:
        """Judge that a call is refused with one line that has `words` in it."""
        try:
            call()
        except JetonError as error:
            said = str(error).replace(self.hide, "") if self.hide else str(error)
            right = words in said and "\n" not in said
        else:
            said, right = "it was not refused", False
        self._judge(what, words, said, right, said, {}, said=f"{what}: refused" if right else what)

    def _judge(
        self,
        what: str,
        expected: str,
        found: str,
        ok: bool,
        why: str,
        details: dict[str, Any],
        *,
        said: str,
    ) -> None:
        self.steps.append(Step(self._chapter, what, expected, found, ok, details))
        mark = (f"{self._right} ", "bold green") if ok else (f"{self._wrong} ", "bold red")
        line: list[str | tuple[str, str]] = [mark, (said, "bold") if details else said]
        if not ok:
            expects = details or expected != "yes"
            line.append((f": {expected} was expected" if expects else ": not so", "bold red"))
        self._say(3, *line)
        if why and (ok or not details):
            self._say(5, why, style="dim")

    @contextmanager
    def _glass(self, meter: Meter) -> Iterator[Any]:
        """Yield a function that draws the display's lines, in place on a terminal."""
        size = meter.display()
        last: list[tuple[str, ...]] = []

        def drawn(lines: tuple[str, ...]) -> Padding:
            return Padding(panel(lines, size.rows, size.cols), _INDENT)

        if not self._console.is_terminal:
            yield last.append
            for row in last[-1]:
                self._console.print(f"     | {cells(row)} |", markup=False)
            return
        if self._console.record:  # a picture shows how it ends, not how it moves
            yield last.append
            self._console.print(drawn(last[-1]))
            return
        with Live(drawn(size.lines), console=self._console, auto_refresh=False) as live:

            def draw(lines: tuple[str, ...]) -> None:
                live.update(drawn(lines), refresh=True)
                time.sleep(_PACE)

            yield draw

    # Time, and what it does to credit and load.

    def follow(self, name: str | None) -> None:
        """Keep what is seen from here on as the series `name`; None keeps nothing."""
        self._points = None if name is None else self.series.setdefault(name, [])

    def look(self, meter: Meter) -> Status:
        """Return the meter's status, and keep it as a point of the series that is followed."""
        status = meter.status()
        if self._points is not None:
            self._points.append(Point.of(status))
        return status

    def live(self, meter: Meter, seconds: int, parts: int = _PARTS) -> Status:
        """Let time pass for a meter, and look at it `parts` times meanwhile."""
        if self._points is not None and not self._points:
            self.look(meter)
        return live(meter, seconds, parts, self._points)

    # The end.

    def tell(self, drill: Callable[[], None]) -> None:
        """Tell a drill to its end; one that breaks off on the way has gone wrong there.

        JetonError where not even its first step was reached.
        """
        self._started = time.monotonic()
        try:
            drill()
        except JetonError as error:
            if not self.steps:
                raise
            self.check("The drill goes on to its end", False, str(error))
        self._seconds = time.monotonic() - self._started

    @property
    def seconds(self) -> float:
        """Return how long it took, or takes so far."""
        return time.monotonic() - self._started if self._seconds is None else self._seconds

    def result(self) -> dict[str, Any]:
        """Return the whole drill for --json."""
        return {
            "drill": self.name,
            "ok": self.ok,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            **self.facts,
            "steps": [step.as_dict() for step in self.steps],
            "series": {
                name: [point.as_dict() for point in points] for name, points in self.series.items()
            },
        }

    def finish(self) -> int:
        """Print table, plot and summary; return the exit status, 0 only if all ended well."""
        if self._as_json:
            print(json.dumps(self.result()))
        else:
            self.picture()
            self._summary()
        return 0 if self.ok else 1

    def picture(self, console: Console | None = None) -> None:
        """Print table and plot of what was followed first, and what other tables there are."""
        console = console or self._console
        for name, points in list(self.series.items())[:1]:
            if points:
                _plot(console, name, points)
        for table in self.tables:
            console.print()
            console.print(table)

    def _summary(self) -> None:
        bad = [step for step in self.steps if not step.ok]
        table = Table(title=f"drill {self.name}", title_justify="left")
        table.add_column("chapter")
        table.add_column("steps", justify="right")
        table.add_column("right", justify="right")
        for chapter in dict.fromkeys(step.chapter for step in self.steps):
            mine = [step for step in self.steps if step.chapter == chapter]
            good = sum(step.ok for step in mine)
            style = "" if good == len(mine) else "bold red"
            table.add_row(chapter, str(len(mine)), str(good), style=style)
        self._console.print()
        self._console.print(table)
        if bad:
            text = Text(f"{len(bad)} of {len(self.steps)} steps went wrong.", style="bold red")
        else:
            text = Text(
                f"All {len(self.steps)} steps ended as they ought to, in {self.seconds:.1f} s.",
                style="bold green",
            )
        self._console.print(text)


def _plot(console: Console, name: str, points: Sequence[Point]) -> None:
    table = Table(title=f"{name}: credit and load", title_justify="left")
    for column in ("UTC", "credit, kWh", "index, kWh", "mean load, W"):
        table.add_column(column, justify="right")
    table.add_column("switch")
    for row in plot.rows(points):
        table.add_row(*row, style="" if row[-1] == "closed" else "red")
    colour = console.is_terminal
    plain = console.options.ascii_only
    lines = plot.drawn(points, console.width - 1, colour=colour, plain=plain)
    console.print()
    console.print(table)
    console.print()
    console.print(Text.from_ansi(lines) if colour else Text(lines), soft_wrap=True)


def live(meter: Meter, seconds: int, parts: int, points: list[Point] | None) -> Status:
    """Let time pass for a meter in equal parts, each of which adds a point."""
    passed = 0
    status = None
    for part in range(1, parts + 1):
        until = seconds * part // parts
        status = meter.advance(until - passed)
        passed = until
        if points is not None:
            points.append(Point.of(status))
    return status or meter.status()
