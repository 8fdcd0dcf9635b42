"""Prints the progress of a long operation on a board."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console


class Printer:
    """Prints progress: bars on a terminal, lines elsewhere, nothing with --json."""

    def __init__(self, as_json: bool) -> None:
        self._console = Console(stderr=as_json, highlight=False, soft_wrap=True)
        self._quiet = as_json and not self._console.is_terminal
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        """Print one line."""
        self.lines.append(text)
        if not self._quiet:
            self._console.print(text, markup=False)

    @contextlib.contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that shows how much of `total` is done."""
        if not self._console.is_terminal:
            yield lambda done: None
            return
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        with Progress(
            TextColumn("{task.description:<14}"),
            BarColumn(),
            TaskProgressColumn(),
            console=self._console,
            transient=True,
        ) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)
