"""WCAG 2.3.1 on films whose flashes are known: how many a second, how strong, how large."""

from __future__ import annotations

import numpy as np
import pytest

from render.picture.flash import Meter

SIZE = (360, 640)
FPS = 30


def film(signal: np.ndarray, area: float = 1.0, colour: tuple[float, float, float] = (1, 1, 1)) -> Meter:
    """Feed frames whose left part of a share `area` follows an 8-bit signal; the rest stays grey."""
    meter = Meter(FPS)
    for level in signal:
        frame = np.full((*SIZE, 3), 128, dtype=np.uint8)
        frame[:, : round(area * SIZE[1])] = np.rint(level * np.array(colour))
        meter.add(frame)
    return meter


def square(flashes_per_s: float, low: int, high: int, seconds: float = 3.0) -> np.ndarray:
    t = np.arange(round(seconds * FPS)) / FPS
    return np.where((t * flashes_per_s) % 1 < 0.5, low, high)


def test_a_still_picture_and_a_slow_fade_do_not_flash() -> None:
    assert film(np.full(90, 200)).warning() is None
    assert film(np.linspace(0, 255, 120)).warning() is None


@pytest.mark.parametrize(("rate", "flashes"), [(1.0, False), (2.5, False), (5.0, True), (10.0, True)])
def test_more_than_three_flashes_a_second_are_reported(rate: float, flashes: bool) -> None:
    assert (film(square(rate, 20, 235)).warning() is not None) == flashes


def test_swings_below_a_tenth_of_the_range_are_no_flashes() -> None:
    assert film(square(10, 100, 118)).warning() is None  # relative luminance 0.127 and 0.181


def test_bright_swings_are_no_flashes() -> None:
    assert film(square(10, 236, 255)).warning() is None  # the darker side is above 0.8


@pytest.mark.parametrize(("area", "flashes"), [(0.02, False), (0.5, True)])
def test_small_areas_may_flash(area: float, flashes: bool) -> None:
    assert (film(square(8, 20, 235), area).warning() is not None) == flashes


def test_saturated_red_flashes_where_its_luminance_does_not_count() -> None:
    meter = film(square(8, 0, 180), colour=(1, 0, 0))  # relative luminance up to 0.098 only
    assert {stretch.kind for stretch in meter.stretches()} == {"red"}
    assert "(red)" in str(meter.warning())


def test_the_warning_says_when() -> None:
    calm = np.full(5 * FPS, 20)
    meter = film(np.concatenate([calm, square(8, 20, 235, 2.0), calm]))
    (stretch,) = meter.stretches()
    assert 4.0 < stretch.first_s < 6.0
    assert 6.5 < stretch.last_s < 8.1
    assert f"at {stretch.first_s:.1f} to {stretch.last_s:.1f} s" in str(meter.warning())
