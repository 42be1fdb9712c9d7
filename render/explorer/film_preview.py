"""The film that a page's keyframes would make: its path, its cost, and its scene file."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from render import scene
from render.deep import switch_search
from render.errors import RenderError
from render.explorer import keyframes
from render.explorer.keyframes import Edit
from render.explorer.planes import Plane
from render.files.atomic import write_whole
from render.film import cost, qualities, rendering, switch, training_rate
from render.film.plan import depth_warning
from render.film.slices import Slices
from render.scene import QUALITY, Scene
from render.storage.store import DirectoryStore, TileStore

# Views of a path that a page gets: enough for a smooth preview of a minute, and for a smooth line on the map.
_PATH_VIEWS = 600

# Some editors begin a file with it. It is not a part of the scene.
_BOM = "\ufeff"

# Names that a saved scene may have: plain words, so that none is a path, an option or a hidden file.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Clash(RenderError):
    """A file of that name exists already. text: its content. seen: a digest of the text, which identifies it."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}.toml exists already.")
        self.text = text
        self.seen = digest(text)


class Saved(NamedTuple):
    """A scene that was written. text: the whole file."""

    name: str
    path: Path
    text: str


def edited(of: Scene, edit: Edit) -> Scene:
    """Return the scene with an edited film, by way of its text. SceneError, with key paths, if that is not a scene."""
    return scene.parse(keyframes.rewritten(of, edit), of.name, of.name, folder=of.folder)


def path(of: Scene) -> dict[str, Any]:
    """Return a scene's path as a page draws and plays it: views at even times, and the times of its keyframes."""
    camera_path = of.path(of.output)
    times = [camera_path.duration_s * i / _PATH_VIEWS for i in range(_PATH_VIEWS + 1)]
    places = [camera_path.s_at(time_s) for time_s in times]
    views = [camera_path.view(s) for s in places]
    slices = Slices(of.problem, camera_path, of.output.slices)
    return {
        "duration_s": camera_path.duration_s,
        "octaves": camera_path.length,
        "aspect": of.output.height_px / of.output.width_px,
        "arrivals_s": [key.time_s for key in of.keyframes],
        "views": [keyframes.place(view) for view in views],
        # Of the slice that has the largest share in the frame.
        "at": [slices.values(slices.nearest(s)) for s in places] if camera_path.tracks else None,
    }


def depth_warning_of(of: Scene, store: Path) -> str | None:
    """Return why a scene cannot be filmed or will blur, or what was measured of its precision; None if there is
    nothing.

    The smallest plan is enough for that. store: contains the measurements.
    """
    unit = "decades" if of.problem.x.scale == "log10" else "units"
    try:
        blurred = depth_warning(qualities.named(of, qualities.SMALLEST).plan)
        warnings = [switch_search.words(measured, unit) for measured in switch_search.known(of, store)]
        return " ".join([*([blurred] if blurred else []), *warnings]) or None
    except RenderError as error:
        return str(error)


def costs(of: Scene, plane: Plane, samples_per_s: float | None) -> Iterator[dict[str, Any]]:
    """Yield the cost of each quality, the cheapest first. The most expensive ones take seconds to plan.

    samples_per_s: the rate so far; None if nothing was trained yet: then it is measured in a second or two.
    """
    of = switch_search.measured(of, plane.root, None)
    for name in [*QUALITY, "scene"]:
        try:
            plan = qualities.named(of, name).plan
        except RenderError as error:
            yield {"quality": name, "fault": str(error)}
            continue
        samples_per_s = samples_per_s or training_rate.measure(plan, plane.backend).samples_per_s
        first: TileStore = rendering.stored_like(of.problem, plane.root, plane.store)
        if isinstance(first, DirectoryStore):
            first = switch.existing_store(plan, plane.root, first)
        stores = [first] + [rendering.stored_like(p, plane.root, plane.store) for p in plan.slices.problems[1:]]
        missing = sum(len(store.missing(order, plan.patches)) for store, order in zip(stores, plan.orders, strict=True))
        samples = round(plan.samples * missing / max(sum(map(len, plan.orders)), 1))
        output = plan.scene.output
        yield {
            "quality": name,
            "size": [output.width_px, output.height_px],
            "samples": plan.samples,
            "missing": samples,
            "time_s": samples / samples_per_s,
            "disk_bytes": cost.disk_bytes(plan),
        }


# ---- saving -----------------------------------------------------------------------------------------------------


def save(of: Scene, edit: Edit, name: str, folder: Path, *, replacing: str | None, append: bool = False) -> Saved:
    """Write an edited scene into a folder as name.toml. An existing file is changed only if its text was shown before.

    replacing: the digest of the text that the user agreed to change, or None. append: add the keyframes to those of
    that file and leave everything else in it, instead of replacing it. Raises Clash if another file exists, SceneError
    if the keyframes do not make a valid scene.
    """
    if not _NAME.fullmatch(name):
        raise RenderError("A scene's name must be 1 to 64 letters, digits, - and _, and begin with a letter or digit.")
    target = folder / f"{name}.toml"
    present_text = _read(target)
    if present_text is not None and digest(present_text) != replacing:
        raise Clash(name, present_text)
    if append and present_text is not None:
        present = scene.parse(present_text.removeprefix(_BOM), str(target), name, folder=folder)
        text = edited(*_appended(present, of, edit)).text
    else:
        text = scene.with_system(edited(replace(of, name=name), edit).text, of, folder)
    text = scene.with_schema(text, folder)
    if present_text is not None and present_text.startswith(_BOM):
        text = _BOM + text
    try:
        write_whole(target, text.encode(), replace=present_text is not None)
    except FileExistsError:
        raise Clash(name, _read(target) or "") from None
    return Saved(name, target, text)


def film_command(saved: Path, store: Path) -> str:
    """Return the shell command that films a saved scene from the same store, by the program that runs now."""
    called = sys.argv[0]
    if Path(called).stem != "render":  # python -m render, or a program that uses the package
        words = [sys.executable, "-m", "render"]
    else:
        words = ["render" if shutil.which("render") == called else called]
    words += ["video", str(saved)]
    # The store must be named unless it is the default one.
    return shlex.join(words if store == Path("store") else [*words, "--store", str(store)])


def _appended(present: Scene, of: Scene, edit: Edit) -> tuple[Scene, Edit]:
    """Return a scene, and the edit that adds another scene's keyframes to it, with its own timing and look."""
    if present.problem != of.problem:
        raise RenderError(
            f"{present.name} is about another plane than {of.name}: its keyframes cannot be put in one film."
        )
    merged = keyframes.own_edit(present)
    timed = merged.octaves_per_s is None and len(merged.keyframes) > 1
    end_s = present.keyframes[-1].time_s + present.keyframes[-1].hold_s
    more = [
        replace(key, source=None, time_s=end_s + 10 + (key.time_s or 0.0) if timed else None) for key in edit.keyframes
    ]
    if merged.octaves_per_s is None and not timed:
        merged = replace(merged, octaves_per_s=edit.octaves_per_s or 1.0)
    return present, replace(merged, keyframes=(*merged.keyframes, *more))


def _read(target: Path) -> str | None:
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise RenderError(f"{target} is not a plain file; choose another name.")
    try:
        return target.read_bytes().decode()  # line ends as they are
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RenderError(f"{target} exists, but cannot be read ({error}); choose another name.") from error


def digest(text: str) -> str:
    """Return a digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
