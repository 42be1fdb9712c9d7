"""Where a film switches to differences: measured once at a target, kept, and the same for every way to the film."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.api import preparation
from render.api.listener import SILENT
from render.deep import switch_search, targets
from render.film import qualities, rendering, training_rate
from render.film.training_rate import Rate
from render.scene import Scene
from render.storage import switches
from render.storage.switches import Agreement, Measured
from tests.test_switch import SCENE

# A view far above the end of float64 at a place where the border was followed to 1e-30 decades.
NARROW = SCENE.replace("2e-10", "1e-5").replace("1e-15", "1e-7")


def of(text: str, folder: Path) -> Scene:
    path = folder / "film.toml"
    path.write_text(text)
    return scene.load(path)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return of(NARROW, tmp_path_factory.mktemp("scene"))


def grain(problem: object, view: object, root: Path, tell: object) -> Measured:
    """Stand for a target at which plain runs decide nothing and differences all down from 1e-6 decades."""
    return Measured(22, (Agreement(1e-7, 0.8, 0.1, 1.0, 0.9), Agreement(1e-6, 0.9, 0.1, 0.9, 0.6)), 64, "0" * 12)


def test_a_target_is_measured_by_both_ways_and_the_store_keeps_what_was_found(loaded: Scene, tmp_path: Path) -> None:
    steps: list[str] = []
    measured = switch_search.measured(loaded, tmp_path, steps.append)
    (kept,) = switch_search.known(loaded, tmp_path)
    assert steps and kept.samples == 64
    assert [view.width for view in kept.views] == pytest.approx([1e-7 * 10**i for i in range(len(kept.views))])
    assert all(0 <= share <= 1 for view in kept.views for share in (view.plain_signs, view.plain_values))
    # This small net is right by plain runs there: both orders agree, and no reference run is made for it.
    assert kept.views[0].plain_values >= 0.5 and kept.last_plain_level is None and kept.reference == ""
    assert measured.measured == () and not list(tmp_path.rglob("references/*"))
    again: list[str] = []
    assert switch_search.measured(loaded, tmp_path, again.append) == measured
    assert again == []


def test_where_plain_runs_are_grain_the_plan_the_film_and_recolouring_switch_alike(
    loaded: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch_search, "_measure", grain)
    job, _ = preparation.prepare(loaded, "scene", 15, tmp_path, preparation.local_backend, SILENT)
    assert job.plan.targets.last_plain_level == 22 < loaded.problem.last_plain_level
    assert job.switch is not None and job.switch.is_ready and len(job.measured) == 1
    list(rendering.frames(job, range(job.frame_count)))
    deep = [tile for tile in job.plan.order if tile.level > 22]
    assert deep and job.store.missing(deep, job.plan.patches) == []
    assert all("reference" in store.numerics for store in job.store.below)  # type: ignore[attr-defined]
    monkeypatch.setattr(switch_search, "_measure", lambda *_: pytest.fail("it is known"))
    assert rendering.prepare_stored(loaded, "scene", tmp_path).missing_samples() == 0
    planned, _ = preparation.prepare(loaded, "scene", 15, tmp_path, preparation.local_backend, SILENT, read_only=True)
    assert planned.missing_samples() == 0 and planned.numerics == job.numerics


def test_a_plan_measures_nothing(loaded: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch_search, "_measure", lambda *_: pytest.fail("a plan trains nothing of it"))
    planned, _ = preparation.prepare(loaded, "scene", 15, tmp_path, preparation.local_backend, SILENT, read_only=True)
    assert planned.switch is None and planned.measured == ()


@pytest.mark.parametrize("change", ['precision = "float64"', "wide"])
def test_plain_float64_and_wide_films_are_not_measured(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch_search, "_measure", lambda *_: pytest.fail("there is nothing to measure"))
    text = f"{NARROW}{change}\n" if "precision" in change else NARROW
    if "precision" not in change:
        text = text.replace("1e-5", "1.0").replace("1e-7", "0.1")
    assert switch_search.measured(of(text, tmp_path), tmp_path, lambda words: None).measured == ()


def test_a_system_that_adds_nothing_up_keeps_the_level_of_its_problem(tmp_path: Path) -> None:
    julia = scene.load(scene.find("julia"))
    narrow = dataclasses.replace(julia.keyframes[0].view, width=1e-9)
    deep = dataclasses.replace(julia, keyframes=(dataclasses.replace(julia.keyframes[0], view=narrow),))
    assert switch_search.measured(deep, tmp_path, lambda words: None).measured == ()
    assert not list(tmp_path.rglob("switches/*"))


@pytest.mark.parametrize("damage", ["", "{", '{"version": 1}', '{"version": 0, "last_plain_level": 3}', "[]", "\xff"])
def test_a_damaged_measurement_is_none(damage: str, loaded: Scene, tmp_path: Path) -> None:
    kept = grain(None, None, tmp_path, None)
    switches.save(kept, tmp_path, loaded.problem, "a" * 16)
    assert switches.load(tmp_path, loaded.problem, "a" * 16) == kept
    (path,) = tmp_path.rglob("switches/*.json")
    path.write_text(damage, encoding="latin-1")
    assert switches.load(tmp_path, loaded.problem, "a" * 16) is None
    assert switches.load(tmp_path, loaded.problem, "b" * 16) is None


def test_the_message_names_the_shares_and_the_levels() -> None:
    sentence = switch_search.words(grain(None, None, Path(), None), "decades")
    assert sentence == (
        "Plain runs are right to 0.1 % in no view about this target: 1e-07 wide, two orders of summation agree in 80% "
        "of outcomes and in 10% of values. After level 22 runs are followed by differences: 100% and 90% agree there, "
        "90% and 60% in a view 1e-06 wide. What float64 does not decide is grain: each sample is one possible rounding "
        "of its run."
    )
    right = Measured(None, (Agreement(1e-7, 1.0, 0.99),), 64)
    assert switch_search.words(right, "decades").startswith(
        "Plain runs are right about this target in views wider than"
    )


def test_the_name_of_a_target_is_its_place_and_width() -> None:
    loaded = scene.load(scene.find("tanh"))
    view = loaded.keyframes[-1].view
    names = {
        targets.key_of(v) for v in (view, dataclasses.replace(view, width=view.width / 2), loaded.keyframes[0].view)
    }
    assert len(names) == 3
    assert targets.key_of(view) == targets.key_of(scene.with_quality(loaded, "hd").keyframes[-1].view)


def test_the_record_of_a_film_says_what_was_measured(
    loaded: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from render.film import deliver

    monkeypatch.setattr(switch_search, "_measure", grain)
    measured = switch_search.measured(loaded, tmp_path, lambda words: None)
    job = rendering.prepare(qualities.named(measured, "scene"), tmp_path)
    deliver.whole_film(job, tmp_path / "film.mp4", poster=None)
    switch = json.loads((tmp_path / "film.mp4.json").read_text())["switch"]
    assert switch["last_plain_level"] == 22 and switch["measured"][0]["views"][0]["plain_values"] == 0.1
    assert np.isfinite(switch["end_alike"])


def test_a_film_whose_hyperparameters_move_is_trained_plainly_whatever_was_measured(
    loaded: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference run is of one problem, and every value that moves makes another."""
    monkeypatch.setattr(switch_search, "_measure", grain)
    text = NARROW.replace("width_decades = 1e-5\n", 'width_decades = 1e-5\nset = { init_mean = "0.1" }\n', 1)
    text = text.replace("width_decades = 1e-7\n", 'width_decades = 1e-7\nset = { init_mean = "0.9" }\n', 1)
    job, _ = preparation.prepare(of(text, tmp_path), "scene", 15, tmp_path, preparation.local_backend, SILENT)
    assert len(job.plan.slices.problems) > 1
    assert job.plan.targets.places == () and job.switch is None
    assert not list(tmp_path.rglob("references/*"))


def test_all_films_on_the_way_to_the_best_switch_at_the_same_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first of them would show grain, and none of its samples would serve the next."""
    monkeypatch.setattr(switch_search, "_measure", grain)
    monkeypatch.setattr(training_rate, "measure", lambda plan, *_: Rate(plan.samples / 500))
    large = of(NARROW.replace("size = [64, 36]", "size = [1280, 720]"), tmp_path)
    jobs, _ = preparation.prepare_climb(large, "auto", 1e6, tmp_path, preparation.local_backend, SILENT)
    assert len(jobs) > 1
    assert [job.plan.targets.last_plain_level for job in jobs] == [22] * len(jobs)
    assert len({job.switch.keys for job in jobs if job.switch is not None}) == 1
