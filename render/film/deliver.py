"""The files of the output folder: a film or stills, and beside them records, logs and posters.

<scene>/<scene>-<quality>.mp4           the film
<scene>/<scene>-<quality>.mp4.json      its record: everything needed to make it again
<scene>/<scene>-<quality>.frames.csv    a row a frame: seconds, training runs, tiles, boundary density
<scene>/<scene>-<quality>.poster.png    one frame of it
<scene>/<scene>-<quality>.thumb.jpg     the same, small
<scene>/<scene>-<quality>.path.csv      where the camera is in every frame
<scene>/<scene>-<quality>-00120.png     frame 120 of it, with its record as 00120.png.json

Settings that changed the scene are named after the quality: <scene>-<quality>-vik.mp4 (`render.scene.tag`).
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from render import encode
from render import scene as scenes
from render.errors import RenderError, WriteError
from render.files.atomic import check_target, write_whole
from render.film import frame_log, rendering, replacing, switch
from render.film.frame_log import FrameFacts
from render.film.job import Job
from render.film.rendering import Log, Report
from render.film.replacing import record_path
from render.geometry import frame_rates
from render.geometry.tracks import Track

# Libraries on which pictures and samples depend.
_LIBRARIES = ("jax", "jaxlib", "numpy", "scipy", "pillow", "cmap", "imageio", "imageio-ffmpeg")

_THUMBNAIL_PX = 320
_POSTER = ".poster.png", ".thumb.jpg"


def film_path(out: Path, job: Job, frames: str = "") -> Path:
    """Return the path of a job's film. frames: the part of its name that says which frames it shows, if not all.

    Two jobs of one scene with different settings have different paths.
    """
    codec = job.scene.output.codec
    suffix = "" if codec == encode.SEQUENCE else encode.CODECS[codec].suffix
    # The codec is named even where the scene sets it, since players support some codecs only.
    tags = [frames, scenes.tag(job.scene, ignored=["output.codec"]), codec if codec != "h264" else ""]
    return out / job.scene.name / f"{_stem(job, *tags)}{suffix}"


def still_path(out: Path, job: Job, number: int) -> Path:
    """Return the path of a frame of a job."""
    tag = scenes.tag(job.scene, ignored=replacing.UNSEEN_IN_STILLS)
    return out / job.scene.name / f"{_stem(job, tag, f'{number:05d}')}.png"


def sheet_path(out: Path, job: Job, layout: str = "") -> Path:
    """Return the path of a contact sheet of a job. layout: its frames and its layout, unless they are the defaults."""
    tag = scenes.tag(job.scene, ignored=replacing.UNSEEN_IN_STILLS)
    return out / job.scene.name / f"{_stem(job, tag, layout)}.sheet.png"


def _stem(job: Job, *tags: str) -> str:
    return "-".join([job.scene.name, job.quality, *(tag for tag in tags if tag)])


def whole_film(
    job: Job,
    path: Path,
    report: Report = rendering.ignore_progress,
    *,
    poster: str | None = "last",
    force: bool = False,
) -> list[Path]:
    """Make a film with its record, log, poster, thumbnail and table of the camera; return their paths, the film first.

    poster: the frame that poster and thumbnail show, as `selection` reads it; None for neither. force: replace even
    what another request made (see `replacing.check`).
    """
    numbers = job.frame_numbers([poster]) if poster else []
    if len(numbers) > 1:
        raise RenderError(f"a poster must be one frame, not {len(numbers)}: {poster!r}.")
    base = path if job.scene.output.codec == encode.SEQUENCE else path.with_suffix("")
    table, poster_path, thumbnail = (base.with_name(base.name + end) for end in (".frames.csv", *_POSTER))
    # A path that cannot be written is reported now, not after all the training.
    for other in (table, poster_path, thumbnail) if numbers else (table,):
        check_target(other)
    replacing.check(path, job.scene, force=force)
    if numbers:
        replacing.check(poster_path, job.scene, force=force, unseen=replacing.UNSEEN_IN_STILLS)
    if poster_path.exists() and not poster_path.is_file():
        raise WriteError(poster_path, "the thumbnail is made from it, so it must be a plain file")

    def show() -> None:
        for number in numbers:
            rendering.stills(job, [number], lambda _: poster_path)
            encode.write_thumbnail(thumbnail, poster_path, _THUMBNAIL_PX)

    if job.scene.output.codec == encode.SEQUENCE:
        written = [*_logged_sequence(job, path, table, report), table]
        show()
    else:
        facts: list[FrameFacts] = []

        def beside() -> None:
            """Write these files while the film's segments still exist, so that nothing is lost if this fails."""
            _write_log(table, facts)
            show()

        written = [*_film(job, path, report, facts.append, beside=beside), table]
    return [*written, *([poster_path, thumbnail] if numbers else []), rendering.path_table(job, path)]


def _write_log(table: Path, facts: Iterable[FrameFacts]) -> None:
    write_whole(table, frame_log.table(facts).encode())


def _logged_sequence(job: Job, folder: Path, table: Path, report: Report) -> list[Path]:
    """Make a folder of pictures and their log, in which existing pictures keep their rows."""
    _write_log(table, _rows(table, job).values())
    with table.open("a", encoding="utf-8", buffering=1) as lines:  # every row is written as soon as its picture is

        def log(row: FrameFacts) -> None:
            lines.write(frame_log.line(row))

        written = _film(job, folder, report, log)
    _write_log(table, _rows(table, job).values())
    return written


