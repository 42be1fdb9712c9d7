"""The meaning of a scene file: Scene and its Output, and the presets of quality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from render.encode import CodecName
from render.errors import SceneError
from render.geometry import camera, frame_rates
from render.geometry.camera import Keyframe
from render.geometry.tracks import Track
from render.picture.colour import Look
from render.problem import Problem
from render.scene import naming
from render.scene.wording import listed, nearest, quoted

SIZE_PX = (16, 16384)


@dataclass(frozen=True)
class Output:
    """The sampling and the encoding of a film.

    width_px, height_px: even, 16..16384. fps: frames a second, exactly; a number or a
    text is taken as `frame_rates.exact` does. codec: a row of encode.CODECS, or a sequence of PNGs.
    crf: the encoder's quality, 1 (best) to 51 (63 for AV1; smallest); None for the codec's own.
    bits: of a channel of single frames and PNG sequences.
    detail: least number of samples per pixel (linear) anywhere in a frame, > 0.
    rest_detail: the same at views where the camera rests (holds, both ends of the film), >= detail.
    overlay: whether frames are written on, or the parts of `annotate.PARTS` that are. caption: text in a corner.
    font: of the caption, a file or a family; "" for the bundled one, or one of this machine that has its letters.
    slices: at how many values of what keyframes set the plane is trained, at most, >= 2.
    shutter: share of the time between two frames that a frame averages, 0 to 1.
    flash: "limit" lowers the contrast in time of what would flash, "warn" only reports it, "off" does neither.
    precision: "auto" follows the samples of deep levels by differences from a reference run, "float64" trains all of
        them plainly.
    audio: a sound file that films play; "" for none. audio_fade_s: seconds in which it fades at the film's end.
    frames: exactly so many frames, to which the camera's times are stretched; None for as many as those times give.
    """

    width_px: int = 1920
    height_px: int = 1080
    fps: Fraction = Fraction(30)
    codec: CodecName = "h264"
    crf: int | None = None
    bits: Literal[8, 16] = 8
    detail: float = 0.71
    rest_detail: float = 1.0
    overlay: bool | tuple[str, ...] = True
    caption: str = ""
    font: str = ""
    slices: int = 24
    shutter: float = 0.0
    flash: Literal["limit", "warn", "off"] = "limit"
    precision: Literal["auto", "float64"] = "auto"
    frames: int | None = None
    audio: str = ""
    audio_fade_s: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", frame_rates.exact(self.fps))


@dataclass(frozen=True)
class OutputRecord:
    """What an output that is given as a scene says of its making: quality, a single frame's number, and numerics.

    changed_from: what the scene's own files give for the fields that settings had changed, by their paths.
    """

    quality: str
    frame: int | None = None
    numerics: str = ""
    changed_from: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bifurcation:
    """What a bifurcation diagram shows over its x axis: where each run is after its transient, along the y axis.

    start: of every run, a value of the y axis's hyperparameter. transient: steps that are not shown, fewer than the
    problem's.
    height_power: a view that is w times as wide is w to this power as high.
    """

    start: float
    transient: int
    height_power: float = 1.0


@dataclass(frozen=True)
class Scene:
    """A validated scene: what is trained (problem), what is looked at, how it is coloured and encoded.

    name: of the file, without its suffix. text: the TOML it came from. record: set if it came out of an output.
    tracks: what keyframes set besides their views. bifurcation: what a diagram shows; None for a plane of samples.
    origins: which file, setting or preset gave each field, by the path of the field; what has none is a default.
    first_file: the name of the first file among them. What other sources say of the output outweighs a preset of
    quality.
    folder: that the path of a user's file in the text starts at.
    measured: the last level that is trained plainly about some views, by `render.deep.targets.key_of` the view.
    plain: the scene of the same files without settings, where there are settings; None if that is no valid scene.
    """

    name: str
    problem: Problem
    keyframes: tuple[Keyframe, ...]
    easing: camera.Easing
    look: Look = field(default_factory=Look)
    output: Output = field(default_factory=Output)
    text: str = ""
    record: OutputRecord | None = None
    play: camera.Play = "forward"
    tracks: tuple[Track, ...] = ()
    bifurcation: Bifurcation | None = None
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    first_file: str = field(default="", compare=False, repr=False)
    folder: Path | None = field(default=None, compare=False, repr=False)
    measured: tuple[tuple[str, int], ...] = field(default=(), compare=False, repr=False)
    plain: Scene | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        axes = f"{self.problem.x.name} and {self.problem.y.name}"
        count, size = len(self.keyframes), f"{self.output.width_px} x {self.output.height_px}"
        views = f"{count} keyframe{'s' if count != 1 else ''}"
        return f"Scene({self.name!r}: {self.problem.system} over {axes}, {views}, {size} pixels)"

    def laid_over(self) -> dict[str, str]:
        """Return the fields that settings and further files gave, each with its source."""
        presets = {_preset(name) for name in QUALITY}
        return {
            path: source for path, source in self.origins.items() if source != self.first_file and source not in presets
        }

    def path(self, output: Output) -> camera.Path:
        """Return the camera's path for frames of this output's shape."""
        keyframes = self.keyframes
        if output.frames is not None:
            way = output.frames // 2 + 1 if self.play == "ping-pong" else output.frames  # see Path.frame_count
            keyframes = camera.stretched(keyframes, float(way / output.fps))
        power = 1.0 if self.bifurcation is None else self.bifurcation.height_power
        return camera.Path(keyframes, (output.width_px, output.height_px), self.easing, self.play, self.tracks, power)

    def check_plane(self, wanted: str) -> None:
        """Refuse what needs a plane of samples, `wanted`, for a bifurcation diagram. Raises SceneError."""
        if self.bifurcation is not None:
            raise SceneError(
                f'{self.name}: kind = "bifurcation" has no plane of samples for {wanted}: films, single frames and '
                "sheets are made of a diagram. Leave kind and [bifurcation] out of the scene to look at its plane."
            )

    def last_plain_level(self, level: int) -> int | None:
        """Return the last level that is trained plainly where samples down to `level` are; None: all of them are."""
        last_plain = self.problem.last_plain_level
        return last_plain if self.output.precision == "auto" and level > last_plain else None


@dataclass(frozen=True)
class Quality:
    """A row of QUALITY: the fields of Output that it replaces. side_px: of the frame's shorter side."""

    side_px: int
    fps: int
    detail: float
    rest_detail: float
    slices: int


