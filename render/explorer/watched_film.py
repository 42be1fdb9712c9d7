"""What a page shows of a film that is being made: its progress, and small pictures of its frames.

The pictures are made in a thread of their own, only while a page asks, and at most for a twentieth of the time, since
the cores are the training's.
"""

from __future__ import annotations

import io
import time
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from render.errors import RenderError
from render.explorer.serving_thread import Served
from render.film import sheet
from render.film.early_frames import EarlyFrames
from render.film.job import Job
from render.film.pace import Pace
from render.film.rendering import Progress
from render.geometry import frame_rates

# Frames of the strip, evenly along the zoom, as on a contact sheet.
_STRIP = 24

# Widths of the pictures of the strip, and of the one above it, at most.
_STRIP_PX, _LARGE_PX = 240, 960

# Pictures take about one part in so many of the time of one core; more of it for one that a person has just chosen.
_SHARE, _SHARE_CHOSEN = 20, 4

# Seconds between two pictures, or looks for one that can be sharper by now: at least, and at most. The first picture of
# all may have to compile what draws it.
_LEAST_REST_S, _MOST_REST_S = 0.25, 3.0
_LAST_REST_S = 0.01

# A page asks every second; one that has not asked for so long is gone.
_GONE_S = 5.0

# What was noted lately is all that a page shows.
_MOST_NOTES = 50

# Large pictures that are kept: those that a person looks at one after the other.
_MOST_LARGE = 32


@dataclass
class _Picture:
    """A picture of a frame as JPEG. made_of: what tells it from a sharper one of the same frame."""

    content: bytes
    version: int
    made_of: Hashable
    complete: bool
    rows: float


