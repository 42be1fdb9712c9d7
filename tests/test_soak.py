"""Short versions of tests/soak, whose long ones are run by hand and quoted in assets/docs/reliability.md."""

import numpy as np

from tests.soak import flips, scenes, thousand, tiles


def test_a_change_anywhere_in_a_tile_is_noticed() -> None:
    result = flips.run(step=23)
    assert result.tried > 1900
    assert result.noticed == result.tried


def test_mutated_scenes_load_or_are_refused_with_their_place() -> None:
    result = scenes.run(250, plan=False, seed=1)
    assert not result.faults, str(result)
    assert result.refused > 100
    assert result.loaded > 10


def test_memory_stays_flat_and_the_rate_steady_over_many_tiles() -> None:
    """Memory grows by less than ten bytes a tile once the first tenth is done: nothing is kept of a finished tile."""
    soak = tiles.run(10_000)
    assert soak.memory_mb[-1] - soak.memory_mb[1] < 20
    assert len(soak.rates) == 10


def test_larger_batches_lift_the_limit_of_the_scheduler() -> None:
    """In simulated time, with a scheduler made slow: small tasks leave workers idle, large ones do not."""
    small, large = (thousand.simulate(20, points, "draft", task_cost_s=1.0) for points in (1024, 4096))
    assert small.serving > large.serving
    assert large.film_h < small.film_h
    assert np.isclose(thousand.simulate(1, 1024, "preview").efficiency, 1, atol=0.02)
