"""Users' files in other processes and out of packages: workers of a cluster, and systems by entry point."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from render import api, backends, scene
from render.backends import Batch, Cluster, handed_code
from render.cli import app
from render.errors import ClusterError, SceneError
from render.geometry.tiles import Tile
from render.problem import own_model
from render.samples import Points
from render.scene import own_files
from render.storage import trust
from tests.helpers.own import NET, SCENE


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, and a user who trusts nothing yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(trust, "_accepted", set())
    monkeypatch.chdir(tmp_path)
    return tmp_path


WITH_DATA = (
    NET.replace("    x = np", "    n = float((Path(__file__).parent / 'n.txt').read_text())\n    x = n * np")
    .replace("import jax\n", "import jax\nfrom pathlib import Path\nfrom beside import power\n", 1)
    .replace("** 2)", "** power)")
    + '\nfiles = ["n.txt"]\n'
)


def test_workers_of_a_cluster_get_the_file_its_helpers_and_its_data_and_give_the_same_bits() -> None:
    Path("n.txt").write_text("0.5")
    Path("beside.py").write_text("power = 2\n")
    Path("net.py").write_text(WITH_DATA)
    Path("net.toml").write_text(SCENE)
    api.trust("net.py")
    problem = scene.load("net.toml").problem
    rng = np.random.default_rng(0)
    batch = Batch((Tile(0, 0, 0),), Points(10 ** rng.uniform(-2, 1, 40), rng.uniform(0, 1, 40)))

    def trained(name: str) -> list[np.ndarray]:
        backend = backends.make(name, problem, Cluster(workers=2))
        waiting = [batch]
        try:
            ((_, field),) = backends.trained(backend.run(lambda: waiting.pop() if waiting else None))
        finally:
            getattr(backend, "close", lambda: None)()
        return list(field.channels().values())

    here = trained("local")
    Path("n.txt").rename("gone.txt")  # workers have their own copy, and need no folder that is shared
    Path("beside.py").rename("gone.py")
    Path("gone.txt").rename("n.txt")
    on_workers = trained("dask")
    for a, b in zip(here, on_workers, strict=True):
        assert np.array_equal(a, b)


def test_what_is_handed_over_names_the_same_problem_whatever_versions_the_worker_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("net.py").write_text(NET + "\nimport optax\n")
    Path("net.toml").write_text(SCENE)
    api.trust("net.py")
    problem = scene.load("net.toml").problem
    handed = pickle.loads(pickle.dumps(handed_code.of(problem)))
    module = importlib.import_module("render.problem.own_model.source")
    monkeypatch.setattr(module, "_version", lambda name: "of the worker")
    monkeypatch.setattr(importlib.import_module("render.problem.own_model.known"), "_known", {})
    assert handed_code.lacks(problem)
    handed_code.take(handed)
    assert not handed_code.lacks(problem)
    # The proof of a worker holds its own versions, so that it gets no work where they differ.
    assert handed_code.versions(problem) == {"jax": "of the worker", "optax": "of the worker"}


def test_data_too_large_to_be_handed_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("n.txt").write_text("0.5")
    Path("beside.py").write_text("power = 2\n")
    Path("net.py").write_text(WITH_DATA)
    Path("net.toml").write_text(SCENE)
    api.trust("net.py")
    monkeypatch.setattr(handed_code, "_MOST_BYTES", 2)
    with pytest.raises(ClusterError, match="must have at most 2 bytes to be handed to workers, not 3"):
        handed_code.of(scene.load("net.toml").problem)


def test_data_that_changes_after_it_was_hashed_trains_nothing() -> None:
    from render.errors import RenderError
    from render.train import systems

    Path("n.txt").write_text("0.5")
    Path("beside.py").write_text("power = 2\n")
    Path("net.py").write_text(WITH_DATA)
    Path("net.toml").write_text(SCENE)
    api.trust("net.py")
    problem = scene.load("net.toml").problem
    Path("n.txt").write_text("0.7")
    with pytest.raises(RenderError, match="n.txt has changed since the scene was read"):
        systems.make(problem)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that offers the system `their_net`, whose own code must not run to read it."""
    site = tmp_path / "site"
    (site / "their_package").mkdir(parents=True)
    (site / "their_package/__init__.py").write_text('raise RuntimeError("nothing imports this package")\n')
    (site / "their_package/net.py").write_text(NET)
    info = site / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[render.systems]\ntheir_net = their_package.net\nmlp = their_package.net\ngone = no_package.net\n"
    )
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    return site


def test_an_installed_package_offers_a_system(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.toml").write_text(SCENE.replace('"./net.py"', '"their_net"'))
    loaded = scene.load("net.toml")
    assert own_model.is_own(loaded.problem.system) and loaded.problem.labels[0] == "learning rate"
    (picture,) = api.frame(loaded, "last", quality="scene")
    assert scene.load(picture).problem == loaded.problem
    assert 'system = "their_net"' in scene.resolved(loaded)
    app(["systems"], exit_on_error=False)
    assert "net.py#" in capsys.readouterr().out
    Path("net.toml").write_text(SCENE.replace('"./net.py"', '"their_nett"'))
    with pytest.raises(SceneError, match='did you mean "their_net"'):
        scene.load("net.toml")


def test_no_package_takes_the_name_of_a_system_that_ships(package: Path) -> None:
    assert own_files.offered() == ["their_net"]
    assert own_files.named("mlp", None) == "mlp"


def test_a_process_that_used_jax_before_trains_the_same(place: Path) -> None:
    Path("net.py").write_text(NET)
    Path("net.toml").write_text(SCENE)
    code = (
        "{}\n"
        "import render\n"
        "render.trust('net.py')\n"
        "field = render.probe(render.load('net.toml'), ['0.1', '3'], ['0.1', '0.5'])\n"
        "print(field.value.tobytes().hex(), field.final_loss.tobytes().hex())\n"
    )
    used = "import jax, jax.numpy as jnp\nprint(end=str(jax.jit(lambda x: x + 1)(jnp.zeros(3)).dtype)[:0])"
    outputs = [
        subprocess.run([sys.executable, "-c", code.format(first)], capture_output=True, text=True, check=True).stdout
        for first in ("", used)
    ]
    assert outputs[0] == outputs[1] and len(outputs[0]) > 60
