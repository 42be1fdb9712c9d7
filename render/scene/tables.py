"""The layout of a scene file: one table for each of the file's.

pydantic is known only here.
"""

from __future__ import annotations

import functools
import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

from render.encode import CodecName
from render.geometry import camera
from render.picture.channels import CHANNELS
from render.picture.colour import Equalise, Look
from render.problem import DEFAULT_SYSTEM, catalogue, own_model
from render.problem.catalogue import OBSERVABLES, Setting, System
from render.scene.look_fields import Colour, FrameRate, Palette, Parts
from render.scene.number_fields import Number, no_float, whole_or, whole_or_schema
from render.scene.values import SIZE_PX, Bifurcation, Output

MOST_KEYFRAMES = 200
MOST_SECONDS = 3600.0
MOST_STEPS = 1_000_000


_Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]
_Even = Annotated[int, Field(ge=SIZE_PX[0], le=SIZE_PX[1], multiple_of=2)]
_Positive = Annotated[float, Field(gt=0)]
_Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS)]


def absent(description: str) -> Any:
    """A field that a person may leave out. TOML has no null, so its type stays that of the value."""
    return Field(default=None, description=description, json_schema_extra=_no_default)


def _no_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class Table(BaseModel):
    """A table of a scene file: nothing in it is turned into another type, and no unknown field is passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


def derived(name: str, about: str, fields: dict[str, Any], base: type[Table] = Table) -> type[Table]:
    """Return a table with other fields than its base, or more of them; each brings its own description."""
    # pydantic would look for docstrings in the source of everything that called this function: 3 ms for each table.
    no_source = {"use_attribute_docstrings": False}
    model: type[Table] = create_model(name, __base__=base, __doc__=about, __cls_kwargs__=no_source, **fields)
    return model


class AxisTable(Table):
    """One axis of the plane; needs range or range_log10."""

    name: str
    """The hyperparameter that varies along this axis."""
    scale: Literal["log10", "linear"] = "log10"
    """What the axis is even in."""
    range: _Pair = absent("Both ends in the hyperparameter's units, as quoted decimals.")
    range_log10: _Pair = absent("Both ends as log10 of the value, as quoted decimals.")


def _setting(setting: Setting) -> Any:
    """Return the type of a setting, checks included."""
    words = (*setting.words, *([setting.none] if setting.none else []))
    if setting.integer and words:
        least, most = setting.integer
        return Annotated[int | str, whole_or(words, least, most), whole_or_schema(words, least, most)]
    if setting.integer:
        return Annotated[int, Field(ge=setting.integer[0], le=setting.integer[1])]
    if setting.number:
        return Annotated[float, Field(ge=setting.number[0], le=setting.number[1])]
    return Literal[words] if words else bool


# Only a table of a system's scene has these fields, so that every scene may ask for them.
ObserveTable = derived(
    "ObserveTable",
    "What is measured of every run besides; a change trains everything again.",
    {
        name: (Annotated[int, Field(ge=1, le=MOST_STEPS)] if row.integer else _Positive, absent(row.asks))
        for name, row in OBSERVABLES.items()
    },
)


class SystemTables(NamedTuple):
    """The tables of a scene whose problem is of one system."""

    axis: type[Table]
    moved: type[Table]
    keyframe: type[Table]
    camera: type[Table]
    fixed: type[Table]
    observe: type[Table]
    problem: type[Table]
    look: type[Table]
    scene: type[Table]


def of_system(system: str) -> SystemTables:
    """Return the tables of a row of the catalogue."""
    return _tables(system, catalogue.row(system))


@functools.lru_cache(maxsize=64)
def _tables(system: str, row: System) -> SystemTables:
    prefix = "".join(word.capitalize() for word in re.split(r"\W|_", system))
    names = tuple(row.hyperparameters)

    def table(kind: str, about: str, fields: dict[str, Any], base: type[Table] = Table) -> type[Table]:
        return derived(f"{prefix}{kind}", about, fields, base)

    about_name = AxisTable.model_fields["name"].description
    axis = table(
        "AxisTable", AxisTable.__doc__ or "", {"name": (Literal[names], Field(description=about_name))}, AxisTable
    )
    # One optional number for each hyperparameter: a misspelt one is an unknown field like any other.
    fixed = table(
        "FixedTable",
        "Hyperparameters that are not on an axis.",
        {name: (float, absent(h.label)) for name, h in row.hyperparameters.items()},
    )
    moved = table(
        "SetTable",
        SET,
        {name: (Number, absent(h.label)) for name, h in row.hyperparameters.items()}
        | {name: (_setting(s), absent(s.about)) for name, s in row.settings.items() if s.integer},
    )
    keyframe = table("KeyframeTable", KeyframeTable.__doc__ or "", {"set": (moved, absent(SET))}, KeyframeTable)
    camera = table("CameraTable", CameraTable.__doc__ or "", {"keyframes": (_keyframes(keyframe), ...)}, CameraTable)
    steps, seed = Annotated[int, Field(ge=1, le=MOST_STEPS)], Annotated[int, Field(ge=0, le=2**32 - 1)]
    settings = {
        name: (_setting(s), Field(default=s.written(s.default), description=s.about or None))
        for name, s in row.settings.items()
    }
    problem = table(
        "ProblemTable",
        f"{row.title}. A change trains everything again.",
        {
            "x": (axis, ...),
            "y": (axis, ...),
            "system": (Literal[system], DEFAULT_SYSTEM if system == DEFAULT_SYSTEM else ...),
            **settings,
            "steps": (steps, Field(default=row.steps, description="Steps of a run.")),
            "seed": (seed, Field(default=0, description="Of everything random.")),
            "measure": (Literal[row.measures], row.measures[0]),
            **(
                {"code": (str, absent("Digest of the file that the system is, if it must not be another."))}
                if own_model.is_own(system)
                else {}
            ),
            "fixed": (fixed, Field(default_factory=lambda: fixed())),
            "observe": (ObserveTable, Field(default_factory=lambda: ObserveTable())),
        },
    )
    look = look_table(prefix, (*CHANNELS, *row.channels, *OBSERVABLES))
    parts = {
        "problem": (problem, ...),
        "camera": (camera, ...),
        "look": (look, Field(default_factory=lambda: look())),
    }
    scene = table("SceneTable", "", parts, SceneTable)
    return SystemTables(axis, moved, keyframe, camera, fixed, ObserveTable, problem, look, scene)


SET = "Hyperparameters that are on no axis, and whole settings, as they are there; they move in between."


def _keyframes(keyframe: type[Table]) -> Any:
    return Annotated[list[keyframe], Field(min_length=1, max_length=MOST_KEYFRAMES)]  # type: ignore[valid-type]


class KeyframeTable(Table):
    """A resting place of the camera; needs a centre and a width or a height, or says that it shows the whole plane.

    On a frame the ranges of both axes are equally long, whatever their scales: a range sets the shape of what is seen.
    """

    view: Literal["whole"] = absent(
        '"whole": all of the plane, whatever the shape of the frame; nothing else is needed.'
    )
    centre: _Pair = absent("x and y in the hyperparameters' units, as quoted decimals.")
    centre_log10: _Pair = absent("log10 of x and of y, as quoted decimals.")
    width_decades: _Positive = absent("Width of the view in decades of a log10 x axis.")
    width: _Positive = absent("Width of the view in the units of a linear x axis.")
    height_decades: _Positive = absent("Height of the view in decades of a log10 y axis; beside a width, both fit.")
    height: _Positive = absent("Height of the view in the units of a linear y axis; beside a width, both fit.")
    time_s: _Seconds = absent("Second at which the camera arrives; only in a camera without a speed.")
    hold_s: _Seconds = 0.0
    """Seconds of rest after arrival."""
    phase: Annotated[float, Field(ge=-1000, le=1000)] = 0.0
    """By how many turns a closed palette is turned there; even in between."""
    set: dict[str, Number] = absent(SET)
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = absent(
        "After how many steps runs are shown there, evenly in the logarithm in between; in every keyframe, or in none."
    )


class CameraTable(Table):
    """The camera's path; timed by a speed, or by time_s in every keyframe."""

    keyframes: Annotated[list[KeyframeTable], Field(min_length=1, max_length=MOST_KEYFRAMES)]
    easing: camera.Easing = "smooth"
    play: camera.Play = "forward"
    """Forward; backward, from the last keyframe to the first; or ping-pong, there and back without a doubled frame."""
    octaves_per_s: _Positive = absent("Mean zoom speed in doublings a second; the published films have 0.667.")
    decades_per_s: _Positive = absent("Mean zoom speed in factors of ten a second.")
    bpm: Annotated[float, Field(ge=10, le=1000)] = absent(
        "Beats a minute of the film's music: arrivals at keyframes, and ends of holds, move to the nearest beat."
    )


