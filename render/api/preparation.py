"""From a scene to a job that is ready to run, with its store, backend, quality and reference run; and its cost.

The store is checked first, since nothing may be trained that cannot be stored. The backend comes next, since its
numerics determine the folder of the samples, and what `auto` chose earlier. The quality follows, and then the reference
run of levels past float64, which all qualities share.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from render import backends, scene
from render.analyse import precision
from render.analyse.precision import Tangents
from render.api.listener import Listener
from render.backends import Backend
from render.backends.local import LocalBackend
from render.deep import switch_search
from render.deep.reference_search import ReportStep
from render.errors import RenderError
from render.film import climb, cost, qualities, rendering, training_rate
from render.film.cost import Forecast
from render.film.job import Job
from render.film.plan import depth_warning
from render.film.training_rate import Rate
from render.geometry import frame_rates
from render.picture import palettes
from render.problem import Problem, own_model
from render.scene import Scene
from render.storage import descriptions
from render.storage.store import DirectoryStore, check_store

# Decades. For views narrower than this it is worth a second to find how deep the structure at their target goes.
_DEEP_WIDTH = 1e-4

MakeBackend = Callable[[Problem], Backend]


def local_backend(problem: Problem) -> Backend:
    """Return the backend of this machine's own devices."""
    return backends.make("local", problem)


def prepare(
    loaded: Scene,
    quality: str,
    budget_min: float,
    store: Path,
    make_backend: MakeBackend,
    listener: Listener,
    *,
    read_only: bool = False,
    film: bool = False,
) -> tuple[Job, Rate | None]:
    """Return a scene's job at a quality, and the rate of training if it was measured to choose that quality.

    budget_min: minutes of training that quality "auto" allows itself, > 0. read_only: whether this is for a plan alone.
    Nothing is written to the store then, and no reference run is made, without which a job cannot train deep levels.
    film: whether the job becomes a film, and not only pictures: then its codec must accept frames of its size.
    Raises RenderError, SceneError, StoreError, DepthError or ClusterError.
    """
    best = _prepared(loaded, quality, budget_min, store, make_backend, listener, read_only=read_only, film=film)
    return best.job, best.rate


def prepare_climb(
    loaded: Scene, quality: str, budget_min: float, store: Path, make_backend: MakeBackend, listener: Listener
) -> tuple[list[Job], Rate | None]:
    """Return the jobs of a film of rising quality, the last of which is that of `prepare`, and the rate.

    There are several where the one that "auto" chose takes so long that others are worth making before it.
    """
    job, rate, backend, measured = _prepared(loaded, quality, budget_min, store, make_backend, listener, film=True)
    if quality != "auto" or loaded.record is not None or not job.missing_samples():
        return [job], rate
    # The measured scene is used, so that all qualities switch to differences at the same levels and share their
    # samples.
    lower = [rendering.prepare(choice, store, backend=backend) for choice in climb.below(measured, job)]
    if lower and rate is None:
        with listener.working("measuring this machine"):
            rate = training_rate.measure(lower[0].plan, lower[0].backend, lower[0].switch)
    return [*(climb.rungs(job, lower, rate) if rate else []), job], rate


class _Prepared(NamedTuple):
    """The result of `prepare`, the backend that its job may have been made from, and the scene as it was measured."""

    job: Job
    rate: Rate | None
    backend: Backend
    scene: Scene


