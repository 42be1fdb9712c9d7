"""The interface by which a render reports what it is doing: to a terminal, a notebook, or a program."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from render.backends import Backend
from render.film import rendering
from render.film.job import Job
from render.film.rendering import Progress, Report
from render.geometry.tiles import Tile
from render.scene import Scene

if TYPE_CHECKING:
    from render.api.preparation import Outlook


class Listener:
    """Receives what a render reports. The methods of this class do nothing: override those of interest."""

    def note(self, text: str) -> None:
        """Receive a sentence that is worth knowing, such as which quality was chosen, and why."""

    def warning(self, text: str) -> None:
        """Receive a sentence about something that may be wrong with the result."""

    def outlook(self, outlook: Outlook) -> None:
        """Receive what a film will take, before its training starts."""

    def film(self, path: Path, quality: str) -> None:
        """Receive the path of a finished film that can be watched while a better one is made."""

    def working(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        """Accompany a step that takes seconds; the context gives a function for further words about it."""
        return contextlib.nullcontext(_ignored)

    def rendering(self, job: Job) -> AbstractContextManager[Report]:
        """Accompany training and frames; the context gives the function that receives their progress."""
        return contextlib.nullcontext(rendering.ignore_progress)

    def training(
        self, scene: Scene, tiles: Sequence[Tile], samples: int, backend: Backend
    ) -> AbstractContextManager[Report]:
        """Accompany training without frames; the context gives the function that receives its progress.

        samples: training runs that the store lacks. Each repair of a damaged tile is reported once, as a warning.
        """
        reported: set[str] = set()

        def report(now: Progress) -> None:
            for message in now.repaired:
                if message not in reported:
                    reported.add(message)
                    self.warning(message)

        return contextlib.nullcontext(report)


def _ignored(words: str) -> None:
    """Ignore the words that a step reports."""


SILENT = Listener()
