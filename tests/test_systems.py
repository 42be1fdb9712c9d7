"""Laws of all systems: catalogue rows, scenes, keys, bits."""

from __future__ import annotations

import hashlib
import json
import pickle
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from render import scene
from render.cli import messages, systems
from render.errors import RenderError, SceneError
from render.geometry.axes import Axis
from render.geometry.tiles import SAMPLES, Tile
from render.problem import Problem, described
from render.problem.catalogue import SYSTEMS
from render.problem.catalogue.settings import NewtonSettings
from render.samples import CHANNELS, Field
from render.storage import tile_format
from render.storage.store import DirectoryStore
from render.train import engine, measures

SCENES = {path.stem: scene.load(path) for path in sorted((Path(__file__).parents[1] / "scenes").glob("*.toml"))}

# Stores all over hold tiles under these keys: they must never change.
KEYS = {
    "init_mean_lr": "7cec729c326d10df",
    "linear": "2fc36aa7458bbfff",
    "mean_lr": "0f4e128fbb2bd2e9",
    "minibatch": "cd27b5d4b2e4847e",
    "relu": "6e803c0e7b0fbc82",
    "single": "78996907e72d056f",
    "tanh": "ed27c7037acbc6d9",
    "tiny": "42b5c24faaae40a8",
}


def test_keys_of_the_first_scenes_stay() -> None:
    assert {name: SCENES[name].problem.key for name in KEYS} == KEYS


