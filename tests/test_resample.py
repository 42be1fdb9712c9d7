"""Laws of resampling: weights that sum to one, no shift, no overshoot where it would matter. No stored pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.geometry.viewport import Box
from render.picture import colour, level_ends, loops, raster
from render.picture.resample import FILTERS, Taps, taps

filters = st.sampled_from(sorted(FILTERS))
seeds = st.integers(0, 2**32 - 1)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def box_of(samples: np.ndarray) -> Box:
    """The box that gives every sample the same area."""
    rows, columns = samples.shape[:2]
    return Box(-0.5, columns - 0.5, -0.5, rows - 0.5)


def to_pixels(samples: np.ndarray, box: Box, size_px: tuple[int, int], filter_name: str = "cubic") -> np.ndarray:
    """Pixels [height, width(, channels)], row 0 at the top, of samples [rows, columns(, channels)], row 0 lowest."""
    rows, columns = samples.shape[:2]
    channels = samples.reshape(rows * columns, -1)
    table = np.ones((rows * columns, 4), dtype=np.float32)
    table[:, : channels.shape[1]] = channels
    codes = np.arange(rows * columns, dtype=np.uint16).reshape(rows, columns)
    read = taps(box.y0, box.y1, size_px[1], rows, filter_name), taps(box.x0, box.x1, size_px[0], columns, filter_name)
    layer = raster.Layer(codes, *read)
    pixels = np.concatenate([raster.band([layer], table, band) for band in raster.bands(size_px[1])], axis=1)
    return np.moveaxis(pixels, 0, -1)[..., : channels.shape[1]].reshape(*size_px[::-1], *samples.shape[2:])


@st.composite
def windows(draw: st.DrawFn, longest_px: int = 24) -> tuple[int, int, Box, tuple[int, int]]:
    """Rows and columns of samples, a box inside them and a size: reductions and enlargements by up to about 20."""
    rows, columns = draw(st.integers(2, 24)), draw(st.integers(2, 24))

    def ends(count: int) -> tuple[float, float]:
        low = draw(st.floats(-0.5, count - 1.5))
        return low, draw(st.floats(low + 0.5, count - 0.5))

    size_px = draw(st.integers(1, longest_px)), draw(st.integers(1, longest_px))
    return rows, columns, Box(*ends(columns), *ends(rows)), size_px


def centres(low: float, high: float, count: int) -> np.ndarray:
    """Sample positions of the centres of count pixels between two edges."""
    return low + (np.arange(count) + 0.5) * (high - low) / count


# ---- where samples stand


@given(filters, seeds, st.integers(1, 20), st.integers(1, 20))
def test_a_pixel_for_each_sample_is_the_sample_with_row_0_at_the_top(
    name: str, seed: int, rows: int, columns: int
) -> None:
    samples = noise(seed, rows, columns)
    np.testing.assert_array_equal(to_pixels(samples, box_of(samples), (columns, rows), name), samples[::-1])


@given(filters, seeds, st.integers(0, 8), st.integers(0, 6))
def test_a_sample_is_the_centre_of_a_pixel_around_it(name: str, seed: int, x: int, y: int) -> None:
    samples = noise(seed, 7, 9)
    box = Box(x - 0.5, x + 0.5, y - 0.5, y + 0.5)
    assert to_pixels(samples, box, (1, 1), name).item() == samples[y, x]


def test_between_two_samples_a_pixel_is_as_near_to_each_as_it_stands() -> None:
    samples = np.array([[0.0, 1.0, 0.0]], dtype=np.float32)
    row = to_pixels(samples, Box(0.0, 1.0, -0.5, 0.5), (4, 1), "linear")[0]
    np.testing.assert_allclose(row, [0.125, 0.375, 0.625, 0.875], atol=1e-6)


def ramps(columns: int, rows: int, slope_x: float, slope_y: float) -> np.ndarray:
    return (slope_x * np.arange(columns) + slope_y * np.arange(rows)[:, None]).astype(np.float32)


@given(filters, st.floats(-1, 1), st.floats(-1, 1), st.floats(8, 10), st.floats(8, 10), st.floats(0.5, 16))
def test_a_ramp_comes_out_as_the_same_ramp(
    name: str, slope_x: float, slope_y: float, x: float, y: float, width: float
) -> None:
    """From enlarging thirty times to halving; so nothing is shifted, stretched, or turned the wrong way."""
    count = 33
    box = Box(x, x + width, y, y + width)
    size_px = (max(16, round(width)), max(16, round(width / 2)))
    pixels = to_pixels(ramps(count, count, slope_x, slope_y), box, size_px, name)
    xs, ys = centres(box.x0, box.x1, size_px[0]), centres(box.y0, box.y1, size_px[1])[::-1]
    np.testing.assert_allclose(pixels, slope_x * xs + slope_y * ys[:, None], atol=2e-4)


@given(filters, seeds, windows(), st.integers(0, 9), st.integers(0, 9))
def test_samples_outside_a_filters_reach_change_nothing(
    name: str, seed: int, window: tuple[int, int, Box, tuple[int, int]], dx: int, dy: int
) -> None:
    """A frame may be cut from any larger window: only the distance from its first sample counts."""
    rows, columns, box, size_px = window
    reach = 2 + 2 * max(columns, rows)
    samples = noise(seed, rows + 2 * reach + dy, columns + 2 * reach + dx)
    one = Box(box.x0 + reach + dx, box.x1 + reach + dx, box.y0 + reach + dy, box.y1 + reach + dy)
    two = Box(box.x0 + reach, box.x1 + reach, box.y0 + reach, box.y1 + reach)
    near, far = to_pixels(samples[dy:, dx:], two, size_px, name), to_pixels(samples, one, size_px, name)
    np.testing.assert_allclose(near, far, atol=1e-4)


@given(filters, seeds, windows())
def test_upside_down_samples_give_upside_down_pixels(
    name: str, seed: int, window: tuple[int, int, Box, tuple[int, int]]
) -> None:
    rows, columns, box, size_px = window
    samples = noise(seed, rows, columns)
    expected = to_pixels(samples, box, size_px, name)
    over = Box(box.x0, box.x1, rows - 1 - box.y1, rows - 1 - box.y0)
    np.testing.assert_allclose(to_pixels(samples[::-1], over, size_px, name)[::-1], expected, atol=1e-4)
    across = Box(columns - 1 - box.x1, columns - 1 - box.x0, box.y0, box.y1)
    np.testing.assert_allclose(to_pixels(samples[:, ::-1], across, size_px, name)[:, ::-1], expected, atol=1e-4)


# ---- weights


@given(filters, windows(), st.floats(-1, 1, width=32))
def test_a_constant_stays_that_constant(name: str, window: tuple[int, int, Box, tuple[int, int]], value: float) -> None:
    rows, columns, box, size_px = window
    samples = np.full((rows, columns), value, dtype=np.float32)
    np.testing.assert_allclose(to_pixels(samples, box, size_px, name), value, atol=1e-6)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("size_px", [(3, 2), (6, 5), (40, 30)], ids=["reduced", "alike", "enlarged"])
def test_the_weights_of_all_samples_sum_to_one_in_every_pixel(name: str, size_px: tuple[int, int]) -> None:
    box = Box(0.3, 5.9, 0.1, 4.4)
    units = np.eye(7 * 6, dtype=np.float32).reshape(7 * 6, 6, 7)
    total = sum(to_pixels(unit, box, size_px, name) for unit in units)
    np.testing.assert_allclose(total, 1.0, atol=1e-5)


@given(seeds, windows())
def test_weights_resampled_stay_between_the_least_and_the_greatest(
    seed: int, window: tuple[int, int, Box, tuple[int, int]]
) -> None:
    """Filter "linear" is for weights, which must stay within 0 and 1."""
    rows, columns, box, size_px = window
    samples = np.round(noise(seed, rows, columns))
    pixels = to_pixels(samples, box, size_px, "linear")
    assert pixels.min() >= 0
    assert pixels.max() <= 1 + 1e-6


def test_the_cubic_ring_at_an_edge_is_a_fourteenth_of_the_step_and_gone_in_great_enlargements() -> None:
    """Keys' cubic with a = -0.5: its overshoot is 2/27 where an edge is enlarged, at a third of a sample from it."""
    samples = np.repeat([0.0, 1.0], 8).astype(np.float32)[None, :]
    rings = []
    for shift in np.linspace(0, 1, 48):  # as if enlarged 48 times, by the filter of one that is not
        pixels = to_pixels(samples, Box(4.0 + shift, 10.0 + shift, -0.5, 0.5), (12, 1))
        rings.append((pixels.max(), pixels.min()))
    assert np.max(rings) == pytest.approx(1 + 2 / 27, abs=1e-3)
    assert np.min(rings) == pytest.approx(-2 / 27, abs=1e-3)
    round_ones = to_pixels(samples, Box(4.0, 11.0, -0.5, 0.5), (7 * 48, 1))
    assert round_ones.max() <= 1 + 1e-6
    assert round_ones.min() >= -1e-6
    assert (np.diff(round_ones[0]) >= -1e-6).all()


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("factor", [2, 3, 5])
def test_a_reduction_is_nearly_the_mean_over_each_pixels_area(name: str, factor: int) -> None:
    size = 12
    y, x = np.mgrid[: size * factor, : size * factor] / factor
    samples = (np.sin(0.7 * x) * np.cos(0.5 * y)).astype(np.float32)
    pixels = to_pixels(samples, box_of(samples), (size, size), name)
    means = samples.reshape(size, factor, size, factor).mean(axis=(1, 3))[::-1]
    # Inside, where a filter sees all it wants. "linear" is wider than a pixel and blurs a little more.
    np.testing.assert_allclose(pixels[2:-2, 2:-2], means[2:-2, 2:-2], atol=0.05)


