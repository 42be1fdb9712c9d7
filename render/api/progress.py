"""A listener that shows progress by rich: as one live line in a terminal, and below the cell in a notebook."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from render.api.listener import Listener
from render.film import rendering
from render.film.job import Job
from render.film.rendering import Report

if TYPE_CHECKING:
    from render.api.preparation import Outlook


class Progress(Listener):
    """Shows what a render reports. For notebooks and scripts: `render.video(scene, listener=render.Progress())`."""

    def __init__(self, console: Console | None = None) -> None:
        """console: of rich; the default one detects whether it is in a notebook."""
        self._console = console or Console(highlight=False)

    def note(self, text: str) -> None:
        """Print a sentence that is worth knowing."""
        self._console.print(text, markup=False)

    def warning(self, text: str) -> None:
        """Print a sentence about something that may be wrong with the result."""
        self._console.print(f"warning: {text}", style="yellow", markup=False)

    def outlook(self, outlook: Outlook) -> None:
        """Print the size of a film, and how many training runs it still needs."""
        facts = outlook.film_facts()
        self.note(f"{facts['name']}: {facts['frames']} frames, {facts['samples_to_do']:,} training runs to do.")

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show a step that takes seconds, while it lasts."""
        with self._bar() as bar:
            task = bar.add_task(what, total=None)
            yield lambda words: bar.update(task, description=f"{what}: {words}")

    @contextlib.contextmanager
    def rendering(self, job: Job) -> Iterator[Report]:
        """Show training runs, and then frames, while they are made."""
        shown: set[str] = set()
        with self._bar() as bar:
            task = bar.add_task("training", total=None)

            def report(now: rendering.Progress) -> None:
                for text in (*now.repaired, *now.notes):
                    if text not in shown:
                        shown.add(text)
                        self.note(text)
                training = now.samples_done < now.samples_total
                done, total = (now.samples_done, now.samples_total) if training else (now.frames_done, now.frames_total)
                bar.update(task, description="training" if training else "frames", completed=done, total=total)

            yield report

    def _bar(self) -> Bar:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"))
        return Bar(*columns, TimeRemainingColumn(), console=self._console, transient=True)
