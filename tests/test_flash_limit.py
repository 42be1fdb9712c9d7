"""Films that would flash are limited: by the movement of the camera alone, where it matters, to the wanted light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from render import scene as scenes
from render.film import passing, qualities, rendering
from render.picture import colour, flash, flash_limit
from render.picture.flash_limit import Correction, Passing
from tests.test_flash import FPS, SIZE, square

SMALL = (108, 192)

# Pixels of a frame of test_flash.SIZE to a tenth of a degree, where ten degrees are a third of its width (WCAG 2.3.1).
TENTH_PX = SIZE[1] * 341 / 1024 / 100


def noise(side_px: int, *, swing: int = 0) -> flash.Meter:
    """Feed two seconds of black and white noise in squares; all of it swings by 8-bit steps five times a second."""
    meter, drawn = flash.Meter(FPS), np.random.default_rng(1)
    rows, columns = SIZE
    for level in square(5, 0, swing, 2.0):
        squares = drawn.integers(0, 2, (-(-rows // side_px), -(-columns // side_px))) * (255 - swing)
        grey = np.kron(squares, np.ones((side_px, side_px), dtype=int))[:rows, :columns] + level
        meter.add(np.repeat(grey[..., None].astype(np.uint8), 3, axis=-1))
    return meter


@pytest.mark.parametrize(("degrees", "flashes"), [(0.05, False), (0.1, False), (0.3, True), (1.0, True)])
def test_fine_balanced_noise_is_exempt_and_coarse_noise_is_not(degrees: float, flashes: bool) -> None:
    assert bool(noise(max(1, int(10 * degrees * TENTH_PX))).stretches()) == flashes


def test_what_flashes_all_over_does_so_below_fine_noise_too() -> None:
    assert not noise(1, swing=10).stretches()
    assert noise(1, swing=160).stretches()


def test_the_loop_counts_as_the_rule_says() -> None:
    """Against the rule read literally, cell by cell: a change is an extreme that lies `least` from the one before."""
    rule, drawn = flash.RULES["light"], np.random.default_rng(3)
    signal = drawn.random((200, 3, 4)) * drawn.random((1, 3, 4))
    swings = flash.Swings(1.0, rule)
    turned = np.stack([swings.turned(np.ascontiguousarray(now)) for now in signal])
    for y, x in np.ndindex(3, 4):
        low = high = signal[0, y, x]
        way, expected = 0, []
        for now in signal[:, y, x]:
            low, high = min(low, now), max(high, now)
            if way <= 0 and now - low >= rule.least and low < rule.darkest:
                way, low, high = 1, now, now
                expected.append(True)
            elif way >= 0 and high - now >= rule.least and now < rule.darkest:
                way, low, high = -1, now, now
                expected.append(True)
            else:
                expected.append(False)
                low, high = (now, high) if way > 0 else (low, now) if way < 0 else (low, high)
        assert turned[:, y, x].tolist() == expected


# ---- the limit


def zoom(octaves_per_s: float, contrast: float, seconds: float = 4.0) -> list[tuple[np.ndarray, Passing]]:
    """A zoom into a picture that looks alike at every depth: linear light [3, height, width], and how it moves.

    Blobs of about two degrees, random in the angle and in the logarithm of the distance from the middle.
    """
    texture = np.random.default_rng(5).random((64, 256)) ** 2 * contrast + 0.02
    height, width = SMALL
    y, x = np.mgrid[:height, :width]
    right, up = (x + 0.5 - width / 2) / width, (height / 2 - y - 0.5) / width
    depth, angle = np.log2(np.hypot(right, up)), np.arctan2(up, right) / (2 * np.pi) % 1

    def light(at_s: float) -> np.ndarray:
        rows, columns = (depth - octaves_per_s * at_s) * 6 % 256, angle * 64
        grey = texture[columns.astype(int) % 64, rows.astype(int) % 256]
        return np.repeat(grey[None].astype(np.float32), 3, axis=0)

    scales = 2.0 ** (-octaves_per_s * np.arange(-FPS, FPS + 1) / FPS)
    passing_by = Passing(np.stack([scales, 0 * scales, 0 * scales], axis=1), FPS)
    return [(light(frame / FPS), passing_by) for frame in range(round(seconds * FPS))]


def metered(frames: list[np.ndarray]) -> list[flash.Stretch]:
    meter = flash.Meter(FPS)
    for linear in frames:
        meter.add(np.ascontiguousarray(np.moveaxis(colour.srgb8_from_linear(linear), 0, -1)))
    return meter.stretches()


def limited(linear: np.ndarray, passing_by: Passing) -> np.ndarray:
    correction = flash_limit.correction(linear, passing_by)
    if correction is None:
        return linear
    out = linear.copy()
    correction.add(out[:, :50], slice(0, 50))
    correction.add(out[:, 50:], slice(50, None))
    return out


def test_a_zoom_that_flashes_does_so_no_more() -> None:
    film = zoom(2.0, 0.9)
    assert metered([linear for linear, _ in film])
    assert not metered([limited(*frame) for frame in film])


@pytest.mark.parametrize(("octaves_per_s", "contrast"), [(0.2, 0.9), (2.0, 0.08), (0.0, 0.9)])
def test_what_moves_slowly_or_hardly_differs_is_left_as_it_is(octaves_per_s: float, contrast: float) -> None:
    film = zoom(octaves_per_s, contrast, 0.2)
    assert not metered([linear for linear, _ in film])
    for linear, passing_by in film:
        assert flash_limit.correction(linear, passing_by) is None


@pytest.mark.parametrize("size_px", [(192, 108), (200, 130), (96, 54), (40, 400)])
def test_a_correction_moves_the_mean_of_each_cell_by_what_is_asked(size_px: tuple[int, int]) -> None:
    flat = np.full((3, size_px[1], size_px[0]), 0.5, dtype=np.float32)
    before, _ = flash.cells_of_light(flat)
    wanted = (np.random.default_rng(2).random(before.shape) - 0.5) * 0.1
    Correction(np.moveaxis(wanted, -1, 0).astype(np.float32), size_px).add(flat, slice(None))
    assert flash.cells_of_light(flat)[0] - before == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_frame_alone_is_limited_as_in_the_film(tmp_path: Path, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of real samples, with thresholds so low that they limit the small film, which flashes nowhere."""
    for name in ("_BEGIN", "_BEGIN_SHARE"):
        monkeypatch.setattr(flash_limit, name, 0.0)
    for name in ("_FULL", "_FULL_SHARE", "_LEFT"):
        monkeypatch.setattr(flash_limit, name, 1e-3)
    job = rendering.prepare(qualities.named(scenes.load("tiny"), "scene"), tmp_path)
    film = [picture for _, picture in rendering.frames(job, range(job.frame_count), bits=bits)]
    off = rendering.prepare(
        qualities.named(scenes.load("tiny", settings=["output.flash=off"]), "scene"), tmp_path, backend=job.backend
    )
    as_they_are = [picture for _, picture in rendering.frames(off, range(off.frame_count), bits=bits)]
    changed = [n for n, (a, b) in enumerate(zip(film, as_they_are, strict=True)) if not np.array_equal(a, b)]
    assert changed
    for number in (changed[0], changed[len(changed) // 2]):
        ((_, alone),) = rendering.frames(job, [number], bits=bits)
        assert np.array_equal(alone, film[number])


def test_the_way_past_the_screen_follows_from_the_path(tmp_path: Path) -> None:
    scene = scenes.load("mean_lr", settings=["output.size=[384,216]"])
    job = qualities.named(scene, "scene")
    fps, path = scene.output.fps, job.plan.path
    number = job.plan.path.frame_count(fps) // 2
    passed = passing.around(job.plan, number)
    assert passed is not None
    middle, ahead = len(passed.moves) // 2, len(passed.moves) - 1
    assert passed.moves[middle].tolist() == [1.0, 0.0, 0.0]
    octaves = path.s_of_frame(number + (ahead - middle), fps) - path.s_of_frame(number, fps)
    assert passed.moves[ahead, 0] == pytest.approx(2.0**-octaves, rel=1e-9)
    for flash_setting in ("warn", "off"):
        other = scenes.load("mean_lr", settings=[f"output.flash={flash_setting}"])
        assert passing.around(qualities.named(other, "scene").plan, number) is None