class WatchedFilm(Served):
    """Receives what a render reports, from the thread that makes the film, and answers pages in their own threads."""

    def __init__(self) -> None:
        super().__init__("watched film")
        self._facts: dict[str, Any] = {"phase": "starting", "what": ""}
        self._progress = Progress(0, 0, 0, 0)
        self._pace = Pace()
        self._notes: list[str] = []
        self._films: list[dict[str, str]] = []
        self._job: Job | None = None
        self._serial = 0
        self._strip: list[int] = []
        self._small: dict[int, _Picture] = {}
        self._large: dict[int, _Picture] = {}
        self._versions = 0
        self._asked_s = -_GONE_S
        self._chosen: int | None = None
        self._just_chosen = False
        self._strip_next = False
        self._over = self._heard = False
        self._sent: set[int] = set()  # versions of pictures that a page has

    # ---- for the thread that makes the film --------------------------------------------------------------------

    def work(self, what: str) -> None:
        """Note a step that takes seconds; "" when it has ended."""
        with self._changed:
            self._facts["what"] = what

    def note(self, text: str) -> None:
        """Note a sentence, once."""
        with self._changed:
            if text not in self._notes:
                self._notes = [*self._notes, text][-_MOST_NOTES:]

    def finished_film(self, path: Path, quality: str) -> None:
        """Note a film that is finished, while others are made."""
        with self._changed:
            self._films = [*self._films, {"path": str(path), "quality": quality}]

    def begin(self, job: Job) -> None:
        """Show a job from now on."""
        output = job.scene.output
        with self._changed:
            self._serial += 1
            self._job, self._strip, self._chosen = job, [], None
            self._small, self._large = {}, {}
            self._progress, self._pace = Progress(0, job.frame_count, 0, 0), Pace()
            self._facts = {
                "phase": "training",
                "what": "",
                "name": job.scene.name,
                "quality": job.quality,
                "size_px": [output.width_px, output.height_px],
                "fps": frame_rates.plain(output.fps),
                "duration_s": job.plan.path.duration_s,
            }
            self._changed.notify_all()

    def report(self, now: Progress) -> None:
        """Take progress of the job into account."""
        with self._changed:
            self._progress = now
            self._pace.add(now)
            self._facts["phase"] = "training" if now.samples_done < now.samples_total else "frames"
        for text in (*now.repaired, *now.notes):
            self.note(text)

    def end(self, phase: str, text: str) -> None:
        """Show that all is over: phase "finished", "stopped" or "failed"; text: what a person should know of it."""
        with self._changed:
            self._facts["phase"], self._facts["what"] = phase, text
            self._over = True
            self._changed.notify_all()

    def wait_for_page(self, timeout_s: float) -> None:
        """Wait until a page that is open has heard of the end and has every picture, but no more than so many seconds.

        From now on there is no training to be spared, and pictures are made without rests.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_open or (self._heard and self._is_shown), timeout_s)

    # ---- for pages ---------------------------------------------------------------------------------------------

    def state(self, chosen: int | None) -> dict[str, Any]:
        """Return what a page shows. chosen: the frame that it shows large; None for the newest that is finished."""
        with self._changed:
            self._asked_s = time.monotonic()
            self._just_chosen = self._just_chosen or (chosen is not None and chosen != self._chosen)
            self._chosen = chosen
            now, shown = self._progress, self._number()
            self._heard = self._over
            self._changed.notify_all()
            return self._facts | {
                "serial": self._serial,
                "frames_done": now.frames_done,
                "frames_total": now.frames_total,
                "samples_done": now.samples_done,
                "samples_total": now.samples_total,
                "per_s": self._pace.per_s,
                "left_s": None if self._over else self._pace.left_s,
                "notes": self._notes,
                "films": self._films,
                "strip": [self._described(number, self._small) for number in self._strip],
                "large": None if self._job is None else self._described(shown, self._large),
            }

    def picture(self, number: int, *, large: bool) -> bytes | None:
        """Return a picture of a frame as JPEG, as it was made last; None where there is none yet."""
        with self._changed:
            kept = (self._large if large else self._small).get(number)
            if kept is None:
                return None
            self._sent.add(kept.version)
            self._changed.notify_all()
            return kept.content

    def _described(self, number: int, pictures: dict[int, _Picture]) -> dict[str, Any]:
        kept = pictures.get(number)
        done = number < self._progress.frames_done
        known = {"version": 0, "rows": 0.0} if kept is None else {"version": kept.version, "rows": kept.rows}
        return {"frame": number, "done": done, **known}

    def _number(self) -> int:
        """Return the frame to be shown large."""
        if self._job is None:
            return 0
        newest = max(0, self._progress.frames_done - 1)
        return newest if self._chosen is None else min(max(self._chosen, 0), self._job.frame_count - 1)

    # ---- the thread that makes pictures ------------------------------------------------------------------------

    def _serve(self) -> None:
        serial, frames = 0, None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stop or (self._job is not None and self._is_open))
                if self._stop:
                    return
                job, now = self._job, self._serial
                self._just_chosen = False
            begun_s = time.thread_time()  # a machine that is busy with training makes every picture slower, not dearer
            if frames is None or now != serial:
                assert job is not None
                serial, frames = now, (EarlyFrames(job, _STRIP_PX), EarlyFrames(job, _LARGE_PX))
                strip = sheet.even_frames(job, _STRIP)
                with self._changed:
                    self._strip = strip
            self._improve(*frames, serial)
            self._rest(time.thread_time() - begun_s)

    def _rest(self, spent_s: float) -> None:
        """Leave the cores to the training, after so many seconds of work."""
        rest_s = min(max(_SHARE * spent_s, _LEAST_REST_S), _MOST_REST_S)
        soon_s = min(max(_SHARE_CHOSEN * spent_s, _LEAST_REST_S), rest_s)
        with self._changed:
            self._changed.wait_for(lambda: self._stop or self._over, soon_s)
            self._changed.wait_for(lambda: self._stop or self._over or self._just_chosen, rest_s - soon_s)
            if self._over:  # nothing is trained any more, and soon nothing is served
                self._changed.wait_for(lambda: self._stop, _LAST_REST_S)

    @property
    def _is_open(self) -> bool:
        """Whether a page is open somewhere."""
        return time.monotonic() - self._asked_s < _GONE_S

    @property
    def _is_shown(self) -> bool:
        """Whether a page has all that it can have: every picture of a finished film."""
        pictures = [self._large.get(self._number()), *map(self._small.get, self._strip)]
        return self._facts["phase"] != "finished" or all(
            picture is not None and picture.complete and picture.version in self._sent for picture in pictures
        )

    def _improve(self, small: EarlyFrames, large: EarlyFrames, serial: int) -> None:
        """Make one picture that is missing, or that can be sharper by now: in turn the large one and one of the strip.

        Of the strip it is the first that there is no picture of yet, or else the first.
        """
        with self._changed:
            chosen = (self._number(), self._large, large)
            strip = [(number, self._small, small) for number in sorted(self._strip, key=self._small.__contains__)]
            wanted = [*strip, chosen] if self._strip_next else [chosen, *strip]
        for number, pictures, frames in wanted:
            before = pictures.get(number)
            if before is not None and before.complete:
                continue
            try:
                sharp = frames.sharpness(number)
                if sharp is None or (before is not None and before.made_of == sharp):
                    continue
                content = _jpeg(frames.picture(number))
            except (RenderError, KeyError):  # a tile was lost or damaged: the film reports it, and trains it again
                continue
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                self.note(f"A picture of frame {number:,} could not be made: {why}. The film goes on.")
                continue
            with self._changed:
                if serial != self._serial:
                    return
                self._versions += 1
                self._strip_next = pictures is self._large
                pictures[number] = _Picture(content, self._versions, sharp, sharp.complete, sharp.rows)
                while len(self._large) > _MOST_LARGE:
                    del self._large[next(iter(self._large))]
            return


def _jpeg(picture: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    return file.getvalue()
