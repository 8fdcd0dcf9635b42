"""Tells a drill while it runs: what is keyed, what the meter shows, what became of it, and why.

On a terminal the display is drawn as it changes; elsewhere plain lines tell the same.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from host_tools.draw import panel
from host_tools.link import EnterResult, Meter, TokenResult
from jeton.sts.digits import grouped

_INDENT = (0, 0, 0, 5)
# Seconds between the groups of four that are seen to be keyed on a terminal.
_PACE = 0.04


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
    """A drill's narrator and judge. `as_json` prints nothing until the end."""

    def __init__(self, name: str, *, as_json: bool = False, console: Console | None = None):
        self.name = name
        self.steps: list[Step] = []
        self._as_json = as_json
        self._console = console or Console(quiet=as_json, highlight=False)
        self._chapter = ""
        self._chapters = 0
        self._started = time.monotonic()

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapters += 1
        self._chapter = title
        self._console.print()
        self._console.print(Text(f"{self._chapters}. {title}", style="bold cyan"))

    def note(self, text: str) -> None:
        """Say something that is neither keyed nor judged."""
        self._say(3, text)

    def _say(self, indent: int, *parts: str | tuple[str, str], style: str = "") -> None:
        """Print one paragraph: wrapped on a terminal, one long line elsewhere."""
        text = Text.assemble(*parts, style=style)
        if self._console.is_terminal:
            self._console.print(Padding(text, (0, 0, 0, indent)))
        else:
            self._console.print(Text(" " * indent) + text, soft_wrap=True)

    def key(
        self, meter: Meter, token: str, what: str, expected: TokenResult, why: str
    ) -> EnterResult:
        """Key 20 digits and Enter at the meter's keypad, and judge the result.

        `what` names the token, `why` says why the meter does what is expected.
        """
        self._say(3, "▸ ", (what, "bold"))
        self._say(5, (grouped(token), "yellow"))
        with self._glass(meter) as draw:
            for at in range(0, len(token), 4):
                draw(meter.press(token[at : at + 4]).display)
            pressed = meter.press("#")
            draw(pressed.display)
        result = pressed.result
        if result is None:
            raise AssertionError("Enter gave no result")
        self._judge(
            what,
            expected.standard_name,
            result.name,
            result.result == expected,
            why,
            {"digits": token} | result.as_dict(),
        )
        return result

    def check(self, what: str, ok: bool, found: str) -> None:
        """Judge something that is not the result of a token; `found` says how things stand."""
        self._judge(what, "yes", found, ok, found, {})

    def _judge(
        self, what: str, expected: str, found: str, ok: bool, why: str, details: dict[str, Any]
    ) -> None:
        self.steps.append(Step(self._chapter, what, expected, found, ok, details))
        mark = ("✔ ", "bold green") if ok else ("✘ ", "bold red")
        said: list[str | tuple[str, str]] = [mark, (found, "bold") if details else what]
        if not ok:
            said.append((f": {expected} was expected" if details else ": not so", "bold red"))
        self._say(3, *said)
        if ok or not details:
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
                self._console.print(f"     | {row} |", markup=False)
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

    def finish(self) -> int:
        """Print the summary and return the exit status, 0 only if every step ended well."""
        bad = [step for step in self.steps if not step.ok]
        seconds = time.monotonic() - self._started
        if self._as_json:
            steps = [step.as_dict() for step in self.steps]
            found = {"drill": self.name, "ok": not bad, "seconds": round(seconds, 3)}
            print(json.dumps(found | {"steps": steps}))
            return 1 if bad else 0
        table = Table(title=f"drill {self.name}", title_justify="left")
        table.add_column("chapter")
        table.add_column("steps", justify="right")
        table.add_column("as they ought to be", justify="right")
        for chapter in dict.fromkeys(step.chapter for step in self.steps):
            mine = [step for step in self.steps if step.chapter == chapter]
            good = sum(step.ok for step in mine)
            style = "" if good == len(mine) else "bold red"
            table.add_row(chapter, str(len(mine)), str(good), style=style)
        self._console.print()
        self._console.print(Group(table))
        if bad:
            text = Text(f"{len(bad)} of {len(self.steps)} steps went wrong.", style="bold red")
        else:
            text = Text(
                f"All {len(self.steps)} steps ended as they ought to, in {seconds:.1f} s.",
                style="bold green",
            )
        self._console.print(text)
        return 1 if bad else 0
