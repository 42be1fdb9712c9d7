"""Samples of two arithmetics are never in one folder, even if every version and every name is the same."""

from __future__ import annotations

import functools
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

import render
from render import cli, scene
from render.backends import PROOF_STEPS
from render.backends.local import LocalBackend
from render.errors import RenderError, StoreError
from render.explorer.planes import Plane
from render.geometry.tiles import Tile
from render.problem import Problem
from render.storage import first_steps
from render.storage.store import DirectoryStore
from render.tools import inventory, merging
from render.train import datasets, engine

SCENE = render.load("tiny")


def trained(store: Path, samples: int = 24) -> None:
    render.field(SCENE, window=("0.5", "20", "0.5", "30"), samples=samples, store=store)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("first") / "store"
    trained(root)
    return root


@pytest.fixture
def store(trained_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_store, tmp_path / "store"))


@pytest.fixture
def other_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a changed library may do: the first weight of every run is one unit in the last place larger."""
    usual = dict(datasets.DATASETS)

    def nudged(name: str, problem: Problem) -> datasets.Draws:
        draws = usual[name](problem)
        first = draws.weights[0].copy()
        first[0, 0] = np.nextafter(first[0, 0], np.inf)
        return draws._replace(weights=(first, *draws.weights[1:]))

    for name in usual:
        monkeypatch.setitem(datasets.DATASETS, name, functools.partial(nudged, name))


def test_the_proof_is_taken_down_with_the_first_sample_and_every_backend_gives_the_same(store: Path) -> None:
    (toml,) = store.rglob(first_steps.FILE_NAME)
    assert first_steps.read(toml.parent) == LocalBackend(SCENE.problem).proof
    before = files(store)
    trained(store, 96)
    assert before.items() <= files(store).items()
    assert toml.parent.parent.name == SCENE.problem.key


@pytest.mark.usefixtures("other_arithmetic")
def test_another_arithmetic_of_the_same_numerics_adds_nothing_to_a_store(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = first_steps.versions() | {"numpy": "9.9.9"}
    monkeypatch.setattr(first_steps, "versions", lambda: versions)
    before = files(store)
    with pytest.raises(
        StoreError, match=r"another arithmetic: .* \(numpy was \d\S+ and is 9\.9\.9\)\. .* another --store"
    ):
        trained(store, 96)
    with pytest.raises(StoreError, match="another arithmetic"):
        render.video(SCENE, quality="scene", store=store, out=tmp_path / "out")
    plane = Plane(SCENE.problem, store)
    with pytest.raises(StoreError, match="another arithmetic"):
        plane.put(Tile(0, 0, 0), render.field(SCENE, samples=16, store=tmp_path / "other").field)
    assert files(store) == before
    trained(store)  # what is stored can still be looked at
    trained(tmp_path / "new", 96)


def test_a_folder_of_an_older_version_gets_its_proof_and_a_damaged_one_is_made_again(store: Path) -> None:
    (toml,) = store.rglob(first_steps.FILE_NAME)
    file_content = toml.read_bytes()
    for content in (None, b"", b"\xff", b"numpy = 3\n", b"[["):
        toml.unlink() if content is None else toml.write_bytes(content)
        store_again = DirectoryStore.existing(store, SCENE.problem)[0]
        store_again.check_proof(LocalBackend(SCENE.problem).proof)
        assert toml.read_bytes() == file_content


def test_stores_of_two_arithmetics_are_not_merged(store: Path, trained_store: Path, tmp_path: Path) -> None:
    (toml,) = store.rglob(first_steps.FILE_NAME)
    proof = first_steps.read(toml.parent)
    assert proof is not None
    toml.unlink()
    first_steps.check(toml.parent, proof | {first_steps.DIGEST: "0123", "numpy": "1.0"})
    before = files(store)
    merged = merging.merge(trained_store, store)
    assert merged.added == 0
    assert len(merged.faults) == 1 and "another arithmetic" in merged.faults[0] and "numpy was 1.0" in merged.faults[0]
    assert files(store) == before
    assert merging.merge(trained_store, tmp_path / "new").faults == []
    assert len([*(tmp_path / "new").rglob(first_steps.FILE_NAME)]) == 1


def test_two_processes_that_begin_at_once_agree(tmp_path: Path) -> None:
    proofs = [{first_steps.DIGEST: "one", "numpy": "1"}, {first_steps.DIGEST: "two", "numpy": "2"}]
    (tmp_path / "folder").mkdir()
    start, refused = threading.Barrier(8), []

    def begin(proof: dict[str, str]) -> None:
        start.wait()
        try:
            first_steps.check(tmp_path / "folder", proof)
        except StoreError as error:
            refused.append((proof, str(error)))

    threads = [threading.Thread(target=begin, args=[proofs[i % 2]]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = first_steps.read(tmp_path / "folder")
    assert kept in proofs
    assert len(refused) == 4 and all(proof != kept for proof, _ in refused)


def test_every_command_of_stores_bears_the_file(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["store", "ls"], ["store", "verify"], ["store", "prune"]):
        try:
            cli.app([*words, "--store", str(store)], exit_on_error=False, print_error=False)
        except RenderError as error:
            pytest.fail(str(error))
    assert inventory.left_behind(store, store) == []
    assert "damaged" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["phases", "backprop"])
def test_a_numpy_that_draws_other_data_has_other_first_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's generators may draw other numbers in a later version, and the numerics do not name it."""
    problem = scene.load(name).problem
    usual = engine.Engine(problem).first_steps(steps=PROOF_STEPS)
    default_rng = np.random.default_rng

    def drawn(seed: object = None) -> np.random.Generator:
        generator = default_rng(seed)  # type: ignore[arg-type]
        generator.random()
        return generator

    monkeypatch.setattr(np.random, "default_rng", drawn)
    assert engine.Engine(problem).first_steps(steps=PROOF_STEPS) != usual
