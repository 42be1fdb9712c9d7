"""The conclusion of each analysis in one sentence, and what the columns of its tables mean."""

from __future__ import annotations

import numpy as np

from render.analyse import dimension, dimension_over_steps, precision, tuning
from render.analyse.estimators import ESTIMATORS

# The columns of the table of windows, for a reader who has not read the documentation.
DIMENSION_COLUMNS = (
    "conv.: samples that converged. box, sausage, pairs: the boundary's dimension by box counting, by the Minkowski "
    "sausage and by the uncertainty exponent. tiles: by box counting in each 32 x 32 samples, median ± deviation. "
    "smooth, noise: null models of as many converged samples, by box counting. new: samples that end unlike the "
    "coarser one beside them. bits: of shared points trained again, how many had the same bits. ulp: share of "
    "samples at the boundary that end differently where a hyperparameter is one unit in the last place larger."
)
EVERY_SCENE_COLUMNS = (
    "wide: the widest and the narrowest window, in decades on log10 axes. box, sausage, pairs: by box counting, "
    "Minkowski sausage and uncertainty exponent. proc.: by the published procedure. px: box counting with half as many "
    "samples a side. smooth, noise: null models by box counting. ulp: share of samples at the boundary that end "
    "differently where a hyperparameter is one unit in the last place larger. bits: of shared points trained again, "
    "how many had the same bits. took: the time for what was not in the store."
)
OVER_STEPS_COLUMNS = (
    "windows: those that a boundary crosses after so many steps. conv.: samples that converged by then. box, sausage, "
    "pairs: the boundary's dimension by box counting, by the Minkowski sausage and by the uncertainty exponent. "
    "published: by the published procedure. smooth, noise: null models of as many converged samples, by box counting."
)
PRECISION_COLUMNS = (
    "view: its width. converged: share of its samples. signs: samples that end alike, converged or not, by both orders "
    "of summation. values: samples whose measure agrees to 0.1 %. last place: samples that end "
    "differently where a hyperparameter is one unit in the last place larger."
)
TUNING_COLUMNS = (
    "share: the share of the draws, those with the lowest losses, to which the noisy quadratic is fitted. below: the "
    "largest of these losses. a: the best loss there is. o: standard deviation of the noise. c: effective number of "
    "hyperparameters."
)


def of_dimension(result: dimension.Result) -> str:
    """Return a sentence on the boundary's dimension, by all estimators, beside its smooth null model."""
    medians = [spread.median for name in ESTIMATORS if (spread := result.dimension(name)) is not None]
    published = result.by_side("published").get(result.side)
    medians += [published.median] if published is not None else []
    if not medians:
        return "No window shows a boundary that can be trusted, so there is no dimension to report."
    words = f"The boundary's dimension is {_between(medians)} by {_count(len(medians), 'estimator')}"
    windows = _count(len(result.trusted()), "window")
    smooth = result.null("smooth", "box")
    null = "" if smooth is None else f"; its smooth null model gives {smooth.median:.2f}"
    number = "" if result.published is None else f"; the published number is {result.published:.2f}"
    flipped, nudged = result.rounding()
    rounding = (
        f" Rounding decides {flipped / nudged:.0%} of the boundary: {flipped:,} of {nudged:,} samples there end "
        "differently where a hyperparameter is one unit in the last place larger."
        if nudged
        else ""
    )
    return f"{words} (medians over {windows}){null}{number}.{rounding}"


def of_dimension_over_steps(result: dimension_over_steps.Result) -> str:
    """Return a sentence on how the boundary's dimension changes while runs go on, beside its smooth null model."""
    measured = [(row, box) for row in result.rows if (box := row.estimates["box"]) is not None]
    if not measured:
        return "No window shows a boundary after any number of steps, so there is no dimension to report."
    (first, one), (last, other) = measured[0], measured[-1]
    smooth = last.null["smooth"]["box"]
    null = "" if smooth is None else f"; its smooth null model gives {smooth:.2f} there"
    if first is last:
        its_dimension = f"its dimension by box counting is {other.median:.2f}"
        return f"There is a boundary only after {last.steps:,} steps: {its_dimension}{null}."
    return (
        f"By box counting the boundary's dimension goes from {one.median:.2f} after {first.steps:,} steps to "
        f"{other.median:.2f} after {last.steps:,}{null}."
    )


def of_precision(result: precision.Result) -> str:
    """Return a sentence on where float64 ends, and whether the film's last view is narrower than that."""
    ends, last = result.float64_ends, result.last_width
    view = f"the film's last view is {last:.2g} {result.unit} high"
    if ends is None:
        return f"Float64 is right in every view that was tried, and {view}."
    verdict = "wide enough" if last >= ends else "too deep for plain runs, so its levels are followed by differences"
    return f"Float64 is right down to views of about {ends:.1g} {result.unit}; {view}: {verdict}."


def of_tuning(result: tuning.Result) -> str:
    """Return a sentence on what random search finds with a few draws and with many."""
    share, _, _ = result.converged
    last = len(result.curve.ns) - 1
    sentence = f"Of {result.draws:,} draws {share:.0%} converged"
    if np.isfinite(result.curve.point[last]):
        sentence += (
            f"; the best of {result.curve.ns[last]} draws has a loss of {result.curve.point[last]:.3g} at the median, "
            f"and the best of all {result.best[0]:.3g}"
        )
    if result.effective is None:
        return f"{sentence}; no number of effective hyperparameters fits every part of the low tail."
    return f"{sentence}; near the best the landscape behaves as one of {_count(result.effective, 'hyperparameter')}."


def _between(dimensions: list[float]) -> str:
    low, high = f"{min(dimensions):.2f}", f"{max(dimensions):.2f}"
    return low if low == high else f"{low} to {high}"


def _count(number: int, what: str) -> str:
    words = ("no", "one", "two", "three", "four", "five")
    return f"{words[number] if number < len(words) else number} {what}{'s' * (number != 1)}"
