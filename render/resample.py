"""From samples on a lattice to pixels of a frame, in linear light.

The filters are Pillow's: separable, widened to the pixel where samples are denser than pixels (reduction), and
interpolating where they are sparser (enlargement).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from render.viewport import Box

FILTERS = {
    # Keys' cubic, a = -0.5 (Catmull-Rom): sharp in both directions, with a negligible ring in linear light.
    "cubic": Image.Resampling.BICUBIC,
    # Never overshoots: for weights, which must stay within 0 and 1.
    "linear": Image.Resampling.BILINEAR,
}


def to_pixels(samples: np.ndarray, box: Box, size_px: tuple[int, int], filter_name: str = "cubic") -> np.ndarray:
    """Return float32 pixels [height, width(, channels)], row 0 at the top, of samples [rows, columns(, channels)].

    samples: float32, row 0 lowest. box: the frame's edges in sample positions, sample (0, 0) at (0.0, 0.0).
    size_px: (width, height). The box may reach half a sample beyond the outermost samples, no farther.
    """
    rows = samples.shape[0]
    # The lattice puts samples at whole numbers, Pillow puts the centre of its first cell at 0.5: the half-sample
    # shift. Rows are turned over here, and nowhere else.
    pillow_box = (box.x0 + 0.5, rows - (box.y1 + 0.5), box.x1 + 0.5, rows - (box.y0 + 0.5))
    flipped = samples[::-1]

    def resize(channel: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(channel, dtype=np.float32))
        return np.asarray(image.resize(size_px, FILTERS[filter_name], box=pillow_box))

    if samples.ndim == 2:
        return resize(flipped)
    return np.stack([resize(flipped[..., c]) for c in range(samples.shape[2])], axis=-1)
