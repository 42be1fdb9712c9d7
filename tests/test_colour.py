"""Laws of colour: ranks alone decide a tone, the two signs never meet, and light is added as light."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from render.picture import colour, palettes
from render.picture.colour import Code, Curve, Look, curve_from_values

GAP = Look.gap
seeds = st.integers(0, 2**32 - 1)
gaps = st.sampled_from([0.0, 0.25, 0.9]) | st.floats(0.01, 0.9)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Values of 0 to 400 runs: any share of either sign, and some of them equal."""
    drawn = many(draw(seeds), draw(st.integers(0, 400)), draw(st.sampled_from([0.0, 0.03, 0.5, 1.0])))
    return np.round(drawn) + np.sign(drawn) if draw(st.booleans()) else drawn


def many(seed: int, size: int, converged: float = 0.4) -> np.ndarray:
    """Distinct values as training gives them: both signs, magnitudes over many decades."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(2, 3, size)) * np.where(rng.random(size) < converged, -1.0, 1.0)


# ---- curves


@given(arrays(), gaps)
def test_a_curve_falls_from_1_to_minus_1(reference: np.ndarray, gap: float) -> None:
    curve = curve_from_values(reference, gap)
    assert (np.diff(curve.knots) > 0).all()
    assert (np.diff(curve.tones) <= 1e-12).all()
    assert np.abs(curve.tones).max() <= 1


@given(arrays(), arrays(), gaps)
def test_a_slower_value_of_the_same_sign_has_a_tone_at_least_as_far_out(
    reference: np.ndarray, others: np.ndarray, gap: float
) -> None:
    tones = curve_from_values(reference, gap).tone(np.sort(others))
    assert (np.diff(tones) <= 1e-6).all()


@given(arrays(), arrays(), gaps)
def test_the_signs_never_meet_and_the_gap_is_kept(reference: np.ndarray, others: np.ndarray, gap: float) -> None:
    """For the values that the curve was made from, and for others, such as those of finer samples and wider views."""
    curve = curve_from_values(reference, gap)
    for some in (reference, others):
        tones = curve.tone(some)
        assert tones.dtype == np.float32
        assert (tones[some < 0] >= gap - 1e-6).all()
        assert (tones[some > 0] <= 1e-6 - gap).all()
        assert (np.abs(tones) <= 1).all()


def test_a_faster_run_than_any_seen_has_the_fastest_tone_of_its_own_side() -> None:
    curve = curve_from_values(np.array([-450.0, -310.0, -300.0, 20.0, 30.0, 100.0]), GAP)
    np.testing.assert_array_equal(curve.tone(np.array([-299.0, -100.0, -1e-9])), np.float32(GAP))
    np.testing.assert_array_equal(curve.tone(np.array([1e-9, 1.0, 19.0])), -np.float32(GAP))


def test_a_slower_run_than_any_seen_has_the_slowest_tone() -> None:
    curve = curve_from_values(many(0, 500), GAP)
    np.testing.assert_array_equal(curve.tone(np.array([-1e300, 1e300])), [1.0, -1.0])


@pytest.mark.parametrize("size", [2, 50, 127, 128, 129, 1000, 20_000])
def test_the_tones_of_each_side_are_spread_evenly(size: int) -> None:
    """Rank equalisation: as many samples between any two tones of a side as between any other two as far apart."""
    reference = np.concatenate([-np.abs(many(size, size)), np.abs(many(size + 1, size))])
    tones = np.sort(np.abs(curve_from_values(reference, GAP).tone(reference)).reshape(2, size), axis=1)
    even = np.linspace(GAP, 1, size)
    assert np.abs(tones - even).max() <= 1 / 128


def published_tones(some: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The published colour rule: ranks of negative values in [-1, -0.25], of others in [0.25, 1], interpolated."""
    u = np.sort(reference)
    m = int((u < 0).sum())
    targets = np.concatenate([np.linspace(-1, -0.25, m), np.linspace(0.25, 1, len(u) - m)])
    return -np.interp(some, u, targets)


@pytest.mark.parametrize("size", [40, 128, 5000])
@pytest.mark.parametrize("converged", [0.02, 0.5, 0.98])
def test_the_published_rule_comes_out_to_a_knot(size: int, converged: float) -> None:
    reference = many(size, size, converged)
    tones = curve_from_values(reference, 0.25).tone(reference)
    # One knot of 128 is 0.75 / 127 of tone; nearest-rank quantiles are off by half a rank more.
    assert np.abs(tones - published_tones(reference, reference)).max() <= 0.75 / 127 + 0.5 / size


