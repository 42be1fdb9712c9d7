"""Pictures of bifurcation diagrams: how often runs visit each value of a number, over one hyperparameter.

A column of pixels shows a few runs at its values of x. A pixel's brightness grows with the logarithm of how many of
their visits it holds. Every frame is computed for its own view. Nothing is magnified, and nothing is stored.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from render.film.compose import Bands, mixed, plane_coverage
from render.film.depth import runs_per_pixel
from render.geometry.camera import Path
from render.geometry.viewport import Viewport
from render.picture import colour, loops, palettes
from render.picture.flash_limit import Passing
from render.scene import Bifurcation, Scene


class BifurcationCompositor:
    """Makes the frames of a diagram; used as `compose.Compositor` is."""

    def __init__(self, scene: Scene, path: Path) -> None:
        assert scene.bifurcation is not None
        self._scene, self._path, self._shown = scene, path, scene.bifurcation
        self._background = palettes.linear_from_hex(scene.look.background)

    def frame(self, *places: float, bits: int = 8, passing: Passing | None = None) -> np.ndarray:
        """Return the picture at a path length, as `Compositor.frame` does, but without a limit on flashes."""
        view = self._path.viewport(places[0])
        return mixed([(self.bands(s), 1.0) for s in places], (view.height_px, view.width_px), bits)

    def bands(self, s: float) -> Bands:
        """Return what draws some rows, from the top, of the picture at s: linear light, float32 [3, rows, width]."""
        view, look = self._path.viewport(s), self._scene.look
        density = densities(self._scene, view)
        linear = colour.linear_from_tone(2 * density - 1, look.palette, self._path.phase(s))
        linear = np.where(density[..., None] > 0, linear, self._background)
        picture = np.ascontiguousarray(np.moveaxis(linear.astype(np.float32), -1, 0))
        inside = plane_coverage(view)

        def band(rows: slice) -> np.ndarray:
            part = picture[:, rows].copy()
            if inside is not None:
                loops.blend_outside(part, inside[0][rows], inside[1], self._background)
            return part

        return band


def densities(scene: Scene, view: Viewport) -> np.ndarray:
    """Return the brightness of each pixel of a view, float32 [height, width] from the top, 0 to 1.

    Of n visits of a column's runs, a pixel that holds c has brightness log(1 + c) / log(1 + n): 0 where there are none,
    and 1 where all runs have settled at one value.
    """
    from render.train import orbits

    shown, problem = scene.bifurcation, scene.problem
    assert isinstance(shown, Bifurcation)
    per_pixel = runs_per_pixel(scene)
    columns = view.width_px * per_pixel
    x0, x1, y0, y1 = view.edges()
    places = [x0 + (x1 - x0) * Fraction(2 * i + 1, 2 * columns) for i in range(columns)]
    inside = np.array([0 <= place <= 1 for place in places])
    counts = np.zeros((view.height_px, view.width_px))
    if not inside.any():
        return counts.astype(np.float32)
    x = np.array([float(problem.x.value_from_unit(place)) for place, kept in zip(places, inside, strict=True) if kept])
    visited = orbits.visits(problem, x, shown.start, shown.transient)
    low, high = (problem.y.value_from_unit(edge) for edge in (y0, y1))
    # In a narrow view the values are close to its upper edge, and these differences are exact.
    with np.errstate(invalid="ignore", over="ignore"):
        rows = np.floor((float(high) - visited) * (view.height_px / float(high - low)))
    pixels = np.broadcast_to(np.flatnonzero(inside) // per_pixel, visited.shape)
    seen = (rows >= 0) & (rows < view.height_px)
    flat = rows[seen].astype(np.int64) * view.width_px + pixels[seen]
    counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
    brightness: np.ndarray = (np.log1p(counts) / math.log1p(per_pixel * len(visited))).astype(np.float32)
    return brightness
