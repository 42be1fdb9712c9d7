"""Pieces of batches: every point is trained once, in any order of finishing, and a batch comes back whole."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render import backends
from render.backends import Batch
from render.backends.batch_splitting import Pieces
from render.samples import Field, Points
from render.scene import find, load


def trained(points: Points) -> Field:
    """What a backend would return, if training were adding."""
    field = Field.empty(points.x.shape)
    for channel in field:
        channel[...] = 0
    field.value[:] = points.x + points.y
    return field


def batch_of(points: int, first: int = 0) -> Batch:
    x = np.arange(first, first + points, dtype=np.float64)
    return Batch((), Points(x, 1000.0 * x))


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
    workers=st.integers(1, 5),
    least=st.integers(1, 100),
    order=st.randoms(use_true_random=False),
)
def test_a_batch_comes_back_whole_whatever_part_ends_first(
    sizes: list[int], workers: int, least: int, order: random.Random
) -> None:
    batches = [batch_of(size, 1000 * i) for i, size in enumerate(sizes)]
    waiting = iter([*batches, None])
    pieces = Pieces(lambda: next(waiting), workers, least)
    taken = []
    while (piece := pieces.take()) is not None:
        taken.append(piece)
    for batch in batches:
        cut = [len(piece.points) for piece in taken if piece.batch is batch]
        assert len(cut) <= workers
        assert len(cut) == 1 or min(cut) >= least
        assert max(cut) - min(cut) <= 1
    order.shuffle(taken)
    finished = [(piece.batch, field) for piece in taken if (field := pieces.finish(piece, trained(piece.points)))]
    assert len(finished) == len(batches)
    for batch, field in finished:
        assert np.array_equal(field.value, batch.points.x + batch.points.y)


def test_a_shared_batch_has_the_bits_of_a_batch_trained_by_one() -> None:
    problem = load(find("tiny.toml")).problem
    backend = backends.make("local", problem)
    if backend.workers < 2:
        pytest.skip("needs two devices")
    rng = np.random.default_rng(0)
    batch = Batch((), Points(*(10 ** rng.uniform(-3, 6, size=(2, 333)))))
    waiting = iter([batch, *[None] * backend.workers])
    ((same, field),) = backend.run(lambda: next(waiting))
    alone = backend.engine.train(batch.points)  # type: ignore[attr-defined]
    assert same is batch
    assert isinstance(field, Field)
    for here, by_one in zip(field, alone, strict=True):
        assert np.array_equal(here, by_one, equal_nan=True)
