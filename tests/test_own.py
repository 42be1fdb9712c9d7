"""A training problem in a user's own file: what it declares, what its key covers, and that it trains as a system."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render import api, scene
from render.errors import RenderError, SceneError
from render.geometry.axes import Axis
from render.problem import Problem, channels_of
from render.scene import own_files
from tests.helpers.own import NET, SCENE


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and a user who trusts nothing yet."""
    from render.storage import trust

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(trust, "_accepted", set())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str = NET, *, toml: str = SCENE, trusted: bool = True) -> scene.Scene:
    """Write net.py and its scene here, and return the scene."""
    Path("net.py").write_text(text)
    Path("net.toml").write_text(toml)
    if trusted:
        own_files.trusted("net.py")
    return scene.load("net.toml")


def problem(text: str = NET, **changes: object) -> Problem:
    loaded = written(text).problem
    given = {"steps": loaded.steps, **dict(loaded.settings), **changes}
    return Problem(loaded.x, loaded.y, loaded.system, fixed=loaded.fixed, **given)  # type: ignore[arg-type]


def points(count: int, low: float = -2, high: float = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return 10 ** rng.uniform(low, high, count), rng.uniform(0, 1, count)


# ---- what a file declares -------------------------------------------------------------------------------------------


def test_a_scene_is_read_without_running_the_file() -> None:
    marked = NET + '\nopen("ran", "w").close()\n'
    loaded = written(marked, trusted=False)
    assert loaded.problem.labels == ("learning rate", "weight decay")
    assert loaded.problem.x == Axis("lr", "log10", Fraction(-3), Fraction(2))
    assert loaded.problem.y == Axis("decay", "linear", Fraction(0), Fraction(1))
    assert loaded.problem.steps == 12
    assert dict(loaded.problem.settings) == {"width": 5, "batch": None, "recorded": "all"}
    assert not Path("ran").exists()


def test_a_scene_may_set_what_the_file_declares() -> None:
    toml = SCENE.replace('"./net.py"', '"./net.py"\nwidth = 7\nbatch = 4\nsteps = 30\nrecorded = "batch"').replace(
        'name = "lr"', 'name = "lr"\nrange_log10 = ["-1", "1"]'
    )
    loaded = written(toml=toml).problem
    assert dict(loaded.settings) == {"width": 7, "batch": 4, "recorded": "batch"}
    assert [loaded.steps, loaded.x.lo, loaded.x.hi] == [30, -1, 1]
    with pytest.raises(SceneError, match='has no field "wdth"; did you mean "width"'):
        written(toml=SCENE.replace('"./net.py"', '"./net.py"\nwdth = 7'))
    with pytest.raises(SceneError, match='problem.x.name must be one of "lr", "decay"'):
        written(toml=SCENE.replace('"lr"', '"rate"'))


FAULTS = {
    "steps = 12": [
        ("steps = 0", "net.py: line 12: steps must be a whole number 1..1000000, not 0"),
        ("steps = 10 + len(hyperparameters)", "line 12: steps must be plain values"),
        ("steps = 12\nsteps = 13", "line 13: steps must be assigned once"),
        ("if True:\n    steps = 12", "line 13: steps must be assigned by itself"),
        ("lanes = 0", "line 12: lanes must be a whole number 1..4096"),
        ("escape_radius = -1", "line 12: escape_radius must be a number > 0"),
        ("batch = 0", "line 12: batch must be None or a whole number"),
        ('recorded = "some"', 'line 12: recorded must be "all" or "batch"'),
        ('files = ["../secret"]', "line 12: files must be a list of names of files beside this one"),
        ('files = ["gone.npz"]', "files: gone.npz cannot be read"),
        ('channels = {"accuracy": "share"}', "line 12: channels need a function `readout`"),
        ('channels = {"value": "share"}', "channels.value must not be one of"),
        ("steps = = 3", "net.py: line 12: is not valid Python"),
    ],
    '{"width": 5}': [
        ('{"width": "wide"}', "line 11: settings.width must be true or false"),
        ('{"batch": 3}', "line 11: settings.batch is a name that every problem has"),
        ('{"width": {"default": 5, "range": [6, 9]}}', "line 11: settings.width must be"),
        ('{"width": {"size": 5}}', "line 11: settings.width has no field 'size'"),
        ("[5]", "line 11: settings must be a dictionary"),
    ],
    '"default": 0.1, ': [
        ("", "line 8: hyperparameters.lr.default must have a default"),
        ('"default": float("nan"), ', "line 7: hyperparameters must be plain values"),
        ('"default": True, ', "line 8: hyperparameters.lr.default must have a default, a finite number"),
        ('"default": 1, "scale": "log", ', 'line 8: hyperparameters.lr.scale must be "log10" or "linear"'),
        ('"default": 1, "rnge": 1, ', "line 8: hyperparameters.lr has no field 'rnge'"),
    ],
    '["1e-3", "100"]': [
        ("[1, 0.1]", "line 8: hyperparameters.lr.range must be two rising numbers above 0"),
        ("[0, 1]", "line 8: hyperparameters.lr.range must be two rising numbers above 0"),
        ('"wide"', "line 8: hyperparameters.lr.range must be two rising numbers above 0"),
    ],
    "def update(": [
        ("def optimizer(", "this file has `optimizer`; the name is `optimiser`"),
        ("def upgrade(", "must define init, loss and optimiser; or init, loss and update; or start and step"),
    ],
    '    "decay": {"label": "weight decay", "default": 0.0, "scale": "linear", "range": [0, 1]},\n': [
        ("", "line 7: hyperparameters must have at least two hyperparameters, one for each axis, not 1"),
    ],
}


@pytest.mark.parametrize(("part", "instead", "fault"), [(p, i, f) for p, rows in FAULTS.items() for i, f in rows])
def test_a_fault_of_a_declaration_names_its_line(part: str, instead: str, fault: str) -> None:
    assert part in NET
    with pytest.raises(SceneError) as caught:
        written(NET.replace(part, instead), trusted=False)
    assert fault in str(caught.value)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(SceneError) as caught:
        written(NET.replace("steps = 12", "steps = 0\nlanes = 0").replace('{"width": 5}', "5"), trusted=False)
    assert len(caught.value.faults) == 3


def test_a_file_that_is_not_there_is_refused() -> None:
    Path("net.toml").write_text(SCENE)
    with pytest.raises(SceneError, match=r"must be a file beside the scene, and the folder \"\.\" has no \"./net.py\""):
        scene.load("net.toml")


# ---- what the key covers --------------------------------------------------------------------------------------------


def test_comments_words_and_line_ends_change_no_key_and_code_does() -> None:
    key = written().problem.key
    for part, instead in {
        "steps = 12": "# a comment\n\nsteps = 12  # another",
        '"""A small net."""': '"""Another title."""',
        '"learning rate"': '"rate"',
        '["1e-3", "100"]': '["1e-3", 100]',
        "    x, y = batch\n": '    """Say what it is."""\n    x, y = (batch)\n',
        "\n": "\r\n",
    }.items():
        assert written(NET.replace(part, instead)).problem.key == key, part
    for part, instead in {"** 2": "** 4", '"default": 0.0': '"default": 0.5', "steps = 12": "steps = 13"}.items():
        assert written(NET.replace(part, instead)).problem.key != key, part
    assert written().problem.key == key


def test_words_that_changed_are_shown() -> None:
    written()
    assert written(NET.replace('"learning rate"', '"rate"')).problem.labels[0] == "rate"
    narrower = written(NET.replace('{"width": 5}', '{"width": {"default": 5, "range": [5, 6]}}'))
    with pytest.raises(SceneError, match="problem.width must be <= 6"):
        scene.load("net.toml", settings=["problem.width=7"])
    assert narrower.problem.settings_as(narrower.problem.row.settings_type).width == 5  # type: ignore[attr-defined]


def test_the_key_covers_what_is_imported_from_beside_the_file() -> None:
    using = NET.replace("import numpy as np\n", "import numpy as np\n\nimport helper.deep\nfrom helper import half\n")
    Path("helper").mkdir()
    Path("helper/__init__.py").write_text("from . import other\nhalf = 0.5\n")
    Path("helper/deep.py").write_text("import sibling\n")
    Path("helper/other.py").write_text("")
    Path("sibling.py").write_text("x = 1\n")
    keys = {written(using).problem.key}
    for path in ("helper/__init__.py", "helper/deep.py", "helper/other.py", "sibling.py"):
        with Path(path).open("a") as file:
            file.write("more = 2\n")
        keys.add(written(using).problem.key)
    assert len(keys) == 5
    Path("unrelated.py").write_text("")
    assert written(using).problem.key in keys


def test_the_key_covers_data_files_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    using = NET + '\nimport optax\nfiles = ["numbers.txt"]\n'
    Path("numbers.txt").write_text("1 2 3")
    first = written(using).problem
    Path("numbers.txt").write_text("1 2 4")
    assert written(using).problem.key != first.key
    Path("numbers.txt").write_text("1 2 3")
    assert written(using).problem.key == first.key
    from render.problem.own_model import source

    monkeypatch.setattr(source, "_version", lambda name: f"{name} 99")
    assert written(using).problem.key != first.key


def test_a_problem_describes_what_it_stores_to_who_has_not_read_the_file() -> None:
    loaded = written(
        NET + '\nchannels = {"size": "of the weights"}\ndef readout(params):\n    return {"size": params["v"].sum()}\n'
    ).problem
    assert "size" in channels_of({**loaded.describe(), "system": "unread.py#0"}) == loaded.channels or loaded.channels


# ---- training -------------------------------------------------------------------------------------------------------


def trained(problem: Problem, x: np.ndarray, y: np.ndarray):  # type: ignore[no-untyped-def]
    from render.train import engine

    return engine.Engine(problem).run(x, y)


def test_training_is_what_the_file_says() -> None:
    """Against a loop in NumPy, with the gradient written out."""
    declared = problem()
    x, y = points(20)
    field = trained(declared, x, y)
    import jax

    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((9, 3))
    targets = np.sin(inputs[:, 0] * inputs[:, 1])
    a, b = jax.random.split(jax.random.key(0))
    for i in range(20):
        w, v = np.array(jax.random.normal(a, (3, 5))), np.array(jax.random.normal(b, (5,)))
        for _ in range(12):
            hidden = np.tanh(inputs @ w)
            error = hidden @ v - targets
            loss = np.mean(error**2)
            back = 2 * error[:, None] / 9 * v * (1 - hidden**2)
            w, v = w - x[i] * (inputs.T @ back + y[i] * w), v - x[i] * (hidden.T @ (2 * error / 9) + y[i] * v)
        if field.escape_step[i] < 0 and x[i] < 0.3:
            assert field.final_loss[i] == pytest.approx(loss, rel=1e-9)
    assert (x < 0.3).sum() > 5


def test_a_sample_does_not_depend_on_its_neighbours_nor_on_its_batch() -> None:
    declared = problem(NET.replace("steps = 12", "steps = 100"))
    from render.train import engine

    trainer = engine.Engine(declared)
    x, y = points(150)
    together = trainer.run(x, y)
    order = np.random.default_rng(2).permutation(150)
    shuffled = trainer.run(x[order], y[order])
    some = trainer.run(x[40:53], y[40:53])
    for channel in ("value", "final_loss", "escape_step", "status"):
        assert np.array_equal(getattr(together, channel)[order], getattr(shuffled, channel))
        assert np.array_equal(getattr(together, channel)[40:53], getattr(some, channel))
    assert len(np.unique(together.value)) == 150


OPTAX = NET[: NET.index("def update(")].replace("import numpy", "import optax\nimport numpy")


def test_an_optimiser_of_optax_does_what_its_formula_says() -> None:
    x, y = points(6, -3, -1)
    plain = trained(problem(), x, y)
    descent = (
        OPTAX
        + "def optimiser(hyper):\n"
        + "    return optax.chain(optax.add_decayed_weights(hyper['decay']), optax.sgd(hyper['lr']))\n"
    )
    assert np.allclose(trained(problem(descent), x, y).value, plain.value, rtol=1e-12)


MODEL = """
import equinox as eqx


class Net(eqx.Module):
    hidden: eqx.nn.Linear
    output: eqx.nn.Linear
    calls: jax.Array
    activation: object = jnp.tanh

    def __call__(self, x):
        return self.output(self.activation(self.hidden(x)))[0]


def init(key, settings):
    a, b = jax.random.split(key)
    return Net(eqx.nn.Linear(3, settings.width, key=a), eqx.nn.Linear(settings.width, 1, key=b), jnp.zeros(2, int))


def loss(params, batch):
    x, y = batch
    return jnp.mean((jax.vmap(params)(x) - y) ** 2)


def optimiser(hyper, steps):
    shape = optax.warmup_cosine_decay_schedule(0.0, 1.0, 4, steps)
    adamw = optax.adamw(lambda t: hyper["lr"] * shape(t), weight_decay=hyper["decay"])
    return optax.chain(optax.clip_by_global_norm(1.0), adamw)


channels = {"size": "of the output weights", "error": "of the first example"}


def readout(params, data):
    x, y = data
    return {"size": jnp.abs(params.output.weight).sum(), "error": params(x[0]) - y[0]}
"""


def test_a_model_of_a_library_is_trained_with_warm_up_and_weight_decay() -> None:
    """Against the loop that its users write, one run at a time."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    head = OPTAX[: OPTAX.index("def init(")]
    declared = problem(head + MODEL)
    assert declared.channels.keys() >= {"size", "error"}
    x, y = points(3, -3, -1)
    field = trained(declared, x, y)
    space: dict[str, Any] = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(head + MODEL, space)
        data = jax.tree.map(jnp.asarray, space["data"](0))
        settings = declared.settings_as(declared.row.settings_type)
        for i in range(3):
            model = space["init"](jax.random.key(0), settings)
            steps = space["optimiser"]({"lr": x[i], "decay": y[i]}, 12)
            memory = steps.init(eqx.filter(model, eqx.is_inexact_array))
            # Schedules of optax divide the count of steps: of an int32, that would be a float32.
            memory = jax.tree.map(lambda a: a.astype(jnp.int64) if a.dtype == jnp.int32 else a, memory)
            for _ in range(12):
                loss, gradient = eqx.filter_value_and_grad(space["loss"])(model, data)
                updates, memory = steps.update(gradient, memory, eqx.filter(model, eqx.is_inexact_array))
                model = eqx.apply_updates(model, updates)
            assert field.final_loss[i] == pytest.approx(float(loss), rel=1e-11)
            assert field.more["size"][i] == pytest.approx(float(jnp.abs(model.output.weight).sum()), rel=1e-11)


def test_minibatches_are_shuffled_epochs_and_the_loss_of_all_data_is_recorded() -> None:
    """By a loss that tells which examples it saw."""
    text = NET[: NET.index("def data(")] + (
        "def data():\n    return jnp.arange(6.0)\n\n\n"
        "def init(key):\n    return {'seen': jnp.zeros(6)}\n\n\n"
        "def loss(params, batch):\n"
        "    return (params['seen'] * jax.nn.one_hot(batch.astype(int), 6).sum(0)).sum() + batch.size\n\n\n"
        "def update(params, gradient):\n    return {'seen': params['seen'] + gradient['seen']}\n"
    )
    import jax

    from render.train import systems

    for batch, recorded, lengths in ((4, "all", 6), (4, "batch", 4), (None, "all", 6)):
        system = systems.make(problem(text, batch=batch, recorded=recorded))
        hyper = {"lr": jax.numpy.ones(2), "decay": jax.numpy.ones(2)}
        state = system.start(hyper)
        seen = []
        for t in range(3):
            before = np.asarray(state.trained["seen"])
            state, loss = system.step(state, hyper, jax.numpy.int32(t))
            seen.append(np.asarray(state.trained["seen"] - before)[0])
            if t == 0:
                assert loss[0] == lengths
        if batch:
            assert [row.sum() for row in seen] == [4, 4, 4]
            assert np.array_equal(sum(seen), np.full(6, 2.0))  # three batches of four are two epochs of six


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(RenderError, match="problem.batch must be at most the number of examples, 9, not 10"):
        trained(problem(batch=10), *points(2))


def test_start_and_step_are_a_system_as_they_stand() -> None:
    """The lower floor: the same training, written over lanes."""
    text = NET[: NET.index("def update(")].replace("def init(", "def one(").replace("def loss(", "def measured(") + (
        "\n\ndef start(hyper, settings):\n"
        "    lanes = hyper['lr'].shape[0]\n"
        "    return jax.tree.map(lambda p: jnp.broadcast_to(p, (lanes, *p.shape)), one(jax.random.key(0), settings))\n"
        "\n\ndef step(state, hyper, t, seed):\n"
        "    batch = data(seed)\n"
        "    def lane(p, rate, decay):\n"
        "        value, g = jax.value_and_grad(measured)(p, batch)\n"
        "        return jax.tree.map(lambda p, g: p - rate * (g + decay * p), p, g), value\n"
        "    return jax.vmap(lane)(state, hyper['lr'], hyper['decay'])\n"
    )
    x, y = points(20)
    lower, upper = trained(problem(text), x, y), trained(problem(), x, y)
    assert np.array_equal(lower.value, upper.value)
    assert "batch" not in dict(problem(text).settings)


def test_initial_parameters_may_follow_from_a_hyperparameter() -> None:
    by_lane = (
        NET.replace("def init(key, settings):", "def init(key, settings, hyper):")
        .replace("jax.random.normal(b, (settings.width,))", "hyper['decay'] * jax.random.normal(b, (settings.width,))")
        .replace('hyper["decay"] * p', "0.0 * p")
    )
    x, y = np.full(4, 1e-9), np.array([0.0, 0.5, 1.0, 2.0])
    first = trained(problem(by_lane), x, y).final_loss
    curve = np.polyfit(y, first, 2)  # the loss is a square in the scale of the output weights
    assert np.allclose(np.polyval(curve, y), first, rtol=1e-6)
    assert len(set(first)) == 4


def test_helpers_of_one_name_do_not_meet() -> None:
    using = NET.replace("import numpy as np\n", "import numpy as np\n\nfrom helper import power\n").replace(
        "** 2)", "** power)"
    )
    x, y = points(4, -3, -2)
    fields = []
    for text in ("power = 2\n", "power = 4\n", "power = 2\n"):
        Path("helper.py").write_text(text)
        fields.append(trained(problem(using), x, y).value)
    assert np.array_equal(fields[0], fields[2])
    assert not np.array_equal(fields[0], fields[1])
    assert np.array_equal(fields[0], trained(problem(NET), x, y).value)
    assert "helper" not in sys.modules


WRONG = [
    ("x = np.random.default_rng(seed)", "x = np.random.default_rng()", "net.py: data must give the same every time"),
    ("jnp.tanh(x @ params", "jnp.tanh(x.astype(jnp.float32) @ params", "net.py: line 27: computes in float32"),
    ("return jnp.mean(", "return (", "net.py: loss must return one number of float64, not float64 [9]"),
    ("def loss(params, batch)", "def loss(params)", "net.py: line 25: loss must take params, batch"),
    ("def init(key, settings)", "def init(key, setting)", "may ask for hyper, seed, settings, steps by name"),
    ("    x, y = batch", "    x, y, z = batch", "net.py: line 26: loss failed: ValueError"),
    (
        "    x, y = batch",
        '    x, y = batch\n    assert float(x.sum() * params["v"][0])',
        "net.py: line 27: loss failed",
    ),
    ('hyper["lr"]', 'hyper["rate"]', "net.py: line 31: update failed: KeyError: 'rate'"),
    (
        "def update(",
        "def update(params, gradient, hyper):\n    assert hyper['lr'] > 0\n\n\ndef unused(",
        "no `if` may depend",
    ),
    ("import numpy as np", "import nump as np", "net.py: line 5: cannot be run: ModuleNotFoundError"),
    (
        "return jax.tree.map(",
        'return {"w": params["w"]} or jax.tree.map(',
        "must return the parameters in the structure",
    ),
]


@pytest.mark.parametrize(("part", "instead", "fault"), WRONG)
def test_what_code_gets_wrong_is_reported_with_its_line(part: str, instead: str, fault: str) -> None:
    assert part in NET
    with pytest.raises(RenderError) as caught:
        trained(problem(NET.replace(part, instead)), *points(2))
    assert fault in str(caught.value)


def test_module_level_draws_must_repeat_as_well() -> None:
    drawn = NET.replace("steps = 12", "steps = 12\nscale = DRAWN").replace("    x = np", "    x = scale * np")
    with pytest.raises(RenderError, match="data must give the same every time"):
        trained(problem(drawn.replace("DRAWN", "np.random.default_rng().normal()")), *points(2))
    trained(
        problem(drawn.replace("DRAWN", "np.random.normal()")), *points(2)
    )  # the global generator has the problem's seed


def test_a_file_that_the_key_does_not_cover_is_not_read() -> None:
    using = NET.replace(
        "    x = np",
        '    from pathlib import Path\n    n = float((Path(__file__).parent / "n.txt").read_text())\n    x = n * np',
    )
    Path("n.txt").write_text("2")
    with pytest.raises(RenderError, match="line 17: reads n.txt, on which the samples then depend"):
        trained(problem(using), *points(2))
    declared = using + '\nfiles = ["n.txt"]\n'
    two = trained(problem(declared), *points(2))
    Path("n.txt").write_text("1")
    one = trained(problem(declared), *points(2))
    assert np.array_equal(one.value, trained(problem(), *points(2)).value)
    assert not np.array_equal(one.value, two.value)


def test_a_film_of_it_is_made_and_carries_no_path_of_this_machine() -> None:
    loaded = written()
    (path,) = api.frame(loaded, "last", quality="scene")
    assert (
        str(Path.cwd()) not in path.with_suffix(".png.json").read_text()
        if path.with_suffix(".png.json").exists()
        else True
    )
    again = scene.load(path)
    assert again.problem == loaded.problem
    Path("net.py").write_text(NET.replace("** 2", "** 4"))
    with pytest.raises(SceneError, match="problem.code must be"):
        scene.load(path)
    own_files.trusted("net.py")
    with pytest.raises(RenderError, match="was made by another version of the scene's code. Give --force"):
        api.frame(scene.load("net.toml"), "last", quality="scene")
    api.frame(scene.load("net.toml"), "last", quality="scene", force=True)


def test_an_unread_file_leaves_jax_unloaded() -> None:
    written()
    code = "import sys; from render import scene; scene.load('net.toml'); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path.cwd())