# In rising order of cost. The two smallest are for machines without an accelerator: on a film, what costs is the
# lattice across a frame (2 * detail * width_px samples), hardly the frame's size, so they are large and soft.
QUALITY = {
    "preview": Quality(216, 24, 0.08, 0.2, 12),
    "soft": Quality(360, 30, 0.06, 0.2, 16),
    "draft": Quality(540, 30, 0.1, 0.25, 16),
    "fine": Quality(720, 30, 0.18, 0.5, 24),
    "hd": Quality(1080, 30, 0.71, 1.0, 32),
    "full": Quality(1080, 60, 1.0, 1.0, 48),
    "uhd": Quality(2160, 60, 0.71, 1.0, 48),
}


def _preset(name: str) -> str:
    """Return what a preset of quality is called where values say where they come from."""
    return f"quality {name}"


def check_quality(name: str, *others: str) -> None:
    """Raise SceneError for a name that is neither that of a preset nor one of some others, such as "auto"."""
    names = (*others, *QUALITY)
    if name in names:
        return
    near = (
        ": what it chooses depends on the machine; `render plan` says it." if name == "auto" else nearest(name, names)
    )
    raise SceneError(f"quality must be one of {listed(names)}, not {quoted(name)}{near or '.'}")


def with_quality(scene: Scene, name: str) -> Scene:
    """Return the scene with a preset's height, frame rate and detail, at its own aspect ratio.

    What settings and further files say of these outweighs the preset.
    """
    check_quality(name)
    row, given, output = QUALITY[name], scene.laid_over(), scene.output
    size_px = _scaled(output, row.side_px) if "output.size" not in given else (output.width_px, output.height_px)
    if not all(SIZE_PX[0] <= side <= SIZE_PX[1] for side in size_px):
        shape = f"{scene.output.width_px} x {scene.output.height_px}"
        longer = "width" if size_px[0] > size_px[1] else "height"
        raise SceneError(
            f"quality {quoted(name)} gives the scene's shape {shape} a {longer} of {max(size_px)} pixels; "
            f"it must be {SIZE_PX[0]} to {SIZE_PX[1]}. Choose another quality, or a less extreme output.size."
        )
    detail = output.detail if "output.detail" in given else row.detail
    rest_detail = output.rest_detail if "output.rest_detail" in given else max(row.rest_detail, detail)
    if rest_detail < detail:
        raise SceneError(
            f"output.rest_detail must be at least the detail {detail:g} of quality {quoted(name)}, not {rest_detail:g} "
            f"({given['output.rest_detail']}). Choose another quality, or give output.detail too."
        )
    replaced = {f"output.{key}" for key in ("size", "fps", "detail", "rest_detail", "slices")} - given.keys()
    return replace(
        scene,
        plain=_of_plain(scene, with_quality, name),
        output=replace(
            output,
            width_px=size_px[0],
            height_px=size_px[1],
            fps=output.fps if "output.fps" in given else Fraction(row.fps),
            detail=detail,
            rest_detail=rest_detail,
            slices=output.slices if "output.slices" in given else row.slices,
        ),
        origins={**scene.origins, **dict.fromkeys(replaced, _preset(name))},
    )


def _of_plain(scene: Scene, change: Callable[[Scene, str], Scene], name: str) -> Scene | None:
    """Return a scene without its settings, changed in the same way; None where it cannot be."""
    try:
        return None if scene.plain is None else change(scene.plain, name)
    except SceneError:
        return None


def _scaled(output: Output, side_px: int) -> tuple[int, int]:
    """Return the even width and height of an output's shape with this shorter side."""
    scale = side_px / min(output.width_px, output.height_px)
    return 2 * round(output.width_px * scale / 2), 2 * round(output.height_px * scale / 2)


# Width to height. A shape keeps the shorter side, so that every quality means the same sharpness in each of them.
SHAPES = {"wide": (16, 9), "square": (1, 1), "vertical": (9, 16), "portrait": (4, 5), "cinema": (64, 27)}


def with_shape(scene: Scene, name: str) -> Scene:
    """Return the scene in frames of another shape, with the shape in its name: the film is another one."""
    if name not in SHAPES:
        raise SceneError(f"shape must be one of {listed(SHAPES)}, not {quoted(name)}{nearest(name, SHAPES) or '.'}")
    side_px = min(scene.output.width_px, scene.output.height_px)
    width_px, height_px = _scaled(Output(*SHAPES[name]), side_px)
    if max(width_px, height_px) > SIZE_PX[1]:
        raise SceneError(f"shape {quoted(name)} would be {width_px} x {height_px}; a side has at most {SIZE_PX[1]}.")
    output = replace(scene.output, width_px=width_px, height_px=height_px)
    return replace(
        scene, name=naming.joined([scene.name, name]), output=output, plain=_of_plain(scene, with_shape, name)
    )
