"""Sparse samples: noise is drawn as its mean, borders as sharp as before, dense films as they always were."""

from __future__ import annotations

import numpy as np
import pytest

from render.film.compose import Compositor
from render.picture import roughness
from tests.helpers.plans import zoomed
from tests.test_compose import noise

TABLE = np.ones((5000, 4), dtype=np.float32)
TABLE[:, :3] = np.linspace(0.0, 1.0, 5000)[:, None]
TABLE[0] = 0.0


def drawn(seed: int = 0, shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 5000, shape).astype(np.uint16)


def smooth(shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (2500 + 2400 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint16)


def border(shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.where(x + 0.3 * y > 40, 4000, 1000).astype(np.uint16)


def mean_weights(codes: np.ndarray, coarse: float = 0.0, first_even: tuple[int, int] = (0, 0)) -> np.ndarray:
    rows, columns = codes.shape
    return roughness.mean_weights(codes, TABLE, coarse, first_even, (np.ones(rows), np.ones(columns)))


def test_noise_is_drawn_as_a_mean_and_what_neighbours_share_is_not() -> None:
    assert mean_weights(drawn()).mean() > 0.6
    assert mean_weights(smooth()).max() == 0.0
    assert mean_weights(border()).max() < 0.05
    assert mean_weights(np.full((20, 20), 7, np.uint16)).max() == 0.0


def test_what_is_no_sample_makes_nothing_rough() -> None:
    codes = smooth()
    codes[:, 30:] = 0
    codes[5:9, 3:8] = 0
    assert mean_weights(codes)[codes > 0].max() == 0.0
    assert mean_weights(np.zeros((9, 9), np.uint16)).max() == 0.0


@pytest.mark.parametrize("first", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("shape", [(1, 72), (72, 1), (1, 1), (2, 72), (2, 2)])
@pytest.mark.parametrize("coarse", [0.0, 0.4, 1.0])
def test_a_strip_of_a_level_has_a_weight_for_each_sample(
    first: tuple[int, int], shape: tuple[int, int], coarse: float
) -> None:
    """As at a frame's edge, where a strip may hold no sample of the level's parent."""
    weights = mean_weights(drawn(1, shape), coarse, first)
    assert weights.shape == shape
    assert ((weights >= 0) & (weights <= 1)).all()


@pytest.mark.parametrize("first", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("shape", [(48, 64), (47, 63), (3, 5)])
def test_a_level_that_comes_in_is_as_rough_as_its_parent(first: tuple[int, int], shape: tuple[int, int]) -> None:
    codes = drawn(1, shape)
    coarse = mean_weights(codes, 1.0, first)[first[0] :: 2, first[1] :: 2]
    seconds = np.ascontiguousarray(codes[first[0] :: 2, first[1] :: 2])
    assert coarse == pytest.approx(mean_weights(seconds), abs=1e-6)


def test_a_dense_film_has_the_bytes_that_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = zoomed(2.0, detail=0.33, rest_detail=0.33, size=(96, 54))
    before = Compositor(planned, noise).frame(1.0)
    monkeypatch.setattr(roughness, "mean_weights", None)  # is not asked for
    assert np.array_equal(Compositor(planned, noise).frame(1.0), before)
    assert roughness.strength(0.71) == roughness.strength(0.33) == 0.0
    assert roughness.strength(0.2) == 1.0


def test_noise_in_a_sparse_film_varies_less_and_its_mean_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = zoomed(3.0, detail=0.1, rest_detail=0.1, size=(192, 108))
    after = Compositor(planned, noise).frame(1.5).astype(float)
    monkeypatch.setattr(roughness, "strength", lambda detail: 0.0)
    before = Compositor(planned, noise).frame(1.5).astype(float)
    assert after.std() < 0.6 * before.std()
    assert after.mean() == pytest.approx(before.mean(), abs=12)
