"""Laws of palettes: named colours at their places, even steps, and halves that neither eyes nor codecs confuse."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.picture import colour, palettes
from tests.helpers import ROOT

LUMA = np.array([0.2126, 0.7152, 0.0722])
hexes = st.from_regex("#[0-9a-f]{6}", fullmatch=True)

# Machado, Oliveira and Fernandes (2009), severity 1.0: what linear-light sRGB looks like without one kind of cone.
BLIND = {
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(tones: np.ndarray, palette: str | tuple[str, ...]) -> np.ndarray:
    return palettes.oklab_from_linear(colour.linear_from_tone(tones.astype(np.float32), palette).astype(float))


def halves(palette: str, gap: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Tones that are used of the diverged and of the converged half."""
    return -np.linspace(gap, 1, 200), np.linspace(gap, 1, 200)


@given(st.lists(hexes, min_size=2, max_size=9))
@pytest.mark.slow
def test_a_list_of_colours_is_met_in_its_order_and_both_ends_exactly(colours: list[str]) -> None:
    palette = tuple(colours)
    for tone, name in zip(np.linspace(-1, 1, len(palette)), palette, strict=True):
        shown = colour.srgb8_from_linear(colour.linear_from_tone(np.array([tone], np.float32), palette))[0]
        wanted = [int(name[i : i + 2], 16) for i in (1, 3, 5)]
        # Where two colours of a list differ by the whole range, entries between them are a few steps apart.
        assert np.abs(shown.astype(int) - wanted).max() <= 1


def test_colours_are_mixed_in_a_perceptual_space() -> None:
    """Halfway between black and white is middle grey to the eye (OKLab L 0.5), neither in light nor in sRGB numbers."""
    middle = lab(np.array([0.0]), ("#000000", "#ffffff"))[0]
    np.testing.assert_allclose(middle, [0.5, 0, 0], atol=1e-3)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_oklab_and_back_is_the_same_colour(linear: list[float]) -> None:
    oklab = palettes.oklab_from_linear(np.array(linear))
    np.testing.assert_allclose(palettes.linear_from_oklab(oklab), linear, atol=1e-6)


