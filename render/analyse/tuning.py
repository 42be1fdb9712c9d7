"""What random search sees in a window: the tuning curve with bands, and the noisy quadratic that its low tail follows.

Near the best loss a landscape is a quadratic bowl plus noise, and the losses of independent draws then have a low tail
of fixed form, F(y) = ((y - a) / (b - a))^(c / 2), smeared by noise of standard deviation o (Lourie, He and Cho 2025,
arXiv:2510.02721). c is the effective number of hyperparameters, a the best loss there is. The fits and the bands are
opda's (https://github.com/nicholaslourie/opda, Apache-2.0).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from render.analyse.subject import Subject, last_level, train_points
from render.errors import RenderError
from render.film.rendering import Progress, Report
from render.scene import Scene

# The tail is fitted below these quantiles of the losses: a true bowl has the same c for all small ones.
QUANTILES = (0.05, 0.1, 0.2, 0.3, 0.5)

# The least and the largest effective number of hyperparameters that are tried. A bowl over two axes has 1 or 2; 3 or 4
# would show that the fit is wrong. opda tries ten by default.
_EFFECTIVE = (1, 4)

CONFIDENCE = 0.95

# The time of a fit that tries all of these numbers, divided by that of one that tries only 2 on losses of a bowl (see
# `fitting_s`): 17 to 23 for planes of `tiny`, `tanh` and `relu`, with 256 to 1,024 draws. Most of it is spent on 1,
# where the optimum is flat. In their last views, whose losses are not those of a bowl, it is 25, 38 and 29 for 1,024.
_ALL_EFFECTIVE = 18.0
_ALL_EFFECTIVE_LAST_VIEW = 30.0

# Fewer losses than this below a quantile are too few to fit four numbers to.
_LEAST_TAIL = 24

_FEWEST = 64


@dataclass(frozen=True)
class Fit:
    """A noisy quadratic fitted to the losses below a threshold: best loss a, noise o, effective hyperparameters c."""

    quantile: float
    threshold: float
    count: int
    a: float
    b: float
    c: int
    o: float


@dataclass(frozen=True)
class Curve:
    """Median best loss after ns draws, with a 95 % band for all ns at once; inf where too few losses are finite."""

    ns: tuple[int, ...]
    low: tuple[float, ...]
    point: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """Random search over a window. window: its ends x0, x1, y0, y1 as positions (log10 on a log10 axis).

    converged: share of draws, with its 95 % interval. best: (loss, x, y) of the best draw.
    """

    scene: str
    problem: str
    names: tuple[str, str]
    window: tuple[float, float, float, float]
    draws: int
    seed: int
    converged: tuple[float, float, float]
    best: tuple[float, float, float]
    curve: Curve
    fits: tuple[Fit, ...]

    @property
    def effective(self) -> int | None:
        """Effective number of hyperparameters if the small thresholds agree on it (up to 20 %), else None."""
        counts = {fit.c for fit in self.fits if fit.quantile <= 0.2}
        return counts.pop() if len(counts) == 1 else None


def points(scene: Scene, draws: int, seed: int, last_view: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return float64 x, y [draw] of independent draws, uniform in position over the plane or the film's last view.

    draws: at least 64. Draw i depends on the seed and on i alone, so more draws continue fewer ones.
    """
    if draws < _FEWEST:
        raise RenderError(f"--draws must be at least {_FEWEST}, not {draws}: anything fits the tail of fewer losses.")
    if seed < 0:
        raise RenderError(f"--seed must be >= 0, not {seed}.")
    if last_view and last_level(scene) > scene.problem.deepest_level:
        raise RenderError(
            f"{scene.name}: its last view is past float64, where draws cannot be distinguished: leave out --last-view."
        )
    x0, x1, y0, y1 = _window(scene, last_view)
    chosen = np.random.default_rng(seed).random((draws, 2))
    x = [float(scene.problem.x.value_from_unit(x0 + (x1 - x0) * Fraction(float(u)))) for u, _ in chosen]
    y = [float(scene.problem.y.value_from_unit(y0 + (y1 - y0) * Fraction(float(v)))) for _, v in chosen]
    return np.array(x), np.array(y)


def run(subject: Subject, draws: int, seed: int, last_view: bool, report: Report) -> Result:
    """Train independent draws from the plane, or from the film's last view, and fit their losses. See `points`."""
    scene, problem = subject.scene, subject.problem
    x, y = points(scene, draws, seed, last_view)
    field = train_points(subject, x, y, report)
    losses = np.where(np.isnan(field.final_loss), np.inf, field.final_loss)
    best = int(np.argmin(losses))
    edges = _window(scene, last_view)
    positions = [
        axis.position_from_unit(u) for axis, u in zip((problem.x, problem.x, problem.y, problem.y), edges, strict=True)
    ]
    return Result(
        scene.name, problem.key, (problem.x.name, problem.y.name), tuple(map(float, positions)),  # type: ignore[arg-type]
        draws, seed, _share(field.value < 0), (float(losses[best]), float(x[best]), float(y[best])),
        curve(losses), fits(losses, QUANTILES, lambda words: report(Progress(0, 0, draws, draws, notes=(words,)))),
    )  # fmt: skip


