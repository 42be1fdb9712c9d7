"""Results as plots. matplotlib is an optional extra and takes half a second to load, so it is imported to draw only."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from render.analyse import dimension, dimension_over_steps, precision, tuning
from render.analyse.estimators import ESTIMATORS
from render.analyse.tables import power_of_ten
from render.files import places
from render.files.atomic import write_whole

# Okabe and Ito's colours, which nearly everyone can distinguish.
_COLOURS = {"box": "#0072B2", "sausage": "#D55E00", "uncertainty": "#009E73", "published": "#CC79A7", "null": "#888888"}

# Line styles of the two null models, which have the same colour.
_NULL = {"smooth": ":", "noise": "-."}

MISSING = "no plot: it needs matplotlib (pip install matplotlib)"


def draw(result: Any, path: Path) -> Path | None:
    """Draw a result of one of the analyses as PNG; None if matplotlib is not installed."""
    with contextlib.ExitStack() as stack:
        if places.cache_folder() is None and "MPLCONFIGDIR" not in os.environ:
            # Without a home, matplotlib warns, or does not even load where there is no temporary folder either.
            os.environ["MPLCONFIGDIR"] = stack.enter_context(places.scratch_folder(path.parent))
            stack.callback(os.environ.pop, "MPLCONFIGDIR")
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return None
        content = _drawn(result, Figure)
    write_whole(path, content)
    return path


def _drawn(result: Any, figure_type: Any) -> bytes:
    """Return the PNG of a plot."""
    kinds: dict[type, Callable[[Any, Any], None]] = {
        dimension.Result: _dimension,
        dimension_over_steps.Result: _over_steps,
        precision.Result: _precision,
        tuning.Result: _tuning,
    }
    figure = figure_type(figsize=(11, 4.2), dpi=120, layout="constrained")
    kinds[type(result)](figure, result)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _dimension(figure: Any, result: dimension.Result) -> None:
    depth, local, sides = figure.subplots(1, 3, width_ratios=(1.6, 1, 1))
    figure.suptitle(f"{result.scene}: dimension of the boundary, {result.side} x {result.side} samples a window")
    for name, title in ESTIMATORS.items():
        points = [(row.width, e.dimension) for row in result.levels if (e := row.estimates[name])]
        if points:
            depth.plot(*zip(*points, strict=True), "o-", ms=3, lw=1, color=_COLOURS[name], label=title)
    for model in ("smooth", "noise"):
        points = [
            (row.width, v) for row in result.levels if (v := row.null[model]["box"]) is not None and row.has_boundary
        ]
        if points:
            named = f"null model: {model}, box counting"
            depth.plot(*zip(*points, strict=True), _NULL[model], lw=1.2, color=_COLOURS["null"], label=named)
    if result.published is not None:
        depth.axhline(result.published, color=_COLOURS["published"], lw=1.2, ls="--", label="published number")
        sides.axhline(result.published, color=_COLOURS["published"], lw=1.2, ls="--")
    _narrowing(depth, f"width of the window ({result.unit})")
    if result.last_plain_level is None and min(row.width for row in result.levels) < result.trusted_width:
        depth.axvspan(result.trusted_width, min(row.width for row in result.levels), color="#eeeeee", lw=0)
        depth.annotate("float64 ends", (result.trusted_width, 0.82), fontsize=8, color="#555555")
    below = [
        row.width
        for row in result.levels
        if result.last_plain_level is not None and row.level > result.last_plain_level
    ]
    if below:
        depth.axvline(2 * below[0], color="#555555", lw=0.8, ls=":")
        depth.annotate("by differences", (1.4 * below[0], 2.04), fontsize=8, color="#555555")
    depth.set(ylabel="dimension", ylim=(0.8, 2.1))
    _local_slopes(local, result)
    for name in (*ESTIMATORS, "published"):
        spreads = result.by_side(name)
        if spreads:
            label = "published procedure" if name == "published" else None
            low = [row.median - row.low for row in spreads.values()]
            high = [row.high - row.median for row in spreads.values()]
            sides.errorbar(
                list(spreads), [row.median for row in spreads.values()], (low, high), fmt="o-", ms=3, lw=1, capsize=2,
                color=_COLOURS[name], label=label,
            )  # fmt: skip
    sides.set_xscale("log", base=2)
    sides.set_xticks(dimension.sides(result.side), [str(n) for n in dimension.sides(result.side)])
    sides.set(xlabel="samples along the window", ylabel="median dimension (quartiles)", ylim=(0.8, 2.1))
    for axes in (depth, sides):  # so that no point and no end of a bar is cut off
        ends = [float(end) for end in axes.dataLim.intervaly if np.isfinite(end)]
        axes.set_ylim(min([0.8, *ends]) - 0.02, max([2.1, *ends]) + 0.02)
    handles = {label: h for axes in (depth, sides) for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)


def _over_steps(figure: Any, result: dimension_over_steps.Result) -> None:
    dimensions, shares = figure.subplots(1, 2, width_ratios=(2, 1))
    figure.suptitle(
        f"{result.scene}: dimension of the boundary over training, {result.count} windows of {result.side} x "
        f"{result.side} samples"
    )
    for name in (*ESTIMATORS, dimension_over_steps.PUBLISHED_PROCEDURE):
        rows = [(row.steps, spread) for row in result.rows if (spread := row.estimates[name]) is not None]
        if rows:
            label = ESTIMATORS.get(name, "published procedure")
            low, high = [f.median - f.low for _, f in rows], [f.high - f.median for _, f in rows]
            dimensions.errorbar(
                [steps for steps, _ in rows], [f.median for _, f in rows], (low, high), fmt="o-", ms=3, lw=1, capsize=2,
                color=_COLOURS[name], label=label,
            )  # fmt: skip
    for model in ("smooth", "noise"):
        points = [(row.steps, v) for row in result.rows if (v := row.null[model]["box"]) is not None]
        if points:
            named = "null models, box counting" if model == "noise" else None
            dimensions.plot(*zip(*points, strict=True), ":", lw=1.2, color=_COLOURS["null"], label=named)
    dimensions.set(xscale="log", xlabel="steps", ylabel="median dimension (quartiles)", ylim=(0.8, 2.1))
    dimensions.legend(fontsize=8, frameon=False)
    shares.plot([row.steps for row in result.rows], [row.share for row in result.rows], "o-", ms=3, color="#0072B2")
    shares.set(xscale="log", xlabel="steps", ylabel="share of samples that converged", ylim=(0, 1))


def _local_slopes(axes: Any, result: dimension.Result) -> None:
    for name, title in ESTIMATORS.items():
        estimates = [e for row in result.trusted() if (e := row.estimates[name])]
        if not estimates:
            continue
        sizes = np.sqrt(np.multiply(estimates[0].sizes[1:], estimates[0].sizes[:-1]))
        low, middle, high = np.quantile([e.local for e in estimates], (0.25, 0.5, 0.75), axis=0)
        axes.plot(sizes, middle, "o-", ms=3, lw=1, color=_COLOURS[name], label=title)
        axes.fill_between(sizes, low, high, color=_COLOURS[name], alpha=0.15, lw=0)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.set(xlabel="length in lattice spacings", ylabel="local dimension (quartiles over windows)", ylim=(0.8, 2.1))


def _precision(figure: Any, result: precision.Result) -> None:
    agree, growth = figure.subplots(1, 2)
    figure.suptitle(f"{result.scene}: where float64 ends")
    mixed = [view for view in result.views if view.mixed]
    widths = [view.width for view in mixed]
    beside = "signs, one unit in the last place aside"
    # Wide lines are drawn first, so that all can be seen where they coincide.
    for label, width_pt, colour, shares in (
        ("signs", 4.5, "box", [view.signs for view in mixed]),
        (beside, 2.5, "uncertainty", [1 - view.last_place for view in mixed]),
        ("values to 0.1 %", 1.0, "sausage", [view.values for view in mixed]),
    ):
        percent = [100 * share for share in shares]
        agree.plot(widths, percent, "o-", ms=width_pt + 2, lw=width_pt, color=_COLOURS[colour], label=label)
    agree.axhline(50, color=_COLOURS["null"], lw=1, ls=":", label="chance")
    if result.float64_ends:
        agree.axvline(result.float64_ends, color=_COLOURS["published"], lw=1.2, ls="--", label="float64 ends")
    agree.axvline(result.last_width, color=_COLOURS["null"], lw=1, label="film's last view")
    if mixed:
        _narrowing(agree, f"width of the view ({result.unit})")
    agree.set(ylabel="samples with the same outcome (%)", ylim=(0, 103))
    agree.legend(fontsize=8, loc="lower left")
    norms = result.tangents.growth
    growth.semilogy(range(1, len(norms) + 1), norms, lw=1.2, color=_COLOURS["uncertainty"])
    growth.xaxis.get_major_locator().set_params(integer=True)
    growth.set(xlabel="training step", ylabel=f"tangent norm |dW/du| / |W| (per {result.unit[:-1]})")
    if result.tangents.decades is not None:
        narrowest = power_of_ten(-result.tangents.decades)
        growth.set_title(f"worth views down to about {narrowest} {result.unit}", fontsize=9)


def _tuning(figure: Any, result: tuning.Result) -> None:
    curve, tail, scan = figure.subplots(1, 3, width_ratios=(1.4, 1, 1))
    figure.suptitle(f"{result.scene}: random search, {result.draws} independent draws")
    ns = np.array(result.curve.ns)
    top = float(np.max([v for v in (*result.curve.point, *result.curve.high) if np.isfinite(v)], initial=1.0))
    low, point, high = (np.minimum(v, top * 2) for v in (result.curve.low, result.curve.point, result.curve.high))
    curve.fill_between(ns, low, high, color=_COLOURS["box"], alpha=0.2, lw=0, label="95 % band")
    curve.plot(ns, point, lw=1.4, color=_COLOURS["box"], label="median")
    curve.set_xscale("log")
    curve.set(xlabel="draws", ylabel="best final loss (mean squared error)", ylim=(0, top * 1.05))
    curve.legend(fontsize=8)
    shares = [100 * fit.quantile for fit in result.fits]
    tail.plot(shares, [fit.a for fit in result.fits], "o-", ms=3, lw=1, color=_COLOURS["sausage"], label="best loss a")
    tail.plot(shares, [fit.o for fit in result.fits], "o-", ms=3, lw=1, color=_COLOURS["null"], label="noise o")
    tail.set(xlabel="losses fitted: lowest (%)", ylabel="loss (mean squared error)")
    tail.axhline(0, lw=0.8, color=_COLOURS["null"])
    tail.legend(fontsize=8)
    scan.plot(shares, [fit.c for fit in result.fits], "o-", ms=4, lw=1, color=_COLOURS["uncertainty"])
    scan.set(xlabel="losses fitted: lowest (%)", ylabel="effective number of hyperparameters c")
    scan.set_ylim(0, max([fit.c for fit in result.fits] or [2]) + 0.5)


def _narrowing(axes: Any, label: str) -> None:
    """Make a log axis of view widths that narrows to the right, as a film does."""
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xlabel(label)
