"""Results as tables for the terminal."""

from __future__ import annotations

import math

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from render.analyse import conclusions, dimension, dimension_over_steps, every_scene, precision, tuning
from render.analyse.dimension import Spread
from render.analyse.estimators import ESTIMATORS

# Headings for the columns of ESTIMATORS, short enough for the table to fit a terminal of 80 columns.
_SHORT = ("box", "sausage", "pairs")


def of_dimension(result: dimension.Result) -> RenderableType:
    """Return one row for each window, then medians over them."""
    levels = _table(
        f"{result.scene}: dimension in windows of {result.side} x {result.side} samples",
        *("level", result.unit, "conv.", *_SHORT, "tiles", "smooth", "noise", "new", "bits", "ulp"),
    )
    for row in result.levels:
        patches = f"{np.median(row.patches):.2f}±{np.std(row.patches):.2f}" if row.patches else "-"
        levels.add_row(
            str(row.level), f"{row.width:.2g}", f"{row.share:.1%}",
            *(_two(e.dimension if (e := row.estimates[name]) else None) for name in ESTIMATORS), patches,
            *(_two(row.null[model]["box"]) for model in ("smooth", "noise")),
            f"{row.new_detail:.1%}", f"{row.equal}/{row.again}",
            f"{row.flipped / row.nudged:.0%}" if row.nudged else "-",
            style=None if row in result.trusted() else "dim",
        )  # fmt: skip
    paragraphs = conclusions.DIMENSION_COLUMNS, *_remarks(result), conclusions.of_dimension(result)
    return Group(levels, _summary(result), *map(_paragraph, paragraphs))


def _summary(result: dimension.Result) -> Table:
    fewer = dimension.sides(result.side)[:-1]
    table = _table(
        f"median (quartiles) of {len(result.trusted())} windows, and medians at fewer samples along a side",
        *("estimator", "boundary", "smooth", "noise", *map(str, fewer)),
    )
    for name, title in (*ESTIMATORS.items(), ("published", "published procedure")):
        by_side = {side: _two(row.median) for side, row in result.by_side(name).items()}
        nulls = (result.null(model, name) for model in ("smooth", "noise"))
        table.add_row(
            title,
            _spread(result.by_side(name).get(result.side)),
            *(_two(null.median if null else None) for null in nulls),
            *(by_side.get(side, "-") for side in fewer),
        )
    if result.published is not None:
        table.add_row("published number", f"{result.published:.2f}")
    return table


def _remarks(result: dimension.Result) -> list[str]:
    remarks = []
    if any(row not in result.trusted() for row in result.levels):
        remarks.append("Dim rows are left out: no boundary crosses the window, or float64 no longer computes it well.")
    if result.last_plain_level is not None:
        remarks.append(f"Levels after {result.last_plain_level} were followed by differences from a reference run.")
    if any(row.equal < row.again for row in result.levels):
        remarks.append("Some shared points did NOT come out with the same bits: please report this.")
    return remarks


def of_dimension_over_steps(result: dimension_over_steps.Result) -> RenderableType:
    """Return one row for each number of steps, then the conclusion."""
    wide, narrow = result.widths
    table = _table(
        f"{result.scene}: dimension after more and more steps: medians (quartiles)",
        *("steps", "windows", "conv.", *_SHORT, "published", "smooth", "noise"),
    )
    for row in result.rows:
        table.add_row(
            f"{row.steps:,}", str(row.windows), f"{row.share:.1%}",
            *(
                _spread(spread) if name == "box" else _two(spread.median if spread else None)
                for name, spread in row.estimates.items()
            ),
            *(_two(row.null[model]["box"]) for model in ("smooth", "noise")),
            style=None if row.windows else "dim",
        )  # fmt: skip
    measured = (
        f"Measured in {result.count} windows of {result.side} x {result.side} samples, {wide:.2g} to {narrow:.2g} "
        f"{result.unit} wide."
    )
    paragraphs = measured, conclusions.OVER_STEPS_COLUMNS, conclusions.of_dimension_over_steps(result)
    return Group(table, *map(_paragraph, paragraphs))


def of_every_scene(result: every_scene.Result) -> RenderableType:
    """Return one row for each scene in two tables: the dimensions, and what to compare them with."""
    table = _table(
        f"dimension in windows of {result.side} x {result.side} samples: medians (quartiles)",
        *("scene", "windows", "wide", *_SHORT),
    )
    beside = _table(
        "to compare them with",
        *("scene", "proc.", "published", f"{result.side // 2} px", "smooth", "noise", "ulp", "bits", "took"),
    )
    for row in result.rows:
        others = [_two(spread.median if (spread := row.estimates[name]) else None) for name in list(ESTIMATORS)[1:]]
        wide = f"{row.widest:.1g} to {row.narrowest:.1g}"
        table.add_row(row.scene, str(row.windows), wide, _spread(row.estimates["box"]), *others)
        beside.add_row(
            row.scene,
            *(_two(spread.median if spread else None) for spread in (row.procedure,)),
            *(_two(value) for value in (row.published, row.coarser)),
            *(_two(null.median if null else None) for null in (row.smooth, row.noise)),
            f"{row.flipped / row.nudged:.0%}" if row.nudged else "-",
            f"{row.equal}/{row.again}",
            f"{row.took_s:.0f} s",
        )
    return Group(table, beside, _paragraph(conclusions.EVERY_SCENE_COLUMNS))