@pytest.mark.parametrize("name", FILTERS)
def test_a_pattern_finer_than_the_pixels_becomes_its_mean(name: str) -> None:
    """Four samples a pixel, every other one lit: half the light, no moire."""
    samples = np.indices((64, 64)).sum(axis=0).astype(np.float32) % 2
    pixels = to_pixels(samples, Box(7.7, 55.7, 8.2, 56.2), (12, 12), name)
    np.testing.assert_allclose(pixels, 0.5, atol=0.01)


# ---- levels


@given(seeds, st.integers(8, 30), st.floats(0.3, 1.0), st.integers(0, 1))
def test_all_coarse_is_the_filter_on_every_second_sample(seed: int, count: int, per_px: float, first_even: int) -> None:
    """So a level that fades in begins as what its parent alone would show."""
    samples = noise(seed, 1, count)[0]
    low, high = 3.3, count - 4.1
    size_px = max(1, round((high - low) / per_px))
    coarse = weighted(taps(low, high, size_px, count, coarse=1.0, first_even=first_even), samples)
    parent = samples[first_even::2]
    ends = (low - first_even) / 2, (high - first_even) / 2
    np.testing.assert_allclose(coarse, weighted(taps(*ends, size_px, parent.size), parent), atol=1e-5)


@given(seeds, st.integers(8, 30), st.floats(0, 1))
def test_a_share_of_coarse_is_that_share_of_both(seed: int, count: int, share: float) -> None:
    samples = noise(seed, 1, count)[0]
    none, some, full = (weighted(taps(2.0, count - 3.0, 17, count, coarse=c), samples) for c in (0.0, share, 1.0))
    np.testing.assert_allclose(some, none + share * (full - none), atol=1e-5)