def _rows(table: Path, job: Job) -> dict[int, FrameFacts]:
    try:
        rows = frame_log.read(table.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        rows = {}
    return {number: rows[number] for number in range(job.frame_count) if number in rows}


def stills(
    job: Job,
    numbers: Sequence[int],
    out: Path,
    report: Report = rendering.ignore_progress,
    *,
    force: bool = False,
) -> list[Path]:
    """Make single frames, each with its record; return the frames' paths. force: as in `whole_film`."""

    def record(number: int, sha256: str) -> None:
        _record(job, still_path(out, job, number), sha256, number)

    for number in numbers:
        path = still_path(out, job, number)
        check_target(record_path(path))
        replacing.check(path, job.scene, force=force, unseen=replacing.UNSEEN_IN_STILLS)
    return rendering.stills(job, numbers, lambda number: still_path(out, job, number), report, published=record)


def part_of_film(
    job: Job,
    numbers: Sequence[int] | None,
    out: Path,
    report: Report = rendering.ignore_progress,
    *,
    force: bool = False,
) -> list[Path]:
    """Make a film of some frames, or of all, with only its record and its table of the camera; return their paths.

    force: as in `whole_film`.
    """
    path = film_path(out, job, tag_of_frames(numbers) if numbers else "")
    replacing.check(path, job.scene, force=force)
    return [*_film(job, path, report, numbers=numbers), rendering.path_table(job, path)]


def _film(
    job: Job,
    path: Path,
    report: Report,
    log: Log = rendering.ignore_frame_facts,
    numbers: Sequence[int] | None = None,
    beside: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Make a film and its record, which has the checksum of the published file; return both paths.

    beside: writes the other files that belong to the film, once the film has its name.
    """

    def record(sha256: str) -> None:
        _record(job, path, sha256, frames=numbers)
        beside()

    check_target(record_path(path))
    rendering.video(job, path, report, log, numbers, record)
    if job.scene.output.codec == encode.SEQUENCE:
        record(_sum_of_pictures(path))
    return [path, record_path(path)]


def tag_of_frames(numbers: Sequence[int]) -> str:
    """Return the name of a part of a film: its first and last frame, and a digest if it skips frames in between."""
    ends = f"{numbers[0]:05d}-{numbers[-1]:05d}"
    return ends if _is_run(numbers) else f"{ends}-{hashlib.sha256(repr([*numbers]).encode()).hexdigest()[:6]}"


def _is_run(numbers: Sequence[int]) -> bool:
    return [*numbers] == [*range(numbers[0], numbers[-1] + 1)]


def _record(
    job: Job, path: Path, sha256: str, frame: int | None = None, *, frames: Sequence[int] | None = None
) -> None:
    """Write the record of an output. It has nothing in it that would differ if the output were made again."""
    output = job.scene.output
    texts = job.provenance(frame)
    again = f"render {'video' if frame is None else 'frame'} {path.name}.json"
    if frames is not None:
        chosen = f"{frames[0]}..{frames[-1]}" if _is_run(frames) else ",".join(map(str, frames))
        again = f"render encode {path.name}.json {chosen} --codec {output.codec}"
    fields: dict[str, object] = {
        **texts,
        "numerics": job.numerics,
        "again": again,
        "file": path.name,
        "sha256": sha256,
        "size_px": [output.width_px, output.height_px],
        "frames": 1 if frame is not None else len(frames) if frames is not None else job.frame_count,
        "fps": frame_rates.plain(output.fps),
        "codec": encode.SEQUENCE if frame is not None else output.codec,
        "made_with": made_with(),
    }
    if tracks := job.plan.path.tracks:
        fields["moved"] = {track.name: _ends(job, track, frame) for track in tracks}
    if frame is not None:
        fields["frame"] = frame
    elif output.codec != encode.SEQUENCE and (changes := encode.CODECS[output.codec].changes):
        fields["encoded"] = changes
    if job.plan.targets.places and frame is None:
        shared, alike = switch.agreement(job.plan, job.store)
        fields["switch"] = {
            "last_plain_level": job.plan.targets.last_plain_level,
            "shared_samples": shared,
            "end_alike": round(alike, 4),
            "measured": [asdict(measured) for measured in job.measured],
        }
    if frames is not None:
        fields["selected"] = list(frames)
    target = record_path(path)
    try:
        write_whole(target, (json.dumps(fields, indent=1, ensure_ascii=False) + "\n").encode())
    except RenderError:
        if target.is_file() and not target.is_symlink():  # the record of the former output, which no longer holds
            target.unlink()
        raise


def _ends(job: Job, track: Track, frame: int | None) -> float | list[float]:
    """Return the value of a track in a frame, or in the first and the last one."""
    path, fps = job.plan.path, job.scene.output.fps
    of = [path.value(track, path.s_of_frame(number, fps)) for number in (frame or 0, job.frame_count - 1)]
    return of[0] if frame is not None else of


def made_with() -> dict[str, str]:
    """Return the versions of the programs and libraries that made an output."""
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **versions, "ffmpeg": encode.version(), "machine": platform.machine()}


def _sum_of_pictures(folder: Path) -> str:
    """Return the SHA-256 of a folder's pictures: of the lines "NAME SHA-256" of its files, sorted."""
    lines = []
    for path in sorted(folder.glob("*.png")):
        with path.open("rb") as file:
            lines.append(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