def _window(scene: Scene, last_view: bool) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Return the unit coordinates (x0, x1, y0, y1) of the window to draw from."""
    if not last_view:
        return Fraction(0), Fraction(1), Fraction(0), Fraction(1)
    path = scene.path(scene.output)
    return path.viewport(path.length).edges()


def need_opda() -> Any:
    """Return opda's package, or say how to get it."""
    try:
        import opda.nonparametric
        import opda.parametric
        import opda.utils
    except ImportError:
        raise RenderError("tuning needs opda: pip install opda.") from None
    return opda


def curve(losses: np.ndarray) -> Curve:
    """Return the tuning curve of independent losses [draw] (inf allowed, nan not), for 1 draw to a tenth of them.

    The bands (Dvoretzky, Kiefer, Wolfowitz) hold for every number of draws at once; opda's tighter ones take minutes
    for a thousand draws.
    """
    opda = need_opda()
    ns = np.unique(np.round(np.geomspace(1, max(2, losses.size // 10), 40)).astype(int))
    low_cdf, point, high_cdf = opda.nonparametric.EmpiricalDistribution.confidence_bands(
        losses, confidence=CONFIDENCE, a=0.0, b=np.inf, method="dkw"
    )

    def values(distribution: Any) -> tuple[float, ...]:
        return tuple(float(v) for v in distribution.quantile_tuning_curve(ns, q=0.5, minimize=True))

    # The lower band of the distribution is the upper band of the curve.
    return Curve(tuple(map(int, ns)), values(high_cdf), values(point), values(low_cdf))


def fits(
    losses: np.ndarray, quantiles: tuple[float, ...], report: Callable[[str], None] = lambda words: None
) -> tuple[Fit, ...]:
    """Return noisy quadratics fitted to the losses [draw] below rising quantiles, by opda's maximum spacing method.

    report: called with a sentence before every fit, since each takes seconds to a minute.
    """
    tails = [(q, threshold) for q in quantiles if (threshold := _threshold(losses, q)) is not None]
    fitted_tails: list[Fit] = []
    start_s = time.monotonic()
    for done, (q, threshold) in enumerate(tails):
        left = "" if not done else f", about {(time.monotonic() - start_s) / done * (len(tails) - done):.0f} s left"
        report(f"Fit {done + 1} of {len(tails)} to the low tail of the losses{left}.")
        fitted = _fitted(losses, threshold, _EFFECTIVE)
        count = int(np.sum(losses <= threshold))
        fitted_tails.append(Fit(q, threshold, count, float(fitted.a), float(fitted.b), int(fitted.c), float(fitted.o)))
    return tuple(fitted_tails)


def fitting_s(draws: int, last_view: bool = False) -> float:
    """Return about how many seconds the fits to the losses of so many draws take, from one fit to losses of a bowl.

    last_view: whether they are drawn in the film's last view.

    Where few of the draws converge, fewer fits are made, and they take less.
    """
    drawn = np.random.default_rng(0)
    losses = np.abs(0.1 + drawn.random(draws) + drawn.normal(0.0, 0.01, draws))
    count = sum(q * draws >= _LEAST_TAIL for q in QUANTILES)
    if not count:
        return 0.0
    start_s = time.monotonic()
    _fitted(losses, float(np.quantile(losses, 0.2, method="lower")), 2)
    times = _ALL_EFFECTIVE_LAST_VIEW if last_view else _ALL_EFFECTIVE
    return count * times * (time.monotonic() - start_s)


def _threshold(losses: np.ndarray, q: float) -> float | None:
    """Return the threshold of a quantile of the losses; None if it leaves no tail that can be fitted."""
    threshold = float(np.quantile(losses, q, method="lower"))
    few = int(np.sum(losses <= threshold)) < _LEAST_TAIL
    return None if few or not np.isfinite(threshold) else threshold


def _fitted(losses: np.ndarray, threshold: float, effective: int | tuple[int, int]) -> Any:
    """Return opda's noisy quadratic of the losses up to a threshold, with so many effective hyperparameters."""
    # Of losses above the threshold only the number matters. As they are (up to inf), they would stretch opda's search.
    tail = np.where(losses > threshold, threshold + abs(threshold) + 1e-9, losses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an optimiser that stopped early shows in how c depends on the threshold
        return need_opda().parametric.NoisyQuadraticDistribution.fit(
            tail,
            limits=(-np.inf, threshold),
            constraints={"convex": True, "c": effective},
            generator=np.random.default_rng(0),
        )


def _share(converged: np.ndarray) -> tuple[float, float, float]:
    """Return the share that converged and its 95 % interval."""
    opda = need_opda()
    low, high = opda.utils.binomial_confidence_interval(int(converged.sum()), converged.size, CONFIDENCE)
    return float(converged.mean()), float(low), float(high)
