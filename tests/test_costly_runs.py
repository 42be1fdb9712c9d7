"""Runs of which one takes minutes: a plan answers soon all the same, and says what they take."""

import pytest

from render import scene
from render.backends.local import LocalBackend
from render.cli import terminal
from render.film import training_rate
from render.geometry.tiles import Tile
from render.train import engine

TINY = scene.load("tiny").problem


def test_a_step_takes_time_and_its_measurement_changes_no_bit_of_what_follows() -> None:
    trainer = engine.Engine(TINY)
    before = trainer.first_steps()
    assert 0 <= trainer.step_time_s() < 60
    assert trainer.first_steps() == before


def test_the_rate_of_costly_runs_is_told_by_a_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run of them is trained to its end for it; that of others is measured by whole runs."""
    backend = LocalBackend(TINY)
    trained = []
    run = LocalBackend.run

    def counted(self: LocalBackend, next_batch: object) -> object:
        trained.append(next_batch)
        return run(self, next_batch)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalBackend, "run", counted)
    lanes, limit_s = int(backend.numerics["lanes"]), training_rate._LONGEST_BLOCK_S
    backend.__dict__["step_time_s"] = 2 * limit_s / TINY.steps
    rate = training_rate.measure_tiles(TINY, [Tile(0, 0, 0)], backend)
    assert not trained
    assert rate.samples_per_s == pytest.approx(lanes * backend.workers / (2 * limit_s))
    backend.__dict__["step_time_s"] = limit_s / TINY.steps / 2
    assert training_rate.measure_tiles(TINY, [Tile(0, 0, 0)], backend).samples_per_s > rate.samples_per_s
    assert trained


@pytest.mark.parametrize(
    ("per_s", "words"),
    [
        (1234.5, "1,234 a second"),
        (9.6, "10 a second"),
        (9.4, "9.4 a second"),
        (0.96, "1.0 a second"),
        (0.5, "one in 2 s"),
        (1 / 187, "one in 3 min 10 s"),
        (0.0, "0 a second"),
    ],
)
def test_slow_rates_have_words(per_s: float, words: str) -> None:
    assert terminal.rate_in_words(per_s) == words
