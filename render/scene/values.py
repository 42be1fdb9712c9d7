"""What a scene file means: Scene and its Output, and the presets of quality."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from render import camera
from render.camera import Keyframe
from render.colour import Look
from render.errors import SceneError
from render.problem import Problem
from render.scene.words import listed, nearest, quoted

SIZE_PX = (16, 16384)


@dataclass(frozen=True)
class Output:
    """How a film is sampled and encoded.

    width_px, height_px: even, 16..16384. fps: frames a second. crf: the encoder's quality, 1 (best) to 51 (smallest).
    detail: least number of samples per pixel (linear) anywhere in a frame, > 0.
    rest_detail: the same at views where the camera rests (holds, both ends of the film), >= detail.
    """

    width_px: int = 1920
    height_px: int = 1080
    fps: float = 30
    codec: Literal["h264", "hevc"] = "h264"
    crf: int = 16
    detail: float = 0.71
    rest_detail: float = 1.0
    overlay: bool = True


@dataclass(frozen=True)
class Scene:
    """A validated scene: what is trained (problem), what is looked at, how it is coloured and encoded.

    name: of the file, without its suffix. text: the TOML it came from.
    """

    name: str
    problem: Problem
    keyframes: tuple[Keyframe, ...]
    easing: camera.Easing
    look: Look = field(default_factory=Look)
    output: Output = field(default_factory=Output)
    text: str = ""

    def path(self, output: Output) -> camera.Path:
        """Return the camera's path for frames of this output's shape."""
        return camera.Path(self.keyframes, (output.width_px, output.height_px), self.easing)


@dataclass(frozen=True)
class Quality:
    """A row of QUALITY: the fields of Output that it replaces."""

    height_px: int
    fps: float
    detail: float
    rest_detail: float


# In rising order of cost. The two smallest are for machines without an accelerator: on a film, what costs is the
# lattice across a frame (2 * detail * width_px samples), hardly the frame's size, so they are large and soft.
QUALITY = {
    "preview": Quality(216, 24, 0.08, 0.2),
    "soft": Quality(360, 30, 0.06, 0.2),
    "draft": Quality(540, 30, 0.1, 0.25),
    "fine": Quality(720, 30, 0.18, 0.5),
    "hd": Quality(1080, 30, 0.71, 1.0),
    "full": Quality(1080, 60, 1.0, 1.0),
    "uhd": Quality(2160, 60, 0.71, 1.0),
}


def with_quality(scene: Scene, name: str) -> Scene:
    """Return the scene with a preset's height, frame rate and detail, at its own aspect ratio."""
    if name not in QUALITY:
        raise SceneError(f"quality must be one of {listed(QUALITY)}, not {quoted(name)}{nearest(name, QUALITY) or '.'}")
    row = QUALITY[name]
    width_px = 2 * round(row.height_px * scene.output.width_px / scene.output.height_px / 2)
    height_px = 2 * round(row.height_px / 2)
    if not SIZE_PX[0] <= width_px <= SIZE_PX[1]:
        shape = f"{scene.output.width_px} x {scene.output.height_px}"
        raise SceneError(
            f"quality {quoted(name)} gives the scene's shape {shape} a width of {width_px} pixels; "
            f"it must be {SIZE_PX[0]} to {SIZE_PX[1]}. Choose another quality, or a less extreme output.size."
        )
    output = replace(scene.output, width_px=width_px, height_px=height_px, fps=row.fps)
    return replace(scene, output=replace(output, detail=row.detail, rest_detail=row.rest_detail))
