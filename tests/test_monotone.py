"""The monotone cubic against SciPy's, and its law: it lies between its points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from render.geometry.interpolation import MonotoneCubic

seeds = st.integers(0, 2**32 - 1)


def points(seed: int, count: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Points, a third of which are as high as the one before."""
    noise = np.random.default_rng(seed)
    rises = noise.normal(size=(count, *shape)) * (noise.random((count, *shape)) > 1 / 3)
    return np.cumsum(noise.uniform(0.01, 3.0, count)), np.cumsum(rises, axis=0)


@given(seeds, st.integers(2, 12), st.sampled_from([(), (3,)]))
def test_it_is_the_curve_of_scipy(seed: int, count: int, shape: tuple[int, ...]) -> None:
    x, y = points(seed, count, *shape)
    at = np.linspace(x[0] - 1, x[-1] + 1, 201)  # beyond the points too
    interpolated = MonotoneCubic(x, y)(at)
    assert interpolated.dtype == np.float64
    wanted = PchipInterpolator(x, y)(at)
    np.testing.assert_allclose(interpolated, wanted, rtol=1e-13, atol=1e-13 * np.abs(wanted).max())


@given(seeds, st.integers(2, 12))
def test_it_goes_through_its_points_and_nowhere_beyond_two_neighbours(seed: int, count: int) -> None:
    x, y = points(seed, count)
    curve = MonotoneCubic(x, y)
    np.testing.assert_allclose(curve(x), y, rtol=1e-13, atol=1e-13)
    for low, high, one, two in zip(x, x[1:], y, y[1:], strict=False):
        between = curve(np.linspace(low, high, 33))
        assert between.min() >= min(one, two) - 1e-12 and between.max() <= max(one, two) + 1e-12


def test_a_single_place_has_a_single_value() -> None:
    assert MonotoneCubic(np.array([0.0, 2.0]), np.array([1.0, 2.0]))(0.5).shape == ()
    assert MonotoneCubic(np.array([0.0, 2.0]), np.ones((2, 3)))(0.5).shape == (3,)


@pytest.mark.parametrize("x", [[0.0], [0.0, 0.0], [1.0, 0.5], [0.0, np.nan]])
def test_points_that_are_no_function_are_refused(x: list[float]) -> None:
    with pytest.raises(ValueError, match="rise strictly"):
        MonotoneCubic(np.array(x), np.zeros(len(x)))
