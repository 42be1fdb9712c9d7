"""What a render reports while it goes on: to a terminal, a notebook, or a program."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from render.film import rendering
from render.film.rendering import Job, Report

if TYPE_CHECKING:
    from render.api.preparation import Outlook


class Listener:
    """Receives what a render reports. Every method of this class is silent: override those of interest."""

    def note(self, text: str) -> None:
        """Receive a sentence that is worth knowing, such as which quality was chosen, and why."""

    def warning(self, text: str) -> None:
        """Receive a sentence about something that may be wrong with the result."""

    def outlook(self, outlook: Outlook) -> None:
        """Receive what a film will take, before its training starts."""

    def film(self, path: Path, quality: str) -> None:
        """Receive the path of a film that is finished and can be watched, while a better one takes its place."""

    def working(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        """Accompany a step that takes seconds; the context gives a function for further words about it."""
        return contextlib.nullcontext(_ignored)

    def rendering(self, job: Job) -> AbstractContextManager[Report]:
        """Accompany training and frames; the context gives the function that receives their progress."""
        return contextlib.nullcontext(rendering.ignore_progress)


def _ignored(words: str) -> None:
    """Ignore what a step says of itself."""


SILENT = Listener()