def test_oklab_has_its_authors_values() -> None:
    """Ottosson (2020): white is (1, 0, 0); linear-light red (0.627955, 0.224863, 0.125846)."""
    np.testing.assert_allclose(palettes.oklab_from_linear(np.ones(3)), [1, 0, 0], atol=1e-4)
    red = palettes.oklab_from_linear(np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(red, [0.627955, 0.224863, 0.125846], atol=1e-4)


@pytest.mark.parametrize("name", ["luma", "luma-dark"])
def test_the_halves_of_a_luma_palette_never_share_a_brightness(name: str) -> None:
    """In what 4:2:0 video keeps at every pixel, luma, the border shows whatever the two tones beside it."""
    luma = [
        (colour.srgb8_from_linear(colour.linear_from_tone(t.astype(np.float32), name)) / 255.0) @ LUMA
        for t in halves(name, gap=0.01)
    ]
    dark, bright = sorted(luma, key=lambda half: float(half.mean()))
    assert bright.min() - dark.max() > 0.1
    both = halves(name)
    luma = [colour.srgb8_from_linear(colour.linear_from_tone(t.astype(np.float32), name)) / 255.0 @ LUMA for t in both]
    slow = abs(float(luma[0][-1] - luma[1][-1]))
    assert slow > 0.75, "beside the border, where both are slow, the contrast is greatest"


def test_even_is_even() -> None:
    """Along each half lightness falls monotonically, by steps that differ by less than a half from their mean."""
    for tones in halves("even", gap=0.0):
        light = lab(tones[:: len(tones) // 16], "even")[:, 0]
        steps = -np.diff(light)
        assert (steps > 0).all()
        assert steps.min() > 0.5 * steps.mean()
        assert steps.max() < 1.5 * steps.mean()


@pytest.mark.parametrize("name", ["safe", "luma"])
@pytest.mark.parametrize("blind", BLIND)
def test_blue_and_orange_stay_apart_for_every_kind_of_eye(name: str, blind: str) -> None:
    """At each tone from the gap on; 0.02 in OKLab is a difference one just sees."""
    diverged, converged = (
        palettes.oklab_from_linear(
            np.clip(colour.linear_from_tone(t.astype(np.float32), name).astype(float) @ np.array(BLIND[blind]).T, 0, 1)
        )
        for t in halves(name, gap=0.35)
    )
    apart = np.linalg.norm(diverged - converged, axis=1)
    assert apart.min() > 0.06


def test_a_turned_closed_palette_has_no_seam_and_a_whole_turn_changes_nothing() -> None:
    tones = np.linspace(-1, 1, 4001).astype(np.float32)
    for turns in (0.0, 0.25, 0.7):
        steps = np.abs(np.diff(colour.linear_from_tone(tones, "wheel", turns), axis=0))
        assert steps.max() < 0.01
    turned = colour.linear_from_tone(tones, "wheel", 3.0)
    np.testing.assert_array_equal(turned, colour.linear_from_tone(tones, "wheel"))


@pytest.mark.parametrize(
    ("name", "closed"), [("wheel", True), ("twilight", True), ("Spectral", False), ("luma", False)]
)
def test_only_closed_palettes_can_turn(name: str, closed: bool) -> None:
    assert palettes.is_closed(name) == closed


@pytest.mark.parametrize("name", palettes.PALETTES)
def test_every_own_palette_is_known_and_whole(name: str) -> None:
    palettes.check(name)
    table = palettes.table(name)
    assert table.shape == (palettes.TABLE, 3)
    assert table.min() >= 0
    assert table.max() <= 1


# ---- palettes as people give them -----------------------------------------------------------------------------------

OWN_COLOURS = ("#1a0633", "#f7f7f7", "#00441b")


@pytest.mark.parametrize(
    "given", ["#1a0633,#f7f7f7,#00441b", " #1a0633, #f7f7f7 ,#00441b,", "#1a0633 #f7f7f7 #00441b", [*OWN_COLOURS]]
)
def test_colours_are_a_palette_however_they_are_listed(given: str | list[str]) -> None:
    assert palettes.read(given) == OWN_COLOURS
    assert palettes.read(palettes.written(OWN_COLOURS)) == OWN_COLOURS
    palettes.check(palettes.read(given))


@pytest.mark.parametrize("name", ["Spectral", "crameri:vik", "viridis_r"])
def test_a_name_stays_a_name(name: str) -> None:
    assert palettes.read(name) == palettes.written(name) == name


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("#1a0633", "2 to 64 colours, not 1"),
        ("#1a0633,#fff", "a colour such as \"#1b1b1f\", not '#fff'"),
        (",".join(["#000000"] * 65), "2 to 64 colours, not 65"),
    ],
)
def test_a_list_that_is_no_palette_is_refused_with_what_must_hold(given: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        palettes.check(palettes.read(given))


@pytest.mark.parametrize("typed", ["virids", "spectrall", "CET_D1X", "crameri:vikk", "lumma", "bids:viridi"])
def test_suggestions_are_other_palettes_each_named_once(typed: str) -> None:
    with pytest.raises(ValueError, match=r"no palette") as refused:
        palettes.check(typed)
    near = re.findall(r"'([^']+)'", str(refused.value).partition("did you mean")[2])
    assert near
    assert len({name.lower() for name in near}) == len(near)
    for name in near:
        palettes.check(name)


def test_a_palette_is_remarked_on_where_it_runs_in_one_direction() -> None:
    import cmap

    catalogue = {name: cmap.Colormap(name).category for name in cmap.Catalog().unique_keys(prefer_short_names=False)}
    shares = {}
    for kind in ("sequential", "diverging", "cyclic"):
        names = sorted(name for name, category in catalogue.items() if category == kind)[::4]
        shares[kind] = sum(bool(palettes.remark(name)) for name in names) / len(names)
    assert shares["sequential"] > 0.9
    assert shares["diverging"] < 0.1
    assert shares["cyclic"] == 0
    assert [name for name in palettes.PALETTES if palettes.remark(name)] == []
    assert "Palette 'viridis' runs in one direction" in palettes.remark("viridis")
    assert "This list of colours runs" in palettes.remark(("#000000", "#ffffff"))
    assert palettes.remark(OWN_COLOURS) == ""


def test_every_palette_that_a_remark_or_the_page_on_pictures_recommends_has_two_halves() -> None:
    remark = palettes.remark("viridis").partition("show the border: ")[2].rstrip(".").split(", ")
    page = (ROOT / "assets/docs/picture.md").read_text().partition("which show the border: ")[2].partition(". Maps")[0]
    recommended = [*remark, *re.findall(r"`(\w+)`", page)]
    assert len(recommended) > 10
    for name in recommended:
        palettes.check(name)
        assert palettes.remark(name) == "", name