def _prepared(
    loaded: Scene,
    quality: str,
    budget_min: float,
    store: Path,
    make_backend: MakeBackend,
    listener: Listener,
    *,
    read_only: bool = False,
    film: bool = False,
) -> _Prepared:
    """Return the same as `prepare`, with the backend and the measured scene."""
    if not budget_min > 0:
        raise RenderError(f"--budget must be > 0 minutes, not {budget_min:g}.")
    scene.check_quality(quality, "auto", "scene")
    if quality not in ("auto", "scene"):
        sized = scene.with_quality(loaded, quality)
        if film:
            rendering.check_film(sized)
    if film and quality == "scene":
        rendering.check_film(loaded)
    if not read_only:
        check_store(store)
    with listener.working("measuring this machine"):
        backend = make_backend(loaded.problem)
    with _explained(
        listener,
        "measuring where rounding decides the picture",
        "Where rounding decides the picture is measured first, about the film's target (once; a minute or two).",
    ) as report_step:
        loaded = switch_search.measured(loaded, store, None if read_only else report_step)
    with listener.working("measuring this machine"):
        choice, rate = qualities.resolve(loaded, quality, backend, store, budget_min * 60, read_only=read_only)
    if film:
        rendering.check_film(choice.plan.scene)
    with reference_run(listener) as report_step:
        report = None if read_only else report_step
        job = rendering.prepare(choice, store, backend=backend, report_step=report, read_only=read_only)
    if quality == "auto" and loaded.record is None and job.quality != "scene":
        listener.note(_why_auto(job, rate, budget_min))
    if loaded.record is not None and json.loads(loaded.record.numerics or "{}") not in ({}, job.numerics):
        listener.warning(
            "This was made with another kernel, jaxlib or processor, whose samples differ in their last bits: the new "
            "picture will differ in single pixels near the boundary."
        )
    if isinstance(job.store, DirectoryStore) and job.store.other_numerics and job.store.held(job.plan.order[:1]) == [0]:
        listener.note(
            "Samples of this problem from another kernel, jaxlib or processor are in the store. They differ in their "
            "last bits, so they are kept apart, and this render trains its own. (`render store ls` shows them.)"
        )
    remark(job.scene, listener)
    if former := _former_code(job, store):
        listener.note(
            f"{former}, or a package that it imports, has changed since samples of it were trained. Those are kept, "
            "and this render trains its own. (`render store ls` shows them.)"
        )
    if blurred := depth_warning(job.plan):
        listener.warning(blurred)
    # The quality was chosen before there was a reference run, by the rate of plain runs.
    return _Prepared(job, rate if job.switch is None or not job.switch.is_ready else None, backend, loaded)


def remark(loaded: Scene, listener: Listener) -> None:
    """Report what a person may not expect of a scene's colours."""
    # A bifurcation diagram does not have two sides that a palette must keep apart.
    if loaded.bifurcation is None and (words := palettes.remark(loaded.look.palette)):
        listener.note(words)


def _former_code(job: Job, store: Path) -> str:
    """Return the name of the user's file if the store has samples of its former versions only; else ""."""
    system = job.scene.problem.system
    if not own_model.is_own(system) or job.store.held(job.plan.order[:1]) != [0]:
        return ""
    file = system.partition("#")[0]
    tables = (descriptions.read_toml(path, "problem") for path in store.glob("*/problem.toml"))
    others = [str(table.get("system")) for table in tables]
    return file if any(other.startswith(f"{file}#") and other != system for other in others) else ""


def reference_run(listener: Listener) -> contextlib.AbstractContextManager[ReportStep]:
    """Yield the function to which a reference run reports its progress; its first call also explains what is done."""
    return _explained(
        listener,
        "a reference run, for the levels past float64",
        "This goes past float64: a reference run is made first, in some hundred digits (once; minutes).",
    )


@contextlib.contextmanager
def _explained(listener: Listener, what: str, note: str) -> Iterator[ReportStep]:
    """Yield a function that shows the steps of slow work; its first call also gives the listener a note."""
    explained = False
    with listener.working(what) as show_words:

        def report_step(words: str) -> None:
            nonlocal explained
            if not explained:
                explained = True
                listener.note(note)
            show_words(words)

        yield report_step


def _why_auto(job: Job, rate: Rate | None, budget_min: float) -> str:
    if rate is None:
        why = "as chosen before for this film"
    elif rate.time_s(job.plan.samples) <= budget_min * 60:
        why = f"the best that this machine trains in {budget_min:g} minutes"
    else:
        why = f"the smallest, although this machine needs more than {budget_min:g} minutes for it"
    return f'Quality "{job.quality}": {why}. For the scene\'s own output: --quality scene (make: QUALITY=scene).'


