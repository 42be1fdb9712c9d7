"""A line along the border between the two halves, and light on the slopes: drawn on pixels, from two extra channels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from render.picture import palettes
from render.picture.colour import Look

# Widths and slopes are given for frames of this many lines, so that a preview looks like the film.
_LINES = 1080

# Where the border fills more than this share of the surroundings, it is finer than pixels: a line would black it out.
_DENSE = 0.5
_SURROUNDINGS_PX = 15

# Slopes of a tenth of a tone a pixel are lit nearly as far as `shading` lets them.
_SLOPE_PX = 0.1


# How far the ink of a pixel reaches: rows of a picture that is drawn in bands need so many more on both sides.
REACH_PX = _SURROUNDINGS_PX // 2 + 1


def drawn(
    channels: Float32[np.ndarray, "6 row column"], look: Look, lines: int | None = None
) -> Float32[np.ndarray, "3 row column"]:
    """Return a picture, linear light float32 [3, height, width], with what the look asks for.

    channels: float32 [6, height, width]: the picture; the side, -1 to 1, in the mean over a pixel; the tone, 0 to 1; 0.
    lines: of the whole picture, where this is a band of it.
    """
    picture, side, tone = channels[:3], channels[3], channels[4]
    px = (lines or channels.shape[1]) / _LINES
    if look.shading > 0:
        # Each side slopes down to the border from its fastest runs: as heights, tones of both sides rise towards it.
        down, right = np.gradient(tone)
        lit = np.tanh((down + right) * px / (np.sqrt(2) * _SLOPE_PX))  # from the upper left
        picture = picture * (1 - np.float32(look.shading) * lit.astype(np.float32))
    if look.boundary > 0:
        ink = line(side, look.boundary * px)
        picture = picture + (palettes.linear_from_hex(look.boundary_colour)[:, None, None] - picture) * ink
    return np.ascontiguousarray(picture, dtype=np.float32)


def line(side: Float32[np.ndarray, "row column"], width_px: float) -> Float32[np.ndarray, "row column"]:
    """Return how much ink a line of some width along side = 0 puts on each pixel: float32 [height, width].

    The distance to the line is estimated as |side| / |its gradient|, exact to first order. Lines thinner than a pixel
    are paler instead.
    """
    from scipy.ndimage import uniform_filter  # loaded where something is drawn

    down, right = np.gradient(side)
    slope = np.hypot(down, right)
    distance = np.abs(side) / np.maximum(slope, 1e-6)
    near = np.clip(max(width_px, 1.0) / 2 + 0.5 - distance, 0.0, 1.0) * min(width_px, 1.0)
    near[np.abs(side) > 0.999] = 0.0  # far from any border: nothing but rounding
    dense = uniform_filter((np.abs(side) < 0.9).astype(np.float32), _SURROUNDINGS_PX)
    ink: np.ndarray = near * np.clip((1 - dense) / _DENSE - 0.5, 0.0, 1.0)
    return ink.astype(np.float32)
