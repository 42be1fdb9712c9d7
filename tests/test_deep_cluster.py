"""Levels past float64 on a cluster: the reference run and its rings are sent once; the tiles are those made here."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed")

from render import scene
from render.backends import Cluster
from render.backends.dask import DaskBackend
from render.backends.local import LocalBackend
from render.film import qualities, rendering
from render.film.job import Job
from render.film.schedule import Training
from render.storage import numerics, rings
from tests.test_switch import SCENE


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> scene.Scene:
    path = tmp_path_factory.mktemp("scene") / "deep.toml"
    path.write_text(SCENE)
    return scene.load(path)


@pytest.fixture(scope="module")
def cluster(loaded: scene.Scene) -> Iterator[DaskBackend]:
    backend = DaskBackend(loaded.problem, Cluster(workers=2))
    yield backend
    backend.close()


def trained(job: Job, count: int) -> None:
    """Train the first tiles about a job's target, and their parents."""
    deep = [tile for tile in job.plan.order if job.plan.targets.of(tile) is not None][:count]
    training = Training(job.scene.problem, deep, job.store, job.backend, job.switch)
    training.start()
    assert training.wait_for(len(deep), 240)
    training.stop()


def test_a_cluster_makes_the_deep_tiles_that_this_machine_makes_and_keeps_the_rings(
    loaded: scene.Scene, cluster: DaskBackend, tmp_path: Path
) -> None:
    here = rendering.prepare(qualities.named(loaded, "scene"), tmp_path / "here", backend=LocalBackend(loaded.problem))
    on_cluster = rendering.prepare(qualities.named(loaded, "scene"), tmp_path / "there", backend=cluster)
    assert here.switch is not None and on_cluster.switch is not None and here.switch.keys == on_cluster.switch.keys
    for job in (here, on_cluster):
        trained(job, 6)
    assert cluster.numerics == here.backend.numerics
    order, wanted = here.plan.order, here.plan.patches
    tiles = set(order) - set(here.store.missing(order, wanted))
    assert tiles and on_cluster.store.missing(tiles, wanted) == []
    for tile in tiles:
        one, other = here.store.get(tile, wanted[tile]), on_cluster.store.get(tile, wanted[tile])
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=False))
    (of_here,), (of_there,) = here.switch.references, on_cluster.switch.references
    assert of_here is not None and of_there is not None
    made_by = numerics.following(cluster.numerics, [of_there.key])
    kept = rings.kept(of_there, made_by)
    assert kept.keys() == rings.kept(of_here, made_by).keys() and kept
    # What the store keeps is sent to the workers when a film goes on.
    sent, known = cluster.followed(of_there).arguments()
    assert sent.result().key == of_there.key and {n: future.result().start for n, future in known.items()} == {
        n: ring.start for n, ring in kept.items()
    }
