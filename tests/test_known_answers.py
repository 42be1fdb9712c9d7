"""Well-known pictures, through the engine, the store, the camera and the film."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from render import scene
from render.film import qualities, rendering
from render.film.plan import Plan
from render.geometry.axes import Axis
from render.geometry.tiles import Tile
from render.problem import Problem
from render.samples import Field, Status
from render.storage.store import DirectoryStore, MemoryStore
from render.tools import probe
from render.train import engine


def plane(name: str, lo: str, hi: str) -> Axis:
    return Axis(name, "linear", Fraction(lo), Fraction(hi))


MANDELBROT = scene.load("mandelbrot").problem
JULIA = scene.load("julia").problem
NEWTON = scene.load("newton").problem


def train(problem: Problem, z: np.ndarray) -> Field:
    """The field of any number of points of the complex plane."""
    trainer = engine.Engine(problem)
    pieces = np.array_split(z.ravel(), -(-z.size // trainer.capacity()))
    done = [trainer.run(piece.real.copy(), piece.imag.copy()).channels() for piece in pieces]
    return Field.from_channels({name: np.concatenate([channels[name] for channels in done]) for name in done[0]})


def published_rule(z: np.ndarray, c: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The comparison picture's rule in complex NumPy: (value, inside). The first recorded value is z itself."""
    v = np.empty((steps, *z.shape))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps):
            size = np.abs(z)
            v[t] = np.minimum(np.where(np.isfinite(size), size, 1e6 * 2) / 2, 1e6)
            z = z * z + c
    inside = v[-20:].mean(axis=0) < 1
    return np.where(inside, -v.sum(axis=0), (1 / np.where(inside, 1, v)).sum(axis=0)), inside


def grid(count: int, lo: complex, hi: complex) -> np.ndarray:
    return np.linspace(lo.real, hi.real, count) + 1j * np.linspace(lo.imag, hi.imag, count)[:, None]


@pytest.mark.parametrize("problem", [MANDELBROT, JULIA], ids=["mandelbrot", "julia"])
def test_quadratic_maps_agree_with_complex_numpy(problem: Problem) -> None:
    z = grid(61, -2.1 - 1.35j, 0.6 + 1.35j).ravel()
    c = (
        z
        if problem.system == "mandelbrot"
        else np.full(z.shape, complex(*(dict(problem.fixed)[name] for name in ("c_re", "c_im"))))
    )
    value, inside = published_rule(z, c, problem.steps)
    # Orbits near the border are chaotic: the oracle says which, by a move of the last bit or so.
    moved, _ = published_rule(
        z * (1 + 1e-14), c * (1 + (1e-14 if problem.system == "mandelbrot" else 0)), problem.steps
    )
    steady = np.abs(moved - value) <= 1e-9 * np.abs(value)
    assert steady.mean() > 0.9
    ours = train(problem, z)
    assert 0.05 < inside.mean() < 0.5
    np.testing.assert_array_equal((ours.value < 0)[steady], inside[steady])
    np.testing.assert_allclose(ours.value[steady], value[steady], rtol=1e-7)


def test_points_whose_place_is_known() -> None:
    """Cardioid, disc, antenna tip and Misiurewicz points inside; just beyond each of them outside."""
    problem = dataclasses.replace(MANDELBROT, steps=2000)
    angle = np.linspace(0.1, 6.2, 40)
    w = 0.999 * np.exp(1j * angle)  # multiplier of the fixed point: the cardioid is c = w / 2 - w^2 / 4
    inside = np.concatenate([w / 2 - w * w / 4, -1 + 0.2499 * np.exp(1j * angle), [0, -1.999, 1j, -1j]])
    outside = np.array([0.2501 + 0.02, -2.001, 0.45 + 0.5j, -0.75 + 0.06j, 1.02j, 0.4])
    assert (train(problem, inside).value < 0).all()
    field = train(problem, outside)
    assert (field.value > 0).all()
    assert set(field.status) == {Status.ESCAPED}


def test_the_area_of_the_mandelbrot_set() -> None:
    """1.50659 (Foerstemann 2012). 160 x 160 cell centres over the upper half, 1,000 steps."""
    problem = dataclasses.replace(MANDELBROT, steps=1000)
    count = 160
    x = -2.1 + 2.7 * (np.arange(count) + 0.5) / count
    y = 1.35 * (np.arange(count) + 0.5) / count
    inside = train(problem, x + 1j * y[:, None]).value < 0
    assert 2 * 2.7 * 1.35 * inside.mean() == pytest.approx(1.50659, abs=0.01)


