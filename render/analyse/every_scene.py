"""The dimension of many scenes as one table: one command makes that of the documentation again.

Every scene is measured as it would be alone. Its samples are stored, so a command that was stopped goes on where it
was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from render.analyse import dimension
from render.analyse.dimension import Spread
from render.analyse.estimators import ESTIMATORS
from render.errors import RenderError
from render.film import replacing

# The scenes of the documentation's table: the six published conditions, and systems with a known answer. `frozen` is
# the null of the networks, whose border is known to be smooth, `product_ellipse` that of the products, and
# `committee_smooth` that of the riddled basin.
SCENES = (
    *("linear", "relu", "single", "minibatch", "tanh", "mean_lr", "frozen"),
    *("product_basin", "product_penalty", "product_ellipse"),
    *("committee_riddled", "committee_smooth"),
)


@dataclass(frozen=True)
class Outlook:
    """The cost of measuring one scene. windows: their number. samples: training runs in all. to_do: those not stored.

    time_s: how long those take at the rate that was measured; 0 if there are none.
    """

    scene: str
    windows: int
    samples: int
    to_do: int
    time_s: float


@dataclass(frozen=True)
class Row:
    """One scene.

    windows: the number of those that can be trusted. widest, narrowest: their widths, in `unit`.
    estimates: by name of ESTIMATORS. procedure: the published procedure. coarser: box counting with half as many
    samples along the sides of the same windows, which checks the resolution. smooth, noise: box counting of the null
    models. flipped, nudged, equal, again: sums over the windows, see `Level`. samples: training runs in all. took_s:
    how long the measurement took, without what was stored before.
    """

    scene: str
    problem: str
    unit: str
    windows: int
    widest: float
    narrowest: float
    estimates: dict[str, Spread | None]
    procedure: Spread | None
    published: float | None
    coarser: float | None
    smooth: Spread | None
    noise: Spread | None
    flipped: int
    nudged: int
    equal: int
    again: int
    samples: int
    took_s: float


@dataclass(frozen=True)
class Result:
    """The rows of all scenes, in the order in which they were asked for."""

    side: int
    rows: tuple[Row, ...]


def check(path: Path, problems: list[str]) -> None:
    """Refuse to replace a file unless it is a table of these problems. Raises RenderError."""
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        asked = json.loads(path.read_bytes())["asked"]
    except (ValueError, KeyError, TypeError):
        asked = None
    advice = "Give --force to replace it, or --out for another folder."
    if asked is None:
        raise replacing.foreign(path, advice)
    if asked != problems:
        raise RenderError(f"{path} is the table of other scenes. {advice}")


def row(result: dimension.Result, samples: int, took_s: float) -> Row:
    """Return the row of one scene, over all its windows."""
    trusted = result.trusted()
    halves = result.by_side("box")
    half = halves.get(result.side // 2)
    flipped, nudged = result.rounding()
    return Row(
        scene=result.scene,
        problem=result.problem,
        unit=result.unit,
        windows=len(trusted),
        widest=max((level.width for level in trusted), default=0.0),
        narrowest=min((level.width for level in trusted), default=0.0),
        estimates={name: result.dimension(name) for name in ESTIMATORS},
        procedure=result.by_side("published").get(result.side),
        published=result.published,
        coarser=half.median if half else None,
        smooth=result.null("smooth", "box"),
        noise=result.null("noise", "box"),
        flipped=flipped,
        nudged=nudged,
        equal=sum(level.equal for level in result.levels),
        again=sum(level.again for level in result.levels),
        samples=samples,
        took_s=took_s,
    )


def total(outlooks: Iterable[Outlook]) -> Outlook:
    """Return the cost of several scenes together."""
    parts = list(outlooks)
    return Outlook(
        "all",
        sum(part.windows for part in parts),
        sum(part.samples for part in parts),
        sum(part.to_do for part in parts),
        sum(part.time_s for part in parts),
    )
