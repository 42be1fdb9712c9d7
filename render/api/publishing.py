"""A scene as a folder of static files: a page that any web server serves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import render
from render import scene as scenes
from render.analyse import subject
from render.analyse.subject import Subject
from render.api import output_names, preparation
from render.api.films import BUDGET_MIN
from render.api.listener import SILENT, Listener
from render.api.preparation import MakeBackend, local_backend
from render.api.scene_argument import takes_scene
from render.errors import RenderError
from render.explorer import packs, published_site
from render.explorer.published_site import LAYOUT, MARK, Published
from render.files.folders import check_folder
from render.film import qualities, replacing
from render.film.job import Job
from render.geometry.tiles import Tile
from render.machine import sizes
from render.scene import QUALITY, Scene

StrPath = str | os.PathLike[str]

# A reasonable size for a project page: services that host such pages free of charge allow 1 GB and more.
MOST_BYTES = 200_000_000

# Levels of the whole plane: 21 tiles, 21,504 samples, one to a pixel of a small picture.
PLANE_LEVEL = 2
_MOST_PLANE_LEVEL = 8

# A site is made again from the store in moments, so only the site of another problem must not be replaced unasked.
_UNSEEN = ("camera", "look", "output")

_ADVICE = "Give --force to replace it, or name another folder."


@takes_scene
def publish(
    scene: Scene,
    site: StrPath,
    *,
    quality: str = "auto",
    budget_min: float = BUDGET_MIN,
    plane_level: int = PLANE_LEVEL,
    channels: Sequence[str] = (),
    most_bytes: int = MOST_BYTES,
    force: bool = False,
    store: StrPath = "store",
    make_backend: MakeBackend = local_backend,
    listener: Listener = SILENT,
) -> Published:
    """Write a page that shows a film's samples as a map, with the film's path as a ride. Missing samples are trained.

    site: a folder that does not exist, is empty, or holds an earlier site of the same problem, which is replaced.
    force: replace even one of another problem. plane_level: the level down to which the whole plane is shown, 0 to 8.
    channels: further channels by which the page can colour. most_bytes: the most that the site may have; a larger one
    is refused before any training, as far as its size can be known. Raises RenderError.
    """
    scene.check_plane("a map on a page")
    folder = output_names.folder(site, what="the site", advice="Give a folder: a site is many files.")
    if not 0 <= plane_level <= _MOST_PLANE_LEVEL:
        raise RenderError(f"--plane-level must be from 0 to {_MOST_PLANE_LEVEL}, not {plane_level}.")
    shown = published_site.shown_channels(scene, channels)
    check_folder(folder, layout=LAYOUT)
    replacing.check(folder / MARK, scene, force=force, unseen=_UNSEEN, advice=_ADVICE)
    job, _ = preparation.prepare(scene, quality, budget_min, Path(store), make_backend, listener)
    if job.plan.path.tracks:
        listener.warning("The page shows how runs end: what moves besides the camera stands still in it.")
    plane = published_site.plane_tiles(min(plane_level, scene.problem.deepest_level))
    tiles = _in_order(plane, job.plan.order)
    wanted = published_site.page_bytes() + packs.estimated_bytes(len(tiles), len(shown))
    listener.note(
        f"{scene.name}: a site of {len(tiles):,} tiles, levels 0 to {max(job.plan.levels)}, about "
        f"{sizes.in_words(wanted)} of at most {sizes.in_words(most_bytes)}."
    )
    if wanted > most_bytes:
        raise RenderError(_too_large(job, wanted, most_bytes, len(plane), len(shown)))
    trained = Subject(job.scene, job.backend, job.store, Path(store), job.switch)
    missing = subject.missing_samples(trained, tiles)
    with (
        listener.training(scene, tiles, missing, job.backend) as report,
        subject.trained_tiles(trained, tiles, report) as fetch,
    ):
        made_of = scenes.provenance(job.scene, job.quality, job.numerics) | {"render": render.__version__}
        return published_site.write(job.scene, tiles, fetch, shown, folder, most_bytes=most_bytes, made_of=made_of)


def _in_order(plane: list[Tile], film: list[Tile]) -> list[Tile]:
    """Return the tiles of the plane, then the other tiles of a film; parents come before their children."""
    return list(dict.fromkeys([*plane, *film]))


def _too_large(job: Job, wanted: int, most_bytes: int, plane: int, channels: int) -> str:
    room = most_bytes - published_site.page_bytes()
    fitting = [
        name
        for name in QUALITY
        if packs.estimated_bytes(plane + len(qualities.named(job.scene, name).plan.order), channels) <= room
    ]
    advice = f"the largest quality that fits is {fitting[-1]}: --quality {fitting[-1]}" if fitting else "none fits"
    return (
        f"{job.scene.name}: the site would have about {sizes.in_words(wanted)}, more than --max allows "
        f"({sizes.in_words(most_bytes)}). Raise it, or lower --plane-level; {advice}."
    )
