"""Estimators of dimension on shapes whose dimension is known, and the published procedure against its own rule."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from render.analyse import estimators, null_models
from render.analyse.estimators import Estimate


def circle(side: int) -> np.ndarray:
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    return (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.35**2


def koch(side: int) -> np.ndarray:
    """The inside of Koch's snowflake, by the sign of its winding: even-odd rule, row by row."""
    corners = np.array([0, 0.5 + 1j * math.sqrt(3) / 2, 1, 0])
    for _ in range(7):
        a, third = corners[:-1], np.diff(corners) / 3
        bump = a + third + third * np.exp(1j * math.pi / 3)
        corners = np.append(np.stack([a, a + third, bump, a + 2 * third], 1).ravel(), 0)
    a, b = corners[:-1], corners[1:]
    mask = np.zeros((side, side), bool)
    xs = (np.arange(side) + 0.5) / side * 1.3 - 0.15
    for row in range(side):
        y = (row + 0.5) / side * 1.3 - 0.36
        cut = (a.imag <= y) != (b.imag <= y)
        where = a.real[cut] + (y - a.imag[cut]) / (b.imag[cut] - a.imag[cut]) * (b.real[cut] - a.real[cut])
        mask[row] = np.searchsorted(np.sort(where), xs) % 2 == 1
    return mask


def cantor(base: int, kept: list[int], depth: int) -> np.ndarray:
    """Edge cells of (Cantor set) x (line), of dimension 1 + log(len(kept)) / log(base)."""
    places = np.zeros(1, int)
    for d in range(depth):
        places = (places[:, None] + base ** (depth - 1 - d) * np.array(kept)).ravel()
    row = np.zeros(base**depth, bool)
    row[places] = True
    return np.broadcast_to(row, (base**depth,) * 2)


EDGES = {
    "straight line": (estimators.edges(null_models.smooth(1024, 0.4, 1)), 1.0),
    "circle": (estimators.edges(circle(1024)), 1.0),
    "Koch curve": (estimators.edges(koch(1024)), math.log(4) / math.log(3)),
    "middle halves": (cantor(4, [0, 3], 5), 1.5),
    "middle thirds": (cantor(3, [0, 2], 6), 1 + math.log(2) / math.log(3)),
    "white noise": (estimators.edges(null_models.noise(1024, 0.5, 1)), 2.0),
}


def measured(estimate: Estimate | None) -> float:
    assert estimate is not None
    return estimate.dimension


@pytest.mark.parametrize("shape", EDGES)
@pytest.mark.parametrize("estimator", [estimators.box, estimators.sausage])
def test_known_shapes_have_their_dimension(shape: str, estimator: Callable[[np.ndarray], Estimate | None]) -> None:
    edge, dimension = EDGES[shape]
    assert measured(estimator(edge)) == pytest.approx(dimension, abs=0.03)


@pytest.mark.parametrize(
    ("mask", "dimension"), [(circle(1024), 1.0), (koch(1024), 1.2619), (null_models.noise(512, 0.3, 2), 2.0)]
)
def test_the_uncertainty_exponent_knows_them_too(mask: np.ndarray, dimension: float) -> None:
    assert measured(estimators.uncertainty(mask)) == pytest.approx(dimension, abs=0.03)


@pytest.mark.parametrize("seed", range(6))
def test_at_64_samples_the_null_models_are_still_distinguished(seed: int) -> None:
    for name in estimators.ESTIMATORS:
        assert measured(estimators.estimate(name, null_models.smooth(64, 0.5, seed))) < 1.1
        assert measured(estimators.estimate(name, null_models.noise(64, 0.5, seed))) > 1.95


def test_without_a_boundary_there_is_no_dimension() -> None:
    speck = np.zeros((64, 64), bool)
    speck[5, 7] = True
    for mask in (np.zeros((64, 64), bool), np.ones((64, 64), bool), speck):
        assert all(estimators.estimate(name, mask) is None for name in estimators.ESTIMATORS)
        assert len(estimators.published_slopes(estimators.edges(mask))) > 0


MASKS = arrays.arrays(bool, st.integers(40, 70).map(lambda n: (n, n)))


@given(MASKS)
def test_an_estimate_does_not_know_which_outcome_is_which_nor_which_way_is_up(mask: np.ndarray) -> None:
    for name in estimators.ESTIMATORS:
        one = estimators.estimate(name, mask)
        for other in (~mask, mask.T):
            two = estimators.estimate(name, other)
            assert (one is None) == (two is None)
            if one is not None and two is not None:
                assert one.dimension == pytest.approx(two.dimension, abs=1e-12)


def by_the_published_rule(edge: np.ndarray) -> list[float]:
    """The rule of porespy's boxcount in its own order: slow loops over boxes, as its documentation words it."""
    sizes = sorted({int(b) for b in np.logspace(1, np.log10(min(edge.shape)), 10)})
    counts = []
    for b in sizes:
        boxes = [edge[i : i + b, j : j + b] for i in range(0, edge.shape[0], b) for j in range(0, edge.shape[1], b)]
        counts.append(sum(bool(part.any()) and not part.all() for part in boxes))
    x, y = np.log(sizes), np.log(counts)
    inner = []
    for i in range(1, len(sizes) - 1):  # second-order differences on uneven spacing
        h, k = x[i] - x[i - 1], x[i + 1] - x[i]
        inner.append(-(h * h * y[i + 1] + (k * k - h * h) * y[i] - k * k * y[i - 1]) / (h * k * (h + k)))
    ends = [-(y[1] - y[0]) / (x[1] - x[0]), -(y[-1] - y[-2]) / (x[-1] - x[-2])]
    return [ends[0], *inner, ends[1]]


@pytest.mark.parametrize("side", [63, 127, 300])
def test_the_published_procedure_is_its_rule(side: int) -> None:
    edge = estimators.edges(koch(side + 1))
    np.testing.assert_allclose(estimators.published_slopes(edge), by_the_published_rule(edge), rtol=1e-9, atol=1e-9)
