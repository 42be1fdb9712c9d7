"""The command that goes down into the border and writes the scene of a film to there."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from render.cli.options import AS_WRITTEN, Changes, Debug, More, Scene, Store
from render.errors import RenderError

# Farther down, reference runs take long (their bits and their number both grow with the depth), and nobody has looked.
_MOST_DECADES = 110.0


def descend(
    scene: Scene,
    /,
    *more: More,
    decades: Annotated[float, Parameter(help="How narrow the last view is: 10 to minus this, in decades.")] = 20.0,
    seed: Annotated[int, Parameter(help="Of the choice among places on the border: another seed, another target.")] = 0,
    changes: Changes = AS_WRITTEN,
    out: Annotated[
        Path | None, Parameter(help="Scene to write; by default NAME_deep.toml in this folder. None is replaced.")
    ] = None,
    store: Store = Path("store"),
    debug: Debug = False,
) -> None:
    """Find a deep target by descending into the border from the scene's last view, and write the scene of a film there.

    Every view is 16 x 16 samples, eight times narrower than the last, about a pair of neighbours that end
    differently. Below 1e-9 decades they are followed by differences from reference runs, which take a while.

    Try:

        render descend tanh.toml --decades 30
        render descend tanh.toml --decades 30 --seed 1 --out tanh_other.toml
    """
    from render.cli import messages
    from render.deep import descend as descending
    from render.explorer import keyframes
    from render.files.atomic import check_target, write_whole
    from render.scene import load
    from render.storage.store import check_store

    loaded = changes.load(scene, *more)
    path = out or Path(f"{loaded.name}_deep.toml")
    taken = RenderError(f"{path} must not be there yet: choose another --out.")
    if path.exists():
        raise taken
    check_target(path)
    x = loaded.problem.x
    last = min(loaded.keyframes, key=lambda key: key.view.width)
    width = Fraction(last.view.width) * x.span
    narrowest = 10.0**-decades
    if not (-math.log10(float(width)) < decades <= _MOST_DECADES):
        raise RenderError(
            f"--decades must be more than {-math.log10(float(width)):.1f}, where the scene's narrowest view ends, and "
            f"at most {_MOST_DECADES:g}, not {decades:g}."
        )
    check_store(store)
    centre = x.position_from_unit(last.view.x), loaded.problem.y.position_from_unit(last.view.y)
    with messages.working("descending") as status:

        def tell(news: descending.View | str) -> None:
            if isinstance(news, str):
                status(news)
                return
            by = "" if news.promotion_step is None else f", by differences for {news.promotion_step:.0f} steps"
            by += ", checked in full precision" if news.checked else ""
            messages.note(f"{float(news.width):8.1e} wide: {news.share:4.0%} converged{by}")

        views = descending.views(loaded.problem, centre, width, narrowest, store, seed=seed, tell=tell)
    end = views[-1]
    if end.width > descending.FACTOR * narrowest:
        raise RenderError(
            f"The border was lost at {float(end.width):.1e}: no two neighbours end differently there. Try another "
            "--seed, or fewer --decades."
        )
    if blank := [view for view in views if view.promotion_step == loaded.problem.steps]:
        messages.note(
            f"From {float(blank[0].width):.1e} on, most runs of a view never leave its reference run: there is one "
            "straight border, and a film shows nothing new. Try fewer --decades, or another --seed."
        )
    view = dataclasses.replace(
        last.view,
        x=x.unit_from_position(end.x),
        y=loaded.problem.y.unit_from_position(end.y),
        width=float(end.width / x.span),
    )
    edit = keyframes.own_edit(loaded)
    kept = [key for key in edit.keyframes if key.source != loaded.keyframes.index(last)]
    deep = keyframes.Keyframe(view, last.hold_s, last.time_s, loaded.keyframes.index(last))
    speed = edit.octaves_per_s or 2.0  # times of a shallower film say nothing about this one
    text = keyframes.rewritten(loaded, dataclasses.replace(edit, keyframes=(*kept, deep), octaves_per_s=speed))
    try:
        write_whole(path, text.encode(), replace=False)
    except FileExistsError:
        raise taken from None
    load(path)  # what is written is a scene
    messages.wrote(path)