@dataclass(frozen=True)
class Outlook:
    """The cost of a film on this machine.

    samples_to_do: training runs that the store does not hold yet. rate, forecast: None where there are none to do.
    pictures_measured: whether the time of pictures was measured for the forecast, or is so small that a bound was
    enough. target: the tangents of runs at the target of a deep film; None where the film is not deep, or where a
    reference run has yet to be made. film_bytes: about the size of the film; 0 where no frames were made to measure it.
    """

    job: Job
    store: Path
    samples_to_do: int
    rate: Rate | None = None
    forecast: Forecast | None = None
    pictures_measured: bool = False
    target: Tangents | None = None
    film_bytes: int = 0

    def __repr__(self) -> str:
        job = self.job
        takes = "" if self.forecast is None else f", about {self.forecast.total_s:,.0f} s"
        runs = f"{self.samples_to_do:,} of {job.plan.samples:,} training runs to do"
        return f"Outlook({job.scene.name!r} at quality {job.quality}: {job.frame_count:,} frames, {runs}{takes})"

    @property
    def is_deep(self) -> bool:
        """Return whether the film's last view is so narrow that the depth of its target matters."""
        axis = self.job.scene.problem.x
        return axis.scale == "log10" and self.widths[1] < _DEEP_WIDTH

    @property
    def lacks_reference(self) -> bool:
        """Return whether the film needs a reference run that has yet to be made."""
        return self.job.switch is not None and not self.job.switch.is_ready

    @property
    def widths(self) -> tuple[float, float]:
        """Widths of the first and the last view, in decades, or in units of a linear x axis."""
        path, span = self.job.plan.path, float(self.job.scene.problem.x.span)
        return path.view(0.0).width * span, path.view(path.length).width * span

    @property
    def device_remarks(self) -> dict[str, str]:
        """Remarks on the kernel that was asked for, and on the float64 of a graphics card, by title."""
        backend = self.job.backend
        return backend.remarks() if isinstance(backend, LocalBackend) else {}

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk that all samples of the film take."""
        return cost.disk_bytes(self.job.plan)

    def film_facts(self) -> dict[str, Any]:
        """Return the film's name, quality, frames, size, frame rate and training runs."""
        output = self.job.scene.output
        return {
            "name": self.job.scene.name,
            "quality": self.job.quality,
            "frames": self.job.frame_count,
            "size_px": [output.width_px, output.height_px],
            "fps": frame_rates.plain(output.fps),
            "samples": self.job.plan.samples,
            "samples_to_do": self.samples_to_do,
        }

    def facts(self) -> dict[str, Any]:
        """Return everything as values that JSON can write; times in seconds, sizes in bytes and pixels."""
        plan = self.job.plan
        times = asdict(self.forecast) if self.forecast else {"training_s": 0.0, "pictures_s": 0.0, "total_s": 0.0}
        return self.film_facts() | {
            "duration_s": plan.path.duration_s,
            "octaves": plan.path.length,
            **({"problems": [p.key for p in plan.slices.problems]} if len(plan.slices.problems) > 1 else {}),
            **({"moving": {track.name: list(track.values) for track in plan.path.tracks}} if plan.path.tracks else {}),
            "widths": list(self.widths),
            "levels": [min(plan.levels), max(plan.levels)],
            "tiles": sum(map(len, plan.orders)),
            **times,
            "samples_per_s": self.rate.samples_per_s if self.rate else None,
            "disk_bytes": self.disk_bytes,
            "film_bytes": self.film_bytes,
            **self.device_remarks,
            "precision": [asdict(measured) for measured in self.job.measured],
            "problem": self.job.scene.problem.key,
            "code": self.code(),
        }

    def code(self) -> dict[str, Any] | None:
        """Return which code of the user is trained: its file, modules beside it, data and versions; or None."""
        system = self.job.scene.problem.system
        if not own_model.is_own(system):
            return None
        known = own_model.find(system)
        return {
            "file": str(known.folder / known.source.name),
            "digest": known.source.digest,
            "beside": [name for name, _ in known.source.modules if name],
            "data": [name for name, _ in known.source.data],
            "versions": known.source.versions,
        }


def outlook(job: Job, store: Path, rate: Rate | None, listener: Listener, *, full: bool = False) -> Outlook:
    """Estimate the cost of a job, measuring what is not known; warn of a film that goes deeper than its target.

    rate: of training, if it was measured already. full: measure even where every sample is stored, and find how deep
    the target goes even where no reference run is needed.
    """
    samples = job.missing_samples()
    if not samples and not full:
        return Outlook(job, store, samples)
    if job.scene.bifurcation is not None:  # it trains nothing ahead of its pictures
        with listener.working("measuring this machine"):
            forecast = cost.forecast(0, Rate(math.inf), job.frame_count, cost.measure(job, store))
        return Outlook(job, store, 0, None, forecast)
    reference = job.switch.references[0] if job.switch else None
    if rate is None:
        with listener.working("measuring this machine"):
            rate = training_rate.measure(job.plan, job.backend, job.switch)
    pictures = cost.bound(job)
    known = job.scene.output.codec == "h264"
    small = cost.is_small(pictures, job.frame_count, rate.time_s(samples))
    measured = not (known and (small or (cost.is_short(pictures, job.frame_count) and not full)))
    if measured:
        with listener.working("measuring this machine"):
            pictures = cost.measure(job, store)
    forecast = cost.forecast(samples, rate, job.frame_count, pictures)
    known_so_far = Outlook(job, store, samples, rate, forecast, measured)
    target = None
    if reference is not None or (full and known_so_far.is_deep and not known_so_far.lacks_reference):
        target = precision.tangents(job.scene, reference)
        if reference is not None and (warning := precision.past_budget(job.scene, target)):
            listener.warning(warning)
    return Outlook(job, store, samples, rate, forecast, measured, target, round(pictures.size_bytes * job.frame_count))