def of_outlooks(outlooks: list[every_scene.Outlook]) -> RenderableType:
    """Return one row for the cost of each scene, and one for all of them."""
    table = _table("what is to be trained", "scene", "windows", "training runs", "to do", "minutes")
    for row in (*outlooks, every_scene.total(outlooks)):
        table.add_row(row.scene, str(row.windows), f"{row.samples:,}", f"{row.to_do:,}", f"{row.time_s / 60:.1f}")
    return table


def of_precision(result: precision.Result) -> RenderableType:
    """Return one row for each view, then where float64 ends and how deep the target goes."""
    views = _table(
        f"{result.scene}: every sum forwards and backwards, {precision.SIDE**2} samples a view",
        *(f"view ({result.unit})", "converged", "signs", "values", "last place"),
    )
    for view in result.views:
        views.add_row(
            f"{view.width:.2g}", f"{view.share:.0%}", f"{view.signs:.1%}", f"{view.values:.1%}",
            f"{view.last_place:.1%}",
            style=None if view.mixed else "dim",
        )  # fmt: skip
    facts = Table.grid(padding=(0, 2))
    ends = result.float64_ends
    facts.add_row("float64", f"right down to views of about {ends:.1g} {result.unit}" if ends else "no end was found")
    facts.add_row("target", budget(result.tangents, result.unit))
    if result.leaving is not None:
        facts.add_row("runs", leaving(result.leaving))
    facts.add_row("film", f"its last view is {result.last_width:.2g} {result.unit} high")
    paragraphs = conclusions.PRECISION_COLUMNS, conclusions.of_precision(result)
    return Group(views, facts, *map(_paragraph, paragraphs))


def budget(tangents: precision.Tangents, unit: str = "decades") -> str:
    """Return the depth budget of a target in words."""
    if tangents.decades is None:
        return "every run there escapes, so its depth is unknown; aim at a converged place"
    worth = f"worth views down to about {power_of_ten(-tangents.decades)} {unit}"
    if tangents.runs == 1:
        return f"{worth} (tangent norm of its reference run {power_of_ten(tangents.decades)})"
    low, high = (float(np.log10(v)) for v in np.quantile(tangents.norms, (0.0, 1.0)))
    return (
        f"{worth} (tangent norms {power_of_ten(low)} to {power_of_ten(high)}, "
        f"{len(tangents.norms)} of {tangents.runs} runs stay finite)"
    )


def power_of_ten(decades: float) -> str:
    """Return ten to some power with one significant digit: 0.04, 200, 2e-31; also beyond the range of float64."""
    exponent = math.floor(decades)
    digit = round(10 ** (decades - exponent))
    if digit == 10:
        digit, exponent = 1, exponent + 1
    return f"{digit * 10.0**exponent:.{max(0, -exponent)}f}" if -3 <= exponent < 5 else f"{digit}e{exponent}"


def leaving(left: precision.Leaving) -> str:
    """Return in words when the runs of a deep view leave its reference run."""
    return (
        f"those of the last view leave its reference run after {left.median_step:.0f} of {left.steps} steps "
        f"(median of {left.runs}); {left.stay:.0%} never do"
    )


def of_tuning(result: tuning.Result) -> RenderableType:
    """Return the curve at a few numbers of draws, and the fits over the thresholds."""
    curve = _table(f"{result.scene}: random search", "draws", "median best loss", "95 % band")
    shown = [i for i in range(len(result.curve.ns)) if i % 5 == 0 or i == len(result.curve.ns) - 1]
    for i in shown:
        curve.add_row(
            str(result.curve.ns[i]),
            f"{result.curve.point[i]:.4g}",
            f"{result.curve.low[i]:.4g} to {result.curve.high[i]:.4g}",
        )
    scan = _table(
        "noisy quadratic below a threshold", "share", "losses", "below", "best loss a", "noise o", "effective c"
    )
    for fit in result.fits:
        numbers = f"{fit.threshold:.4g}", f"{fit.a:.4g}", f"{fit.o:.2g}", str(fit.c)
        scan.add_row(f"{fit.quantile:.0%}", str(fit.count), *numbers)
    facts = Table.grid(padding=(0, 2))
    share, low, high = result.converged
    facts.add_row("converged", f"{share:.1%} of {result.draws} draws (95 %: {low:.1%} to {high:.1%})")
    loss, x, y = result.best
    facts.add_row("best", f"{loss:.4g} at {result.names[0]} = {x:.6g}, {result.names[1]} = {y:.6g}")
    facts.add_row("effective hyperparameters", _effective(result))
    return Group(curve, scan, facts, *map(_paragraph, (conclusions.TUNING_COLUMNS, conclusions.of_tuning(result))))


def _effective(result: tuning.Result) -> str:
    if not result.fits:
        return "unknown: too few draws converged"
    if result.effective is not None:
        return f"{result.effective} (the same for every threshold up to 20 %)"
    return "none: c changes with the threshold, so the low tail is not that of a quadratic bowl"


def _paragraph(text: str) -> Text:
    """Return a text that wraps between words."""
    return Text(text, overflow="fold", no_wrap=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), title_style="bold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _spread(value: Spread | None) -> str:
    return "-" if value is None else f"{value.median:.2f} ({value.low:.2f} to {value.high:.2f})"
