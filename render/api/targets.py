"""Deep targets: a descent into the border, and the scene of a film to its end."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from pathlib import Path

from render import scene
from render.api import output_names
from render.api.films import StrPath
from render.api.listener import SILENT, Listener
from render.api.scene_argument import takes_scene
from render.deep import descend as descending
from render.errors import RenderError
from render.explorer import dials, keyframes
from render.files.atomic import check_target, write_whole
from render.geometry.camera import View
from render.scene import Scene
from render.storage.store import check_store

# Deeper down, reference runs take long (both their bits and their number grow with the depth), and no target is known.
_MOST_DECADES = 110.0

# The speed of the film to the new target where the scene has times instead, which were chosen for a shallower film.
_OCTAVES_PER_S = 2.0


@takes_scene
def descend(
    loaded: Scene,
    *,
    decades: float = 20.0,
    seed: int = 0,
    out: StrPath | None = None,
    store: StrPath = "store",
    listener: Listener = SILENT,
) -> Path:
    """Find a deep target below the narrowest view of a scene, write the scene of a film there, and return its path.

    decades: the last view is 10^-decades wide. seed: for the random choice among places on the border. out: by default
    NAME_deep.toml in the current folder; an existing file is never replaced. Raises RenderError.
    """
    loaded.check_plane("a descent")
    path = output_names.file(out, "a scene", ".toml") if out is not None else Path(f"{loaded.name}_deep.toml")
    if path.exists():
        raise _taken(path)
    check_target(path)
    x, y = loaded.problem.x, loaded.problem.y
    last = min(loaded.keyframes, key=lambda key: key.view.width).view
    width = Fraction(last.width) * x.span
    if not (-math.log10(float(width)) < decades <= _MOST_DECADES):
        raise RenderError(
            f"--decades must be more than {-math.log10(float(width)):.1f}, where the scene's narrowest view ends, and "
            f"at most {_MOST_DECADES:g}, not {decades:g}."
        )
    check_store(Path(store))
    centre = x.position_from_unit(last.x), y.position_from_unit(last.y)
    narrowest = 10.0**-decades
    with listener.working("descending") as status:

        def report_step(news: descending.View | str) -> None:
            if isinstance(news, str):
                status(news)
            else:
                listener.note(_described(news))

        views = descending.views(
            loaded.problem, centre, width, narrowest, Path(store), seed=seed, report_step=report_step
        )
    end = views[-1]
    if len(views) == 1 and end.share in (0.0, 1.0):
        raise RenderError(
            f"The scene's narrowest view must show a border, but all of {descending.SIDE} x {descending.SIDE} runs "
            f"across it {'converged' if end.share else 'diverged'}: move that keyframe onto a border, or widen it."
        )
    if end.width > descending.FACTOR * narrowest:
        raise RenderError(
            f"The border was lost at {float(end.width):.1e}: no two neighbours end differently there. Try another "
            "--seed, or fewer --decades."
        )
    if blank := [view for view in views if view.promotion_step == loaded.problem.steps]:
        listener.note(
            f"From {float(blank[0].width):.1e} on, most runs of a view never leave its reference run: there is one "
            "straight border, and a film shows nothing new. Try fewer --decades, or another --seed."
        )
    target = dataclasses.replace(
        last, x=x.unit_from_position(end.x), y=y.unit_from_position(end.y), width=float(end.width / x.span)
    )
    try:
        text = scene.with_system(_scene_to(loaded, target), loaded, path.parent)
        text = scene.with_schema(text, path.parent)
        write_whole(path, text.encode(), replace=False)
    except FileExistsError:
        raise _taken(path) from None
    scene.load(path)  # raises if what was written is not a valid scene
    return path


def _taken(path: Path) -> RenderError:
    return RenderError(f"{path} must not exist: choose another --out.")


def _described(view: descending.View) -> str:
    """Return a line of text on a view."""
    followed = "" if view.promotion_step is None else f", by differences for {view.promotion_step:.0f} steps"
    checked = ", checked in full precision" if view.checked else ""
    return f"{float(view.width):8.1e} wide: {view.share:4.0%} converged{followed}{checked}"


def _scene_to(loaded: Scene, target: View) -> str:
    """Return the text of a scene whose narrowest keyframe is the target; a scene with one keyframe gets a second."""
    last = min(loaded.keyframes, key=lambda key: key.view.width)
    place = loaded.keyframes.index(last)
    edit = keyframes.own_edit(loaded)
    kept = [key for key in edit.keyframes if key.source != place]
    held = tuple(sorted(dials.of_keyframe(loaded, place).items()))
    if kept:
        deep = keyframes.Keyframe(target, last.hold_s, last.time_s, place, held)
    else:  # the film goes from the only keyframe to the target
        kept = list(edit.keyframes)
        deep = keyframes.Keyframe(target, last.hold_s, None, None, held)
    speed = edit.octaves_per_s or _OCTAVES_PER_S
    return keyframes.rewritten(loaded, dataclasses.replace(edit, keyframes=(*kept, deep), octaves_per_s=speed))
