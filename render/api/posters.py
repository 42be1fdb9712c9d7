"""Pictures for print, of any size."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import render
from render import scene as scenes
from render.analyse import subject
from render.analyse.subject import Subject
from render.api.listener import SILENT, Listener
from render.api.preparation import MakeBackend, local_backend, reference_run
from render.api.scene_argument import takes_scene
from render.encode import tiff
from render.encode.tiff import Print
from render.errors import RenderError
from render.files import path_argument
from render.files.atomic import check_target
from render.film import qualities, replacing, selection, training_rate
from render.film.poster import Poster, Sheet, srgb_bands
from render.film.rendering import Progress, Report
from render.geometry.tiles import Tile
from render.samples import Field
from render.scene import Scene, records
from render.storage.store import MemoryStore

StrPath = str | os.PathLike[str]

# Tiles on which the rate of training is measured, spread evenly over the print.
_MEASURED = 64

_ADVICE = "Give --force to replace it, or another --out."


@dataclass(frozen=True)
class PosterPlan:
    """The cost of a print. size_px: (width, height) with bleed. level: of its samples. samples: training runs, those of
    the frame's colours included.

    samples_to_do: those that the store lacks. training_s: seconds for them on this machine, 0 if there are none.
    size_bytes: of the picture before it is compressed.
    """

    size_px: tuple[int, int]
    level: int
    samples: int
    samples_to_do: int
    training_s: float
    size_bytes: int


@takes_scene
def plan_poster(
    scene: Scene,
    at: str | int = "last",
    *,
    cm: tuple[float, float],
    dpi: float = 300.0,
    bleed_mm: float = 0.0,
    bits: int = 8,
    detail: float = 0.5,
    store: StrPath = "store",
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> PosterPlan:
    """Return the cost of a print. Apart from a measurement of about a second, nothing is trained. See `poster`."""
    sheet = Sheet(cm, dpi, bleed_mm, detail)
    _check_sheet(sheet)
    tiff.check_bits(bits)
    prepared = _prepared(scene, at, sheet, bits, Path(store), make_backend, listener, read_only=True)
    missing = prepared.missing()
    training_s = 0.0
    if missing:
        with listener.working("measuring this machine"):
            rate = training_rate.measure_tiles(scene.problem, prepared.some_tiles(), prepared.subject.backend)
        training_s = rate.time_s(missing)
    level, size_px, size_bytes = prepared.poster.level, prepared.print.size_px, prepared.print.size_bytes
    return PosterPlan(size_px, level, prepared.samples(), missing, training_s, size_bytes)


@takes_scene
def poster(
    scene: Scene,
    out: StrPath | None = None,
    at: str | int = "last",
    *,
    cm: tuple[float, float],
    dpi: float = 300.0,
    bleed_mm: float = 0.0,
    bits: int = 8,
    detail: float = 0.5,
    force: bool = False,
    store: StrPath = "store",
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> Path:
    """Write a frame of a scene as a picture for print, in bands, with little memory; return its path.

    out: .tif, or .btf for BigTIFF; out/SCENE/SCENE-75x50cm.tif if not given, where the name also contains what differs
    from the defaults. cm: (width, height) once trimmed; the frame fits into it, and where the shapes differ the picture
    continues beyond the frame. dpi: pixels per inch. bleed_mm: more picture around the trimmed one. bits: 8 or 16 a
    channel. detail: samples per pixel, at least, along one direction. The caption is the scene's output.caption; axes
    are not drawn. force: replace even a file that render did not make, or made from another scene, frame or size.
    Samples are stored, so a call that was stopped goes on where it was. Raises RenderError, EncodeError, WriteError.
    """
    sheet = Sheet(cm, dpi, bleed_mm, detail)
    _check_sheet(sheet)
    tiff.check_bits(bits)
    number = _frame_number(scene, at)
    default = Path("out") / scene.name / _name(scene, number, sheet, bits)
    path = default if out is None else path_argument.path_of(out, "--out")
    tiff.check(path, Print(sheet.size_px, bits, sheet.dpi))
    check_target(path)
    asked: dict[str, str | int | float] = {
        "frame": number,
        "cm": f"{cm[0]:g}x{cm[1]:g}",
        "dpi": dpi,
        "bleed_mm": bleed_mm,
        "bits": bits,
        "detail": detail,
    }
    replacing.check(path, scene, force=force, unseen=replacing.UNSEEN_IN_STILLS, asked=asked, advice=_ADVICE)
    prepared = _prepared(scene, at, sheet, bits, Path(store), make_backend, listener)
    missing = prepared.missing()
    with listener.training(scene, prepared.some_tiles(), missing, prepared.subject.backend) as report:
        trained = prepared.training(report, missing)
        with trained(prepared.poster.curve_tiles()) as fetch:
            colours = prepared.poster.colours(fetch)
        texts = scenes.provenance(scene, "scene", prepared.subject.numerics) | {"version": render.__version__}
        metadata = {**records.exported(texts), **asked, "level": prepared.poster.level}
        bands = srgb_bands(prepared.poster, colours, prepared.print, lambda rows: trained(prepared.poster.tiles(rows)))
        tiff.write(path, prepared.print, bands, metadata)
    return path


def _check_sheet(sheet: Sheet) -> None:
    if not (all(0 < side <= 10_000 for side in sheet.cm) and 1 <= sheet.dpi <= 10_000):
        raise RenderError(
            f"a print must have sides of up to 10,000 cm and 1 to 10,000 dpi, not {sheet.cm}, {sheet.dpi}."
        )
    if not 0 <= sheet.bleed_mm <= 100:
        raise RenderError(f"--bleed must be from 0 to 100 mm, not {sheet.bleed_mm:g}.")
    if not 0.01 <= sheet.detail <= 4:
        raise RenderError(f"--detail must be from 0.01 to 4 samples per pixel, not {sheet.detail:g}.")


@dataclass(frozen=True)
class _Prepared:
    """A print that is ready to be trained."""

    poster: Poster
    print: Print
    subject: Subject

    def _stages(self) -> Iterator[list[Tile]]:
        """Yield the tiles in the order in which they are trained: those of the colours, then band by band."""
        yield self.poster.curve_tiles()
        yield from map(self.poster.tiles, self.poster.bands)

    def samples(self) -> int:
        """Return all training runs of the print, from an empty store."""
        return subject.samples_of_stages(self.subject, self._stages(), MemoryStore())

    def missing(self) -> int:
        """Return the training runs that the store lacks."""
        return subject.samples_of_stages(self.subject, self._stages(), self.subject.store)

    def some_tiles(self) -> list[Tile]:
        """Return tiles from all over the print."""
        area = self.poster.area()
        rows, columns = area.shape
        every = max(1, rows * columns // _MEASURED)
        return [
            Tile(area.level, area.x0 + i % columns, area.y0 + i // columns) for i in range(0, rows * columns, every)
        ]

    def training(
        self, report: Report, total: int
    ) -> Callable[[Sequence[Tile]], AbstractContextManager[Callable[[Tile], Field]]]:
        """Return a function that trains the tiles of a stage; its context yields the function that reads them.

        total: the runs of all stages.
        """
        done = 0

        @contextlib.contextmanager
        def trained(tiles: Sequence[Tile]) -> Iterator[Callable[[Tile], Field]]:
            nonlocal done
            last = Progress(0, 0, 0, 0)

            def tell(now: Progress) -> None:
                nonlocal last
                last = now
                report(Progress(0, 0, min(total, done + now.samples_done), total, now.repaired))

            with subject.trained_tiles(self.subject, tiles, tell) as fetch:
                yield fetch
            done += last.samples_done

        return trained


def _frame_number(scene: Scene, at: str | int) -> int:
    path = scene.path(scene.output)
    numbers = selection.numbers([at], path.frame_count(scene.output.fps), path.duration_s)
    if len(numbers) != 1:
        raise RenderError(f"a print shows one frame, not {len(numbers)}: {at!r}.")
    return numbers[0]


def _name(scene: Scene, number: int, sheet: Sheet, bits: int) -> str:
    """Return the file name of a print: that of the scene, the size, and what differs from the defaults."""
    count = scene.path(scene.output).frame_count(scene.output.fps)
    plain = Sheet(sheet.cm)
    parts = {
        scenes.tag(scene, ignored=replacing.UNSEEN_IN_STILLS): True,
        f"{number:05d}": number != count - 1,
        f"{sheet.cm[0]:g}x{sheet.cm[1]:g}cm": True,
        f"dpi-{sheet.dpi:g}": sheet.dpi != plain.dpi,
        f"bleed-{sheet.bleed_mm:g}": sheet.bleed_mm != plain.bleed_mm,
        f"detail-{sheet.detail:g}": sheet.detail != plain.detail,
        f"bits-{bits}": bits != 8,
    }
    return "-".join([scene.name, *(part for part, is_named in parts.items() if part and is_named)]) + ".tif"


def _prepared(
    scene: Scene,
    at: str | int,
    sheet: Sheet,
    bits: int,
    store: Path,
    make_backend: MakeBackend,
    listener: Listener,
    *,
    read_only: bool = False,
) -> _Prepared:
    scene.check_plane("a print")
    plan = qualities.named(scene, "scene").plan
    drawn = Poster(plan, plan.path.s_of_frame(_frame_number(scene, at), scene.output.fps), sheet)
    deepest = max(drawn.level, *(tile.level for tile in drawn.curve_tiles()))
    with reference_run(listener) as report_step:
        prepared = subject.prepare(
            scene, store, make_backend, level=deepest, report_step=report_step, read_only=read_only
        )
    return _Prepared(drawn, Print(sheet.size_px, bits, sheet.dpi), prepared)
