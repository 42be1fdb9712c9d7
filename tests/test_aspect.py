"""The aspect of two axes on a frame: their ranges are equally long, whatever their scales, so a range sets it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from render.geometry.axes import Axis
from render.scene import Scene, checks

SCENE = """
[problem]
system = "network"
optimiser = "momentum"
x = {{name = "lr", {x}}}
y = {{name = "momentum", {y}}}
[camera]
octaves_per_s = 1
keyframes = [{{{view}}}]
[output]
size = [{size}]
"""
LOG = 'range = ["1e-3", "1e3"]'


def loaded(
    y: str, *, x: str = LOG, view: str = 'centre = ["1", "0.25"], width_decades = 0.6', size: str = "320, 180"
) -> Scene:
    return checks.parse(SCENE.format(x=x, y=y, view=view, size=size), "s.toml", "s")


def px_per(scene: Scene) -> tuple[float, float]:
    """Return how many pixels of the first frame a decade, or a unit, of x and of y takes."""
    output, problem = scene.output, scene.problem
    x0, x1, y0, y1 = scene.path(output).viewport(0.0).edges()

    def per(axis: Axis, low: Fraction, high: Fraction, size_px: int) -> float:
        return size_px / float((high - low) * axis.span)

    return per(problem.x, x0, x1, output.width_px), per(problem.y, y0, y1, output.height_px)


@pytest.mark.parametrize("size", ["320, 180", "180, 320", "256, 256"])
@pytest.mark.parametrize("ends", [("0", "1"), ("0", "0.5"), ("-0.5", "1.5"), ("0.2", "0.3")])
def test_both_ranges_are_equally_long_on_a_frame(ends: tuple[str, str], size: str) -> None:
    middle = sum(map(float, ends)) / 2
    scene = loaded(
        f'scale = "linear", range = ["{ends[0]}", "{ends[1]}"]', size=size,
        view=f'centre = ["1", "{middle}"], width_decades = 0.6',
    )  # fmt: skip
    decade_px, unit_px = px_per(scene)
    assert 6 * decade_px == pytest.approx((float(ends[1]) - float(ends[0])) * unit_px)


def test_half_a_range_draws_an_axis_out_to_twice_its_length() -> None:
    """As the page of pictures says of momentum: a sixth, a twelfth and a third of it are as long as a decade."""
    for ends, share in ((("0", "1"), 6), (("0", "0.5"), 12), (("-0.5", "1.5"), 3)):
        decade_px, unit_px = px_per(loaded(f'scale = "linear", range = ["{ends[0]}", "{ends[1]}"]'))
        assert unit_px == pytest.approx(share * decade_px)


def test_a_height_is_no_aspect_but_a_view_that_both_fit_into() -> None:
    y = 'scale = "linear", range = ["0", "1"]'
    wide = px_per(loaded(y, view='centre = ["1", "0.5"], width_decades = 0.6, height = 0.5'))
    assert wide[1] == pytest.approx(6 * wide[0])
    high = 180 / wide[1]
    assert high == pytest.approx(0.5), "the height is the larger of the two here"
    assert 320 / wide[0] > 0.6


def test_scales_do_not_matter() -> None:
    linear = loaded('scale = "linear", range = ["0.1", "0.9"]', view='centre = ["1", "0.5"], width_decades = 0.6')
    logarithmic = loaded('range = ["0.1", "0.9"]', view='centre = ["1", "0.3"], width_decades = 0.6')
    heights = [scene.path(scene.output).viewport(0.0).edges() for scene in (linear, logarithmic)]
    one, other = (float(y1 - y0) for _, _, y0, y1 in heights)
    assert one == pytest.approx(other)
