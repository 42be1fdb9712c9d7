"""A page on the film that is being made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from render.api.listener import SILENT, Listener
from render.api.scene_argument import takes_whole_numbers
from render.explorer import watch
from render.explorer.watched_film import WatchedFilm
from render.film import rendering
from render.film.job import Job
from render.film.rendering import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from render.api.preparation import Outlook
    from render.backends import Backend
    from render.geometry.tiles import Tile
    from render.scene import Scene


@takes_whole_numbers
@contextlib.contextmanager
def watching(
    listener: Listener = SILENT,
    *,
    port: int | None = None,
    browse: bool = True,
    announce: Callable[[str, str], None] = lambda address, place: print(address),
) -> Iterator[Listener]:
    """Serve a page on the films that are made in the with-block, to this machine alone.

        with render.watching(render.Progress()) as listener:
            render.video(scene, listener=listener)

    The listener that it gives passes on to `listener` whatever it receives. The page shows the progress, and frames as
    far as their samples are trained; it ends with the with-block, and changes nothing of the films.

    port: on 127.0.0.1; None is 8640, or the next that is free. browse: open the page in a browser, where there is a
    screen. announce: receives the address to open, and the same without its token.
    Raises RenderError where the port cannot be used.
    """
    film = WatchedFilm()
    with watch.serving(film, port, browse=browse, announce=announce, note=listener.note):
        yield _Watched(film, listener)


class _Watched(Listener):
    """Passes on what a render reports, to a page and to another listener."""

    def __init__(self, film: WatchedFilm, inner: Listener) -> None:
        self._film, self._inner = film, inner

    def note(self, text: str) -> None:
        self._film.note(text)
        self._inner.note(text)

    def warning(self, text: str) -> None:
        self._film.note(text)
        self._inner.warning(text)

    def outlook(self, outlook: Outlook) -> None:
        self._inner.outlook(outlook)

    def film(self, path: Path, quality: str) -> None:
        self._film.finished_film(path, quality)
        self._inner.film(path, quality)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[Callable[[str], None]]:
        self._film.work(what)
        try:
            with self._inner.working(what) as show_words:

                def show(words: str) -> None:
                    self._film.work(f"{what}: {words}")
                    show_words(words)

                yield show
        finally:
            self._film.work("")

    @contextlib.contextmanager
    def rendering(self, job: Job) -> Iterator[Report]:
        self._film.begin(job)
        with self._inner.rendering(job) as report:

            def report_both(now: rendering.Progress) -> None:
                self._film.report(now)
                report(now)

            yield report_both

    def training(
        self, scene: Scene, tiles: Sequence[Tile], samples: int, backend: Backend
    ) -> AbstractContextManager[Report]:
        return self._inner.training(scene, tiles, samples, backend)