def test_the_julia_set_of_zero_is_the_unit_circle() -> None:
    problem = Problem(plane("re", "-2", "2"), plane("im", "-2", "2"), "julia", steps=100)
    turn = np.exp(1j * np.linspace(0, 6.28, 200))
    assert (train(problem, (1 - 1e-9) * turn).value < 0).all()
    assert (train(problem, (1 + 1e-9) * turn).value > 0).all()


def test_newtons_basins_have_three_fold_symmetry_and_share_their_border() -> None:
    """Turned by a third, the plane is the same with the roots exchanged; near any border all three are found."""
    z = grid(81, -2 - 2j, 2 + 2j).ravel()
    turn = np.exp(2j * np.pi / 3)
    here, turned = (train(NEWTON, points) for points in (z, z * turn))
    root = here.more["root"]
    assert sorted(set(root[np.isfinite(root)])) == [0, 1, 2]
    # What rounding alone decides, on the border, may differ.
    same = (root + 1) % 3 == turned.more["root"]
    assert same.mean() > 0.995
    assert np.mean((here.value < 0) == (root == 0)) > 0.999
    # A basin reaches every border (Wada): a disc of 0.02 around the preimage of 0 holds all three roots.
    near = -(2 ** (-1 / 3)) + 0.02 * np.exp(1j * np.linspace(0, 6.2, 300)) * np.linspace(0.1, 1, 300)
    assert set(train(NEWTON, near).more["root"]) == {0, 1, 2}


def test_newton_finds_the_roots_of_numpy() -> None:
    z = grid(40, -2 - 2j, 2 + 2j).ravel()
    end = z
    for _ in range(NEWTON.steps):
        end = end - (end**3 - 1) / (3 * end**2)
    ours = train(NEWTON, z).more["root"]
    theirs = np.round(np.angle(end) * 3 / (2 * np.pi)) % 3
    assert (ours == theirs).mean() > 0.995


def small(name: str) -> scene.Scene:
    loaded = scene.load(name)
    output = dataclasses.replace(loaded.output, width_px=96, height_px=96, detail=0.5, rest_detail=0.5, overlay=False)
    return dataclasses.replace(loaded, output=output)


def test_a_film_of_the_mandelbrot_set_is_symmetric_about_the_real_axis(tmp_path: Path) -> None:
    """First and last frame, both centred on the real axis: the lattice, the camera and the colours mirror exactly."""
    job = rendering.prepare(qualities.named(small("mandelbrot"), "scene"), tmp_path)
    for _, picture in rendering.frames(job, [0, job.frame_count - 1]):
        difference = np.abs(picture.astype(int) - picture[::-1])
        assert np.quantile(difference, 0.99) <= 2
        assert picture.std() > 20
    store = DirectoryStore(tmp_path, job.scene.problem, job.backend.numerics)
    tile = next(tile for tile in job.plan.order if store.has(tile) and tile.level == 1)
    x = job.scene.problem.x.values(tile.level, tile.first_sample[0])
    y = job.scene.problem.y.values(tile.level, tile.first_sample[1])
    _, inside = published_rule(x + 1j * y[:, None], x + 1j * y[:, None], 100)
    assert np.mean((store.get(tile).value < 0) == inside) > 0.999


def test_channels_of_a_system_are_stored_and_inherited(tmp_path: Path) -> None:
    """A child takes its parent's channels over, root included, on disk and in memory."""
    plan = Plan(small("newton"))
    job = rendering.prepare(qualities.named(small("newton"), "scene"), tmp_path)
    for _ in rendering.frames(job, [0]):
        pass
    stored = [tile for tile in plan.order if job.store.has(tile)]
    child = max(stored, key=lambda tile: tile.level)
    field = job.store.get(child)
    assert set(np.unique(field.more["root"])) <= {0, 1, 2}
    parent = job.store.get(child.parent)
    np.testing.assert_array_equal(field.more["root"][::2, ::2], parent.more["root"][child.parent_quadrant])
    memory = MemoryStore()
    memory.put(Tile(0, 0, 0), field)
    np.testing.assert_array_equal(memory.get(Tile(0, 0, 0)).more["root"], field.more["root"])
    with pytest.raises(ValueError, match="must have the channels value, final_loss, escape_step, status, root"):
        job.store.put(child, dataclasses.replace(field, more={}))


def test_a_probe_writes_the_channels_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("x,y\n1.1,0\n-0.5,0.9\n-0.5,-0.9\n")
    probe.run(scene.load("newton"), tmp_path / "points.csv", tmp_path / "out.csv")
    header, *rows = (tmp_path / "out.csv").read_text().split()
    assert header == "x,y,value,status,final_loss,escape_step,root"
    assert [row.split(",")[-1] for row in rows] == ["0.0", "1.0", "2.0"]