@pytest.mark.parametrize("first_even", [0, 1])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("ends", [(-3.0, 0.5), (0.2, 70.3), (-40.0, -2.5)])
def test_a_strip_of_a_level_that_comes_in_keeps_a_constant(
    first_even: int, count: int, ends: tuple[float, float]
) -> None:
    """Also where it is a single sample, which its parent does not have."""
    for coarse in (0.0, 0.4, 1.0):
        read = taps(*ends, 216, count, coarse=coarse, first_even=first_even)
        np.testing.assert_allclose(weighted(read, np.ones(count, dtype=np.float32)), 1.0, atol=1e-6)


def weighted(read: Taps, samples: np.ndarray) -> np.ndarray:
    around = read.first[:, None] + np.arange(read.weights.shape[1])
    pixels: np.ndarray = (read.weights * samples[around]).sum(axis=1)
    return pixels


# ---- arrays


@given(filters, seeds, windows())
def test_channels_do_not_know_each_other(name: str, seed: int, window: tuple[int, int, Box, tuple[int, int]]) -> None:
    rows, columns, box, size_px = window
    samples = noise(seed, rows, columns, 3)
    before = samples.copy()
    pixels = to_pixels(samples, box, size_px, name)
    assert pixels.shape == (size_px[1], size_px[0], 3)
    assert pixels.dtype == np.float32
    for channel in range(3):
        alone = to_pixels(samples[..., channel], box, size_px, name)
        assert alone.shape == (size_px[1], size_px[0])
        np.testing.assert_allclose(pixels[..., channel], alone, atol=1e-6)
    np.testing.assert_array_equal(samples, before)