class LookTable(Table):
    """How samples are coloured; a change trains nothing."""

    palette: Palette = Look.palette
    """A palette of this package (luma, luma-dark, even, safe, wheel), a colour map of the cmap catalogue, or a list of
    colours from slow divergence to slow convergence, mixed in a perceptual space."""
    channel: str = Look.channel
    """What colours show: the published measure, the final loss, the time of escape, how the run ended, or what the
    system measures besides."""
    equalise: Equalise = Look.equalise
    """Over what the ranks of samples are spread evenly; fixed and log rank nothing."""
    gap: Annotated[float, Field(ge=0, le=0.9)] = Look.gap
    """Share of each half of the palette left out at its middle, between the fastest runs of either kind."""
    background: Colour = Look.background
    """Colour outside the plane."""
    boundary: Annotated[float, Field(ge=0, le=20)] = Look.boundary
    """Width of a line along the border, in pixels of a frame of 1080 lines; 0 for none."""
    boundary_colour: Colour = Look.boundary_colour
    """Colour of that line."""
    shading: Annotated[float, Field(ge=0, le=1)] = Look.shading
    """Strength of light from the upper left on the slopes of the tones; 0 for none."""


def look_table(prefix: str, channels: tuple[str, ...]) -> type[Table]:
    """Return the table of looks that can show these channels."""
    about = Field(default=Look.channel, description=LookTable.model_fields["channel"].description)
    return derived(f"{prefix}LookTable", LookTable.__doc__ or "", {"channel": (Literal[channels], about)}, LookTable)


