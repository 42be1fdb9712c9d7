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
    assert trainer.step_time_s() >= 0
    assert trainer.first_steps() == before


@pytest.mark.parametrize("stalled", [1, 2, 3, 4, 5])
def test_a_stall_does_not_make_steps_look_costly(stalled: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round without steps takes 1 ms, a step 2 ms; one round takes half a second more."""
    rounds: list[int] = []

    def time_s(self: engine.Engine, steps: int, device: object) -> float:
        rounds.append(steps)
        return 1e-3 + 2e-3 * steps + (0.5 if len(rounds) == stalled + 1 else 0.0)  # the first only compiles

    monkeypatch.setattr(engine.Engine, "_time_s", time_s)
    assert engine.Engine(TINY).step_time_s() == pytest.approx(2e-3)


def test_the_rate_of_costly_runs_is_measured_on_a_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("stalled", [0, 1, 2, 3])
def test_a_machine_that_stalls_once_does_not_look_slow(stalled: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate decides which film is made. A run takes 0.1 ms, and one round of the measurement half a second more."""
    rounds: list[float] = []

    def timed(drawn: object, backend: object, points: int) -> training_rate._Timed:
        rounds.append(points * 1e-4 + (0.6 if len(rounds) == stalled + 1 else 0.0))  # the first only compiles
        return training_rate._Timed(points, rounds[-1], 1.0)

    monkeypatch.setattr(training_rate, "_timed", timed)
    rate = training_rate.measure_tiles(TINY, [Tile(5, x, y) for x in range(32) for y in range(32)], LocalBackend(TINY))
    assert rate.samples_per_s == pytest.approx(1e4, rel=0.01)


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