@given(seeds, st.integers(1, 40), st.integers(1, 40))
def test_a_picture_leaves_linear_light_as_single_colours_do(seed: int, rows: int, columns: int) -> None:
    light = noise(seed, 3, rows, columns) * 1.4 - 0.2
    light[0, 0, 0] = np.nan  # must not read outside the table
    out = np.empty((rows, columns, 3), dtype=np.uint8)
    loops.look_up(light, colour.srgb8_table(), out)
    np.testing.assert_array_equal(out, colour.srgb8_from_linear(np.nan_to_num(np.moveaxis(light, 0, -1))))


@given(seeds, st.integers(1, 70), st.floats(0.5, 30.0))
def test_a_finer_level_and_what_is_coarser_fill_what_was_visible(seed: int, rows: int, margin: float) -> None:
    """Where distances to its end are 0 or less nothing is the finer level's, and all from the margin on."""
    distance = (noise(seed, 9, 11) * 3 - 1) * np.float32(margin)
    visible = noise(seed + 1, rows, 13)
    coarser, finer = visible.copy(), np.zeros_like(visible)
    read = taps(0.2, 7.7, rows, 9, "linear"), taps(1.1, 9.0, 13, 11, "linear")
    loops.split_coverage(coarser, finer, distance, *read[0], *read[1], 0, 13, margin)
    np.testing.assert_allclose(coarser + finer, visible, atol=1e-6)
    inside = to_pixels(distance, Box(1.1, 9.0, 0.2, 7.7), (13, rows), "linear")
    assert (finer[inside <= -1e-5 * margin] == 0).all()
    assert np.allclose(finer[inside >= 1.0001 * margin], visible[inside >= 1.0001 * margin])
    share = np.clip(inside / margin, 0, 1)
    np.testing.assert_allclose(finer, visible * share**2 * (3 - 2 * share), atol=1e-4)


distances = st.sampled_from([(-1.0, 0.0, 0.5, 1.5, 4.0), (-1.0, 4.0), (1.5, 4.0), (-1.0, 0.0)])


@given(seeds, distances, st.integers(1, 60), st.integers(1, 60), st.floats(0.5, 30.0))
def test_a_level_fills_and_misses_the_pixels_that_its_coverage_claims(
    seed: int, ends: tuple[float, ...], rows: int, columns: int, margin: float
) -> None:
    """Outside of the columns that it claims to reach, it covers no pixel."""
    noise = np.random.default_rng(seed)
    squares = noise.choice(ends, (4, 5))
    cells = (np.kron(squares, np.ones((3, 3))) * margin).astype(np.float32)
    low, left = noise.uniform(-0.5, 4.0, 2)
    high, right = low + noise.uniform(0.5, 7.0), left + noise.uniform(0.5, 10.0)
    read = taps(low, high, rows, 12, "linear"), taps(left, right, columns, 15, "linear")
    edge = level_ends.Edge(level_ends.Distances(cells, 3), *read, margin)
    inside = to_pixels(cells, Box(left, right, low, high), (columns, rows), "linear")[::-1]
    for first in range(rows):
        pixels = slice(first, min(first + 7, rows))
        assert not edge.covers(pixels) or (inside[pixels] >= margin * (1 - 1e-5)).all()
        assert not edge.misses(pixels) or (inside[pixels] <= 1e-5 * margin).all()
    outside = np.delete(inside, slice(edge.begin, edge.end), axis=1)
    assert (outside <= 1e-5 * margin).all()
    assert edge.covers() or not (squares >= 1).all()
    assert edge.misses() or not (squares <= 0).all()


@given(seeds, st.integers(1, 70), st.integers(1, 40))
def test_shares_weigh_pixels_and_leave_the_others_alone(seed: int, rows: int, columns: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 9, (6, 8)).astype(np.uint16)
    table = noise(seed, 9, 4)
    table[:, 3] = 1.0
    table[0] = 0.0
    read = *taps(0.4, 4.4, rows, 6), *taps(1.3, 6.2, columns, 8)
    share = np.where(noise(seed + 1, rows, columns) < 0.6, 0.0, noise(seed + 2, rows, columns)).astype(np.float32)
    share[:, ::7] = -1e-9  # as rounding leaves where another level has all
    for gaps in (False, True):
        unweighted, weighed = (np.zeros((3, rows, columns), dtype=np.float32) for _ in range(2))
        loops.add_pixels(unweighted, codes, table, *read, np.ones_like(share), gaps)
        loops.add_pixels(weighed, codes, table, *read, share, gaps)
        np.testing.assert_allclose(weighed, unweighted * share, atol=1e-5)
