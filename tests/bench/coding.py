"""The effect of encoding on a real film: size and error of every codec, and of palettes at one rate.

Frames are two seconds of `single` at quality soft, half-way down; its samples are trained once, into the usual store.
"""

from __future__ import annotations

import dataclasses
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from render import encode, scene
from render.encode.ffmpeg import binary
from render.film import qualities, rendering
from render.scene import Scene

_PALETTES = ("Spectral", "luma", "luma-dark", "even", "safe", "colorbrewer:RdBu")
_CRFS = (16, 21, 26, 31)
_FRAMES = 60


def frames_of(loaded: Scene) -> np.ndarray:
    """Return the frames [frame, height, width, 3] of a scene, uint8."""
    job = rendering.prepare(qualities.named(loaded, "soft"), Path("store"))
    first = job.frame_count // 2
    return np.stack([picture for _, picture in rendering.frames(job, range(first, first + _FRAMES))])


def coded(frames: np.ndarray, codec: str, crf: int | None) -> tuple[float, float]:
    """Encode and decode; return megabits per second and the peak signal-to-noise ratio in dB, over R, G and B."""
    height_px, width_px = frames.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"film{encode.CODECS[codec].suffix}")
        with encode.VideoWriter(path, (width_px, height_px), 30, codec=codec, crf=crf) as writer:
            for frame in frames:
                writer.write(frame if writer.bits == 8 else frame * np.uint16(257))
        scaled = f"scale={width_px}:{height_px}:flags=bicubic+accurate_rnd+full_chroma_int"  # upload is twice the size
        command = [binary(), "-loglevel", "error", "-i", str(path), "-vf", scaled, "-f", "rawvideo"]
        done = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
        size_bits = 8 * path.stat().st_size
    back = np.frombuffer(done.stdout, np.uint8).reshape(frames.shape)
    error = np.mean([np.mean((a.astype(np.float32) - b) ** 2) for a, b in zip(back, frames, strict=True)])
    return size_bits / 1e6 * 30 / len(frames), float(10 * np.log10(255**2 / error)) if error else float("inf")


def at_rate(curve: list[tuple[float, float]], rate: float) -> float:
    """Return the dB at a rate, straight in its logarithm between two measured points; the end beyond them."""
    points = sorted(curve)
    for (low, worse), (high, better) in pairwise(points):
        if low <= rate <= high:
            return worse + (better - worse) * float(np.log(rate / low) / np.log(high / low))
    return points[0][1] if rate < points[0][0] else points[-1][1]


def measured() -> Iterator[tuple[str, str]]:
    """Yield what is measured as (name, figure with unit)."""
    loaded = scene.load("single")
    loaded = dataclasses.replace(loaded, output=dataclasses.replace(loaded.output, overlay=False))
    rate = 0.0
    for name in _PALETTES:
        frames = frames_of(dataclasses.replace(loaded, look=dataclasses.replace(loaded.look, palette=name)))
        if not rate:
            for codec, row in encode.CODECS.items():
                if row.suffix in (".mp4", ".mov", ".mkv"):
                    mbit_per_s, db = coded(frames, codec, None)
                    yield f"codec {codec}", f"{mbit_per_s:.1f} Mb/s, {db:.1f} dB"
        curve = [coded(frames, "h264", crf) for crf in _CRFS]
        rate = rate or curve[1][0]
        yield f"palette {name}", f"{at_rate(curve, rate):.1f} dB at {rate:.1f} Mb/s; at crf 16 {curve[0][1]:.1f} dB"