def test_bytes_of_a_tile_stay(tmp_path: Path) -> None:
    n = np.arange(SAMPLES * SAMPLES).reshape(SAMPLES, SAMPLES)
    store = DirectoryStore(tmp_path, SCENES["tanh"].problem, {"kernel": 1})
    store.put(Tile(2, 1, 3), Field(n - 0.5, n / 8, n.astype(np.int32), (n % 4).astype(np.uint8)))
    content = (tmp_path / "ed27c7037acbc6d9/73f566599905/02/1/3.npz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "a63c59a8e45904f1a685ae2f6ac55c481af53a07d7c58a224bb9bb440f9e0a23"


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_room_of_a_tile_counts_every_channel_of_its_system(system: str, tmp_path: Path) -> None:
    problem = next(loaded.problem for loaded in SCENES.values() if loaded.problem.system == system)
    store, tile = DirectoryStore(tmp_path, problem, {"kernel": 1}), Tile(9, 500, 3)
    store.put(tile, Field.from_channels({n: np.zeros((SAMPLES, SAMPLES), d) for n, d in problem.channels.items()}))
    blocks = -(-store.path(tile).stat().st_size // 4096)
    assert tile_format.room_bytes(problem.channels) == blocks * 4096
    assert (blocks > 6) == (len(problem.channels) > len(CHANNELS))


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_row_of_the_catalogue_is_whole(system: str) -> None:
    row = SYSTEMS[system]
    assert {problem.system for problem in (s.problem for s in SCENES.values())} >= {system}, "a system needs a scene"
    assert set(row.axes) <= set(row.hyperparameters)
    assert set(row.measures) <= set(measures.MEASURES)
    assert set(row.optional) <= set(row.once)
    grouped = {name for names in row.once.values() for name in names}
    assert grouped <= set(row.hyperparameters)
    assert not grouped & {name for name, h in row.hyperparameters.items() if h.default is not None}
    assert not set(row.settings) & set(Problem.__dataclass_fields__)
    for h in row.hyperparameters.values():
        assert h.when is None or h.when.setting in row.settings


@pytest.mark.parametrize("name", SCENES)
def test_the_problem_of_a_scene_survives_pickling_and_names_all_its_settings(name: str) -> None:
    problem = SCENES[name].problem
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert {setting for setting, _ in problem.settings} == set(problem.row.settings)
    assert hash(problem) == hash(pickle.loads(pickle.dumps(problem)))


def test_a_problem_refuses_settings_that_its_system_has_not() -> None:
    x, y = (Axis(name, "linear", Fraction(-1), Fraction(1)) for name in ("re", "im"))
    with pytest.raises(TypeError, match="mandelbrot has no setting width"):
        Problem(x, y, "mandelbrot", width=3)
    with pytest.raises(TypeError, match="the settings of mandelbrot are NoSettings, not NewtonSettings"):
        Problem(x, y, "mandelbrot").settings_as(NewtonSettings)


def short(name: str, steps: int = 16) -> Problem:
    """A scene's problem, cut short."""
    problem = SCENES[name].problem
    settings: dict[str, Any] = {"examples": 8} if "examples" in problem.row.settings else {}
    return Problem(
        problem.x,
        problem.y,
        problem.system,
        steps=min(steps, problem.steps),
        seed=problem.seed,
        measure=problem.measure,
        fixed=problem.fixed,
        settings=problem.settings,
        **settings,
    )


def spread(problem: Problem, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points all over the plane."""
    units = np.random.default_rng(seed).uniform(size=(2, count))
    axes = (problem.x, problem.y)
    x, y = (float(a.lo) + float(a.span) * u for a, u in zip(axes, units, strict=True))
    x, y = (10.0**v if a.scale == "log10" else v for a, v in zip(axes, (x, y), strict=True))
    return x, y


# The smallest scene of each kernel: the one of fewest steps. (mlp: test_engine.py)
BITS = {
    problem.row.kernel: name
    for name, problem in sorted(((n, s.problem) for n, s in SCENES.items()), key=lambda pair: -pair[1].steps)
    if problem.system != "mlp"
}


@pytest.mark.parametrize("name", BITS.values(), ids=BITS)
@pytest.mark.slow
def test_a_samples_bits_do_not_depend_on_its_batch(name: str) -> None:
    """Alone, permuted, in other company: the same bits, in every channel. (On another device: test_engine.py.)"""
    problem = short(name)
    trainer = engine.Engine(problem)
    x, y = spread(problem, 150, 0)
    together = trainer.run(x, y)
    order = np.random.default_rng(1).permutation(x.size)
    for field, expected in (
        (trainer.run(x[order], y[order]), together.at(order)),
        (trainer.run(x[23:24], y[23:24]), together.at(slice(23, 24))),
        (trainer.run(x[77:110], y[77:110]), together.at(slice(77, 110))),
    ):
        for channel, a in field.channels().items():
            np.testing.assert_array_equal(a, expected.channels()[channel], err_msg=channel)
    assert list(together.channels()) == [*CHANNELS, *problem.row.channels]
    for channel in problem.row.channels:
        ended = together.escape_step < 0
        assert np.isfinite(together.more[channel][ended]).all()
        assert np.isnan(together.more[channel][~ended]).all()


# ---- faults of scenes

SCENE = """
[problem]
{problem}
x = {{name = "{x}", range = ["1e-3", "1e3"]}}
y = {{name = "{y}", range = ["1e-3", "1e3"]}}
[camera]
octaves_per_s = 1
keyframes = [{{centre = ["1", "1"], width_decades = 6.0}}]
"""
FAULTS = {
    "an unknown system hides no fault elsewhere, and its own fields mean nothing": (
        ('system = "newtn"\nroot = 1', "lr", "lr"),
        ['problem.system must be one of {systems}, not "newtn"; did you mean "newton"?'],
    ),
    "a setting of another system": (
        ('system = "newton"\nwidth = 3', "re", "im"),
        [
            'problem has no field "width": settings and hyperparameters depend on the system, here "newton"; "width" '
            'belongs to the systems "mlp", "network", "phases", "deep_linear", "signal".',
        ],
    ),
    "an axis of another system": (
        ('system = "newton"', "re", "lr"),
        [
            'problem.y.name must be one of "re", "im", "relaxation", not "lr": axes depend on the system, here '
            '"newton"; "lr" belongs to the systems "mlp", "network", "transformer", "backprop", "nonconvex", '
            '"product", "committee", "deep_linear".'
        ],
    ),
    "a measure that makes no sense": (
        ('system = "newton"\nmeasure = "published"', "re", "im"),
        [
            'problem.measure must be "absolute", not "published": measures depend on the system, here "newton"; '
            '"published" belongs to the systems "mlp", "network", "transformer", "phases", "product", "cyclic", '
            '"committee", "deep_linear", "signal".'
        ],
    ),
    "a hyperparameter without an effect": (
        ('system = "network"\nfixed = {beta1 = 0.5}', "lr", "momentum"),
        [
            'problem.y.name: "momentum" only has an effect with optimiser = "momentum" or "nesterov".',
            'problem.fixed.beta1: "beta1" only has an effect with optimiser = "adam".',
        ],
    ),
    "a deep network without a rate for its middle": (
        ('system = "network"\ndepth = 3', "lr_input", "lr_output"),
        [
            'problem must set the learning rate of the hidden layers; put "lr_hidden" on an axis or into '
            "[problem.fixed]."
        ],
    ),
    "a shallow network with one": (
        ('system = "network"\nfixed = {lr_hidden = 1.0}', "lr_input", "lr_output"),
        ['problem.fixed.lr_hidden: "lr_hidden" only has an effect with depth = 3 or more.'],
    ),
    "no rate at all": (
        ('system = "nonconvex"', "epsilon", "start"),
        ['problem must set the learning rate of the descent; put "lr" on an axis or into [problem.fixed].'],
    ),
    "heads that do not divide": (
        ('system = "transformer"\nheads = 3', "lr_attention", "lr_rest"),
        ["problem.heads must divide problem.model = 8, not be 3."],
    ),
    "more digits than there are": (
        ('system = "network"\ndata = "digits"\nexamples = 501', "lr", "offset"),
        ['problem.examples must be <= 500 with data = "digits", not 501.'],
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_between_a_system_and_its_scene_are_located(case: str) -> None:
    (problem, x, y), expected = FAULTS[case]
    with pytest.raises(SceneError) as caught:
        scene.parse(SCENE.format(problem=problem, x=x, y=y), "new.toml", "new")
    systems = ", ".join(f'"{name}"' for name in SYSTEMS)
    assert list(caught.value.faults) == [f"new.toml: {fault}".replace("{systems}", systems) for fault in expected]


def test_a_value_that_is_fixed_at_its_default_is_the_same_problem() -> None:
    def parse(fixed: str) -> Problem:
        problem = f'system = "network"\noptimiser = "adam"{fixed}'
        return scene.parse(SCENE.format(problem=problem, x="lr", y="weight_decay"), "new.toml", "new").problem

    plain, written, other = (parse(fixed) for fixed in ("", "\nfixed = {beta1 = 0.9}", "\nfixed = {beta1 = 0.8}"))
    assert plain == written
    assert plain.key == written.key != other.key


def test_the_listing_names_every_system_axis_default_and_scene(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    systems.show(None)
    text = capsys.readouterr().out
    for name, row in SYSTEMS.items():
        assert name in text
        assert row.source.split(",")[0].split()[0] in text
    assert "epsilon = 0.2" in text
    assert "mean_lr" in text
    systems.show("network")
    text = capsys.readouterr().out
    for name in (*SYSTEMS["network"].hyperparameters, *SYSTEMS["network"].settings):
        assert name in text
    monkeypatch.setattr(messages, "_json", True)
    systems.show(None)
    printed = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(printed) == list(SYSTEMS)
    assert printed["nonconvex"]["axes"]["epsilon"] == {"label": "height of the cosine", "default": 0.2}
    assert "digits" in printed["network"]["scenes"]
    with pytest.raises(RenderError, match='a system must be one of .*, not "netwrk"; did you mean "network"?'):
        systems.show("netwrk")


@pytest.mark.parametrize("name", SCENES)
def test_a_problem_comes_back_from_its_description(name: str) -> None:
    wanted = SCENES[name].problem
    described_problem = described(tomllib.loads(tomli_w.dumps(wanted.describe())))
    assert (described_problem, described_problem.key) == (wanted, wanted.key)


@pytest.mark.parametrize(
    "change", [{"system": "lamp"}, {"measure": "height"}, {"dropout": 0.1}, {"x": {}}, {"fixed": {"lr": "much"}}]
)
def test_a_description_of_no_known_problem_is_refused(change: dict[str, object]) -> None:
    description = SCENES["tiny"].problem.describe() | change
    with pytest.raises(ValueError, match="does not know a problem such as"):
        described(description)