def test_the_published_rule_comes_out_for_another_pictures_values_too() -> None:
    """Where both samples of a sign surround a value; nearer to zero than all of them, we keep out of the gap."""
    reference, others = many(1, 5000), many(2, 5000)
    inside = (np.abs(others) > np.abs(reference).min()) & (np.abs(published_tones(others, reference)) >= 0.25)
    assert inside.mean() > 0.99
    tones = curve_from_values(reference, 0.25).tone(others[inside])
    assert np.abs(tones - published_tones(others[inside], reference)).max() <= 0.75 / 127 + 1e-3


@given(arrays(), seeds)
def test_the_order_of_samples_does_not_matter(reference: np.ndarray, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(reference)
    one, two = curve_from_values(reference, GAP), curve_from_values(shuffled, GAP)
    np.testing.assert_array_equal(one.knots, two.knots)
    np.testing.assert_array_equal(one.tones, two.tones)


@given(arrays())
def test_ranks_alone_decide(reference: np.ndarray) -> None:
    """Any map that rises and keeps the signs leaves the tones of the samples as they are."""
    stretched = np.sign(reference) * np.abs(reference) ** 3
    one = curve_from_values(reference, GAP).tone(reference)
    two = curve_from_values(stretched, GAP).tone(stretched)
    limit = 1e-6 if len(reference) <= 128 else 1 / 64
    np.testing.assert_allclose(one, two, atol=limit)


@given(arrays())
def test_the_two_sides_mirror_each_other(reference: np.ndarray) -> None:
    one, two = curve_from_values(reference, GAP), curve_from_values(-reference, GAP)
    np.testing.assert_allclose(one.tone(reference), -two.tone(-reference), atol=2 / 128)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=120), st.booleans())
def test_equal_values_share_the_mean_of_their_tones(magnitude: list[int], negative: bool) -> None:
    reference = np.array(magnitude, dtype=float) * (-1 if negative else 1)
    tones = curve_from_values(reference, GAP).tone(reference)
    ranked = np.linspace(GAP, 1, len(reference)) if len(reference) > 1 else np.array([(1 + GAP) / 2])
    for value in np.unique(reference):
        equal = np.sort(np.abs(reference)) == abs(value)
        np.testing.assert_allclose(np.abs(tones[reference == value]), ranked[equal].mean(), atol=1e-6)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_side_without_samples_has_the_middle_tone_of_its_half(sign: float) -> None:
    for reference in (np.empty(0), sign * np.abs(many(3, 200))):
        tones = curve_from_values(reference, GAP).tone(-sign * np.array([1e-6, 1.0, 1e9]))
        np.testing.assert_allclose(tones, sign * (1 + GAP) / 2, atol=1e-6)


def test_one_colour_for_a_plane_of_one_value() -> None:
    curve = curve_from_values(np.full(1000, -42.0), GAP)
    assert curve.tone(np.array([-42.0])).item() == pytest.approx((1 + GAP) / 2)


def test_a_curve_takes_arrays_of_any_shape() -> None:
    curve = Curve(np.array([-1.0, 1.0]), np.array([1.0, -1.0]))
    np.testing.assert_array_equal(curve.tone(np.array([[-1.0, 0.0], [0.5, 9.0]])), [[1.0, 0.0], [-0.5, -1.0]])


@given(st.floats(-1, 2))
def test_the_weights_of_two_curves_sum_to_one_and_are_flat_at_both_ends(share: float) -> None:
    weight = colour.curve_weight(share)
    assert 0 <= weight <= 1
    assert weight + colour.curve_weight(1 - share) == pytest.approx(1)
    if share <= 0 or share >= 1:
        assert weight == pytest.approx(float(share >= 1))
    assert colour.curve_weight(1e-3) < 1e-5


# ---- codes


@given(arrays(), arrays(), arrays(), st.integers(1, 5), gaps)
def test_a_code_is_the_nearest_by_either_curve(
    one: np.ndarray, two: np.ndarray, others: np.ndarray, rows: int, gap: float
) -> None:
    """Of values on the curves' knots, between and beyond them, however large or small; and 0 of none."""
    first, second = (curve_from_values(values, gap) for values in (one, two))
    code = Code(first, second)
    extremes = [0.0, -0.0, 5e-324, -5e-324, 1e-300, -1e-300, 1e300, -1e300, np.inf, -np.inf]
    values = np.concatenate([first.knots, second.knots, others, extremes, [np.nan]])
    values = np.resize(values, (rows, values.size))[:, ::-1]  # as a part of a larger array may lie
    codes = code(values)
    assert codes.dtype == np.uint16 and codes.shape == values.shape
    assert (codes[np.isnan(values)] == 0).all() and (codes[~np.isnan(values)] >= 1).all() and codes.max() < code.size
    for curve, tones in zip((first, second), code.tones, strict=True):
        errors = np.abs(tones[codes] - curve.tone(values))[~np.isnan(values)]
        assert errors.max() <= 0.5 / 4096 + 1e-6  # half of a step between codes