class OutputTable(Table):
    """How the film is sampled and encoded."""

    size: Annotated[list[_Even], Field(min_length=2, max_length=2)] = [Output.width_px, Output.height_px]
    """Width and height in pixels; even."""
    fps: FrameRate = int(Output.fps)
    """Frames a second: a number, or a ratio such as "30000/1001"; 23.976, 29.97 and 59.94 mean such ratios."""
    codec: CodecName = Output.codec
    """How the film is compressed; "png" is a folder of pictures."""
    crf: Annotated[int, Field(ge=1, le=63)] = absent(
        "The encoder's quality: 1 (best) to 51 (63 for av1 and vp9; smallest); left out, the codec's own."
    )
    bits: Annotated[Literal[8, 16], no_float] = Output.bits
    """Of a channel of single frames and PNG sequences."""
    detail: Annotated[float, Field(gt=0, le=4)] = Output.detail
    """Least number of samples per pixel (linear) anywhere in a frame."""
    rest_detail: Annotated[float, Field(gt=0, le=4)] = Output.rest_detail
    """The same where the camera rests."""
    overlay: Parts = Output.overlay
    """What is written on the frames: true for all, false for nothing, or a list of parts: axes, depth, legend, and
    the values of what keyframes move besides the camera."""
    caption: Annotated[str, Field(max_length=200)] = Output.caption
    """A text in the upper left corner; it may have several lines."""
    font: Annotated[str, Field(max_length=4096)] = Output.font
    """Of the caption: a font file, or a family of this machine; "" for the bundled one, or another with all letters."""
    slices: Annotated[int, Field(ge=2, le=1000)] = Output.slices
    """At how many values of what keyframes set, at most, the plane is trained; in between slices are mixed."""
    shutter: Annotated[float, Field(ge=0, le=1)] = Output.shutter
    """Share of the time between two frames that a frame averages: motion blur, without new samples."""
    flash: Literal["limit", "warn", "off"] = Output.flash
    """limit: what would flash by WCAG 2.3.1 loses contrast in time; warn: it is only reported; off: neither."""
    precision: Literal["auto", "float64"] = Output.precision
    """auto: samples too close for float64 are followed by differences from a reference run; float64: none is."""
    frames: Annotated[int, Field(ge=1, le=1_000_000)] = absent(
        "Exactly so many frames: the camera's times are stretched to it. Left out, as many as those times give."
    )
    audio: Annotated[str, Field(max_length=4096)] = Output.audio
    """A sound file to play with the film, cut at its end or followed by silence; its path counts from where render is
    started. "" for none."""
    audio_fade_s: Annotated[float, Field(ge=0, le=60)] = Output.audio_fade_s
    """Seconds in which the sound fades away at the end of the film."""


