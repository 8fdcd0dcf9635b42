"""Prints a drill while it runs, and compares each result with the expected one.

On a terminal, the display is drawn as it changes; elsewhere the same is printed as plain lines.
At the end, a table and a plot show credit and load over time.
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
_PACE = 0.04  # seconds between two groups of four digits on a terminal
_PARTS = 12  # points of a time span
# The marks of an entry, of an expected result and of an unexpected result.
_SIGNS, _ASCII_SIGNS = ("▸", "✔", "✘"), (">", "+", "X")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a drill, with the expected and the actual result."""

    chapter: str
    what: str
    expected: str
    found: str
    ok: bool
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the step for --json."""
        head = {"chapter": self.chapter, "what": self.what, "ok": self.ok}
        return head | {"expected": self.expected, "found": self.found} | self.details


class Story:
    """The steps of a drill and their output. With `as_json`, nothing is printed until the end.

    The drill generates loads, amounts and random digits from `seed`. The text in `hide` is removed
    from messages: the path of a temporary folder, which differs in each run.
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
        self.facts: dict[str, Any] = {}  # additional values for --json
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
        """Return whether each step so far had the expected result."""
        return all(step.ok for step in self.steps)

    # Output.

    def begin(self, about: str | None) -> None:
        """Print the introduction: a heading, an empty line and paragraphs."""
        heading, _, paragraphs = (about or self.name).strip().partition("\n\n")
        self._console.print()
        self._say(0, (heading, "bold"))
        for paragraph in paragraphs.split("\n\n"):
            if paragraph:
                self._say(0, " ".join(paragraph.split()))

    def chapter(self, title: str) -> None:
        """Start a chapter."""
        self._chapters += 1
        self._chapter = title
        self._console.print()
        self._console.print(Text(f"{self._chapters}. {title}", style="bold cyan"))

    def note(self, text: str, *, in_ascii: str = "") -> None:
        """Print a note; add `in_ascii` if the output has no Unicode."""
        self._say(3, f"{text} {in_ascii}" if in_ascii and self._ascii else text)

    def _say(self, indent: int, *parts: str | tuple[str, str], style: str = "") -> None:
        """Print one paragraph: wrapped on a terminal, one long line elsewhere."""
        shown = [cells(p) if isinstance(p, str) else (cells(p[0]), p[1]) for p in parts]
        text = Text.assemble(*shown, style=style)
        if self._console.is_terminal:
            self._console.print(Padding(text, (0, 0, 0, indent)))
        else:
            self._console.print(Text(" " * indent) + text, soft_wrap=True)

    # Steps.

    def key(
        self, meter: Meter, token: str, what: str, expected: TokenResult, why: str
    ) -> EnterResult:
        """Enter 20 digits at the meter's keypad, and compare the result with the expected one.

        `what` names the token; `why` is the reason for the expected result.
        """
        self._say(3, f"{self._keyed} ", (what, "bold"))
        self._say(5, (grouped(token), "yellow"))
        with self._display_drawer(meter) as draw:
            for at in range(0, len(token), 4):
                draw(meter.press(token[at : at + 4]).display)
            pressed = meter.press("#")
            draw(pressed.display)
        result = pressed.result
        if result is None:
            raise BoardError(f"{what}: no result after Enter, the keypad is locked")
        return self._entered(meter, token, what, expected, why, result)

    def send(
        self, meter: Meter, token: str, what: str, expected: TokenResult, why: str
    ) -> EnterResult:
        """Enter 20 digits over the serial line, and compare the result as `key` does."""
        self._say(3, f"{self._keyed} ", (what, "bold"), ", over the serial line")
        self._say(5, (grouped(token), "yellow"))
        with self._display_drawer(meter) as draw:
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
            text=result.name if result.good else f"refused: {result.name}",
        )
        self.look(meter)
        return result

    def code(self, meter: Meter, code: str, what: str, shows: str) -> tuple[str, ...]:
        """Enter a short code; `shows` must be on the display. Return the lines of the display."""
        self._say(3, f"{self._keyed} ", (f"{what}: {code}", "bold"))
        with self._display_drawer(meter) as draw:
            lines = meter.press(f"{code}#").display
            draw(lines)
        seen = " | ".join(line.strip() for line in lines if line.strip())
        self._judge(what, shows, seen, shows in " ".join(lines), "", {"code": code}, text=seen)
        return lines

    def check(self, what: str, ok: bool, found: str) -> None:
        """Add a step that is not the result of a token; `found` describes the actual state."""
        self._judge(what, "yes", found, ok, found, {}, text=what)

    def refused(self, what: str, words: str, call: Callable[[], object]) -> None:
        """Add a step: the call must raise JetonError with one line that contains `words`."""
        try:
            call()
        except JetonError as error:
            message = str(error).replace(self.hide, "") if self.hide else str(error)
            ok = words in message and "\n" not in message
        else:
            message, ok = "it was not refused", False
        text = f"{what}: refused" if ok else what
        self._judge(what, words, message, ok, message, {}, text=text)

    def _judge(
        self,
        what: str,
        expected: str,
        found: str,
        ok: bool,
        why: str,
        details: dict[str, Any],
        *,
        text: str,
    ) -> None:
        """Add a step and print it as `text`, with a mark and the reason."""
        self.steps.append(Step(self._chapter, what, expected, found, ok, details))
        mark = (f"{self._right} ", "bold green") if ok else (f"{self._wrong} ", "bold red")
        line: list[str | tuple[str, str]] = [mark, (text, "bold") if details else text]
        if not ok:
            expects = details or expected != "yes"
            line.append((f": {expected} was expected" if expects else ": no", "bold red"))
        self._say(3, *line)
        if why and (ok or not details):
            self._say(5, why, style="dim")

    @contextmanager
    def _display_drawer(self, meter: Meter) -> Iterator[Any]:
        """Yield a function that draws the lines of the display, in place on a terminal."""
        size = meter.display()
        last: list[tuple[str, ...]] = []

        def drawn(lines: tuple[str, ...]) -> Padding:
            return Padding(panel(lines, size.rows, size.cols), _INDENT)

        if not self._console.is_terminal:
            yield last.append
            for row in last[-1]:
                self._console.print(f"     | {cells(row)} |", markup=False)
            return
        if self._console.record:  # a picture shows only the last state
            yield last.append
            self._console.print(drawn(last[-1]))
            return
        with Live(drawn(size.lines), console=self._console, auto_refresh=False) as live:

            def draw(lines: tuple[str, ...]) -> None:
                live.update(drawn(lines), refresh=True)
                time.sleep(_PACE)

            yield draw

    # Time, credit and load.

    def follow(self, name: str | None) -> None:
        """Collect the points from now on as the series `name`; None collects none."""
        self._points = None if name is None else self.series.setdefault(name, [])

    def look(self, meter: Meter) -> Status:
        """Return the meter's status, and add it as a point to the current series."""
        status = meter.status()
        if self._points is not None:
            self._points.append(Point.of(status))
        return status

    def live(self, meter: Meter, seconds: int, parts: int = _PARTS) -> Status:
        """Advance the meter's time, and add `parts` points to the current series."""
        if self._points is not None and not self._points:
            self.look(meter)
        return live(meter, seconds, parts, self._points)

    # The end.

    def run(self, drill: Callable[[], None]) -> None:
        """Run a drill; an error in it is a failed step.

        Raise the JetonError if it occurs before the first step.
        """
        self._started = time.monotonic()
        try:
            drill()
        except JetonError as error:
            if not self.steps:
                raise
            self.check("The drill runs to its end", False, str(error))
        self._seconds = time.monotonic() - self._started

    @property
    def seconds(self) -> float:
        """Return the duration of the drill, so far or to its end."""
        return time.monotonic() - self._started if self._seconds is None else self._seconds

    def result(self) -> dict[str, Any]:
        """Return the drill for --json."""
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
        """Print table, plot and summary; return the exit status: 0 only if no step failed."""
        if self._as_json:
            print(json.dumps(self.result()))
        else:
            self.picture()
            self._summary()
        return 0 if self.ok else 1

    def picture(self, console: Console | None = None) -> None:
        """Print table and plot of the first series, and the other tables."""
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
        table.add_column("ok", justify="right")
        for chapter in dict.fromkeys(step.chapter for step in self.steps):
            mine = [step for step in self.steps if step.chapter == chapter]
            good = sum(step.ok for step in mine)
            style = "" if good == len(mine) else "bold red"
            table.add_row(chapter, str(len(mine)), str(good), style=style)
        self._console.print()
        self._console.print(table)
        if bad:
            text = Text(f"{len(bad)} of {len(self.steps)} steps failed.", style="bold red")
        else:
            text = Text(
                f"All {len(self.steps)} steps had the expected result, in {self.seconds:.1f} s.",
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
    """Advance a meter's time in equal parts; add a point after each part."""
    passed = 0
    status = None
    for part in range(1, parts + 1):
        until = seconds * part // parts
        status = meter.advance(until - passed)
        passed = until
        if points is not None:
            points.append(Point.of(status))
    return status or meter.status()