# ---- palettes


def srgb(tone: float, palette: str = "Spectral") -> list[int]:
    linear = colour.linear_from_tone(np.array([tone], dtype=np.float32), palette)
    return [int(level) for level in colour.srgb8_from_linear(linear)[0]]


def test_spectral_has_the_published_colours() -> None:
    """ColorBrewer's Spectral: slow divergence is dark red, slow convergence purple, the middle pale yellow."""
    assert srgb(-1.0) == [158, 1, 66]
    assert srgb(0.0) == [255, 255, 191]
    assert srgb(1.0) == [94, 79, 162]


def test_converged_is_blue_and_diverged_is_red() -> None:
    for tone in np.linspace(0.6, 1, 9):
        red, _, blue = srgb(tone)
        assert blue > red
        red, _, blue = srgb(-tone)
        assert red > blue


@pytest.mark.parametrize("palette", ["Spectral", "viridis", "gray", "cmocean:balance"])
def test_neighbouring_entries_of_a_palette_are_one_step_of_8_bit_colour_apart(palette: str) -> None:
    table = palettes.table(palette)
    assert table.dtype == np.float32
    assert not table.flags.writeable
    assert np.abs(np.diff(colour.srgb8_from_linear(table).astype(int), axis=0)).max() <= 1


@given(hnp.arrays(np.float32, (3, 2), elements=st.floats(-1, 1, width=32)))
def test_every_tone_has_its_palettes_colour(tones: np.ndarray) -> None:
    linear = colour.linear_from_tone(tones, "gray")
    assert linear.shape == (3, 2, 3)
    assert np.abs(colour.srgb8_from_linear(linear) - (tones[..., None] + 1) / 2 * 255).max() <= 0.56


@given(st.floats(0, 1, width=32), st.sampled_from([-1.0, 1.0]))
def test_blending_two_tones_stays_in_the_palette(weight: float, end: float) -> None:
    """Where both curves say the outermost tone, rounding of the blend must not leave the table."""
    one = np.full(3, end, dtype=np.float32)
    blended = one + (np.nextafter(one, np.float32(0)) - one) * np.float32(weight)
    assert np.isfinite(colour.linear_from_tone(blended, "Spectral")).all()


@pytest.mark.parametrize("name", ["Spectral", "viridis", "matplotlib:magma", "cmocean:thermal", "gray_r"])
def test_palettes_of_the_catalogue_are_known(name: str) -> None:
    palettes.check(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Spectrall", "no palette 'Spectrall'; did you mean '"),
        ("virdis", "no palette 'virdis'; did you mean '"),
        ("qqqqqqqqqqqq", "no palette 'qqqqqqqqqqqq'; see the cmap catalogue for names"),
        ("", "no palette ''; see the cmap catalogue for names"),
    ],
)
def test_an_unknown_palette_is_refused_with_the_nearest_names(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        palettes.check(name)
    near = re.findall("'([^']+)'", str(caught.value).partition("; did you mean ")[2])
    for suggestion in near:
        palettes.check(suggestion)
    if name in ("Spectrall", "virdis"):
        assert any(suggestion.lower().endswith(("spectral", "viridis")) for suggestion in near)


# ---- light


def test_every_8_bit_level_survives_the_way_to_linear_light_and_back() -> None:
    levels = np.arange(256)
    for dtype in (np.float64, np.float32):
        linear = palettes.linear_from_srgb(levels / 255).astype(dtype)
        np.testing.assert_array_equal(colour.srgb8_from_linear(linear), levels)


@given(st.floats(0, 1))
def test_the_srgb_curve_is_the_standards_to_an_8_bit_step(linear: float) -> None:
    """IEC 61966-2-1, evaluated directly."""
    exact = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    assert abs(int(colour.srgb8_from_linear(np.array([linear]))[0]) - 255 * exact) <= 0.56


def test_light_beyond_the_display_is_clipped() -> None:
    np.testing.assert_array_equal(colour.srgb8_from_linear(np.array([-0.1, 0.0, 1.0, 1.7])), [0, 0, 255, 255])


def test_half_the_light_is_not_half_the_number() -> None:
    assert colour.srgb8_from_linear(np.array([0.5])) == 188


@pytest.mark.parametrize("text", ["#000000", "#ffffff", "#1b1b1f", "#fF8000"])
def test_a_colour_written_in_hex_comes_back(text: str) -> None:
    linear = palettes.linear_from_hex(text)
    assert linear.dtype == np.float32
    assert "#" + bytes(colour.srgb8_from_linear(linear)).hex() == text.lower()