class BifurcationTable(Table):
    """What a bifurcation diagram shows over its x axis: the values that runs visit along the y axis."""

    start: float
    """Of every run: a value of the y axis."""
    transient: Annotated[int, Field(ge=0, le=MOST_STEPS)]
    """Steps of a run that are not shown, below problem.steps."""
    height_power: Annotated[float, Field(gt=0, le=1)] = Bifurcation.height_power
    """A view that is w times as wide is w to this power as high: ln 9.28 / ln 55.25 follows windows of three times the
    period, ln 2.503 / ln 4.669 doublings."""


class SceneTable(Table):
    """A scene of the film renderer."""

    kind: Literal["bifurcation"] = absent("Left out: a plane of samples. A bifurcation diagram needs [bifurcation].")
    bifurcation: BifurcationTable = absent("What a bifurcation diagram shows.")
    problem: Any
    camera: CameraTable
    look: LookTable = Field(default_factory=LookTable)
    output: OutputTable = Field(default_factory=OutputTable)


def system_of(raw: object) -> str:
    """Return the system that a scene's problem names, or the default's name if it names none, or none there is."""
    problem = raw.get("problem") if isinstance(raw, dict) else None
    name = problem.get("system") if isinstance(problem, dict) else None
    if not isinstance(name, str):
        return DEFAULT_SYSTEM
    try:
        catalogue.row(name)
    except KeyError:
        return DEFAULT_SYSTEM
    return name


def tables_by_path(system: str) -> dict[tuple[str, ...], type[Table]]:
    """Return the table that each key path leads to, list positions left out."""
    tables = of_system(system)
    return {
        (): tables.scene,
        ("problem",): tables.problem,
        ("problem", "x"): tables.axis,
        ("problem", "y"): tables.axis,
        ("problem", "fixed"): tables.fixed,
        ("problem", "observe"): tables.observe,
        ("camera",): tables.camera,
        ("camera", "keyframes"): tables.keyframe,
        ("camera", "keyframes", "set"): tables.moved,
        ("look",): tables.look,
        ("bifurcation",): BifurcationTable,
        ("output",): OutputTable,
    }


# ---- Fields of a file, by these tables -----------------------------------------------------------------------------


def good_fields(table: type[Table], raw: object) -> dict[str, Any]:
    """Return the fields of a table that are valid by themselves, defaults included."""
    if not isinstance(raw, dict):
        return {}
    good: dict[str, Any] = {}
    blank = table.model_construct()
    for key, info in table.model_fields.items():
        if key in raw:
            try:
                table.__pydantic_validator__.validate_assignment(blank, key, raw[key])
            except ValidationError:
                continue
            good[key] = getattr(blank, key)
        elif not info.is_required() and (value := info.get_default(call_default_factory=True)) is not None:
            good[key] = value
    return good


def filled(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a valid scene file's fields with every default written out, in the order of the tables."""
    return _filled(raw, (), tables_by_path(system_of(raw)))


def _filled(raw: dict[str, Any], path: tuple[str, ...], tables: dict[tuple[str, ...], type[Table]]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for key, info in tables[path].model_fields.items():
        value = raw[key] if key in raw else info.get_default(call_default_factory=True)
        inner = (*path, key)
        if value is None:
            continue
        if inner in tables and isinstance(value, list):
            filled[key] = [_filled(entry, inner, tables) for entry in value]
        elif inner in tables:
            filled[key] = _filled(value if isinstance(value, dict) else {}, inner, tables)
        else:
            filled[key] = value
    return filled
